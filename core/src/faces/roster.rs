//! The aggregate types that upkeep may take snapshots of.

use super::{Log, RecordManager, face};
use crate::aggregate::Snapshot;
use crate::error::{AppendError, LoadError, LogError};
use crate::{Kind, StreamId};

/// Aggregate types by their kinds: a tuple of up to eight types, such as `(Valve, Alarm)`.
#[face]
#[allow(async_fn_in_trait)] // the callers are single-threaded firmware: no `Send` is asked for
pub trait Roster {
    /// Loads this stream and stores its snapshot; `false` if its kind is none of these.
    async fn snapshot<R: RecordManager>(
        log: &mut Log<'_, R>,
        stream: StreamId,
        kind: Kind,
    ) -> Result<bool, LogError<R::Error>>;
}

#[face]
async fn snapshot_as<A: Snapshot, R: RecordManager>(
    log: &mut Log<'_, R>,
    stream: StreamId,
) -> Result<(), LogError<R::Error>> {
    let root = log.load::<A>(stream).await.map_err(|error| match error {
        // What is in the way then is a stream that cannot be loaded: it holds its records.
        LoadError::Read(error) => LogError::Append(AppendError::from(error)),
        other => LogError::Load(other),
    })?;
    // Anew, also where there is one already: that one stands in the records that are to be let go.
    Ok(log.store_snapshot(&root).await?)
}

macro_rules! roster {
    ($($aggregate:ident)*) => {
        #[face]
        impl<$($aggregate: Snapshot),*> Roster for ($($aggregate,)*) {
            async fn snapshot<R: RecordManager>(
                log: &mut Log<'_, R>,
                stream: StreamId,
                kind: Kind,
            ) -> Result<bool, LogError<R::Error>> {
                $(if kind == $aggregate::KIND {
                    snapshot_as::<$aggregate, R>(log, stream).await?;
                    return Ok(true);
                })*
                let _ = (log, stream, kind);
                Ok(false)
            }
        }
    };
}
roster!();
roster!(A0);
roster!(A0 A1);
roster!(A0 A1 A2);
roster!(A0 A1 A2 A3);
roster!(A0 A1 A2 A3 A4);
roster!(A0 A1 A2 A3 A4 A5);
roster!(A0 A1 A2 A3 A4 A5 A6);
roster!(A0 A1 A2 A3 A4 A5 A6 A7);
