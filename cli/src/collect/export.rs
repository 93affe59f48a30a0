//! `evenkeel export`: what was collected, for other programs.

use std::io::{self, BufWriter, Write};
use std::sync::Arc;

use evenkeel_collector::server::{SectionStore, StoredPiece};
use evenkeel_core::section::SectionReader;
use evenkeel_core::{Position, Record};
use evenkeel_sync::{Loss, SourceIdentity};

use super::{CollectError, open_store, tell};
use crate::args::{ExportArgs, ExportFormat};

/// Logs, and pieces of one, that are read at once.
const AT_ONCE: u32 = 500;

/// Writes all that is stored, log by log, in the order of positions.
pub(crate) async fn run(args: &ExportArgs) -> Result<(), CollectError> {
    tell(false);
    if let Some(path) = args.store.strip_prefix("sqlite:").map(std::path::Path::new).filter(|path| !path.exists()) {
        // It is not to be made by asking for what is in it.
        return Err(CollectError::Read(path.into(), io::ErrorKind::NotFound.into()));
    }
    let store = open_store(&args.store, 1).await?;
    let out: Box<dyn Write> = match &args.out {
        Some(path) => Box::new(std::fs::File::create(path).map_err(|error| CollectError::Read(path.clone(), error))?),
        None => Box::new(io::stdout().lock()),
    };
    let mut table = Table { out: BufWriter::new(out), format: args.format };
    let written = write_all(args, &store, &mut table).await;
    store.close().await?;
    match written {
        // Nobody reads it to its end, which is no failure.
        Err(CollectError::Io(_, error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

async fn write_all(
    args: &ExportArgs,
    store: &Arc<dyn SectionStore>,
    table: &mut Table<impl Write>,
) -> Result<(), CollectError> {
    let failed = |error| CollectError::Io("the export cannot be written", error);
    table.head().map_err(failed)?;
    let mut after = None;
    loop {
        let page = store.logs(after, AT_ONCE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.identity);
        for status in &page {
            if args.device.is_none_or(|device| device == status.identity.device) {
                write_log(store, status.identity, status.cursor, table).await?;
            }
        }
    }
    table.out.flush().map_err(failed)
}

async fn write_log(
    store: &Arc<dyn SectionStore>,
    identity: SourceIdentity,
    cursor: Position,
    table: &mut Table<impl Write>,
) -> Result<(), CollectError> {
    let failed = |error| CollectError::Io("the export cannot be written", error);
    let mut done = Position::START;
    while done < cursor {
        let before = done;
        for piece in store.pieces(identity, done, AT_ONCE).await? {
            match piece {
                StoredPiece::Section { first, bytes, .. } => {
                    for event in SectionReader::new(first, &bytes) {
                        let event = event.map_err(|_| failed(io::ErrorKind::InvalidData.into()))?;
                        let at = event.position.unwrap_or_default();
                        if at > done {
                            table.event(&identity, at, &event).map_err(failed)?;
                            done = at;
                        }
                    }
                }
                StoredPiece::Gap(gap) if gap.last > done => {
                    table.gap(&identity, gap.first.max(done.next()), gap.last, gap.reason).map_err(failed)?;
                    done = gap.last;
                }
                StoredPiece::Gap(_) => {}
            }
        }
        if done == before {
            return Err(failed(io::Error::new(io::ErrorKind::InvalidData, "positions are missing in the store")));
        }
    }
    Ok(())
}

/// Lines of events and gaps.
struct Table<W: Write> {
    out: BufWriter<W>,
    format: ExportFormat,
}

impl<W: Write> Table<W> {
    fn head(&mut self) -> io::Result<()> {
        match self.format {
            ExportFormat::Jsonl => Ok(()),
            ExportFormat::Csv => {
                writeln!(self.out, "device,log,epoch,first,last,stream,kind,schema,version,payload,lost")
            }
        }
    }

    fn event(&mut self, identity: &SourceIdentity, at: Position, event: &Record<'_>) -> io::Result<()> {
        let SourceIdentity { device, log, epoch } = identity;
        let Record { stream, kind, schema, version, payload, .. } = event;
        let (log, epoch, stream) = (log.0, epoch.0, stream.0);
        let (at, kind, version) = (at.0, kind.0, version.0);
        let payload: String = payload.iter().map(|byte| format!("{byte:02x}")).collect();
        match self.format {
            ExportFormat::Jsonl => writeln!(
                self.out,
                "{{\"device\":\"{device:016x}\",\"log\":{log},\"epoch\":\"{epoch:016x}\",\"position\":{at},\
                 \"stream\":\"{stream:016x}\",\"kind\":{kind},\"schema\":{schema},\"version\":{version},\
                 \"payload\":\"{payload}\"}}"
            ),
            ExportFormat::Csv => writeln!(
                self.out,
                "{device:016x},{log},{epoch:016x},{at},{at},{stream:016x},{kind},{schema},{version},{payload},"
            ),
        }
    }

    fn gap(&mut self, identity: &SourceIdentity, first: Position, last: Position, why: Loss) -> io::Result<()> {
        let SourceIdentity { device, log, epoch } = identity;
        let (log, epoch, first, last) = (log.0, epoch.0, first.0, last.0);
        match self.format {
            ExportFormat::Jsonl => writeln!(
                self.out,
                "{{\"device\":\"{device:016x}\",\"log\":{log},\"epoch\":\"{epoch:016x}\",\
                 \"gap\":{{\"first\":{first},\"last\":{last},\"reason\":\"{why}\"}}}}"
            ),
            ExportFormat::Csv => {
                writeln!(self.out, "{device:016x},{log},{epoch:016x},{first},{last},,,,,,{why}")
            }
        }
    }
}
