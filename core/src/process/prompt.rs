//! A flag that says: look again.

use core::sync::atomic::{AtomicBool, Ordering};

/// Says that there may be something new in a log. It carries nothing: losing one only costs time until somebody looks
/// anyway, and one too many costs a look.
///
/// Raised from wherever it is known, also in an interrupt; taken by whoever runs the system.
///
/// ```
/// use evenkeel_core::process::Prompt;
///
/// static SOMETHING_NEW: Prompt = Prompt::new();
///
/// SOMETHING_NEW.raise();
/// SOMETHING_NEW.raise();
/// assert!(SOMETHING_NEW.take());
/// assert!(!SOMETHING_NEW.take());
/// ```
#[derive(Debug, Default)]
pub struct Prompt(AtomicBool);

impl Prompt {
    /// Not raised.
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// Raises it.
    pub fn raise(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether it is raised.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// Whether it was raised; lowers it. Look at the log afterwards, not before.
    ///
    /// Loads and stores alone, so it works on cores without atomic exchange. What is raised in between the two is
    /// answered by the look that follows.
    #[must_use]
    pub fn take(&self) -> bool {
        let raised = self.is_raised();
        if raised {
            self.0.store(false, Ordering::Release);
        }
        raised
    }
}
