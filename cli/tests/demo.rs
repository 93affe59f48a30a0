//! The demo as it is run from a shell: what it says, what it leaves behind, and how it ends.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

fn evenkeel(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_evenkeel"));
    command.args(args);
    command
}

fn run(args: &[&str]) -> Output {
    evenkeel(args).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap()
}

/// Hourly temperatures of some days, as a file of a user may be.
fn days(folder: &TempDir, days: u32) -> PathBuf {
    let mut csv = String::from("date,temp\n");
    for hour in 0..days * 24 {
        let (day, hour) = (hour / 24, hour % 24);
        let temperature = 400 + (hour * 7 + day * 13) % 300;
        csv += &format!("2024/01/{:02} {hour:02}:00,{}.{}\n", day + 1, temperature / 10, temperature % 10);
    }
    let path = folder.path().join("days.csv");
    fs::write(&path, csv).unwrap();
    path
}

fn demo(input: &Path, out: &Path, more: &[&str]) -> Output {
    let mut args = vec!["demo", "--input", input.to_str().unwrap(), "--out", out.to_str().unwrap()];
    args.extend(more);
    run(&args)
}

#[test]
fn a_short_life_ends_well_and_says_so_in_its_last_line() {
    let folder = tempfile::tempdir().unwrap();
    let input = days(&folder, 20);
    for cuts in ["0", "1", "12"] {
        let output = demo(&input, &folder.path().join("out"), &["--seed", "3", "--cuts", cuts]);
        let stdout = text(&output.stdout);
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""), "{stdout}");
        let last = stdout.lines().last().unwrap();
        let (events, rest) = last.strip_prefix("events=").and_then(|rest| rest.split_once(' ')).unwrap();
        assert!(events.parse::<u32>().unwrap() >= 480, "{last}");
        assert_eq!(rest, format!("cuts={cuts} acknowledged_lost=0 duplicated=0 phantom=0 twin=equal"));
        assert!(stdout.ends_with('\n') && stdout.contains("power cuts survived"));
    }
}

#[test]
fn the_same_seed_says_the_same_and_another_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let input = days(&folder, 20);
    let said = |out: &str, seed: &str| demo(&input, &folder.path().join(out), &["--seed", seed, "--cuts", "8"]).stdout;
    let first = said("one", "5");
    assert_eq!(text(&first), text(&said("one", "5")));
    assert_eq!(text(&first), text(&said("two", "5")));
    assert_ne!(text(&first), text(&said("one", "6")));
}

#[test]
fn the_report_is_one_file_that_refers_to_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("a/b");
    let output = demo(&days(&folder, 10), &out, &["--cuts", "5"]);
    assert_eq!(output.status.code(), Some(0));
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("<strong>Passed.</strong>"));
    for part in ["id=\"time\"", "id=\"flash\"", "id=\"wear\"", "5 power cuts", "1 Jan 2024"] {
        assert!(page.contains(part), "{part}");
    }
    for reference in ["http:", "https:", "src=", "href=", "@import", "<script"] {
        assert!(!page.contains(reference), "{reference}");
    }
    assert!(fs::metadata(out.join("collected.db")).unwrap().len() > 10_000);
}

/// Exit status 2, nothing on standard output, and one line on standard error that tells what is wrong.
fn refused(output: &Output, told: &[&str]) {
    let stderr = text(&output.stderr);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), ""), "{stderr}");
    assert!(stderr.starts_with("evenkeel: ") && stderr.ends_with('\n') && stderr.lines().count() == 1, "{stderr}");
    assert!(told.iter().all(|told| stderr.contains(told)), "{stderr}");
}

#[test]
fn what_cannot_be_done_is_told_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let input = days(&folder, 2);
    let out = folder.path().join("out");
    let bad = folder.path().join("bad.csv");
    fs::write(&bad, "date,temp\n2024/01/01 00:00,41.0\n2024/01/01 01:00,mild\n").unwrap();
    refused(&demo(&folder.path().join("none.csv"), &out, &[]), &["cannot read", "none.csv"]);
    refused(&demo(folder.path(), &out, &[]), &["cannot read"]);
    refused(&demo(&bad, &out, &[]), &["bad.csv, line 3", "degrees Fahrenheit"]);
    refused(&demo(&input, &out, &["--cuts", "49"]), &["49 power cuts are too many for a run of 48 hours"]);
    refused(&demo(&input, &input.join("out"), &["--cuts", "1"]), &["cannot write", "days.csv"]);
    assert!(!out.exists(), "nothing is written before all is known to be right");
    refused(&run(&["demo", "--sed", "7"]), &["unexpected argument '--sed'"]);
    refused(&run(&["demo", "--seed", "seven"]), &["invalid value 'seven' for '--seed <U64>'"]);
    refused(&run(&["demo", "--out"]), &["--out <DIR>"]);
    refused(&run(&["dance"]), &["unrecognized subcommand 'dance'"]);
}

#[test]
fn a_file_that_is_not_of_a_demo_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let input = days(&folder, 2);
    let store = folder.path().join("collected.db");
    fs::write(&store, "the only copy of somebody's letters, none of them a database").unwrap();
    refused(&demo(&input, folder.path(), &["--cuts", "1"]), &["collected.db is not of an earlier demo"]);
    assert!(fs::read_to_string(&store).unwrap().starts_with("the only copy"));
}

#[test]
fn help_and_version_are_no_mistakes() {
    for (args, told) in [
        (&["--help"][..], "Without a command it runs the demo"),
        (&["demo", "--help"], "--cuts <N>"),
        (&["help", "demo"], "exit status is 0 if all held"),
        (&["--version"], concat!("evenkeel ", env!("CARGO_PKG_VERSION"))),
    ] {
        let output = run(args);
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
        assert!(text(&output.stdout).contains(told), "{args:?}: {}", text(&output.stdout));
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let input = days(&folder, 2);
    let args = ["demo", "--cuts", "1", "--input", input.to_str().unwrap(), "--out", folder.path().to_str().unwrap()];
    let mut child = evenkeel(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!((child.wait().unwrap().code(), stderr.as_str()), (Some(0), ""));
}
