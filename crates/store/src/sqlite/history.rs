//! Every entry of a stretch of time, one after the other, however many there are: for who goes
//! through all of them once.

use std::path::Path;

use jiff::Timestamp;
use ledger::{Entry, StoreError};
use rusqlite::{Connection, params};

use super::{FILE, SCHEMA, read, reads, unavailable};

/// The ledger of a data directory as it was at one moment, also beside a process that writes there.
pub struct History {
    connection: Connection,
    /// Whether this file has facts: those that older versions wrote have none.
    has_facts: bool,
}

impl History {
    /// Opens the store in a directory for reading.
    ///
    /// # Errors
    /// [`StoreError`] where it is not there, cannot be read, or is of a later version.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let failed = |error: rusqlite::Error| unavailable(&error);
        let connection = read::connect(&dir.join(FILE))?;
        let version: i64 =
            connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed)?;
        if !usize::try_from(version).is_ok_and(|it| it <= SCHEMA.len()) {
            let why =
                format!("it is of version {version}, and {} is the latest known", SCHEMA.len());
            return Err(StoreError::Corrupt(why));
        }
        // One state for all that is read: what is appended meanwhile is not half seen.
        connection.execute_batch("BEGIN").map_err(failed)?;
        Ok(Self { connection, has_facts: version >= 4 })
    }

    /// How many entries there are since a moment, probes aside.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read.
    pub fn count(&self, since: Timestamp) -> Result<u64, StoreError> {
        let sql = "SELECT (SELECT count(*) FROM entries WHERE time_us >= ?1 AND probe = 0)
                   + (SELECT coalesce(sum(count), 0) FROM reads WHERE last_us >= ?1)";
        let count = self.connection.query_row(sql, [since.as_microsecond()], |row| row.get(0));
        count.map(i64::unsigned_abs).map_err(|error| unavailable(&error))
    }

    /// Shows reads that share rows, then all other entries in the order in which they were appended,
    /// each with its facts, probes aside.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read; some were shown already.
    pub fn each(&self, since: Timestamp, mut show: impl FnMut(Entry)) -> Result<(), StoreError> {
        reads::each(&self.connection, since, &mut show)?;
        let failed = |error: rusqlite::Error| unavailable(&error);
        // Entries are appended nearly in the order of their time: from the first one on, by row.
        let facts = if self.has_facts { "facts" } else { "NULL" };
        let sql = format!(
            "SELECT entry, {facts} FROM entries WHERE time_us >= ?1 AND probe = 0 AND seq >= coalesce(
               (SELECT min(seq) FROM (SELECT seq FROM entries WHERE time_us >= ?1
                ORDER BY time_us LIMIT {OUT_OF_ORDER_MAX})), 0)
             ORDER BY seq"
        );
        let mut statement = self.connection.prepare(&sql).map_err(failed)?;
        let mut rows = statement.query(params![since.as_microsecond()]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let text = |index| row.get_ref(index).and_then(|it| Ok(it.as_str_or_null()?));
            let json = text(0).map_err(failed)?.unwrap_or_default();
            let mut entry: Entry = read::parse(json)?;
            // Facts in another form are none: whoever judges says so, and goes on.
            entry.facts = text(1).map_err(failed)?.and_then(|it| read::parse(it).ok());
            show(entry);
        }
        Ok(())
    }
}

/// So many entries may be appended later than one of a later time.
const OUT_OF_ORDER_MAX: usize = 10_000;
