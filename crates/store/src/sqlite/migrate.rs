//! What a newer schema cannot say in SQL.

use hold::Join;
use ledger::StoreError;
use rusqlite::Connection;

use super::{connection::unavailable, holds};
use crate::rows::{DocumentRow, parse};

/// From schema 5 to 6: takes each hold's document apart. Nobody joins an older hold by its key: two of
/// one request could be open then.
pub(super) fn split_holds(connection: &Connection) -> Result<(), StoreError> {
    let failed = |error: rusqlite::Error| unavailable(&error);
    let mut statement = connection.prepare("SELECT document FROM holds_5").map_err(failed)?;
    let mut rows = statement.query([]).map_err(failed)?;
    while let Some(row) = rows.next().map_err(failed)? {
        let document: String = row.get(0).map_err(failed)?;
        let (hold, shown) = parse::<DocumentRow>(&document)?.split()?;
        holds::insert(connection, &hold, &shown, Join::Unwaited)?;
    }
    drop(rows);
    drop(statement);
    connection.execute_batch("DROP TABLE holds_5").map_err(failed)
}
