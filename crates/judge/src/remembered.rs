//! What is remembered of earlier calls: for a time, what decides; in the ledger, what is older.

use std::sync::Arc;

use ledger::Ledger;
use memory::Memory;

/// What each agent did lately, which pods are being replaced, and the ledger for what is older.
pub struct Remembered {
    /// What is forgotten in time.
    pub recent: Arc<dyn Memory>,
    pub(crate) ledger: Arc<dyn Ledger>,
}

impl Remembered {
    /// What these two know.
    pub fn new(recent: Arc<dyn Memory>, ledger: Arc<dyn Ledger>) -> Self {
        Self { recent, ledger }
    }
}
