//! Process managers and views over one log, wired to each other.

use super::{Log, Members, RecordManager, face};
use crate::aggregate::{Aggregate, Root};
use crate::error::{AppendError, ExecuteError};
use crate::process::{Commanded, ProcessError, Queue, Ran, SystemError, bit};
use crate::{Kind, Position};

/// Several process managers and views over one log, wired to each other by the kinds of events that they follow
/// ([`ProcessManager::FOLLOWS`](super::ProcessManager::FOLLOWS)): when this is compiled it is settled who is prompted
/// by whom.
///
/// One runs after the other, in the order in which they were prompted; what is appended meanwhile prompts its followers,
/// who wait in a queue that has room for each of them once. Nothing calls itself, whatever leads to whatever. A prompt
/// carries nothing: to begin with all members are prompted, and [`prompt_all`](System::prompt_all) makes up for any that
/// was lost.
///
/// A tuple makes it up: `System::new((Follower::new(Reserve), Follower::new(Pay), Tracked::<Stock>::new()))`.
#[derive(Debug)]
pub struct System<M> {
    members: M,
    queue: Queue,
}

#[face]
impl<M: Members> System<M> {
    /// All members are prompted.
    pub fn new(members: M) -> Self {
        let mut system = Self { members, queue: Queue::default() };
        system.prompt_all();
        system
    }

    /// Its members.
    pub fn members(&self) -> &M {
        &self.members
    }

    /// Its members, to be changed.
    pub fn members_mut(&mut self) -> &mut M {
        &mut self.members
    }

    /// Lets every member look at what is new.
    pub fn prompt_all(&mut self) {
        for member in 0..M::COUNT {
            self.queue.push(member);
        }
    }

    /// Says that events of this kind were appended.
    pub fn prompt(&mut self, kind: Kind) {
        self.queue.push_all(M::followers(kind));
    }

    /// Whether no member waits to be run.
    pub fn is_quiet(&self) -> bool {
        self.queue.front().is_none()
    }

    /// Runs the members that are prompted, and those that this prompts, until all is quiet, or `most` events have been
    /// looked at in this call.
    ///
    /// A member that fails stays prompted for the next call, and the others run on; the first failure is answered at
    /// the end. That a tracker does not stand where a member took it to stand is no failure: what the member was about
    /// to do has been done already, or what it relied on was cut off, so it looks again, once in a call.
    pub async fn run<R: RecordManager>(
        &mut self,
        log: &mut Log<'_, R>,
        most: u32,
    ) -> Result<Ran, SystemError<R::Error>> {
        self.run_bounded(log, None, usize::MAX, most).await
    }

    /// Runs each member that is prompted now once, up to the position `end`: one round of a simulation in steps. Whom
    /// this prompts waits for the next round.
    pub async fn round<R: RecordManager>(
        &mut self,
        log: &mut Log<'_, R>,
        end: Position,
        most: u32,
    ) -> Result<Ran, SystemError<R::Error>> {
        let runs = self.queue.len();
        self.run_bounded(log, Some(end), runs, most).await
    }

    async fn run_bounded<R: RecordManager>(
        &mut self,
        log: &mut Log<'_, R>,
        end: Option<Position>,
        runs: usize,
        most: u32,
    ) -> Result<Ran, SystemError<R::Error>> {
        let (mut ran, mut failed, mut again, mut first) = (Ran::default(), 0_u8, 0_u8, None);
        // In a round, whom it prompts: who is still to run in it sees no more than what was there before.
        let mut later = 0_u8;
        for _ in 0..runs {
            // It leaves the queue when it has run: a future that is dropped here loses no prompt.
            let Some(member) = self.queue.front() else { break };
            if ran.seen >= most {
                ran.more = true;
                break;
            }
            let upto = end.unwrap_or(log.bounds().last());
            let mut prompted = 0;
            let room = most.saturating_sub(ran.seen);
            let mut appended = |kind| prompted |= M::followers(kind);
            let outcome = self.members.go_on(member, log, upto, room, &mut appended).await;
            self.queue.pop();
            match end {
                Some(_) => later |= prompted,
                None => self.queue.push_all(prompted & !failed),
            }
            ran.runs = ran.runs.saturating_add(1);
            match outcome {
                Ok(done) => {
                    ran.seen = ran.seen.saturating_add(done.seen);
                    ran.reactions = ran.reactions.saturating_add(done.reactions);
                    ran.lost = ran.lost.saturating_add(done.lost);
                    let went_on = done.seen > 0 || done.lost > 0;
                    if went_on && self.members.seen(member).is_some_and(|seen| seen < upto) {
                        self.queue.push(member);
                    }
                }
                Err(ProcessError::Append(AppendError::Tracking { .. })) if again & bit(member) == 0 => {
                    again |= bit(member);
                    self.queue.push(member);
                }
                Err(error) => {
                    failed |= bit(member);
                    first = first.or(Some(SystemError { member, error }));
                }
            }
        }
        self.queue.push_all(later | failed);
        first.map_or(Ok(ran), Err)
    }

    /// Runs a command as [`Log::execute`] does, and then the system until all is quiet.
    ///
    /// What members fail with never reaches the one who gave the command: it stands beside the command's outcome.
    pub async fn execute<A: Aggregate, R: RecordManager, I: IntoIterator<Item = A::Event>, Refused>(
        &mut self,
        log: &mut Log<'_, R>,
        root: &mut Root<A>,
        decide: impl FnOnce(&A) -> Result<I, Refused>,
        most: u32,
    ) -> Result<Commanded<R::Error>, ExecuteError<Refused, R::Error>> {
        let appended = log.execute(root, decide).await?;
        self.prompt(A::KIND);
        Ok(Commanded { appended, followers: self.run(log, most).await })
    }

    /// Stores the reading places of all members, as far as they are not stored: before the power is switched off, or
    /// when retention waits for one of their trackers.
    pub async fn checkpoint<R: RecordManager>(&mut self, log: &mut Log<'_, R>) -> Result<(), SystemError<R::Error>> {
        for member in 0..M::COUNT {
            let outcome: Result<(), ProcessError<R::Error>> = self.members.settle(member, log).await;
            outcome.map_err(|error| SystemError { member, error })?;
        }
        Ok(())
    }
}
