//! An agent whose writes are all refused, until a person lifts it.

use jiff::Timestamp;
use ledger::Identity;
use serde::{Deserialize, Serialize};

/// Who is frozen, by whom and why.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Freeze {
    /// The agent, as the API server names it.
    pub username: String,
    /// The reviewer.
    pub by: Identity,
    /// Why, as they wrote it; the agent is told.
    pub reason: String,
    /// Since when.
    pub at: Timestamp,
}
