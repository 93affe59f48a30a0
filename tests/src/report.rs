//! What a test tells beside whether it passed.

use std::io::Write as _;

/// Prints a line to standard error at once: `print!` and `eprint!` are kept back by the test runner if a test passes.
pub fn tell(line: &str) {
    // A test does not fail because nobody can read what it says.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// The number in this environment variable, if it is set.
///
/// # Panics
/// If it is set to something else.
#[must_use]
pub fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// Says with which variables set this test replays a case, if the case panics while this value lives.
#[derive(Debug)]
pub struct Replay {
    variables: String,
    file: &'static str,
}

impl Replay {
    /// For the test in this thread, in the file `tests/tests/{file}.rs`.
    #[must_use]
    pub fn of(file: &'static str, variables: String) -> Self {
        Self { variables, file }
    }

    /// The case has passed.
    pub fn passed(self) {
        std::mem::forget(self);
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let test = std::thread::current().name().unwrap_or_default().to_owned();
            let release = if cfg!(debug_assertions) { "" } else { "--release " };
            let Self { variables, file } = self;
            tell(&format!("replay: {variables} cargo test {release}-p evenkeel-tests --test {file} -- {test}"));
        }
    }
}

/// What a panic said, in one line.
#[must_use]
pub fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without a message").lines().map(str::trim).collect::<Vec<_>>().join(" ")
}
