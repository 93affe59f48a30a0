//! What `docs/comparison.md` names is there: every file, and every test; and no row of the library is left out.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Rows of each group of features, in their order.
const ROWS: [(&str, usize); 9] =
    [("INF", 40), ("DOM", 29), ("APP", 16), ("NOT", 16), ("PRJ", 8), ("PRC", 22), ("SNP", 8), ("DEP", 9), ("TST", 10)];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn page() -> String {
    fs::read_to_string(root().join("docs/comparison.md")).expect("docs/comparison.md")
}

/// The names of all tests in the sources of the repository: what is marked as one, and the cases that are listed to
/// become tests.
fn tests() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut folders =
        ["core", "flash-store", "sync", "host-sim", "collector", "cli", "examples/apps", "tests", "bench"]
            .map(|folder| root().join(folder))
            .to_vec();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.extension().is_some_and(|extension| extension == "rs") {
                names.extend(tests_in(&fs::read_to_string(entry).expect("a source")));
            }
        }
    }
    let lists = fs::read_to_string(root().join("tests/conformance/src/lists.rs")).expect("the lists of cases");
    let listed = lists.lines().filter_map(|line| line.strip_prefix("    ")?.strip_suffix(','));
    names.extend(listed.filter(|name| name.chars().all(is_of_a_name)).map(str::to_owned));
    names
}

fn is_of_a_name(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// The functions of a source that are marked as tests.
fn tests_in(text: &str) -> Vec<String> {
    let (mut names, mut marked) = (Vec::new(), false);
    for line in text.lines().map(str::trim) {
        marked |= line == "#[test]";
        if let Some(rest) = line.strip_prefix("fn ").filter(|_| marked) {
            names.push(rest.chars().take_while(|character| is_of_a_name(*character)).collect());
            marked = false;
        }
    }
    names
}

/// What stands between backticks.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

fn cells(line: &str) -> Vec<&str> {
    line.trim_matches('|').split(" | ").map(str::trim).collect()
}

/// The rows of the tables that say where something is and what shows it.
fn rows(page: &str) -> Vec<Vec<&str>> {
    let mut rows = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        let is_row = line.starts_with('|');
        if is_row && line.contains("| shown by |") {
            inside = true;
        } else if is_row && inside && !line.starts_with("| ---") {
            rows.push(cells(line));
        }
        inside &= is_row;
    }
    rows
}

#[test]
fn every_row_of_the_library_is_there_once_and_in_order() {
    let page = page();
    let id = |row: &Vec<&str>| row[0].to_owned();
    let is_id = |id: &String| id.len() == 6 && id.as_bytes()[3] == b'-';
    let found: Vec<_> = rows(&page).iter().map(id).filter(is_id).collect();
    let number = |(group, count): (&'static str, usize)| (1..=count).map(move |row| format!("{group}-{row:02}"));
    let expected: Vec<_> = ROWS.into_iter().flat_map(number).collect();
    assert_eq!((found.len(), found), (158, expected));
}

#[test]
fn every_file_and_every_test_that_is_named_is_there() {
    let (page, tests) = (page(), tests());
    let mut wrong = Vec::new();
    for row in rows(&page) {
        let shown = row.len() - 1;
        for (column, name) in
            row.iter().enumerate().flat_map(|(at, cell)| quoted(cell).into_iter().map(move |q| (at, q)))
        {
            let is_file = name.contains('/');
            let is_there = match is_file {
                true => root().join(name).exists(),
                false => column != shown || tests.contains(name),
            };
            if !is_there {
                wrong.push(format!("{}: {name}", row[0]));
            }
        }
        let here = row[row.len().min(3) - 1];
        let is_missing = row.iter().any(|cell| cell.starts_with("not here"));
        if !is_missing && (quoted(row[shown]).is_empty() || row[shown] == "—") {
            wrong.push(format!("{}: nothing shows it ({here})", row[0]));
        }
    }
    assert!(wrong.is_empty(), "docs/comparison.md names what is not there:\n{}", wrong.join("\n"));
}

/// That the check above can fail: a test that nobody wrote, and a file that is not there.
#[test]
fn what_is_made_up_is_noticed() {
    let page = "| id | feature | here | where | shown by |\n| --- | --- | --- | --- | --- |\n\
                | INF-01 | a | same | `core/src/no_such_file.rs` | `no_such_test_was_ever_written` |\n";
    let row = &rows(page)[0];
    assert_eq!(
        (row[0], quoted(row[3]), quoted(row[4])),
        ("INF-01", vec!["core/src/no_such_file.rs"], vec!["no_such_test_was_ever_written"])
    );
    // The name is in this file, but defines nothing; and a function that is no test shows nothing.
    let tests = tests();
    assert!(!tests.contains(quoted(row[4])[0]) && !root().join(quoted(row[3])[0]).exists());
    assert!(!tests.contains("is_of_a_name"));
    let listed = "case_01_an_empty_store_has_no_streams";
    assert!(tests.contains("what_is_made_up_is_noticed") && tests.contains(listed), "{}", tests.len());
}
