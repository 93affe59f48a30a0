//! Looking into the memory image of a device: what its log holds, and what is wrong with it.
//!
//! ```text
//! file ─ input ─> bytes ─ evenkeel_flash_store::image ─> survey ─> model ─┬─> text
//!                                                                  └ check ┴─> JSON
//! ```
//!
//! What a mount would find is found by mounting: nothing of the format is known here.

mod check;
mod input;
mod model;
mod survey;
#[cfg(test)]
mod tests;
mod text;

use std::fmt;
use std::io;
use std::path::PathBuf;

use self::input::InputError;
use self::model::Inspection;
use crate::args::{Format, InspectArgs};

/// What an inspection came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// What is to be shown on standard output.
    pub(crate) text: String,
    /// Whether anything is damaged or missing.
    pub(crate) damaged: bool,
}

/// Why an image could not be looked into. Each is told in one line.
#[derive(Debug)]
pub(crate) enum InspectError {
    /// The file cannot be read.
    Io(PathBuf, io::Error),
    /// The file is not what it seems to be.
    Input(PathBuf, InputError),
    /// No header of any log is in it, and what it holds instead.
    NoLog(PathBuf, &'static str),
    /// No log in it has this sector.
    NoSector(u32),
}

impl fmt::Display for InspectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, error) => write!(f, "cannot read {}: {error}", path.display()),
            Self::Input(path, error) => write!(f, "cannot read {}: {error}", path.display()),
            Self::NoLog(path, instead) => write!(f, "there is no log in {}: {instead}", path.display()),
            Self::NoSector(sector) => write!(f, "there is no sector {sector} in any log of the image"),
        }
    }
}

impl std::error::Error for InspectError {}

/// Looks into an image.
pub(crate) fn run(args: &InspectArgs) -> Result<Outcome, InspectError> {
    let path = &args.image;
    let file = std::fs::read(path).map_err(|error| InspectError::Io(path.clone(), error))?;
    let input = input::read(file).map_err(|error| InspectError::Input(path.clone(), error))?;
    let logs = survey::logs(&input, args);
    if logs.is_empty() {
        return Err(InspectError::NoLog(path.clone(), input.instead_of_a_log()));
    }
    if let Some(sector) = args.sector.iter().find(|sector| logs.iter().all(|log| log.region.sectors <= **sector)) {
        return Err(InspectError::NoSector(*sector));
    }
    let damaged = logs.iter().any(|log| !log.damage.is_empty());
    let inspection = Inspection { image: input.describe(path), logs };
    let text = match args.format {
        Format::Text => text::of(&inspection),
        Format::Json => json(&inspection),
    };
    Ok(Outcome { text, damaged })
}

fn json(inspection: &Inspection) -> String {
    let mut text = serde_json::to_string_pretty(inspection).expect("names are strings and there are no maps");
    text.push('\n');
    text
}
