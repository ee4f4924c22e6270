//! What was done lately and decides: remembered for a time, then forgotten.
//!
//! [`Memory`] is the trait, so that replicas can share what they remember: a rule that counts, counts
//! over all of them. [`InProcess`] is the one implementation so far, in memory and bounded: a restart
//! forgets. Whatever matters when it is forgotten belongs in the ledger.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod in_process;
mod namespaces;
mod replaced;
mod window;

use std::{collections::BTreeSet, time::Duration};

use effects::{Effect, NamespaceClass, ObjectRef};
pub use in_process::InProcess;
use jiff::Timestamp;
use ledger::{StoreError, Task, WindowRecord};
use policy::Past;

/// Effects are remembered for so long, for rules that count them.
pub const WINDOW_TIME_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Pods that were let go are remembered for so long.
pub const REPLACED_TIME_MAX: Duration = Duration::from_secs(10 * 60);

/// What other calls let go within [`REPLACED_TIME_MAX`].
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PodsGoing {
    /// Audit ids of those that let a pod of the same owner go.
    pub calls: Vec<String>,
    /// Uids of pods of the same namespace that go, or have gone: a list may show them as ready still.
    pub uids: BTreeSet<String>,
}

/// What is remembered of all agents.
pub trait Memory: Send + Sync {
    /// Remembers what an agent's request, which is just sent, does; in place of what was reserved for it.
    ///
    /// # Errors
    /// [`StoreError`]: it does not count.
    fn remember(
        &self,
        username: &str,
        audit_id: &str,
        effects: &[Effect],
        now: Timestamp,
    ) -> Task<'_, Result<(), StoreError>>;

    /// What this user did within a day before this request, the newest first. It counts from now on, so
    /// that requests that are judged at the same moment count each other.
    ///
    /// # Errors
    /// [`StoreError`] where that is not known.
    fn reserve(
        &self,
        username: &str,
        audit_id: &str,
        effects: &[Effect],
        now: Timestamp,
    ) -> Task<'_, Result<Vec<Past>, StoreError>>;

    /// What was reserved for a request that is not sent does not count. At once, as it is told of when a
    /// judgement is dropped.
    fn release(&self, username: &str, audit_id: &str);

    /// What this user did within a day, the newest first.
    ///
    /// # Errors
    /// [`StoreError`] where that is not known.
    fn window(&self, username: &str, now: Timestamp) -> Task<'_, Result<Vec<Past>, StoreError>>;

    /// How much of it there is, as it is recorded.
    ///
    /// # Errors
    /// [`StoreError`] where that is not known.
    fn window_record(
        &self,
        username: &str,
        now: Timestamp,
    ) -> Task<'_, Result<Option<WindowRecord>, StoreError>>;

    /// A pod of this owner goes with this call, from now on: what other calls let go lately comes back, so
    /// that requests at the same moment count each other.
    ///
    /// # Errors
    /// [`StoreError`] where that is not known.
    fn pod_goes(
        &self,
        owner: &ObjectRef,
        pod_uid: &str,
        audit_id: &str,
        now: Timestamp,
    ) -> Task<'_, Result<PodsGoing, StoreError>>;

    /// It does not go: it is held, or a person has agreed to it.
    ///
    /// # Errors
    /// [`StoreError`]: it counts still.
    fn pod_stays(&self, audit_id: &str) -> Task<'_, Result<(), StoreError>>;

    /// How a namespace is classed now. At once, as a watch tells of it.
    fn saw_namespace(&self, name: &str, class: NamespaceClass);

    /// How a namespace of this name was classed when it was last seen, also where it is gone.
    ///
    /// # Errors
    /// [`StoreError`] where that is not known.
    fn namespace(&self, name: &str) -> Task<'_, Result<Option<NamespaceClass>, StoreError>>;
}

/// Earlier calls, the newest first, as they are recorded.
pub fn record(past: &[Past]) -> Option<WindowRecord> {
    let (newest, oldest) = (past.first()?, past.last()?);
    Some(WindowRecord { count: past.len(), oldest: oldest.at, newest: newest.at })
}
