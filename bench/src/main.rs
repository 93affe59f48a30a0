//! Runs the benchmarks: `cargo run --release -p evenkeel-bench -- flash`.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use evenkeel_bench::run::{self, Scale};
use evenkeel_bench::table;

/// Evenkeel beside its peers, doing the same work in one run.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Storage on NOR flash: bytes, calls and erases, counted.
    Flash {
        /// Where to write the figures as JSON.
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
        /// Fewer events and sectors, to see that everything runs.
        #[arg(long)]
        quick: bool,
    },
}

fn main() -> io::Result<()> {
    let Command::Flash { json, quick } = Arguments::parse().command;
    let report = run::flash(if quick { Scale::QUICK } else { Scale::FULL });
    if let Some(path) = json {
        let mut file = BufWriter::new(File::create(path)?);
        serde_json::to_writer(&mut file, &report)?;
        file.write_all(b"\n")?;
        file.flush()?;
    }
    io::stdout().write_all(table::markdown(&report).as_bytes())
}
