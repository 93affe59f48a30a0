//! Projections whose state is stored.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Aggregate, Kind, Position, Projection, Snapshot, StreamId, Tracker};

/// A projection that outlives a reboot: its state is stored every [`CHECKPOINT`](View::CHECKPOINT) events, together with
/// the position up to which it has seen the log, in one append.
///
/// It takes a stream of its own for that, in which there is one event, and its state as a snapshot. A view whose state
/// cannot be decoded any more is computed anew, as far as its events are still held.
pub trait View: Projection + Default + Serialize + DeserializeOwned {
    /// The kind of the stream that its state is stored in.
    const KIND: Kind;
    /// The stream that its state is stored in.
    const STREAM: StreamId;
    /// The schema number of its state.
    const SCHEMA: u8;
    /// Its reading place, for retention to wait for.
    const TRACKER: Tracker;
    /// After how many events its state is stored.
    const CHECKPOINT: u32 = 64;
    /// The kinds of events that it looks at; `None`: all of them. A system prompts it for these alone.
    const FOLLOWS: Option<&'static [Kind]> = None;
}

/// The state of a view with its place: what is stored, and what to name in
/// [`Log::maintain`](crate::Log::maintain) for the view's stream.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(bound(deserialize = "V: DeserializeOwned"))]
pub struct ViewState<V> {
    /// Up to where `view` has seen the log. Stored beside the state, as the tracker may be newer than an old state.
    pub(crate) seen: u64,
    pub(crate) view: V,
}

impl<V> ViewState<V> {
    /// Up to where it has seen the log.
    #[must_use]
    pub const fn seen(&self) -> Position {
        Position(self.seen)
    }

    /// The view.
    #[must_use]
    pub const fn view(&self) -> &V {
        &self.view
    }
}

impl<V: View> Aggregate for ViewState<V> {
    const KIND: Kind = V::KIND;
    /// That there is such a view. All else is in its snapshots.
    type Event = ();

    fn apply(&mut self, (): &()) {}
}

impl<V: View> Snapshot for ViewState<V> {
    const SCHEMA: u8 = V::SCHEMA;
}
