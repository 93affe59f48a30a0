//! `evenkeel`: the demo, and tools for devices that came back from the field.
//!
//! ```text
//! exit status 0: all is well    1: something that was promised did not hold    2: it could not be run
//! ```

mod args;
#[cfg(feature = "server")]
mod collect;
mod demo;
#[cfg(feature = "server")]
mod device;
#[cfg(feature = "server")]
mod fleet;
mod inspect;
mod report;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Instant;

use args::{Command, Instead};

fn main() -> ExitCode {
    let status = match args::parse(std::env::args_os()) {
        Ok(Command::Demo(args)) => run_demo(&args),
        Ok(Command::Inspect(args)) => run_inspect(&args),
        #[cfg(feature = "server")]
        Ok(Command::Serve(args)) => status(collect::run(collect::serve::run(&args)).map(|()| (String::new(), true))),
        #[cfg(feature = "server")]
        Ok(Command::Pull(args)) => {
            status(collect::run(collect::pull::run(&args)).map(|outcome| (outcome.text, outcome.complete)))
        }
        #[cfg(feature = "server")]
        Ok(Command::Export(args)) => status(collect::run(collect::export::run(&args)).map(|()| (String::new(), true))),
        #[cfg(feature = "server")]
        Ok(Command::Device(args)) => status(device::run(&args)),
        #[cfg(feature = "server")]
        Ok(Command::Relay(args)) => status(collect::run(collect::relay::run(&args)).map(|()| (String::new(), true))),
        #[cfg(feature = "server")]
        Ok(Command::Fleet(args)) => status(fleet::run(&args).map(|outcome| (outcome.text, outcome.holds))),
        Err(Instead::Show(text)) => {
            say(&text);
            0
        }
        Err(Instead::Mistake(line)) => {
            complain(&line);
            2
        }
    };
    ExitCode::from(status)
}

fn run_demo(args: &args::DemoArgs) -> u8 {
    let begun = Instant::now();
    match demo::run(args) {
        Ok(outcome) => {
            say(&outcome.text);
            if io::stderr().is_terminal() {
                let seconds = begun.elapsed().as_secs_f64();
                let _ = writeln!(io::stderr(), "{} after {seconds:.1} s", outcome.report.display());
            }
            outcome.complaint.map_or(0, |line| {
                complain(&line);
                1
            })
        }
        Err(error) => {
            complain(&error.to_string());
            2
        }
    }
}

fn run_inspect(args: &args::InspectArgs) -> u8 {
    match inspect::run(args) {
        Ok(outcome) => {
            say(&outcome.text);
            u8::from(args.check && outcome.damaged)
        }
        Err(error) => {
            complain(&error.to_string());
            2
        }
    }
}

/// Says what came of a command, and whether all is well.
#[cfg(feature = "server")]
fn status(outcome: Result<(String, bool), collect::CollectError>) -> u8 {
    match outcome {
        Ok((text, well)) => {
            say(&text);
            u8::from(!well)
        }
        Err(error) => {
            complain(&error.to_string());
            2
        }
    }
}

/// Writes to standard output. That nobody reads it to its end is no failure.
fn say(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Writes a line to standard error.
fn complain(line: &str) {
    let _ = writeln!(io::stderr().lock(), "evenkeel: {}", line.replace('\n', " "));
}
