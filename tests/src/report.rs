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

/// Whether tests of promises that do not hold yet are to be run: `EVENKEEL_HUNT` is set. If not, says so.
///
/// `docs/guarantees.md` lists them.
#[must_use]
pub fn hunting(promise: &str) -> bool {
    let hunting = std::env::var_os("EVENKEEL_HUNT").is_some();
    if !hunting {
        tell(&format!("does not hold yet, run with EVENKEEL_HUNT=1: {promise}"));
    }
    hunting
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
            tell(&command(&self.variables, self.file, &test));
        }
    }
}

/// What a panic said, in one line.
#[must_use]
pub fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without a message").lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

/// Cases that failed, each sort of which is told once, with what replays it: a sweep goes on behind the first.
#[derive(Debug, Default, Clone)]
pub struct Findings {
    /// How many there are.
    pub count: u64,
    /// What each sort says, and how many there are.
    sorts: Vec<(String, u64)>,
}

impl Findings {
    /// Runs one case; if it panics, it is a finding, and there is no answer.
    pub fn case<T>(&mut self, replay: impl FnOnce() -> String, case: impl FnOnce() -> T) -> Option<T> {
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(case)) {
            Ok(answer) => Some(answer),
            Err(panic) => {
                self.add(&message(&*panic), replay);
                None
            }
        }
    }

    /// Adds a finding.
    pub fn add(&mut self, message: &str, replay: impl FnOnce() -> String) {
        self.count += 1;
        let sort: String = message.chars().filter(|c| !c.is_ascii_digit()).take(48).collect();
        if let Some((_, count)) = self.sorts.iter_mut().find(|(known, _)| *known == sort) {
            *count += 1;
        } else if self.sorts.len() < 12 {
            self.sorts.push((sort, 1));
            tell(&format!("{message}\n  {}", replay()));
        }
    }

    /// Tells how many there are of each sort.
    pub fn tell_sorts(&self) {
        for (sort, count) in &self.sorts {
            tell(&format!("  {count} times: {sort}"));
        }
    }

    /// Fails the test if there are any.
    ///
    /// # Panics
    /// If there are any.
    pub fn assert_none(&self) {
        assert_eq!(self.count, 0, "see above for the first case of each sort, and how to replay it");
    }
}

/// The command that runs this test with these variables.
#[must_use]
pub fn command(variables: &str, file: &str, test: &str) -> String {
    let release = if cfg!(debug_assertions) { "" } else { "--release " };
    format!("replay: {variables} cargo test {release}-p evenkeel-tests --test {file} -- {test}")
}

std::thread_local! {
    static QUIET: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Keeps the messages of this thread's panics, which are [`Findings`], from the screen as long as this value lives.
#[derive(Debug)]
pub struct Quiet(());

impl Quiet {
    /// From now on.
    #[must_use]
    pub fn please() -> Self {
        static HOOK: std::sync::Once = std::sync::Once::new();
        HOOK.call_once(|| {
            let hook = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                if !QUIET.get() {
                    hook(panic);
                }
            }));
        });
        QUIET.set(true);
        Self(())
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        QUIET.set(false);
    }
}
