//! Events put into a batch, and taken in by their aggregates once they are durable.

use crate::batch::{Batch, BatchError, Op};
use crate::{Aggregate, CodecError, Position, Root, StreamId, Trace};

/// Up to four aggregates that are changed by one batch: a tuple of `&mut Root<..>`.
///
/// `Facts` is a tuple of as many collections of events. See [`Log::execute_all`](crate::Log::execute_all).
pub trait Together<Facts> {
    /// Adds the events that follow on each of them, those of the first one first.
    fn fill(&self, batch: &mut Batch<'_>, facts: Facts) -> Result<(), BatchError>;

    /// One of them that was discarded.
    fn discarded(&self) -> Option<StreamId>;

    /// Applies what a batch has made durable, whose first event has the position `first`.
    fn apply(&mut self, batch: &Batch<'_>, first: Position) -> Result<(), CodecError>;
}

macro_rules! together {
    ($($aggregate:ident $facts:ident $root:ident $events:ident),*) => {
        impl<$($aggregate: Aggregate, $facts: IntoIterator<Item = $aggregate::Event>),*> Together<($($facts,)*)>
            for ($(&mut Root<$aggregate>,)*)
        {
            fn fill(&self, batch: &mut Batch<'_>, ($($events,)*): ($($facts,)*)) -> Result<(), BatchError> {
                let ($($root,)*) = self;
                $(fill(batch, $root, $events, None)?;)*
                Ok(())
            }

            fn discarded(&self) -> Option<StreamId> {
                let ($($root,)*) = self;
                None$(.or($root.is_discarded().then_some($root.id())))*
            }

            fn apply(&mut self, batch: &Batch<'_>, first: Position) -> Result<(), CodecError> {
                let ($($root,)*) = self;
                $(apply(batch, $root, first)?;)*
                Ok(())
            }
        }
    };
}
together!(A I a i);
together!(A I a i, B J b j);
together!(A I a i, B J b j, C K c k);
together!(A I a i, B J b j, C K c k, D L d l);

/// Adds the events that follow on the version of the root.
pub(crate) fn fill<A: Aggregate>(
    batch: &mut Batch<'_>,
    root: &Root<A>,
    events: impl IntoIterator<Item = A::Event>,
    trace: Option<Trace>,
) -> Result<(), BatchError> {
    let mut version = root.version();
    for event in events {
        match trace {
            None => batch.event::<A>(root.id(), version, &event)?,
            Some(trace) => batch.event_because::<A>(root.id(), version, &event, trace)?,
        }
        version = version.next();
    }
    Ok(())
}

/// Applies the events of this root that a batch has made durable, read back from their bytes: memory takes in what
/// a replay would.
pub(crate) fn apply<A: Aggregate>(batch: &Batch<'_>, root: &mut Root<A>, first: Position) -> Result<(), CodecError> {
    let mut position = first;
    for (entry, payload) in batch.iter() {
        if let Op::Event { stream, schema, .. } = entry.op {
            if stream == root.id() {
                let at = if entry.local { Position::START } else { position };
                root.take_stored(schema, payload, at)?;
            }
            position = position.plus(u64::from(!entry.local));
        }
    }
    Ok(())
}
