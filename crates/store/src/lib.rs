//! Holds and the ledger, kept. One implementation so far: SQLite in the data directory.

pub mod sqlite;
