//! What is remembered of every call: the entry format, and how entries become one timeline.
//!
//! An entry is appended and never changed. A mutating call has one `RequestReceived` entry, synced
//! before the request leaves, and one `ResponseComplete` entry after; a crash in between shows as
//! the first without the second. What reviewers do is an entry of the call it is done to. Stages
//! are those of `audit.k8s.io/v1`, and the audit id is the one that the API server logs.
//! Never holds a credential, a Secret's value or a raw body.

mod call;
mod effect;
mod entry;
mod facts;

use std::{future::Future, pin::Pin};

pub use call::{Call, calls};
pub use effect::{EffectError, EffectRecord};
pub use entry::{
    Action, ClassRecord, DecisionRecord, Entry, HoldEvent, HoldRecord, Identity, Outcome,
    RequestRecord, ResponseRecord, ShadowRecord, Stage,
};
pub use facts::{Extent, FACTS_VERSION, Facts, FactsRecord, PairRecord, WindowRecord};
use jiff::Timestamp;

/// A future that a storage trait returns, so that the traits name no runtime.
pub type Task<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Why something could not be stored or read back.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The store did not take it, now; a later attempt may succeed.
    #[error("the store cannot write: {0}")]
    Unavailable(String),
    /// Somebody else changed the same hold first.
    #[error("it was changed by someone else meanwhile")]
    Conflict,
    /// What was read back is not what this version writes.
    #[error("the store holds something unreadable: {0}")]
    Corrupt(String),
}

/// Where entries are kept.
pub trait Ledger: Send + Sync {
    /// Appends entries in order; when it returns, they survive a power loss.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: nothing was appended, and the caller must not go on.
    fn append(&self, entries: Vec<Entry>) -> Task<'_, Result<(), StoreError>>;

    /// The calls that match, newest first, each with all of its entries joined.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    fn calls(&self, filter: Filter) -> Task<'_, Result<Vec<Call>, StoreError>>;

    /// Whether this user was ever seen on the agents' listener; such a user can never review.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read; the caller must then refuse.
    fn is_agent(&self, username: &str) -> Task<'_, Result<bool, StoreError>>;

    /// Everybody who was ever seen there, by name.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    fn agents(&self) -> Task<'_, Result<Vec<String>, StoreError>>;
}

/// Which calls of the ledger are asked for; every given part must match.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Filter {
    /// Namespace of the request (or, for `namespaces`, its name).
    pub namespace: Option<String>,
    /// Plural resource.
    pub resource: Option<String>,
    /// Object name.
    pub name: Option<String>,
    /// Username of the agent.
    pub username: Option<String>,
    /// Request verb.
    pub verb: Option<String>,
    /// What was decided.
    pub action: Option<Action>,
    /// Calls that belong to this hold.
    pub hold: Option<String>,
    /// Exactly these calls; all where it is empty.
    pub audit_ids: Vec<String>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Not after.
    pub until: Option<Timestamp>,
    /// Whether the proxy's own probes are listed too.
    pub probes: bool,
    /// Whether reads are left out.
    pub writes_only: bool,
    /// At most so many calls, the newest; `None` is the store's own bound of 10 000.
    pub limit: Option<usize>,
}
