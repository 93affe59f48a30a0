//! Runs the benchmarks: `cargo run --release -p evenkeel-bench -- flash`, and `-- es`.
//!
//! ```text
//! exit status 0: all was run    1: the results could not be written    2: it was asked for wrongly
//! ```

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use evenkeel_bench::instructions::{self, Count};
use evenkeel_bench::report::Report;
use evenkeel_bench::run::{self, Scale};
use evenkeel_bench::{es, page};

/// Evenkeel beside its peers, doing the same work in one run.
#[derive(Parser)]
#[command(name = "evenkeel-bench", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Storage on NOR flash: bytes, calls and erases, counted
    Flash(Workloads),
    /// Event sourcing on the host: in memory, in SQLite, and how it grows
    Es(Workloads),
    /// The peer of `es`, in a process of its own
    #[command(name = es::SUBCOMMAND, hide = true)]
    Peer { events: u64, streams: u64 },
    /// What is run under callgrind
    #[command(name = instructions::SUBCOMMAND, hide = true)]
    Appends {
        system: usize,
        payload: usize,
        events: u64,
        #[arg(action = clap::ArgAction::Set)]
        full: bool,
    },
}

#[derive(Args)]
struct Workloads {
    /// Where to write the figures as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Where to write the page instead of to standard output, such as docs/benchmarks.md
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Fewer events and sectors, to see that everything runs
    #[arg(long)]
    quick: bool,
}

fn main() -> ExitCode {
    let status = match parse(std::env::args_os()) {
        Ok(Command::Flash(arguments)) => run_workloads(&arguments, |quick| {
            let scale = if quick { Scale::QUICK } else { Scale::FULL };
            let report = run::flash(scale, &|done, jobs, label| progress(&format!("{done}/{jobs} {label:.100}")));
            let page = page::markdown(&report, scale);
            (report, page)
        }),
        Ok(Command::Es(arguments)) => run_workloads(&arguments, |quick| {
            let scale = if quick { es::Scale::QUICK } else { es::Scale::FULL };
            let report = es::run(scale, &|label| progress(label));
            let page = es::markdown(&report, scale);
            (report, page)
        }),
        Ok(Command::Peer { events, streams }) => {
            let (execute, replay) = es::in_this_process(events, streams);
            let _ = writeln!(io::stderr(), "{execute} {replay}");
            0
        }
        Ok(Command::Appends { system, payload, events, full }) => {
            instructions::appends(Count { system, payload, events, full });
            0
        }
        Err(status) => status,
    };
    ExitCode::from(status)
}

/// What is to be done, or the exit status if that has been said already.
fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, u8> {
    let error = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => return Ok(arguments.command),
        Err(error) => error,
    };
    if !error.use_stderr() {
        say(&error.to_string());
        return Err(0);
    }
    let text = error.to_string();
    let line = text.lines().find_map(|line| line.strip_prefix("error: ")).unwrap_or("say what to run: flash or es");
    complain(line);
    Err(2)
}

fn run_workloads(arguments: &Workloads, work: impl FnOnce(bool) -> (Report, String)) -> u8 {
    let files = [&arguments.json, &arguments.markdown];
    for file in files.into_iter().flatten() {
        // Told now rather than after some minutes; what is in the file stays until there is something better.
        if let Err(error) = OpenOptions::new().append(true).create(true).open(file) {
            complain(&format!("{}: {error}", file.display()));
            return 2;
        }
    }
    let (report, page) = work(arguments.quick);
    clear_progress();
    let json = serde_json::to_string(&report).map(|json| json + "\n");
    let written = match (&arguments.json, json) {
        (Some(path), Ok(json)) => write(path, &json),
        (Some(path), Err(error)) => Err(format!("{}: {error}", path.display())),
        (None, _) => Ok(()),
    };
    let written = written.and_then(|()| match &arguments.markdown {
        Some(path) => write(path, &page),
        None => {
            say(&page);
            Ok(())
        }
    });
    written.map_or_else(
        |line| {
            complain(&line);
            1
        },
        |()| 0,
    )
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

fn progress(label: &str) {
    if io::stderr().is_terminal() {
        let _ = write!(io::stderr(), "\r\x1b[K{label}");
    }
}

fn clear_progress() {
    if io::stderr().is_terminal() {
        let _ = write!(io::stderr(), "\r\x1b[K");
    }
}

/// Writes to standard output. That nobody reads it to its end is no failure.
fn say(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Writes a line to standard error.
fn complain(line: &str) {
    let _ = writeln!(io::stderr(), "evenkeel-bench: {line}");
}
