//! Sections that were stored whole become rows of `events`.

use evenkeel_core::section::SectionReader;
use evenkeel_core::{Epoch, LogId, Position};
use evenkeel_sync::SourceIdentity;
use rusqlite::{Connection, TransactionBehavior, params};

use super::{SqliteStore, bits, bits_at, place, place_at, store_event};
use crate::{StoreError, sql};

impl SqliteStore {
    /// Explodes what a collector had no time for before it ended.
    pub(super) fn explode_all(&mut self) -> Result<(), StoreError> {
        let all = self.unexploded()?;
        all.chunks(64).try_for_each(|some| self.explode(some))
    }

    /// The logs that are not wholly exploded.
    pub(crate) fn unexploded(&self) -> Result<Vec<SourceIdentity>, StoreError> {
        let mut select = self.connection.prepare_cached(sql::UNEXPLODED)?;
        let rows = select.query_map([], |row| {
            let (device, log, epoch) = (bits_at(row, 0)?, LogId(row.get(1)?), Epoch(bits_at(row, 2)?));
            Ok(SourceIdentity { device, log, epoch })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Stores a row for each event of these logs that has none yet, in one transaction.
    pub(crate) fn explode(&mut self, identities: &[SourceIdentity]) -> Result<(), StoreError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for identity in identities {
            explode(&transaction, identity)?;
        }
        transaction.commit()?;
        Ok(())
    }
}

fn explode(transaction: &Connection, identity: &SourceIdentity) -> Result<(), StoreError> {
    let SourceIdentity { device, log, epoch } = *identity;
    let of = (bits(device), log.0, bits(epoch.0));
    let (cursor, exploded) = transaction
        .prepare_cached(sql::PROGRESS)?
        .query_row(params![of.0, of.1, of.2], |row| Ok((place_at(row, 0)?, place_at(row, 1)?)))?;
    let mut select = transaction.prepare_cached(sql::SECTIONS_AFTER)?;
    // A section that ends beyond a position begins at most a section's length before it.
    let from = exploded.0.saturating_sub(u64::from(evenkeel_sync::wire::MAX_EVENTS));
    let mut rows = select.query(params![of.0, of.1, of.2, place(Position(from))?, i64::MAX])?;
    let mut done = exploded;
    while let Some(row) = rows.next()? {
        let bytes = row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?;
        for event in SectionReader::new(place_at(row, 0)?, bytes) {
            let event = event.map_err(|_| StoreError::MalformedSection)?;
            let position = event.position.unwrap_or_default();
            if position > done {
                store_event(transaction, identity, position, &event)?;
                done = position;
            }
        }
    }
    transaction.prepare_cached(sql::SET_EXPLODED)?.execute(params![of.0, of.1, of.2, place(cursor)?])?;
    Ok(())
}
