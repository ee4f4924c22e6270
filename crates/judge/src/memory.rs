//! What is remembered of earlier calls, where it decides about the next one.

use std::sync::Arc;

use effects::Effect;
use jiff::Timestamp;
use ledger::Ledger;

use crate::{replaced_pods::Replaced, window::Window};

/// What each agent did lately, which pods are being replaced, and the ledger for what is older.
pub struct Memory {
    pub(crate) window: Window,
    pub(crate) replaced: Replaced,
    pub(crate) ledger: Arc<dyn Ledger>,
}

impl Memory {
    /// Nothing but what the ledger knows.
    pub fn new(ledger: Arc<dyn Ledger>) -> Self {
        Self { window: Window::default(), replaced: Replaced::default(), ledger }
    }

    /// Remembers what was sent, for rules that count.
    pub fn remember(&self, username: &str, effects: &[Effect], now: Timestamp) {
        self.window.remember(username, effects, now);
    }
}
