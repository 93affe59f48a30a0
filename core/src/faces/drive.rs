//! Running a system for as long as the device is on. Of the asynchronous face alone: a blocking program has its own loop.

use core::ops::ControlFlow;

use super::{Log, Members, RecordManager, System};
use crate::process::{Prompted, Ran, SystemError};

impl<M: Members> System<M> {
    /// Runs the system whenever it is prompted, until `between` says otherwise.
    ///
    /// `between` is called after each run, which looks at `most` events at most, with what the run came to
    /// ([`Ran::more`]: answer at once, there is more to do). It has the log meanwhile: it waits for whatever comes first,
    /// a [`Prompt`](crate::process::Prompt) raised by an interrupt, a command from a channel, which it gives to the log,
    /// or a timer that makes up for prompts that were lost, and says whom to prompt.
    ///
    /// To drop this future at any point equals a power cut: each reaction is there once, or is about to be.
    pub async fn drive<R: RecordManager, T>(
        &mut self,
        log: &mut Log<'_, R>,
        most: u32,
        mut between: impl AsyncFnMut(&mut Log<'_, R>, Result<Ran, SystemError<R::Error>>) -> ControlFlow<T, Prompted>,
    ) -> T {
        loop {
            let ran = self.run(log, most).await;
            match between(log, ran).await {
                ControlFlow::Break(end) => return end,
                ControlFlow::Continue(Prompted::Nobody) => {}
                ControlFlow::Continue(Prompted::Followers(kind)) => self.prompt(kind),
                ControlFlow::Continue(Prompted::All) => self.prompt_all(),
            }
        }
    }
}
