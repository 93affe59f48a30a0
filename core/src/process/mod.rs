//! What follows from events: the parts of processes that have but one face.
//!
//! | | |
//! | --- | --- |
//! | [`ProcessManager`](crate::ProcessManager), [`Reaction`](crate::Reaction), [`Follower`](crate::Follower) | reacts to events with events of any aggregates, its reading place in the same append |
//! | [`Upstream`](crate::Upstream), [`Received`] | another log that is followed: mounted here, or as sections that arrive |
//! | [`Causality`], [`Horizon`], [`LogName`] | what events in one log depend on in others |
//! | [`View`], [`Tracked`](crate::Tracked) | a projection that is stored with its reading place |
//! | [`System`](crate::System), [`Member`](crate::Member), [`Prompt`] | several of them, wired to each other when compiled |
//! | [`ReactError`], [`ProcessError`], [`SystemError`] | what can go wrong |
//!
//! # Exactly once
//!
//! A tracker says up to where a process has dealt with a log. It moves in the very append that stores the reaction, and
//! only from where the process took it to stand ([`Batch::track_from`](crate::batch::Batch::track_from)): whatever
//! happens, a power cut, a failed write, a second process under the same tracker, each event is reacted to once. Side
//! effects outside the log, such as switching a relay, are at least once: derive them from an aggregate's state.
//!
//! Without a reaction a tracker is stored every `CHECKPOINT` events only. What has been looked at since is looked at
//! again after a reboot, and leads to nothing again, as reactions depend on what is stored alone.

mod causality;
mod error;
mod prompt;
mod queue;
mod received;
mod view;

pub use causality::{Causality, Horizon, LogName, Saw};
pub use error::{MissingBefore, ProcessError, ReactError, ReceivedError, SystemError};
pub use prompt::Prompt;
pub use received::Received;
pub use view::{View, ViewState};

pub(crate) use queue::{Queue, bit};

/// What a command has led to: what it appended itself, and what the members of the [`System`](crate::System) made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Commanded<E> {
    /// What the command appended.
    pub appended: crate::Appended,
    /// What followed from it, or why some of it is still to follow.
    pub followers: Result<Ran, SystemError<E>>,
}

/// Whom to prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Prompted {
    /// Nobody: who waits already runs on.
    Nobody,
    /// Those who follow events of this kind.
    Followers(crate::Kind),
    /// Everybody.
    All,
}

/// What a [`System`](crate::System) has done in one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Ran {
    /// How often a member was run.
    pub runs: u32,
    /// How many events were looked at, each by one member.
    pub seen: u32,
    /// How many events were appended in reaction.
    pub reactions: u32,
    /// How many positions were passed over because their events are gone, each by one member.
    pub lost: u64,
    /// Whether there is more to do: the bound of the call was reached.
    pub more: bool,
}
