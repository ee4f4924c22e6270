//! What is needed of whoever keeps holds, by one process or by several.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use jiff::Timestamp;
use ledger::{EffectRecord, Entry, Page, StoreError, Task};

use crate::{Answer, Feed, Hold, HoldId, Preview, Shown, State, StateName};

/// Where holds are kept. Each change goes with the ledger entries that tell of it, both or none.
///
/// Whoever shares a store shares all of this: who waits on a hold, answers that nobody received yet,
/// and which replica runs which hold.
pub trait Holds: Send + Sync {
    /// Joins the open hold of the same request, or stores a new one, in one step: two requests at the
    /// same moment make one hold. Who is told [`Inserted::New`] or [`Inserted::Joined`] counts as
    /// waiting on it until [`Holds::leave`]. Entries are appended for a new hold only.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: nothing was stored, and nobody may wait.
    fn insert_or_join(&self, insertion: Arc<Insertion>) -> Task<'_, Result<Inserted, StoreError>>;

    /// One hold, without what it shows.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    fn load(&self, id: &HoldId) -> Task<'_, Result<Option<Hold>, StoreError>>;

    /// What a hold shows.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    fn shown(&self, id: &HoldId) -> Task<'_, Result<Option<Shown>, StoreError>>;

    /// Stores the next state of a hold whose stored revision is `hold.revision()`, and gives it back
    /// with the next one. `preview` is what it shows from now on; without one, its summary and what it
    /// shows stay as they are and are not written again. A running hold belongs to this replica.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where somebody changed it first; nothing was stored.
    fn change(
        &self,
        hold: Hold,
        preview: Option<Preview>,
        entries: Vec<Entry>,
    ) -> Task<'_, Result<Hold, StoreError>>;

    /// The holds that match, newest first, a page at a time.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    fn list(
        &self,
        filter: HoldFilter,
        after: Option<HoldCursor>,
    ) -> Task<'_, Result<Page<Hold, HoldCursor>, StoreError>>;

    /// Holds whose time is over at a moment, the longest overdue first, a page of them: to be asked
    /// again until there are none.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    fn due(&self, now: Timestamp) -> Task<'_, Result<Vec<Hold>, StoreError>>;

    /// Prolongs this replica's hold on whatever it runs; to be called every few seconds.
    ///
    /// # Errors
    /// [`StoreError`]: others may believe that this replica is dead.
    fn renew(&self) -> Task<'_, Result<(), StoreError>>;

    /// Takes over running holds whose replica is dead: its lease ran out, or it was an earlier process
    /// of a store that one process uses at a time. They belong to this one now, which must settle them.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was taken over.
    fn take_over(&self) -> Task<'_, Result<Vec<Hold>, StoreError>>;

    /// Holds that are made or changed from now on, by any replica.
    fn changes(&self) -> Box<dyn Feed<HoldId>>;

    /// One connection less waits on a hold. At once, as it is told of when a connection is dropped.
    fn leave(&self, id: &HoldId);

    /// How many connections wait on each of these holds, on all replicas.
    ///
    /// # Errors
    /// [`StoreError`] where that is not known.
    fn waiting(&self, ids: &[HoldId]) -> Task<'_, Result<Vec<usize>, StoreError>>;

    /// Keeps the answer of a hold for whoever waits on it and for the next identical request, for so long.
    /// Never on a disk.
    ///
    /// # Errors
    /// [`StoreError`]: nobody will get it.
    fn keep_answer(
        &self,
        id: &HoldId,
        answer: Answer,
        time: Duration,
    ) -> Task<'_, Result<(), StoreError>>;

    /// The answer of a hold, also where somebody got it already.
    ///
    /// # Errors
    /// [`StoreError`] where that is not known.
    fn answer(&self, id: &HoldId) -> Task<'_, Result<Option<Answer>, StoreError>>;

    /// The answer has left whole: identical requests are new ones from now on. At once, as it is told
    /// of when a body has ended.
    fn delivered(&self, id: &HoldId);
}

/// A request that is to wait.
#[derive(Clone, Debug)]
pub struct Insertion {
    /// The hold, should there be none yet.
    pub hold: Hold,
    /// What it shows.
    pub shown: Shown,
    /// Which open hold it may join.
    pub join: Join,
    /// Open holds that its agent may have.
    pub open_max: usize,
    /// What tells of a new hold.
    pub entries: Vec<Entry>,
}

/// No denial binds longer than this after it was last decided on.
pub const DENIAL_TIME_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// So many denials of one agent on one object within an hour bar it from asking anything of it
/// (DESIGN 6): a detail that changes each time would be asked for ever.
const BARRED_AFTER: usize = 3;
const BARRED_TIME: Duration = Duration::from_secs(60 * 60);

/// Which hold of the same request a request joins.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Join {
    /// Any that is open: it is the same question.
    Open,
    /// An open one on which nobody waits: two creates with a generated name are two objects, unless
    /// the first one's client has gone and this is its retry.
    Unwaited,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Inserted {
    /// A new hold, as it was given.
    New,
    /// There was one.
    Joined(Box<Hold>),
    /// The same was denied a short while ago, with this hold.
    Denied(Box<Hold>),
    /// So much of its agent's was denied of its object, with this hold the last time, that nothing more of
    /// it is asked before a moment.
    Barred(Box<Hold>, Timestamp),
    /// Its agent has as many open holds as it may.
    TooMany,
}

impl Insertion {
    /// Whether the request joins this hold of the same digest. `waiting` are connections that wait on
    /// it; `undelivered` is whether its answer is there and reached nobody.
    pub fn joins(&self, found: &Hold, waiting: usize, undelivered: bool) -> bool {
        if self.join == Join::Unwaited && waiting > 0 {
            return false;
        }
        let now = self.hold.summary().created_at;
        match found.state() {
            State::Done { .. } | State::Expired { .. } => undelivered,
            state if state.is_settled() => false,
            _ => found.due().is_none_or(|due| now < due),
        }
    }

    /// Since when denials of its agent are asked for.
    pub fn denied_since(&self) -> Timestamp {
        // Without a moment before it, nothing is too old.
        self.hold.summary().created_at.checked_sub(DENIAL_TIME_MAX).unwrap_or(Timestamp::MIN)
    }

    /// What earlier denials make of a request: `denied` are all of its agent's since
    /// [`Insertion::denied_since`], the newest first, and `asked` tells what one of them asked for.
    ///
    /// # Errors
    /// What `asked` says.
    pub fn denied_by<E>(
        &self,
        denied: Vec<Hold>,
        mut asked: impl FnMut(&Hold) -> Result<BTreeSet<String>, E>,
    ) -> Result<Option<Inserted>, E> {
        let now = self.hold.summary().created_at;
        for hold in &denied {
            let binds = hold.denial().is_some_and(|it| it.binds(now));
            if binds && is_same_question(&self.shown.preview.asked, &asked(hold)?) {
                return Ok(Some(Inserted::Denied(Box::new(hold.clone()))));
            }
        }
        let of_object = denied.iter().filter(|it| it.object() == self.hold.object());
        let bar = barred(&of_object.collect::<Vec<_>>(), now);
        Ok(bar.map(|(last, until)| Inserted::Barred(Box::new(last.clone()), until)))
    }
}

/// The last of these denials of one agent and object, and until when nobody is asked about the object any more: where
/// it was denied so often within an hour. What was denied with one word counts once, and what was denied before
/// a lift no more.
pub fn barred<'h>(denied: &[&'h Hold], now: Timestamp) -> Option<(&'h Hold, Timestamp)> {
    let is_lifted = |it: &&&Hold| it.denial().is_some_and(|it| it.until().is_none());
    let lifted_at = denied.iter().filter(is_lifted).map(|it| it.changed_at()).max();
    let ends = |hold: &Hold| {
        let denial = hold.denial().filter(|it| it.until().is_some())?;
        let counts = lifted_at.is_none_or(|lifted| lifted < denial.at());
        denial.at().checked_add(BARRED_TIME).ok().filter(|ends| counts && now < *ends)
    };
    let mut counted: Vec<(Timestamp, &Hold)> =
        denied.iter().filter_map(|it| Some((ends(it)?, *it))).collect();
    counted.sort_by_key(|(ends, _)| std::cmp::Reverse(*ends));
    let by = |it: &Hold| it.denial().map(|it| it.reviewer().username.clone());
    counted.dedup_by(|one, other| one.0 == other.0 && by(one.1) == by(other.1));
    let (until, _) = counted.get(BARRED_AFTER.checked_sub(1)?)?;
    let (_, last) = counted.first()?;
    Some((*last, *until))
}

/// Whether one of two requests asks for all that the other does. What is refused is not to be had in parts,
/// nor with something else beside it.
pub fn is_same_question(one: &BTreeSet<String>, other: &BTreeSet<String>) -> bool {
    let (less, more) = if one.len() <= other.len() { (one, other) } else { (other, one) };
    !less.is_empty() && less.is_subset(more)
}

/// All that a hold would do: what its summary shows, where nothing is left out there or its preview is an
/// older one.
pub fn all_effects<'a>(hold: &'a Hold, preview: Option<&'a Preview>) -> &'a [EffectRecord] {
    match preview {
        Some(preview) if !preview.effects.is_empty() => &preview.effects,
        _ => &hold.summary().effects,
    }
}

/// Which holds are asked for; every given part must match.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct HoldFilter {
    /// Empty means all.
    pub states: Vec<StateName>,
    /// How its id begins.
    pub id_begins: Option<String>,
    /// The digest of "the same request".
    pub request_digest: Option<String>,
    /// Username of the agent.
    pub username: Option<String>,
    /// Namespace of the request.
    pub namespace: Option<String>,
    /// Changed not before.
    pub changed_since: Option<Timestamp>,
    /// At most so many in a page; the store has a bound of its own, of a thousand.
    pub limit: Option<usize>,
}

/// Where a list of holds goes on: behind this one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HoldCursor {
    /// When the last one that was listed was made.
    pub created_at: Timestamp,
    /// Its id.
    pub id: HoldId,
}

impl From<&Hold> for HoldCursor {
    fn from(hold: &Hold) -> Self {
        Self { created_at: hold.summary().created_at, id: hold.id().clone() }
    }
}
