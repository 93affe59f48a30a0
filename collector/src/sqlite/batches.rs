//! What the server asks of SQLite: batches of whole sections, several of them in one transaction.

use evenkeel_core::{Epoch, LogId, Position};
use evenkeel_sync::wire::MAX_EVENTS;
use evenkeel_sync::{Loss, SourceIdentity};
use rusqlite::{OptionalExtension, Row, TransactionBehavior, params};

use super::{SqliteStore, StoredGap, bits, bits_at, move_cursor, place, place_at, store_gap, store_section};
use crate::server::{Batch, Distrust, Known, LogStatus, Quarantine, StoredPiece, Verdict, in_order, tail_of};
use crate::{StoreError, sql};

impl SqliteStore {
    /// Stores batches in one transaction, each of them whole or not at all, in their order. When this fails, nothing of
    /// any of them is stored.
    ///
    /// What is wrong with one batch is told with its verdict and does not concern the others.
    pub(crate) fn ingest(&mut self, batches: &[Batch]) -> Result<Vec<Result<Verdict, StoreError>>, StoreError> {
        let mut transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if let [batch] = batches {
            let verdict = ingest_one(&transaction, batch);
            if matches!(verdict, Ok(Verdict::Stored)) {
                transaction.commit()?;
            }
            return match verdict {
                Err(StoreError::Sqlite(error)) => Err(StoreError::Sqlite(error)),
                verdict => Ok(vec![verdict]),
            };
        }
        let mut verdicts = Vec::with_capacity(batches.len());
        for batch in batches {
            let savepoint = transaction.savepoint()?;
            let verdict = ingest_one(&savepoint, batch);
            // A database that fails, fails for all of them.
            match verdict {
                Err(StoreError::Sqlite(error)) => return Err(StoreError::Sqlite(error)),
                Ok(Verdict::Stored) => savepoint.commit()?,
                _ => drop(savepoint),
            }
            verdicts.push(verdict);
        }
        transaction.commit()?;
        Ok(verdicts)
    }

    pub(crate) fn known(&self, identity: &SourceIdentity, tail: u64) -> Result<Known, StoreError> {
        let cursor = self.stored_up_to(identity)?;
        let after = Position(cursor.0.saturating_sub(tail));
        let pieces = if cursor > after { self.pieces(identity, after, u32::MAX)? } else { Vec::new() };
        let quarantine = quarantine_of(&self.connection, identity)?;
        Ok(Known { identity: *identity, cursor, tail: tail_of(&pieces, cursor, tail)?, quarantine })
    }

    pub(crate) fn pieces(
        &self,
        identity: &SourceIdentity,
        after: Position,
        most: u32,
    ) -> Result<Vec<StoredPiece>, StoreError> {
        let SourceIdentity { device, log, epoch } = *identity;
        let of = (bits(device), log.0, bits(epoch.0));
        let mut select = self.connection.prepare_cached(sql::SECTIONS_AFTER)?;
        // A section that ends beyond a position begins at most a section's length before it.
        let from = place(Position(after.0.saturating_sub(u64::from(MAX_EVENTS))))?;
        let rows = select.query_map(params![of.0, of.1, of.2, from, most], |row| {
            Ok(StoredPiece::Section { first: place_at(row, 0)?, count: row.get(1)?, bytes: row.get(2)? })
        })?;
        let mut sections: Vec<_> = rows.collect::<Result<_, _>>()?;
        sections.retain(|piece| piece.last() > after);
        let mut select = self.connection.prepare_cached(sql::GAPS_AFTER)?;
        let rows = select.query_map(params![of.0, of.1, of.2, place(after)?, most], |row| {
            let reason = Loss::from_code(row.get(2)?);
            Ok(StoredPiece::Gap(StoredGap { first: place_at(row, 0)?, last: place_at(row, 1)?, reason }))
        })?;
        Ok(in_order(sections, rows.collect::<Result<_, _>>()?))
    }

    pub(crate) fn quarantine(&mut self, identity: &SourceIdentity, why: &Quarantine) -> Result<(), StoreError> {
        let SourceIdentity { device, log, epoch } = *identity;
        let (first, last) = (place(why.first)?, place(why.last)?);
        let at_ms = crate::server::unix_ms();
        let row = params![bits(device), log.0, bits(epoch.0), why.reason.code(), first, last, bits(at_ms)];
        self.connection.prepare_cached(sql::STORE_QUARANTINE)?.execute(row)?;
        Ok(())
    }

    pub(crate) fn release(&mut self, identity: &SourceIdentity) -> Result<bool, StoreError> {
        let SourceIdentity { device, log, epoch } = *identity;
        let row = params![bits(device), log.0, bits(epoch.0)];
        Ok(self.connection.prepare_cached(sql::RELEASE)?.execute(row)? > 0)
    }

    pub(crate) fn statuses(&self, after: Option<SourceIdentity>, most: u32) -> Result<Vec<LogStatus>, StoreError> {
        let (device, log, epoch) = match after {
            Some(SourceIdentity { device, log, epoch }) => (bits(device), i64::from(log.0), bits(epoch.0)),
            None => (i64::MIN, -1, 0),
        };
        let mut select = self.connection.prepare_cached(sql::LOGS_AFTER)?;
        let rows = select.query_map(params![device, log, epoch, most], |row| {
            let (device, log, epoch) = (bits_at(row, 0)?, LogId(row.get(1)?), Epoch(bits_at(row, 2)?));
            let quarantined = row.get::<_, Option<u8>>(4)?.is_some();
            Ok(LogStatus {
                identity: SourceIdentity { device, log, epoch },
                cursor: place_at(row, 3)?,
                quarantine: if quarantined { Some(quarantine_at(row, 4)?) } else { None },
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

fn quarantine_at(row: &Row<'_>, index: usize) -> rusqlite::Result<Quarantine> {
    let reason = Distrust::from_code(row.get(index)?);
    Ok(Quarantine { reason, first: place_at(row, index + 1)?, last: place_at(row, index + 2)? })
}

fn quarantine_of(
    connection: &rusqlite::Connection,
    identity: &SourceIdentity,
) -> Result<Option<Quarantine>, StoreError> {
    let SourceIdentity { device, log, epoch } = *identity;
    let found = connection
        .prepare_cached(sql::QUARANTINED)?
        .query_row(params![bits(device), log.0, bits(epoch.0)], |row| quarantine_at(row, 0))
        .optional()?;
    Ok(found)
}

fn ingest_one(transaction: &rusqlite::Connection, batch: &Batch) -> Result<Verdict, StoreError> {
    let identity = &batch.identity;
    let SourceIdentity { device, log, epoch } = *identity;
    let state = transaction
        .prepare_cached(sql::STATE)?
        .query_row(params![bits(device), log.0, bits(epoch.0)], |row| {
            let quarantined = row.get::<_, Option<u8>>(1)?.is_some();
            Ok((place_at(row, 0)?, if quarantined { Some(quarantine_at(row, 1)?) } else { None }))
        })
        .optional()?;
    match state.unwrap_or((Position::START, None)) {
        (stored, _) if stored != batch.after => return Ok(Verdict::Elsewhere(stored)),
        (_, Some(why)) => return Ok(Verdict::Quarantined(why)),
        _ => {}
    }
    for piece in &batch.pieces {
        match piece {
            StoredPiece::Section { first, count, bytes } => {
                store_section(transaction, identity, *first, *count, bytes)?;
            }
            StoredPiece::Gap(gap) => store_gap(transaction, identity, gap)?,
        }
    }
    move_cursor(transaction, sql::MOVE_CURSOR, identity, place(batch.to())?)?;
    Ok(Verdict::Stored)
}
