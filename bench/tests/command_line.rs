//! What the program says to those who ask for the wrong thing.

use std::process::Command;

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_evenkeel-bench")).args(arguments).output().expect("running");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_mistake_is_one_line_and_exit_2() {
    for arguments in [
        &[][..],
        &["nonsense"],
        &["flash", "--nonsense"],
        &["flash", "--json"],
        &["es", "--nonsense"],
        &["es", "--quick", "--json", "/no/such/folder/results.json"],
        &["flash", "--quick", "--json", "/no/such/folder/results.json"],
        &["flash", "--quick", "--markdown", "/no/such/folder/page.md"],
    ] {
        let (status, said, complained) = run(arguments);
        assert_eq!((status, said.as_str()), (Some(2), ""), "{arguments:?}");
        assert_eq!(complained.lines().count(), 1, "{arguments:?}: {complained}");
    }
}

#[test]
fn help_is_no_mistake() {
    let (status, said, complained) = run(&["flash", "--help"]);
    assert_eq!((status, complained.as_str()), (Some(0), ""));
    assert!(said.contains("--json") && said.contains("--markdown"), "{said}");
}
