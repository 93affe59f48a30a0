//! The files that a demo leaves behind.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use evenkeel_collector::{OpenError, SqliteStore};

use super::DEVICE;

/// What every report has in its foot: no other page is overwritten.
const MARK: &str = "Made by evenkeel";

/// The folder that a demo writes to, and the files in it.
#[derive(Debug)]
pub(crate) struct Output {
    folder: PathBuf,
}

/// Why the files cannot be made.
#[derive(Debug)]
pub(crate) enum FilesError {
    /// The folder or a file in it cannot be made.
    Io(PathBuf, io::Error),
    /// There is a file in the way that is not of an earlier demo.
    Foreign(PathBuf),
    /// The collector's file cannot be opened.
    Store(PathBuf, OpenError),
}

impl fmt::Display for FilesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, error) => write!(f, "cannot write {}: {error}", path.display()),
            Self::Foreign(path) => {
                write!(f, "{} is not of an earlier demo and stays as it is: choose another --out", path.display())
            }
            Self::Store(path, error) => write!(f, "cannot open {}: {error}", path.display()),
        }
    }
}

impl std::error::Error for FilesError {}

impl Output {
    /// Makes the folder if it is missing, and checks that no file in it would be lost.
    pub(crate) fn prepare(folder: &Path) -> Result<Self, FilesError> {
        let output = Self { folder: folder.to_path_buf() };
        fs::create_dir_all(folder).map_err(|error| FilesError::Io(folder.to_path_buf(), error))?;
        let report = output.report();
        match fs::read(&report) {
            Ok(bytes) if String::from_utf8_lossy(&bytes).contains(MARK) => {}
            Ok(_) => return Err(FilesError::Foreign(report)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(FilesError::Io(report, error)),
        }
        output.remove_store()?;
        Ok(output)
    }

    /// Where the report goes.
    pub(crate) fn report(&self) -> PathBuf {
        self.folder.join("report.html")
    }

    /// Where what was collected goes.
    pub(crate) fn store(&self) -> PathBuf {
        self.folder.join("collected.db")
    }

    /// An empty store.
    pub(crate) fn open_store(&self) -> Result<SqliteStore, FilesError> {
        let path = self.store();
        SqliteStore::open(&path).map_err(|error| FilesError::Store(path, error))
    }

    /// Writes the report.
    pub(crate) fn write_report(&self, page: &str) -> Result<(), FilesError> {
        let path = self.report();
        fs::write(&path, page).map_err(|error| FilesError::Io(path, error))
    }

    /// Removes the store of an earlier demo.
    fn remove_store(&self) -> Result<(), FilesError> {
        let path = self.store();
        match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(FilesError::Io(path, error)),
            Ok(_) => {}
        }
        let store = SqliteStore::open(&path).map_err(|error| match error {
            OpenError::Foreign => FilesError::Foreign(path.clone()),
            error => FilesError::Store(path.clone(), error),
        })?;
        match store.logs() {
            Ok(logs) if logs.iter().all(|log| log.identity.device == DEVICE) => {}
            _ => return Err(FilesError::Foreign(path)),
        }
        drop(store);
        for suffix in ["", "-wal", "-shm"] {
            let file = self.folder.join(format!("collected.db{suffix}"));
            match fs::remove_file(&file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(FilesError::Io(file, error)),
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_an_earlier_demo_are_replaced_and_others_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("new/out");
        let output = Output::prepare(&out).unwrap();
        drop(output.open_store().unwrap());
        output.write_report("<footer>Made by evenkeel</footer>").unwrap();
        let output = Output::prepare(&out).unwrap();
        assert!(!output.store().exists());

        fs::write(output.store(), "a shopping list, long enough to be no database at all").unwrap();
        assert!(matches!(Output::prepare(&out), Err(FilesError::Foreign(path)) if path == output.store()));
        assert!(fs::read_to_string(output.store()).unwrap().starts_with("a shopping list"));
        fs::remove_file(output.store()).unwrap();

        fs::write(output.report(), "<p>Another page</p>").unwrap();
        assert!(matches!(Output::prepare(&out), Err(FilesError::Foreign(path)) if path == output.report()));
        assert_eq!(fs::read_to_string(output.report()).unwrap(), "<p>Another page</p>");
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = Output::prepare(&file.join("out")).unwrap_err();
        assert!(matches!(error, FilesError::Io(..)) && !error.to_string().contains('\n'), "{error}");
    }
}
