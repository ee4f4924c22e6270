//! An agent whose writes are all refused, until a person thaws it; and where that is kept.

use jiff::Timestamp;
use ledger::{Entry, Identity, StoreError, Task};

use crate::Feed;

/// Who is frozen, by whom and why.
#[derive(Clone, Debug, Eq, PartialEq)]
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

/// Where freezes are kept. Each change goes with the ledger entries that tell of it, both or none.
pub trait Freezes: Send + Sync {
    /// Stores that an agent is frozen, over an earlier freeze of it: from then on every replica answers
    /// so.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: nothing was stored.
    fn freeze(&self, freeze: Freeze, entries: Vec<Entry>) -> Task<'_, Result<(), StoreError>>;

    /// Removes the freeze of an agent; whether there was one. Where there was none, nothing is recorded.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: nothing was removed.
    fn thaw(&self, username: &str, entries: Vec<Entry>) -> Task<'_, Result<bool, StoreError>>;

    /// The freeze that a user is under. Every write asks, so that it must not cost a query where this
    /// process alone writes to the store.
    ///
    /// # Errors
    /// [`StoreError`] where that is not known; the caller must then refuse.
    fn frozen(&self, username: &str) -> Task<'_, Result<Option<Freeze>, StoreError>>;

    /// Everybody who is frozen, by name.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    fn all(&self) -> Task<'_, Result<Vec<Freeze>, StoreError>>;

    /// Usernames whose freeze was made or lifted from now on, by any replica.
    fn changes(&self) -> Box<dyn Feed<String>>;
}
