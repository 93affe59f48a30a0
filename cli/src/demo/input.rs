//! What the device measures: the built-in years, or files that somebody brings.

use std::fmt;
use std::path::{Path, PathBuf};

use evenkeel_apps::cold_chain::input::{HOURS_A_YEAR, Observation, Sample, journey, row, two_years};

/// Why a file cannot be used.
#[derive(Debug)]
pub(crate) enum InputError {
    /// It cannot be read.
    Unreadable(PathBuf, std::io::Error),
    /// A line is not what it should be.
    Malformed(PathBuf, u64, &'static str),
    /// It has no row.
    Empty(PathBuf),
}

impl fmt::Display for InputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(path, error) => write!(f, "cannot read {}: {error}", path.display()),
            Self::Malformed(path, line, why) => write!(f, "{}, line {line}: {why}", path.display()),
            Self::Empty(path) => write!(f, "{} has no row with a date and a temperature", path.display()),
        }
    }
}

impl std::error::Error for InputError {}

/// The hours to live through.
#[derive(Debug)]
pub(crate) struct Input {
    /// By rising hour.
    pub(crate) samples: Vec<Sample>,
    /// The year whose first hour is hour 0.
    pub(crate) first_year: i32,
}

/// The year in which the built-in files begin.
const FIRST_YEAR: i32 = 2010;

/// Reads these files, or the built-in ones if there are none.
pub(crate) fn read(files: &[PathBuf]) -> Result<Input, InputError> {
    if files.is_empty() {
        return Ok(Input { samples: two_years().collect(), first_year: FIRST_YEAR });
    }
    let mut weather: Vec<Observation> = Vec::new();
    let mut first_year = None;
    for file in files {
        // Each file is a year of its own.
        let next = weather.last().map_or(0, |last| last.hour.saturating_add(1));
        let first_hour = next.checked_next_multiple_of(HOURS_A_YEAR).unwrap_or(u32::MAX);
        let bytes = std::fs::read(file).map_err(|error| InputError::Unreadable(file.clone(), error))?;
        weather.extend(observations(file, &bytes, first_hour)?);
        first_year = first_year.or_else(|| year(&bytes));
    }
    let samples = journey(weather.into_iter()).collect();
    Ok(Input { samples, first_year: first_year.unwrap_or(FIRST_YEAR) })
}

/// The year of the first date.
fn year(bytes: &[u8]) -> Option<i32> {
    let slash = bytes.iter().position(|byte| *byte == b'/')?;
    str::from_utf8(bytes.get(slash.checked_sub(4)?..slash)?).ok()?.parse().ok()
}

/// The rows of a file. A first line without digits is a heading; every other line must be a row, later than the one
/// before.
fn observations(file: &Path, bytes: &[u8], first_hour: u32) -> Result<Vec<Observation>, InputError> {
    let malformed = |line, why| InputError::Malformed(file.to_path_buf(), line, why);
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
    let mut rows: Vec<Observation> = Vec::new();
    for (index, record) in reader.records().enumerate() {
        let Ok(record) = record else { return Err(malformed(index as u64 + 1, "not CSV in UTF-8")) };
        let line = line_of(bytes, record.position());
        if index == 0 && !record.iter().any(|field| field.contains(|letter: char| letter.is_ascii_digit())) {
            continue;
        }
        let (Some(one), Some(two), 2) = (record.get(0), record.get(1), record.len()) else {
            return Err(malformed(line, "not two columns"));
        };
        let Some(Observation { hour, ambient }) = row([one, two]) else {
            return Err(malformed(line, "not a date such as 2010/01/31 23:00 and degrees Fahrenheit such as 39.4"));
        };
        let hour = hour.saturating_add(first_hour);
        if rows.last().is_some_and(|last| last.hour >= hour) {
            return Err(malformed(line, "not later than the line before"));
        }
        rows.push(Observation { hour, ambient });
    }
    if rows.is_empty() { Err(InputError::Empty(file.to_path_buf())) } else { Ok(rows) }
}

/// The number of the line in which a record starts; the reader's own count is off after empty lines.
fn line_of(bytes: &[u8], position: Option<&csv::Position>) -> u64 {
    let from = position.map_or(0, |position| usize::try_from(position.byte()).unwrap_or(usize::MAX));
    let empty = bytes.iter().skip(from).take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    1 + bytes.iter().take(from.saturating_add(empty)).filter(|byte| **byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use evenkeel_apps::cold_chain::input::{SAN_FRANCISCO_CSV, SEATTLE_CSV};

    use super::*;

    fn read(text: &str) -> Result<Vec<Observation>, String> {
        observations(Path::new("file.csv"), text.as_bytes(), 0).map_err(|error| error.to_string())
    }

    #[test]
    fn the_files_that_are_built_in_come_out_the_same_when_they_are_brought() {
        let folder = tempfile::tempdir().unwrap();
        let files = [("seattle.csv", SEATTLE_CSV), ("sf.csv", SAN_FRANCISCO_CSV)].map(|(name, text)| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        });
        let Input { samples, first_year } = super::read(&files).unwrap();
        assert_eq!((samples.len(), first_year), (17_518, 2010));
        assert!(samples.into_iter().eq(two_years()));
    }

    #[test]
    fn both_orders_of_the_columns_are_read_with_and_without_a_heading() {
        let one = read("date,temp\n2010/01/01 00:00,39.4\n2010/01/01 01:00,39.2\n").unwrap();
        assert_eq!(one, read("39.4,2010/01/01 00:00:00\r\n39.2,2010/01/01 01:00:00").unwrap());
        assert_eq!(one.iter().map(|row| (row.hour, row.ambient)).collect::<Vec<_>>(), [(0, 411), (1, 400)]);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let row = "2010/01/01 05:00,39.4\n";
        for (text, told) in [
            ("".to_string(), "file.csv has no row with a date and a temperature"),
            ("date,temp\n".to_string(), "file.csv has no row with a date and a temperature"),
            (format!("date,temp\n{row}{row}"), "file.csv, line 3: not later than the line before"),
            (format!("{row}2010/01/01 06:00\n"), "file.csv, line 2: not two columns"),
            (format!("{row}1,2,3\n"), "file.csv, line 2: not two columns"),
            (
                format!("{row}\n2010/01/01 06:00,warm\n"),
                "file.csv, line 3: not a date such as 2010/01/31 23:00 and degrees Fahrenheit such as 39.4",
            ),
        ] {
            assert_eq!(read(&text).unwrap_err(), told, "{text}");
        }
        let error = observations(Path::new("file.csv"), b"\xFF\xFE,1\n", 0).unwrap_err();
        assert_eq!(error.to_string(), "file.csv, line 1: not CSV in UTF-8");
    }
}
