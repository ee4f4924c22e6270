//! One held request: what it is, what was decided of it, and the right to send it once.
//!
//! A hold is stored before anybody waits on it and outlives every process. [`State`] says where it
//! stands; its transitions consume it, and nothing but the approvals that its [`Quorum`] demands, of
//! exactly what was seen, leads to [`State::Running`]. [`Permit`] is that right as a value: whoever
//! sends a request upstream must spend one. Pure: time comes in as an argument; [`Holds`] names what is needed of storage.

mod document;
mod freeze;
mod permit;
mod quorum;
mod state;

pub use document::{ChangeRecord, GoesWith, Hold, HoldId, Preview, Target};
pub use freeze::Freeze;
pub use ledger::Task;
use ledger::{Entry, StoreError};
pub use permit::Permit;
pub use quorum::{Demand, Quorum, is_same_person};
pub use state::{HoldError, State, Verdict};

/// Where holds are kept. Every change goes with the ledger entries that tell of it, both or none.
pub trait Holds: Send + Sync {
    /// Stores a new hold; when it returns, it survives a power loss.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: nothing was stored.
    fn insert(&self, hold: Hold, entries: Vec<Entry>) -> Task<'_, Result<(), StoreError>>;

    /// Replaces a hold whose stored revision is `hold.revision`, and stores it with the next one.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where somebody changed it first; nothing was stored.
    fn replace(&self, hold: Hold, entries: Vec<Entry>) -> Task<'_, Result<Hold, StoreError>>;

    /// One hold.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    fn load(&self, id: &HoldId) -> Task<'_, Result<Option<Hold>, StoreError>>;

    /// The holds that match, newest first.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    fn list(&self, filter: HoldFilter) -> Task<'_, Result<Vec<Hold>, StoreError>>;

    /// Stores that an agent is frozen, over an earlier freeze of it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: nothing was stored.
    fn freeze(&self, freeze: Freeze, entries: Vec<Entry>) -> Task<'_, Result<(), StoreError>>;

    /// Removes the freeze of an agent.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: nothing was removed.
    fn thaw(&self, username: &str, entries: Vec<Entry>) -> Task<'_, Result<(), StoreError>>;

    /// Everybody who is frozen.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    fn freezes(&self) -> Task<'_, Result<Vec<Freeze>, StoreError>>;
}

/// Which holds are asked for; every given part must match.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct HoldFilter {
    /// State names as [`State::name`] gives them; empty means all.
    pub states: Vec<&'static str>,
    /// The digest of "the same request".
    pub request_digest: Option<String>,
    /// Username of the agent.
    pub username: Option<String>,
    /// Namespace of the request.
    pub namespace: Option<String>,
    /// Changed not before.
    pub changed_since: Option<jiff::Timestamp>,
    /// At most so many, the newest; `None` is the store's own bound of 1 000.
    pub limit: Option<usize>,
}
