//! What can be said on the command line.

use std::path::PathBuf;

use clap::error::{ContextKind, ErrorKind};
use clap::{Args, Parser, Subcommand, ValueEnum};

/// Event sourcing for microcontrollers: the demo, and tools for devices that came back from the field.
///
/// Without a command it runs the demo with its defaults.
#[derive(Debug, Parser)]
#[command(name = "evenkeel", version, max_term_width = 100)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Live through two years of a cold-chain monitor, with its power cut again and again
    ///
    /// A simulated device with 64 sectors of nRF52840 flash records the temperature of a cargo hour by hour. Its power
    /// is cut in the middle of words and erases, now and then twice in a row. Every few days a gateway pulls its log
    /// over a radio that loses one frame in five. At the end every event that was ever acknowledged as durable must
    /// have been collected exactly once, and the aggregates replayed from what was collected must equal those in the
    /// device.
    ///
    /// The last line tells the outcome. The exit status is 0 if all held, 1 if anything was lost, doubled, made up or
    /// different, and 2 if the demo could not be run.
    Demo(DemoArgs),
    /// Look into a memory image: what its log holds, and what is wrong with it
    ///
    /// IMAGE is a dump of a device's flash, or a part of it, as raw bytes or as Intel HEX. Where logs are in it, and
    /// their geometry, is found by the headers of their sectors; at least one of these must be readable. What is told
    /// is what a device would find that mounts the log, and what it would pass over. The image is never changed.
    ///
    /// The exit status is 0 if the image could be read, 1 if --check found damage, and 2 if there is no such file or
    /// no log in it.
    Inspect(InspectArgs),
}

/// What to look at in an image, and how to tell it.
#[derive(Debug, Clone, Args)]
pub(crate) struct InspectArgs {
    /// The memory image: raw bytes or Intel HEX, told apart by what is in it
    #[arg(value_name = "IMAGE")]
    pub(crate) image: PathBuf,
    /// How to tell it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
    /// End with exit status 1 if anything is damaged, missing from the log or missing from the image
    #[arg(long)]
    pub(crate) check: bool,
    /// Show all that is in this sector: frames, entries, leftovers
    #[arg(long, value_name = "N")]
    pub(crate) sector: Vec<u32>,
    /// List the events and snapshots of this stream
    #[arg(long, value_name = "ID")]
    pub(crate) stream: Option<u64>,
    /// List the events from this position on
    #[arg(long, value_name = "POSITION")]
    pub(crate) from: Option<u64>,
}

/// How to tell what is in an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// For programs
    Json,
}

/// How the demo is to run.
#[derive(Debug, Clone, Args)]
pub(crate) struct DemoArgs {
    /// Decides everything that is random: the same seed gives the same output
    #[arg(long, value_name = "U64", default_value_t = 7)]
    pub(crate) seed: u64,
    /// How often the power is cut, at most once for each hour of the run
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(crate) cuts: u32,
    /// Where report.html and collected.db go; made if missing, files of an earlier demo are replaced
    #[arg(long, value_name = "DIR", default_value = "out/demo")]
    pub(crate) out: PathBuf,
    /// Hourly temperatures to live through instead of the built-in ones; again for further years
    ///
    /// A CSV file of one year with two columns in either order, a date such as `2010/01/31 23:00` and degrees
    /// Fahrenheit such as `39.4`, and perhaps a heading.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(crate) input: Vec<PathBuf>,
}

impl Default for DemoArgs {
    /// As if `demo` alone had been said.
    fn default() -> Self {
        Self { seed: 7, cuts: 100, out: PathBuf::from("out/demo"), input: Vec::new() }
    }
}

/// What came of reading the command line, when there is nothing to run.
#[derive(Debug)]
pub(crate) enum Instead {
    /// Something to show, such as the help.
    Show(String),
    /// A mistake, in one line.
    Mistake(String),
}

/// Reads the command line.
pub(crate) fn parse(args: impl IntoIterator<Item = std::ffi::OsString>) -> Result<Command, Instead> {
    match Cli::try_parse_from(args) {
        Ok(cli) => Ok(cli.command.unwrap_or_else(|| Command::Demo(DemoArgs::default()))),
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Err(Instead::Show(error.render().to_string())),
            _ => Err(Instead::Mistake(one_line(&error))),
        },
    }
}

/// The first paragraph of what clap has to say, as one line, with what it takes to be meant.
fn one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let paragraph = text.split("\n\n").next().unwrap_or_default();
    let words: Vec<_> = paragraph.split_whitespace().collect();
    let line = words.join(" ");
    let line = line.strip_prefix("error: ").unwrap_or(&line);
    let meant = [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand, ContextKind::SuggestedValue];
    let hint = match meant.iter().find_map(|kind| error.get(*kind)) {
        Some(meant) => format!("did you mean {meant}?"),
        None => "see 'evenkeel --help'".into(),
    };
    format!("{line}; {hint}")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn read(args: &[&str]) -> Result<Command, Instead> {
        parse(["evenkeel"].iter().chain(args).map(Into::into))
    }

    #[test]
    fn the_commands_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn nothing_at_all_means_the_demo_with_its_defaults() {
        let (Ok(Command::Demo(bare)), Ok(Command::Demo(said))) = (read(&[]), read(&["demo"])) else {
            panic!("both are the demo");
        };
        assert_eq!(format!("{bare:?}"), format!("{said:?}"));
    }

    #[test]
    fn several_inputs_can_follow_one_flag_or_several() {
        for args in [&["demo", "--input", "a", "b"][..], &["demo", "--input", "a", "--input", "b"]] {
            let Ok(Command::Demo(demo)) = read(args) else { panic!("{args:?}") };
            assert_eq!(demo.input, ["a", "b"].map(PathBuf::from));
        }
    }

    #[test]
    fn a_mistake_is_told_in_one_line() {
        for args in [
            &["demo", "--nonsense"][..],
            &["demo", "--seed", "many"],
            &["demo", "--cuts"],
            &["demo", "--cuts", "-1"],
            &["demo", "extra"],
            &["dmo"],
            &["--cuts", "3"],
        ] {
            let Err(Instead::Mistake(line)) = read(args) else { panic!("{args:?}") };
            assert!(!line.contains('\n') && line.len() > 20, "{line}");
        }
        let Err(Instead::Mistake(line)) = read(&["demo", "--seeed", "3"]) else { panic!("a mistake") };
        assert_eq!(line, "unexpected argument '--seeed' found; did you mean --seed?");
    }
}
