//! The file, its versions, and connections to it.

use std::{fs::OpenOptions, os::unix::fs::OpenOptionsExt, path::Path, time::Duration};

use ledger::StoreError;
use rusqlite::Connection;

pub(super) const FILE: &str = "agent-shield.db";
/// What makes each version out of the one before; a file of a later one is not touched.
pub(super) const SCHEMA: [&str; 7] = [
    include_str!("schema-1.sql"),
    include_str!("schema-2.sql"),
    include_str!("schema-3.sql"),
    include_str!("schema-4.sql"),
    include_str!("schema-5.sql"),
    include_str!("schema-6.sql"),
    include_str!("schema-7.sql"),
];
pub(super) const BUSY_TIME_MAX: Duration = Duration::from_millis(800);

/// A connection that may write.
pub(super) fn connect(path: &Path) -> rusqlite::Result<Connection> {
    if !path.exists() {
        // Made by us, so that its mode is ours from the first moment; SQLite keeps it for the WAL.
        drop(OpenOptions::new().create(true).append(true).mode(0o600).open(path));
    }
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIME_MAX)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    Ok(connection)
}

pub(super) fn unavailable(error: &rusqlite::Error) -> StoreError {
    StoreError::Unavailable(error.to_string())
}
