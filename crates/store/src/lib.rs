//! Holds, freezes, the ledger and what is remembered, kept.
//!
//! [`sqlite`] keeps them in a data directory, for one process at a time; [`shared`] in memory, for
//! several proxies in one process. Both pass one suite of contract tests (`tests/contract`). Who
//! wants the store of a data directory says [`open`] or [`history`], and does not know what is in it.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod live;
mod matching;
mod retention;
mod rows;
pub mod shared;
pub mod sqlite;

use std::{path::Path, sync::Arc};

use hold::{Freezes, Holds};
use ledger::{History, Ledger, StoreError};
use memory::Memory;
pub use retention::keep_facts;
pub use sqlite::OpenError;

/// One store, by each of its sides. Cheap to clone.
#[derive(Clone)]
pub struct Stores {
    /// Holds.
    pub holds: Arc<dyn Holds>,
    /// Freezes.
    pub freezes: Arc<dyn Freezes>,
    /// The ledger.
    pub ledger: Arc<dyn Ledger>,
    /// What is remembered for a time.
    pub memory: Arc<dyn Memory>,
}

/// Opens the store of a data directory, and makes it if it is not there.
///
/// # Errors
/// [`OpenError`]: serving must not begin.
pub fn open(dir: &Path) -> Result<Stores, OpenError> {
    let store = Arc::new(sqlite::Sqlite::open(dir)?);
    Ok(Stores {
        holds: Arc::clone(&store) as Arc<dyn Holds>,
        freezes: Arc::clone(&store) as Arc<dyn Freezes>,
        ledger: store,
        memory: Arc::new(memory::InProcess::default()),
    })
}

/// The ledger of a data directory as it is now, also beside a process that writes there.
///
/// # Errors
/// [`StoreError`] where it is not there, cannot be read, or is of a later version.
pub fn history(dir: &Path) -> Result<Box<dyn History>, StoreError> {
    Ok(Box::new(sqlite::open_history(dir)?))
}
