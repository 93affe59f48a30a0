//! The commands that collect: what they have in common.

pub(crate) mod export;
pub(crate) mod pull;
pub(crate) mod relay;
pub(crate) mod serve;
pub(crate) mod tty;

use std::fmt;
use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use evenkeel_collector::OpenError;
use evenkeel_collector::server::{
    Failure, KeyLine, KeyRing, PostgresConfig, PostgresSections, SectionStore, SqliteSections,
};

/// Why a command that collects could not be run.
#[derive(Debug)]
pub(crate) enum CollectError {
    /// The store is not named by anything that is understood.
    NoSuchStore(String),
    /// The file cannot be opened as a store.
    Open(String, OpenError),
    /// The store failed.
    Store(Failure),
    /// A file cannot be read.
    Read(PathBuf, io::Error),
    /// A key file has a mistake.
    Keys(PathBuf, KeyLine),
    /// An address cannot be listened on.
    Listen(SocketAddr, io::Error),
    /// Something cannot be reached.
    Connect(String, io::Error),
    /// Everybody on the network would be listened to, or answered.
    Exposed(&'static str),
    /// Something else failed.
    Io(&'static str, io::Error),
}

impl fmt::Display for CollectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchStore(name) => {
                write!(f, "'{name}' is no store: name one as sqlite:FILE or postgres://…")
            }
            Self::Open(name, error) => write!(f, "{name}: {error}"),
            Self::Store(error) => error.fmt(f),
            Self::Read(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Keys(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Listen(address, error) => write!(f, "cannot listen on {address}: {error}"),
            Self::Connect(what, error) => write!(f, "{what}: {error}"),
            Self::Exposed(what) => f.write_str(what),
            Self::Io(what, error) => write!(f, "{what}: {error}"),
        }
    }
}

impl From<Failure> for CollectError {
    fn from(error: Failure) -> Self {
        Self::Store(error)
    }
}

/// Opens the store with this name.
pub(crate) async fn open_store(name: &str, group: usize) -> Result<Arc<dyn SectionStore>, CollectError> {
    if let Some(path) = name.strip_prefix("sqlite:") {
        let path = PathBuf::from(path);
        let opened = tokio::task::spawn_blocking(move || SqliteSections::open(path, group)).await;
        let opened = opened.map_err(|error| CollectError::Io("opening the store", io::Error::other(error)))?;
        return Ok(Arc::new(opened.map_err(|error| CollectError::Open(name.into(), error))?));
    }
    if name.starts_with("postgres://") || name.starts_with("postgresql://") {
        let config = PostgresConfig { group, ..PostgresConfig::default() };
        return Ok(Arc::new(PostgresSections::connect(name, config).await?));
    }
    Err(CollectError::NoSuchStore(without_secret(name)))
}

/// A store's name without what may be a password.
pub(crate) fn without_secret(name: &str) -> String {
    match (name.find("://"), name.find('@')) {
        (Some(scheme), Some(at)) if scheme < at => format!("{}://…{}", &name[..scheme], &name[at..]),
        _ => name.into(),
    }
}

/// Reads who may be listened to. Without a file that is everybody, or nobody.
pub(crate) fn read_keys(path: Option<&Path>, allow_plain: bool) -> Result<KeyRing, CollectError> {
    let mut keys = match path {
        None => KeyRing::default(),
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| CollectError::Read(path.into(), error))?;
            KeyRing::parse(&text).map_err(|error| CollectError::Keys(path.into(), error))?
        }
    };
    keys.allow_plain = allow_plain;
    Ok(keys)
}

/// Has what happens told on standard error: all of it to a person who watches or asks for it, else only what is wrong.
pub(crate) fn tell(verbose: bool) {
    let terminal = io::stderr().is_terminal();
    let level = if verbose {
        tracing::Level::DEBUG
    } else if terminal {
        tracing::Level::INFO
    } else {
        tracing::Level::WARN
    };
    let told = tracing_subscriber::fmt().with_writer(io::stderr).with_max_level(level).with_ansi(terminal);
    let _ = told.with_target(false).try_init();
}

/// Runs a command that waits for many things at once.
pub(crate) fn run<T>(what: impl Future<Output = Result<T, CollectError>>) -> Result<T, CollectError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|error| CollectError::Io("the runtime cannot be started", error))?.block_on(what)
}

/// Waits until somebody asks this process to end: by a signal, or, if it is one of several that a fleet has started, by
/// no longer being there.
pub(crate) async fn asked_to_end() {
    if std::env::var_os(WITH_PARENT).is_some() {
        let parent = async {
            let mut nothing = Vec::new();
            let _ = tokio::io::AsyncReadExt::read_to_end(&mut tokio::io::stdin(), &mut nothing).await;
        };
        tokio::select! {
            () = parent => {}
            () = signalled() => {}
        }
    } else {
        signalled().await;
    }
}

/// Set for processes that are to end with whoever holds their standard input.
pub(crate) const WITH_PARENT: &str = "EVENKEEL_WITH_PARENT";

async fn signalled() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

#[cfg(test)]
mod tests {
    use super::without_secret;

    #[test]
    fn a_store_is_named_without_its_password() {
        assert_eq!(without_secret("postgres://me:secret@host/db"), "postgres://…@host/db");
        assert_eq!(without_secret("sqlite:a@b.db"), "sqlite:a@b.db");
    }
}
