//! What can be said on the command line.

#[cfg(feature = "server")]
use std::net::SocketAddr;
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
    /// Collect from devices that connect over TCP, and hand on what was collected over HTTP
    ///
    /// Says on standard output where it listens, one line each, and goes on until it is asked to end (SIGTERM or
    /// ctrl-c). Nothing is acknowledged to a device before it is on disk.
    ///
    /// The exit status is 0 after an orderly end and 2 if it could not be run.
    #[cfg(feature = "server")]
    Serve(ServeArgs),
    /// Collect from one device: tcp://HOST:PORT, serial:PATH, or file:PATH
    ///
    /// Goes on where an earlier pull into the same store has ended. A file holds frames that a device has written to a
    /// card, or a capture of a link.
    ///
    /// The exit status is 0 if everything that the device had is stored, 1 if not, and 2 if it could not be run.
    #[cfg(feature = "server")]
    Pull(PullArgs),
    /// Write what was collected as JSON lines or CSV
    ///
    /// A line for each event and each gap, log by log, in the order of positions. Payloads are in hexadecimal, as they
    /// were encoded. The exit status is 0, or 2 if it could not be done.
    #[cfg(feature = "server")]
    Export(ExportArgs),
    /// Play a device, to try a collector out without hardware
    ///
    /// It records some events in simulated flash and lets them be pulled once. The exit status is 0 if the collector has
    /// said that it has everything, 1 if not, and 2 if it could not be run.
    #[cfg(feature = "server")]
    Device(DeviceArgs),
    /// Pass frames on between devices and a collector
    ///
    /// It holds nothing and knows no keys. The exit status is 0 after an orderly end and 2 if it could not be run.
    #[cfg(feature = "server")]
    Relay(RelayArgs),
    /// Let a fleet of simulated devices deliver to a real collector, and compare
    ///
    /// Devices lose their power, are formatted again, and some are copied with their flash to a second board. They
    /// deliver directly and through three relays, over links that lose, double, reorder and damage frames, to a
    /// collector in a process of its own, which is killed and started again. At the end every event that a device
    /// acknowledged must be stored once, or be declared a gap, and every copy must have been found out.
    ///
    /// The last line tells the outcome. The exit status is 0 if all held, 1 if not, and 2 if it could not be run.
    #[cfg(feature = "server")]
    Fleet(FleetArgs),
}

/// How devices are pulled.
#[cfg(feature = "server")]
#[derive(Debug, Clone, Args)]
pub(crate) struct LinkArgs {
    /// Which log of the devices
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) log: u16,
    /// How long an answer may take before the request is repeated, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) timeout_ms: u64,
    /// How long an answer may pause before the rest is asked for again, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 250, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) quiet_ms: u64,
}

/// How to serve.
#[cfg(feature = "server")]
#[derive(Debug, Clone, Args)]
pub(crate) struct ServeArgs {
    /// Where to keep what is collected: sqlite:FILE or postgres://…
    #[arg(long, value_name = "STORE", default_value = "sqlite:collected.db")]
    pub(crate) store: String,
    /// Where devices connect
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7430")]
    pub(crate) tcp: SocketAddr,
    /// Where HTTP requests are answered; without it none are
    #[arg(long, value_name = "ADDR")]
    pub(crate) http: Option<SocketAddr>,
    /// Keys of the devices, a line each: number, suite, 32 bytes in hexadecimal. Others are not listened to
    #[arg(long, value_name = "FILE")]
    pub(crate) keys: Option<PathBuf>,
    /// Listen to devices without a key, too
    #[arg(long)]
    pub(crate) allow_plain: bool,
    /// A file with the token that HTTP requests must bear
    #[arg(long, value_name = "FILE")]
    pub(crate) token: Option<PathBuf>,
    /// Devices at once; more are turned away
    #[arg(long, value_name = "N", default_value_t = 4096)]
    pub(crate) contacts: usize,
    /// How many seconds a device that has nothing new may stay
    #[arg(long, value_name = "S", default_value_t = 60)]
    pub(crate) stay: u64,
    /// How many batches of sections may share one transaction
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub(crate) group: usize,
    #[command(flatten)]
    pub(crate) link: LinkArgs,
    /// Tell everything that happens
    #[arg(long, short)]
    pub(crate) verbose: bool,
    /// Break a promise on purpose, to see that it is noticed
    #[arg(long, value_enum, hide = true)]
    pub(crate) sabotage: Option<Sabotage>,
}

/// A promise that a collector breaks on purpose.
#[cfg(feature = "server")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sabotage {
    /// Now and then it says that something is stored which is not.
    Forget,
    /// Now and then it stores the same events under two names.
    Twice,
    /// It does not mind boards with a copy of another's flash.
    Blind,
}

/// Where to pull from.
#[cfg(feature = "server")]
#[derive(Debug, Clone)]
pub(crate) enum PullFrom {
    /// A device that listens on TCP.
    Tcp(String),
    /// A serial line.
    Serial(PathBuf),
    /// A file of frames.
    File(PathBuf),
}

#[cfg(feature = "server")]
impl std::str::FromStr for PullFrom {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(address) = text.strip_prefix("tcp://") {
            Ok(Self::Tcp(address.into()))
        } else if let Some(path) = text.strip_prefix("serial:") {
            Ok(Self::Serial(path.into()))
        } else if let Some(path) = text.strip_prefix("file:") {
            Ok(Self::File(path.into()))
        } else {
            Err("say tcp://HOST:PORT, serial:PATH or file:PATH".into())
        }
    }
}

/// What to pull, and where to.
#[cfg(feature = "server")]
#[derive(Debug, Clone, Args)]
pub(crate) struct PullArgs {
    /// The device: tcp://HOST:PORT, serial:PATH or file:PATH
    #[arg(value_name = "SOURCE")]
    pub(crate) from: PullFrom,
    /// Where to keep what is collected: sqlite:FILE or postgres://…
    #[arg(long, value_name = "STORE", default_value = "sqlite:collected.db")]
    pub(crate) store: String,
    /// Keys of the devices, a line each: number, suite, 32 bytes in hexadecimal. Others are not listened to
    #[arg(long, value_name = "FILE")]
    pub(crate) keys: Option<PathBuf>,
    /// With --keys: listen to a device without a key, too
    #[arg(long)]
    pub(crate) allow_plain: bool,
    /// The speed of a serial line, in baud
    #[arg(long, value_name = "BAUD", default_value_t = 115_200)]
    pub(crate) baud: u32,
    /// How often to try, if the connection fails
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub(crate) attempts: u32,
    /// How many seconds a device may be silent
    #[arg(long, value_name = "S", default_value_t = 30)]
    pub(crate) patience: u64,
    #[command(flatten)]
    pub(crate) link: LinkArgs,
    /// Tell everything that happens
    #[arg(long, short)]
    pub(crate) verbose: bool,
}

/// What to export, and how.
#[cfg(feature = "server")]
#[derive(Debug, Clone, Args)]
pub(crate) struct ExportArgs {
    /// Where it was collected: sqlite:FILE or postgres://…
    #[arg(long, value_name = "STORE", default_value = "sqlite:collected.db")]
    pub(crate) store: String,
    /// How to write it
    #[arg(long, value_enum, default_value_t = ExportFormat::Jsonl)]
    pub(crate) format: ExportFormat,
    /// Only what this device has recorded: its number, in hexadecimal
    #[arg(long, value_name = "HEX", value_parser = hexadecimal)]
    pub(crate) device: Option<u64>,
    /// Where to write it, instead of to standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// How to write what was collected.
#[cfg(feature = "server")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// An object a line
    Jsonl,
    /// With a heading; `lost` is empty for events
    Csv,
}

/// Where a device that is played can be reached.
#[cfg(feature = "server")]
#[derive(Debug, Clone)]
pub(crate) enum DeviceTo {
    /// It connects to a collector.
    Connect(String),
    /// It waits for a collector to connect.
    Listen(String),
    /// A serial line.
    Serial(PathBuf),
    /// A file that it writes its frames to.
    File(PathBuf),
}

#[cfg(feature = "server")]
impl std::str::FromStr for DeviceTo {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(address) = text.strip_prefix("listen:") {
            return Ok(Self::Listen(address.into()));
        }
        Ok(match text.parse() {
            Ok(PullFrom::Tcp(address)) => Self::Connect(address),
            Ok(PullFrom::Serial(path)) => Self::Serial(path),
            Ok(PullFrom::File(path)) => Self::File(path),
            Err(_) => return Err("say tcp://HOST:PORT, listen:HOST:PORT, serial:PATH or file:PATH".into()),
        })
    }
}

/// What device to play.
#[cfg(feature = "server")]
#[derive(Debug, Clone, Args)]
pub(crate) struct DeviceArgs {
    /// Where it can be reached: tcp://HOST:PORT (it connects), listen:HOST:PORT, serial:PATH or file:PATH
    #[arg(value_name = "TO")]
    pub(crate) to: DeviceTo,
    /// Its number, in hexadecimal
    #[arg(long, value_name = "HEX", default_value = "5eed", value_parser = hexadecimal)]
    pub(crate) device: u64,
    /// How many events it records first
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(crate) events: u64,
    /// The probability that a frame is lost, in each direction
    #[arg(long, value_name = "P", default_value_t = 0.0)]
    pub(crate) loss: f64,
    /// How many seconds it can be reached
    #[arg(long, value_name = "S", default_value_t = 60)]
    pub(crate) within: u64,
    /// The speed of a serial line, in baud
    #[arg(long, value_name = "BAUD", default_value_t = 115_200)]
    pub(crate) baud: u32,
    /// Decides everything that is random
    #[arg(long, value_name = "U64", default_value_t = 7)]
    pub(crate) seed: u64,
}

#[cfg(feature = "server")]
fn hexadecimal(text: &str) -> Result<u64, std::num::ParseIntError> {
    u64::from_str_radix(text, 16)
}

/// Between whom to pass frames on.
#[cfg(feature = "server")]
#[derive(Debug, Clone, Args)]
pub(crate) struct RelayArgs {
    /// Where devices connect
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7431")]
    pub(crate) listen: SocketAddr,
    /// The collector
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7430")]
    pub(crate) upstream: SocketAddr,
    /// Tell everything that happens
    #[arg(long, short)]
    pub(crate) verbose: bool,
}

/// What fleet to simulate.
#[cfg(feature = "server")]
#[derive(Debug, Clone, Args)]
pub(crate) struct FleetArgs {
    /// How many devices
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub(crate) devices: u64,
    /// The probability that a frame is lost, in each direction
    #[arg(long, value_name = "P", default_value_t = 0.2, value_parser = probability)]
    pub(crate) loss: f64,
    /// How often the collector is killed
    #[arg(long, value_name = "K", default_value_t = 0)]
    pub(crate) kill: u32,
    /// Decides what devices do; what the network and the processes do is decided by the moment
    #[arg(long, value_name = "U64", default_value_t = 7)]
    pub(crate) seed: u64,
    /// Where the collector keeps what it collects: an empty store; by default a file in a temporary folder
    #[arg(long, value_name = "STORE")]
    pub(crate) store: Option<String>,
    /// How many contacts each device has
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub(crate) rounds: u32,
    /// How many devices are in contact at once
    #[arg(long, value_name = "N", default_value_t = 128)]
    pub(crate) at_once: usize,
    /// Let the collector and the relays tell what they meet
    #[arg(long, short)]
    pub(crate) verbose: bool,
    /// Break a promise on purpose, to see that it is noticed
    #[arg(long, value_enum, hide = true)]
    pub(crate) sabotage: Option<Sabotage>,
}

#[cfg(feature = "server")]
fn probability(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(p) if (0.0..0.9).contains(&p) => Ok(p),
        _ => Err("a probability from 0 up to, not including, 0.9".into()),
    }
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
