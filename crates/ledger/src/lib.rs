//! What is remembered of every call: the entry format, and how entries become one timeline.
//!
//! An entry is appended and never changed. A mutating call has one `RequestReceived` entry, synced
//! before the request leaves, and one `ResponseComplete` entry after; a crash in between shows as
//! the first without the second. What reviewers do is an entry of the call it is done to. Stages
//! are those of `audit.k8s.io/v1`, and the audit id is the one that the API server logs.
//! Never holds a credential, a Secret's value or a raw body.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod call;
mod effect;
mod entry;
mod facts;

use std::{future::Future, pin::Pin};

pub use call::{Call, calls};
pub use effect::{EffectError, EffectRecord};
pub use entry::{
    ACTS, ActRecord, Action, ClassRecord, DecisionRecord, Entry, FreezeRecord, HoldEvent,
    HoldRecord, Identity, ObjectRecord, ObjectState, Outcome, RequestRecord, ResponseRecord,
    ShadowRecord, Stage, spans_namespaces,
};
pub use facts::{Extent, FACTS_VERSION, Facts, FactsRecord, PairRecord, WindowRecord};
use jiff::Timestamp;
use uuid::Uuid;

/// A future that a storage trait returns, so that the traits name no runtime.
pub type Task<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Why something could not be stored or read back.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The store did not take it, now; a later attempt may succeed.
    #[error("the store cannot write: {0}")]
    Unavailable(String),
    /// Somebody else changed the same hold first.
    #[error("somebody else changed it meanwhile: look at it again")]
    Conflict,
    /// What was read back is not what this version writes.
    #[error("the store contains something that cannot be read: {0}")]
    Corrupt(String),
}

/// Where an entry stands in the one order of the ledger, reads and writes alike; the first has 1.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Position(pub u64);

/// A part of a list, and where it goes on; `None` where this was the end.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Page<T, C> {
    /// In the order of the list.
    pub items: Vec<T>,
    /// To be given back for the next page.
    pub next: Option<C>,
}

/// Where entries are kept.
pub trait Ledger: Send + Sync {
    /// Appends entries; when it returns, they survive a power loss. The position of each comes back, in
    /// the order in which they were given.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: nothing was appended, and the caller must not go on.
    fn append(&self, entries: Vec<Entry>) -> Task<'_, Result<Vec<Position>, StoreError>>;

    /// The calls that match, newest first, each with all of its entries joined. A page has those that
    /// something happened to last; behind [`Filter::before`], it goes on.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    fn calls(&self, filter: Filter) -> Task<'_, Result<Page<Call, Position>, StoreError>>;

    /// Everything that was appended until now, to be gone through once.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    fn history(&self) -> Task<'_, Result<Box<dyn History>, StoreError>>;

    /// Lets go of some of the facts of entries before a moment, the oldest first, so few that nobody
    /// waits for it; whether there are more. The entries stay.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be changed or read.
    fn drop_facts(&self, before: Timestamp) -> Task<'_, Result<bool, StoreError>>;

    /// Whether this user was seen on the agents' listener ([`Entry::agent`]); such a user cannot review.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read; the caller must then refuse.
    fn is_agent(&self, username: &str) -> Task<'_, Result<bool, StoreError>>;

    /// Everybody who was ever seen there, by name.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    fn agents(&self) -> Task<'_, Result<Vec<String>, StoreError>>;

    /// Has a user not count as an agent any more, until the next request; whether they did. The entries tell
    /// of it, and go in only then.
    ///
    /// # Errors
    /// [`StoreError`]: nothing has changed.
    fn clear_agent(
        &self,
        username: &str,
        entries: Vec<Entry>,
    ) -> Task<'_, Result<bool, StoreError>>;
}

/// A ledger as it was at one moment: what is appended meanwhile is not half seen. It blocks.
pub trait History: Send {
    /// How many entries there are since a moment, probes aside.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read.
    fn count(&self, since: Timestamp) -> Result<u64, StoreError>;

    /// How many there are in all, probes among them.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read.
    fn count_all(&self) -> Result<u64, StoreError>;

    /// Everybody who was ever seen on the agents' listener.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read.
    fn agents(&self) -> Result<Vec<String>, StoreError>;

    /// Shows reads, then all other entries in the order in which they were appended, each with its
    /// facts, probes aside.
    ///
    /// # Errors
    /// [`StoreError`] where it cannot be read; some were shown already.
    fn each(&self, since: Timestamp, show: &mut dyn FnMut(Entry)) -> Result<(), StoreError>;
}

/// When the call of an audit id began, to the millisecond before; missing of an id that does not tell:
/// only those of version 7 have their time in them.
pub fn began(audit_id: &str) -> Option<Timestamp> {
    let (seconds, nanos) = Uuid::try_parse(audit_id).ok()?.get_timestamp()?.to_unix();
    let micros = i64::try_from(seconds).ok()?.checked_mul(1_000_000)?;
    Timestamp::from_microsecond(micros.checked_add(i64::from(nanos) / 1_000)?).ok()
}

/// So much of an audit id tells to about a minute when its call began.
pub const TELLING_DIGITS_MIN: usize = 8;
/// All of it that tells.
const TELLING_DIGITS: usize = 12;

/// When calls began whose ids begin so, from the first moment to the last; missing where that says too little of
/// it. Only ids of version 7 have their time in them.
pub fn began_between(typed: &str) -> Option<(Timestamp, Timestamp)> {
    let digits: String = typed.chars().filter(|it| *it != '-').take(TELLING_DIGITS).collect();
    if digits.len() < TELLING_DIGITS_MIN || !digits.chars().all(|it| it.is_ascii_hexdigit()) {
        return None;
    }
    let end = |filled: char| {
        let missing = TELLING_DIGITS.saturating_sub(digits.len());
        let all: String = digits.chars().chain(std::iter::repeat_n(filled, missing)).collect();
        Timestamp::from_millisecond(i64::from_str_radix(&all, 16).ok()?).ok()
    };
    Some((end('0')?, end('f')?))
}

/// Which calls of the ledger are asked for; every given part must match.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Filter {
    /// Namespace of the request (or, for `namespaces`, its name); what is about every namespace at once
    /// is about this one. Empty: what is in no namespace.
    pub namespace: Option<String>,
    /// Plural resource.
    pub resource: Option<String>,
    /// The group of the resource; empty for the core group.
    pub api_group: Option<String>,
    /// The subresource; empty for the object itself.
    pub subresource: Option<String>,
    /// Object name in the request.
    pub name: Option<String>,
    /// Object name, in the request or as the API server told it of an object that was made.
    pub object: Option<String>,
    /// Username of the agent.
    pub username: Option<String>,
    /// The agent whose calls these are, or to whom a reviewer did them: a freeze, a thaw.
    pub agent: Option<String>,
    /// Calls in which this reviewer had a say, and what they did to agents.
    pub reviewer: Option<String>,
    /// Request verb.
    pub verb: Option<String>,
    /// What was decided by policy.
    pub action: Option<Action>,
    /// What was denied, by policy or by a reviewer.
    pub denied: bool,
    /// Calls of which a rule in shadow mode, or one that an exception took back, would have asked; writes alone.
    pub shadowed: bool,
    /// Calls that belong to this hold.
    pub hold: Option<String>,
    /// Exactly these calls; all where it is empty.
    pub audit_ids: Vec<String>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Not after.
    pub until: Option<Timestamp>,
    /// Whether the proxy's own probes are listed too; one whose call stands nowhere always is.
    pub probes: bool,
    /// Whether reads are left out, and what only asks: dry runs and reviews that were let through.
    pub writes_only: bool,
    /// At most so many calls in a page; the store has a bound of its own, of 10 000.
    pub limit: Option<usize>,
    /// Calls to which nothing happened from this position on: where the page before ended.
    pub before: Option<Position>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_of_an_audit_id_says_when() {
        let table = [
            ("01a225d5", true),
            ("01a225d5-7fff-7abc", true),
            ("01a225d", false),
            ("web", false),
            ("01a225dz", false),
        ];
        for (typed, want) in table {
            let got = began_between(typed);
            assert_eq!(got.is_some(), want, "{typed}: {got:?}");
            if typed.len() == 8 && got.is_some() {
                let (first, last) = began_between(typed).expect("a span");
                assert_eq!(last.duration_since(first).as_millis(), 65_535);
            }
        }
        let whole = began("01a225d5-7fff-7abc-8def-0123456789ab").expect("a time");
        let from = |typed: &str| began_between(typed).expect("a span").0;
        let first = from("01a225d5");
        assert!(first <= whole && whole.duration_since(first).as_secs() < 66, "{first} {whole}");
        assert_eq!(from("01a225d5-7fff-7"), whole);
    }
}
