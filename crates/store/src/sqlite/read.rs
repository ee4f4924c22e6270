//! Small questions, on connections of their own that cannot write.

use std::path::Path;

use hold::Freeze;
use jiff::Timestamp;
use ledger::StoreError;
use rusqlite::{Connection, OpenFlags, OptionalExtension};

use super::connection::{BUSY_TIME_MAX, unavailable};
use crate::rows::{FreezeRow, parse};

pub(super) fn connect(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection =
        Connection::open_with_flags(path, flags).map_err(|error| unavailable(&error))?;
    connection.busy_timeout(BUSY_TIME_MAX).map_err(|error| unavailable(&error))?;
    Ok(connection)
}

pub(super) fn is_agent(connection: &Connection, username: &str) -> Result<bool, StoreError> {
    connection
        .query_row("SELECT 1 FROM agents WHERE username = ?", [username], |_| Ok(()))
        .optional()
        .map(|found| found.is_some())
        .map_err(|error| unavailable(&error))
}

pub(super) fn agents(connection: &Connection) -> Result<Vec<String>, StoreError> {
    let failed = |error: rusqlite::Error| unavailable(&error);
    let mut statement =
        connection.prepare("SELECT username FROM agents ORDER BY username").map_err(failed)?;
    let rows = statement.query_map([], |row| row.get(0)).map_err(failed)?;
    rows.collect::<Result<_, _>>().map_err(failed)
}

pub(super) fn has_facts(connection: &Connection, before: Timestamp) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM facts WHERE time_us < ?)";
    connection
        .query_row(sql, [before.as_microsecond()], |row| row.get(0))
        .map_err(|error| unavailable(&error))
}

pub(super) fn count_entries(connection: &Connection) -> Result<u64, StoreError> {
    connection
        .query_row(
            "SELECT (SELECT count(*) FROM entries) + (SELECT coalesce(sum(count), 0) FROM reads)",
            [],
            |row| row.get::<_, i64>(0),
        )
        .map(i64::unsigned_abs)
        .map_err(|error| unavailable(&error))
}

/// Everybody who is frozen.
pub(super) fn freezes(connection: &Connection) -> Result<Vec<Freeze>, StoreError> {
    let failed = |error: rusqlite::Error| unavailable(&error);
    let mut statement = connection.prepare("SELECT document FROM freezes").map_err(failed)?;
    let rows = statement.query_map([], |row| row.get::<_, String>(0)).map_err(failed)?;
    let freeze = |document: rusqlite::Result<String>| {
        parse::<FreezeRow>(&document.map_err(failed)?).map(Freeze::from)
    };
    rows.map(freeze).collect()
}
