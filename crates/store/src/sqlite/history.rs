//! Every entry of a stretch of time, one after the other, however many there are: for who goes
//! through all of them once.

use std::path::Path;

use jiff::Timestamp;
use ledger::{Entry, Facts, FactsRecord, History, StoreError};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{
    connection::{FILE, SCHEMA, unavailable},
    read, reads,
};
use crate::rows::parse;

/// The ledger of a data directory as it was at one moment, also beside a process that writes there.
pub(crate) struct Snapshot {
    connection: Connection,
    /// Of the file, which may be of an older version than this one writes.
    version: usize,
}

impl Snapshot {
    /// Opens the store in a directory for reading.
    ///
    /// # Errors
    /// [`StoreError`] where it is not there, cannot be read, or is of a later version.
    pub(crate) fn open(dir: &Path) -> Result<Self, StoreError> {
        let failed = |error: rusqlite::Error| unavailable(&error);
        let connection = read::connect(&dir.join(FILE))?;
        let version: i64 =
            connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed)?;
        let latest = SCHEMA.len();
        let version =
            usize::try_from(version).ok().filter(|it| *it <= latest).ok_or_else(|| {
                StoreError::Corrupt(format!(
                    "it is of version {version}, and {latest} is the latest known"
                ))
            })?;
        // One state for all that is read: what is appended meanwhile is not half seen.
        connection.execute_batch("BEGIN").map_err(failed)?;
        Ok(Self { connection, version })
    }

    /// Puts in the objects that stand in the facts of an earlier call; where these are gone, all are.
    fn with_objects(&self, facts: Facts) -> rusqlite::Result<Facts> {
        let Facts::Recorded(mut facts) = facts else { return Ok(facts) };
        let Some(audit_id) = &facts.objects_of else { return Ok(Facts::Recorded(facts)) };
        let sql = "SELECT facts FROM entries JOIN facts USING (seq)
                   WHERE audit_id = ?1 AND facts IS NOT NULL ORDER BY seq LIMIT 1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let found =
            statement.query_row([audit_id], |row| Ok(text(row, 0)?.map(parsed))).optional()?;
        let Some(Facts::Recorded(of)) = found.flatten() else { return Ok(Facts::None) };
        let FactsRecord { objects, extent, over_budget, .. } = *of;
        (facts.objects, facts.extent, facts.over_budget) = (objects, extent, over_budget);
        Ok(Facts::Recorded(facts))
    }
}

impl History for Snapshot {
    fn count(&self, since: Timestamp) -> Result<u64, StoreError> {
        let sql = "SELECT (SELECT count(*) FROM entries WHERE time_us >= ?1 AND probe = 0)
                   + (SELECT coalesce(sum(count), 0) FROM reads WHERE last_us >= ?1)";
        let count = self.connection.query_row(sql, [since.as_microsecond()], |row| row.get(0));
        count.map(i64::unsigned_abs).map_err(|error| unavailable(&error))
    }

    fn agents(&self) -> Result<Vec<String>, StoreError> {
        read::agents(&self.connection)
    }

    fn count_all(&self) -> Result<u64, StoreError> {
        read::count_entries(&self.connection)
    }

    fn each(&self, since: Timestamp, show: &mut dyn FnMut(Entry)) -> Result<(), StoreError> {
        reads::each(&self.connection, since, show)?;
        let failed = |error: rusqlite::Error| unavailable(&error);
        // Entries are appended nearly in the order of their time: from the first one on, by row.
        let (facts, from) = match self.version {
            0..4 => ("FALSE, NULL", "entries"),
            4 => ("facts IS NOT NULL, facts", "entries"),
            _ => ("facts.seq IS NOT NULL, facts", "entries LEFT JOIN facts USING (seq)"),
        };
        let sql = format!(
            "SELECT entry, {facts} FROM {from} WHERE entries.time_us >= ?1 AND probe = 0 AND seq >= coalesce(
               (SELECT min(seq) FROM (SELECT seq FROM entries WHERE time_us >= ?1
                ORDER BY time_us LIMIT {OUT_OF_ORDER_MAX})), 0)
             ORDER BY seq"
        );
        let mut statement = self.connection.prepare(&sql).map_err(failed)?;
        let mut rows = statement.query(params![since.as_microsecond()]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let json = text(row, 0).map_err(failed)?.unwrap_or_default();
            let mut entry: Entry = parse(json)?;
            let facts = match (row.get(1).map_err(failed)?, text(row, 2).map_err(failed)?) {
                (false, _) => Facts::None,
                (true, None) => Facts::Lost,
                (true, Some(json)) => parsed(json),
            };
            entry.facts = self.with_objects(facts).map_err(failed)?;
            show(entry);
        }
        Ok(())
    }
}

fn text<'r>(row: &'r Row<'_>, index: usize) -> rusqlite::Result<Option<&'r str>> {
    Ok(row.get_ref(index)?.as_str_or_null()?)
}

/// Facts in another form are none: whoever judges says so, and goes on.
fn parsed(json: &str) -> Facts {
    parse(json).map_or(Facts::Unreadable, Facts::Recorded)
}

/// So many entries may be appended later than one of a later time.
const OUT_OF_ORDER_MAX: usize = 10_000;
