//! The queue: holds in the store, who waits on them here, and who decides.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use hold::{
    Approval, DENIAL_TIME_MAX, Denial, Freezes, Hold, HoldError, HoldFilter, HoldId, Holds,
    Inserted, Insertion, Preview, Shown, State, StateName, Unchanged, is_same_question,
};
use jiff::Timestamp;
use ledger::{Entry, HoldEvent, HoldRecord, Identity, Ledger, RequestRecord, Stage, StoreError};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;
use upstream::ControlClient;

use crate::{
    looks::{Look, Looks, Saw},
    reviewer::{Reviewer, ReviewerError},
};

/// Reviewers who decide on one hold at the same moment take their turns; so many of them.
pub(crate) const DECIDE_TRIES: usize = 16;
/// Holds that one list shows, at most; a page of the store is smaller.
const LIST_MAX: usize = 10_000;
/// Other holds of the same object that are shown with one, and how long ago they were changed at most.
const OTHERS_MAX: usize = 8;
const OTHERS_TIME: Duration = Duration::from_secs(24 * 60 * 60);
/// Holds of which it is known that somebody has looked at them; of others nobody is told anew.
const LOOKED_AT_MAX: usize = 10_000;
/// What is overdue is looked for so often.
const EXPIRE_EVERY: Duration = Duration::from_secs(1);
/// This replica says that it lives, and looks for those that do not, each so many times of that.
const RENEW_EVERY: u32 = 5;

/// Times and names that a deployment sets.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Undecided for so long, a hold is denied as expired.
    pub deadline: Duration,
    /// An approval that waits for its request is worth nothing after so long.
    pub grant_time: Duration,
    /// What was denied is not asked again for so long, where no rule says how long.
    pub denial_time: Duration,
    /// ServiceAccounts that may review all the same.
    pub reviewers_allowed: BTreeSet<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(30 * 60),
            grant_time: Duration::from_secs(10 * 60),
            denial_time: Duration::from_secs(10 * 60),
            reviewers_allowed: BTreeSet::new(),
        }
    }
}

/// The queue of holds.
pub struct Queue {
    pub(crate) holds: Arc<dyn Holds>,
    pub(crate) freezes: Arc<dyn Freezes>,
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) own: ControlClient,
    pub(crate) settings: Settings,
    /// Whom this process wakes.
    waiters: Mutex<HashMap<HoldId, Wakes>>,
    /// Open holds that somebody has looked at since their request came last.
    looked_at: Mutex<HashSet<HoldId>>,
}

/// What those who wait on one hold here are woken by.
struct Wakes {
    changed: watch::Sender<()>,
    looks: Arc<Looks>,
}

/// One connection that waits on a hold; it waits no more when this is dropped.
pub struct Waiter {
    id: HoldId,
    holds: Arc<dyn Holds>,
    changed: watch::Receiver<()>,
    looks: Arc<Looks>,
}

impl Waiter {
    /// Tells who asked what was seen.
    pub fn looked(&self, saw: Saw) {
        self.looks.done(saw);
    }

    /// The hold.
    pub fn id(&self) -> &HoldId {
        &self.id
    }

    /// Returns at the next change since this waiter was made or last told, or when a reviewer wants to know what
    /// the request would do now: one of those who wait is told, and ends the look with [`Waiter::looked`].
    ///
    /// # Cancel safety
    /// Safe: a change is not lost, and another of those who wait is told.
    pub async fn woken(&mut self) -> Woken {
        tokio::select! {
            // The sender goes with the queue; nothing further will come.
            Ok(()) = self.changed.changed() => Woken::Changed,
            () = self.looks.asked() => Woken::Look,
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.holds.leave(&self.id);
    }
}

/// Why who waits on a hold is woken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Woken {
    /// The hold has changed.
    Changed,
    /// A reviewer wants to know what it would do now.
    Look,
}

/// What came of putting a request in the queue.
pub enum Queued {
    /// It has a hold of its own.
    New(Waiter),
    /// It waits on the hold that there was; what was to be inserted comes back.
    Joined(Waiter, Box<Hold>, Arc<Insertion>),
    /// The same was denied a short while ago, with this hold.
    Denied(Box<Hold>),
    /// Too much of its agent's was denied of its object: nothing more is asked before a moment.
    Barred(Box<Hold>, Timestamp),
    /// Its agent has as many open holds as it may.
    TooMany,
}

/// Why a decision was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// No hold has this id.
    #[error("there is no hold `{id}`{}", meant(.near))]
    NotFound {
        /// As it was typed.
        id: HoldId,
        /// Open holds with a similar id.
        near: Vec<HoldId>,
    },
    /// The hold is past deciding, or not what the reviewer saw.
    #[error(transparent)]
    Hold(#[from] HoldError),
    /// This reviewer may not.
    #[error(transparent)]
    Reviewer(#[from] ReviewerError),
    /// Agents are made as these.
    #[error("`{0}` can never be cleared: it belongs to an agent or to the system, not to a person")]
    NeverCleared(String),
    /// Nothing of the agent runs, whatever is approved.
    #[error("{}; approve it after somebody has thawed it", frozen(.0))]
    Frozen(Box<hold::Freeze>),
    /// A slip of the pen, most likely: nobody is frozen.
    #[error("no request of an agent `{0}` was ever seen here")]
    NeverSeen(String),
    /// Nobody can have this name.
    #[error("give the name of a user, as the API server knows it, of at most 1024 bytes")]
    Username,
    /// It could not be stored, so it is not decided.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<Unchanged> for ReviewError {
    fn from(unchanged: Unchanged) -> Self {
        Self::Hold(unchanged.error)
    }
}

fn frozen(freeze: &hold::Freeze) -> String {
    let hold::Freeze { username, by, reason, .. } = freeze;
    let why = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
    format!("{} froze `{username}`{why}: nothing of it runs", by.username)
}

fn meant(ids: &[HoldId]) -> String {
    match ids {
        [] => String::new(),
        ids => {
            let ids: Vec<_> = ids.iter().map(|id| format!("`{id}`")).collect();
            format!("; did you mean {}?", ids.join(" or "))
        }
    }
}

/// What somebody decided, of entries that tell of it, and in words.
fn decisions(entries: &[Entry]) -> Vec<(HoldRecord, &'static str)> {
    let records = entries.iter().filter_map(|it| it.hold.clone());
    records.filter_map(|it| did(it.event).map(|did| (it, did))).collect()
}

/// A line of the log for a decision that is stored, as there is one for each hold. What somebody wrote stands
/// in quotes, and escaped.
fn log(hold: &Hold, decision: &HoldRecord, did: &str) {
    let (of, by) = (hold.summary(), decision.reviewer.as_ref());
    let by = by.map(|it| it.username.as_str()).unwrap_or_default();
    let RequestRecord { verb, resource, namespace, name, .. } = &of.request;
    tracing::info!(
        hold = %of.id, by, reason = decision.reason, user = of.user.username, verb, resource, namespace,
        name, "{did}"
    );
}

/// What somebody did; `None` for what happens by itself.
const fn did(event: HoldEvent) -> Option<&'static str> {
    match event {
        HoldEvent::PartlyApproved => Some("approved; others must too"),
        HoldEvent::Approved => Some("approved"),
        HoldEvent::Withdrawn => Some("an approval was withdrawn"),
        HoldEvent::Denied => Some("denied"),
        HoldEvent::Lifted => Some("a denial was lifted"),
        HoldEvent::Extended => Some("a denial was extended"),
        HoldEvent::Cancelled => Some("given up by its agent"),
        HoldEvent::Created
        | HoldEvent::Joined
        | HoldEvent::Left
        | HoldEvent::Expired
        | HoldEvent::Drifted
        | HoldEvent::Running
        | HoldEvent::Refreshed
        | HoldEvent::Done
        | HoldEvent::Unknown => None,
    }
}

/// The one clock of the review.
pub fn now() -> Timestamp {
    Timestamp::now()
}

impl Queue {
    /// A queue over a store; nobody waits yet.
    pub fn new(
        holds: Arc<dyn Holds>,
        freezes: Arc<dyn Freezes>,
        ledger: Arc<dyn Ledger>,
        own: ControlClient,
        settings: Settings,
    ) -> Self {
        Self {
            holds,
            freezes,
            ledger,
            own,
            settings,
            waiters: Mutex::default(),
            looked_at: Mutex::default(),
        }
    }

    /// Times and names that this deployment set.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The ledger that holds are recorded in.
    pub fn ledger(&self) -> &Arc<dyn Ledger> {
        &self.ledger
    }

    /// Where holds are kept.
    pub fn holds(&self) -> &Arc<dyn Holds> {
        &self.holds
    }

    /// Puts a request in the queue, or lets it join the hold of the same request; when it returns, the
    /// hold survives a crash, and the connection counts as waiting.
    ///
    /// # Errors
    /// [`StoreError`]: it is not in the queue, and must not be waited for.
    pub async fn insert(&self, mut insertion: Insertion) -> Result<Queued, StoreError> {
        let (id, created_at) = (insertion.hold.id().clone(), insertion.hold.changed_at());
        let entry =
            hold_entry(&insertion.hold, HoldEvent::Created, None, String::new(), created_at);
        insertion.entries.push(entry);
        let insertion = Arc::new(insertion);
        Ok(match self.holds.insert_or_join(Arc::clone(&insertion)).await? {
            Inserted::New => Queued::New(self.waiter(&id)),
            Inserted::Joined(hold) => Queued::Joined(self.waiter(hold.id()), hold, insertion),
            Inserted::Denied(hold) => Queued::Denied(hold),
            Inserted::Barred(hold, until) => Queued::Barred(hold, until),
            Inserted::TooMany => Queued::TooMany,
        })
    }

    /// Of a connection that the store counts already.
    fn waiter(&self, id: &HoldId) -> Waiter {
        let mut waiters = self.waiters();
        waiters.retain(|_, wakes| wakes.changed.receiver_count() > 0);
        let wakes = waiters
            .entry(id.clone())
            .or_insert_with(|| Wakes { changed: watch::channel(()).0, looks: Arc::default() });
        let (changed, looks) = (wakes.changed.subscribe(), Arc::clone(&wakes.looks));
        Waiter { id: id.clone(), holds: Arc::clone(&self.holds), changed, looks }
    }

    fn waiters(&self) -> MutexGuard<'_, HashMap<HoldId, Wakes>> {
        self.waiters.lock()
    }

    /// Wakes who waits here on a hold; on all, where changes were missed.
    fn wake(&self, id: Option<&HoldId>) {
        for (_, wakes) in self.waiters().iter().filter(|(of, _)| id.is_none_or(|id| id == *of)) {
            wakes.changed.send_replace(());
        }
    }

    /// Has a pending hold looked at by a connection that waits on it here, unless that was done a moment ago;
    /// `None` where none waits, or where it takes too long.
    async fn look(&self, hold: &Hold) -> Option<Look> {
        if !matches!(hold.state(), State::Pending { .. }) {
            return None;
        }
        let looks = {
            let waiters = self.waiters();
            let wakes = waiters.get(hold.id())?;
            (wakes.changed.receiver_count() > 0).then(|| Arc::clone(&wakes.looks))?
        };
        looks.ask().await
    }

    /// How many connections wait on each of these holds now.
    ///
    /// # Errors
    /// [`StoreError`] where that is not known.
    pub async fn waiting(&self, ids: &[HoldId]) -> Result<Vec<usize>, StoreError> {
        self.holds.waiting(ids).await
    }

    /// One hold as it stands now.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    pub async fn load(&self, id: &HoldId) -> Result<Option<Hold>, StoreError> {
        match self.holds.load(id).await? {
            Some(hold) => self.with_expiry(hold).await.map(Some),
            None => Ok(None),
        }
    }

    /// Holds that match, as they stand now, newest first: page after page, up to the filter's limit.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    pub async fn list(&self, filter: HoldFilter) -> Result<Vec<Hold>, StoreError> {
        let limit = filter.limit.unwrap_or(LIST_MAX);
        let (mut holds, mut after) = (Vec::new(), None);
        loop {
            let page = self.holds.list(filter.clone(), after).await?;
            for hold in page.items {
                let hold = self.with_expiry(hold).await?;
                if filter.states.is_empty() || filter.states.contains(&hold.state().name()) {
                    holds.push(hold);
                }
            }
            after = page.next;
            if after.is_none() || holds.len() >= limit {
                holds.truncate(limit);
                return Ok(holds);
            }
        }
    }

    /// Stores a hold in its next state with the entry that tells of it, then tells who waits. With a
    /// preview, it shows this from now on.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where somebody changed it first; nothing was stored.
    pub async fn change(
        &self,
        hold: Hold,
        preview: Option<Preview>,
        event: HoldEvent,
        entries: Vec<Entry>,
    ) -> Result<Hold, StoreError> {
        self.change_by(hold, preview, event, None, entries).await
    }

    async fn change_by(
        &self,
        hold: Hold,
        preview: Option<Preview>,
        event: HoldEvent,
        by: Option<(&Reviewer, &str)>,
        mut entries: Vec<Entry>,
    ) -> Result<Hold, StoreError> {
        let (reviewer, reason) = match by {
            Some((reviewer, reason)) => (Some(Identity::from(reviewer.user())), reason.to_owned()),
            None => (None, String::new()),
        };
        let at = hold.changed_at();
        entries.push(hold_entry(&hold, event, reviewer, reason, at));
        self.store(hold, preview, entries).await
    }

    /// Takes back the approvals of those who were seen as agents since they gave them; whether there
    /// were any, or somebody else changed the hold meanwhile. To be asked before approvals are used.
    ///
    /// # Errors
    /// [`StoreError`]: it is not known, and they must not be used.
    pub async fn revoke_agent_approvals(&self, hold: Hold) -> Result<bool, StoreError> {
        let (hold, revoked) = self.without_agent_approvals(hold).await?;
        if revoked.is_empty() {
            return Ok(false);
        }
        match self.store(hold, None, revoked).await {
            Ok(_) | Err(StoreError::Conflict) => Ok(true),
            Err(error) => Err(error),
        }
    }

    async fn store(
        &self,
        hold: Hold,
        preview: Option<Preview>,
        entries: Vec<Entry>,
    ) -> Result<Hold, StoreError> {
        let decisions = decisions(&entries);
        let hold = self.holds.change(hold, preview, entries).await?;
        decisions.iter().for_each(|(decision, did)| log(&hold, decision, did));
        // Those of other replicas are told by the feed.
        self.wake(Some(hold.id()));
        if !matches!(hold.state(), State::Pending { .. }) {
            self.looked_at.lock().remove(hold.id());
        }
        Ok(hold)
    }

    /// Approves what the reviewer saw (`digest`), in their name. Where others must too, it is written
    /// down and stays pending.
    ///
    /// # Errors
    /// [`ReviewError`]: nothing was decided.
    pub async fn approve(
        &self,
        id: &HoldId,
        reviewer: &Reviewer,
        reason: &str,
        digest: &str,
    ) -> Result<Hold, ReviewError> {
        let by = Identity::from(reviewer.user());
        // Whoever may not approve is not told who is frozen.
        let hold = self.decidable(id, reviewer, "approve").await?;
        if matches!(hold.state(), State::Pending { .. })
            && let Some(freeze) = self.frozen(&hold.summary().user.username).await?
        {
            return Err(ReviewError::Frozen(Box::new(freeze)));
        }
        self.decide(id, reviewer, "approve", reason, |hold| {
            let at = now();
            let until = at.saturating_add(self.settings.grant_time).unwrap_or(Timestamp::MAX);
            let approval = Approval::new(by.clone(), reason.to_owned(), at, digest.to_owned());
            let hold = hold.approve(approval, until)?;
            let event = match hold.state() {
                State::Pending { .. } => HoldEvent::PartlyApproved,
                _ => HoldEvent::Approved,
            };
            Ok((hold, event))
        })
        .await
    }

    /// Takes the reviewer's own approval back, as long as it was not used.
    ///
    /// # Errors
    /// [`ReviewError`]: it stands.
    pub async fn withdraw(
        &self,
        id: &HoldId,
        reviewer: &Reviewer,
        reason: &str,
    ) -> Result<Hold, ReviewError> {
        let who = Identity::from(reviewer.user());
        self.decide(id, reviewer, "approve", reason, |hold| {
            Ok((hold.withdraw(&who, now())?, HoldEvent::Withdrawn))
        })
        .await
    }

    /// Denies, in the reviewer's name, and with it every other pending hold of the same agent that asks for
    /// the same: one question has one answer. Those are given back too.
    ///
    /// # Errors
    /// [`ReviewError`]: nothing was decided.
    pub async fn deny(
        &self,
        id: &HoldId,
        reviewer: &Reviewer,
        reason: &str,
    ) -> Result<(Hold, Vec<Hold>), ReviewError> {
        // One word, and one moment: they count as one denial.
        let at = now();
        let denied = self.deny_one(id, reviewer, reason, at).await?;
        let mut twins = Vec::new();
        for twin in self.twins(&denied).await? {
            match self.deny_one(twin.id(), reviewer, reason, at).await {
                Ok(twin) => twins.push(twin),
                // Somebody has decided it meanwhile.
                Err(ReviewError::Hold(error)) => {
                    tracing::debug!(%error, hold = %twin.id(), "a twin")
                }
                Err(error) => return Err(error),
            }
        }
        Ok((denied, twins))
    }

    async fn deny_one(
        &self,
        id: &HoldId,
        reviewer: &Reviewer,
        reason: &str,
        at: Timestamp,
    ) -> Result<Hold, ReviewError> {
        let by = Identity::from(reviewer.user());
        self.decide(id, reviewer, "deny", reason, |hold| {
            let time = hold.summary().denial_seconds.map(Duration::from_secs);
            let time = time.unwrap_or(self.settings.denial_time);
            let until = at.saturating_add(time).unwrap_or(Timestamp::MAX);
            let denial = Denial::new(by.clone(), reason.to_owned(), at, until);
            Ok((hold.deny(denial)?, HoldEvent::Denied))
        })
        .await
    }

    /// Pending holds of the same agent that ask for the same as a denied one.
    async fn twins(&self, denied: &Hold) -> Result<Vec<Hold>, StoreError> {
        let asked = self.shown(denied.id()).await?.preview.asked;
        let pending = self.list(HoldFilter {
            states: vec![StateName::Pending],
            username: Some(denied.summary().user.username.clone()),
            namespace: Some(denied.summary().request.namespace.clone()),
            ..HoldFilter::default()
        });
        let mut twins = Vec::new();
        for hold in pending.await? {
            let shown = self.holds.shown(hold.id()).await?;
            if shown.is_some_and(|it| is_same_question(&asked, &it.preview.asked)) {
                twins.push(hold);
            }
        }
        Ok(twins)
    }

    /// Lifts a denial: what it was about may be asked again.
    ///
    /// # Errors
    /// [`ReviewError`]: it binds as before.
    pub async fn lift(
        &self,
        id: &HoldId,
        reviewer: &Reviewer,
        reason: &str,
    ) -> Result<Hold, ReviewError> {
        self.decide(id, reviewer, "deny", reason, |hold| {
            Ok((hold.rebind(None, now())?, HoldEvent::Lifted))
        })
        .await
    }

    /// Has a denial bind for `time` from now on, also where it was lifted or its time is over; at most for
    /// [`hold::DENIAL_TIME_MAX`].
    ///
    /// # Errors
    /// [`ReviewError`]: it binds as before.
    pub async fn extend(
        &self,
        id: &HoldId,
        reviewer: &Reviewer,
        reason: &str,
        time: Duration,
    ) -> Result<Hold, ReviewError> {
        self.decide(id, reviewer, "deny", reason, |hold| {
            let at = now();
            let until = at.saturating_add(time.min(DENIAL_TIME_MAX)).unwrap_or(Timestamp::MAX);
            Ok((hold.rebind(Some(until), at)?, HoldEvent::Extended))
        })
        .await
    }

    /// One hold that the reviewer may see, and what it shows: looked at again, where a connection waits on it.
    ///
    /// # Errors
    /// [`ReviewError::NotFound`], also for who may not even know that it exists.
    pub async fn show(
        &self,
        id: &HoldId,
        reviewer: &Reviewer,
    ) -> Result<(Hold, Shown, Option<Look>), ReviewError> {
        let Some(mut hold) = self.load(id).await? else {
            return Err(self.not_found(id, reviewer).await);
        };
        let namespace = &hold.summary().request.namespace;
        self.authorize(reviewer, "get", namespace, id.as_str()).await?;
        self.will_be_counted(&hold);
        let look = self.look(&hold).await;
        if look.is_some() {
            hold = self.load(id).await?.unwrap_or(hold);
        }
        Ok((hold, self.shown(id).await?, look))
    }

    /// What goes with a pending hold is counted anew when it is judged next: somebody looks at it.
    fn will_be_counted(&self, hold: &Hold) {
        let mut looked_at = self.looked_at.lock();
        if matches!(hold.state(), State::Pending { .. }) && looked_at.len() < LOOKED_AT_MAX {
            looked_at.insert(hold.id().clone());
        }
    }

    /// The denial that binds what an agent asks for, point by point: also what no rule holds was denied, if it asks
    /// for the same in another form.
    ///
    /// # Errors
    /// [`StoreError`]: it is not known, and nothing may be sent.
    pub async fn denial_of(
        &self,
        username: &str,
        asked: &BTreeSet<String>,
    ) -> Result<Option<Hold>, StoreError> {
        if asked.is_empty() {
            return Ok(None);
        }
        let now = now();
        let denied = HoldFilter {
            states: vec![StateName::Denied],
            username: Some(username.to_owned()),
            // Without a moment before it, nothing is too old.
            changed_since: now.checked_sub(DENIAL_TIME_MAX).ok(),
            ..HoldFilter::default()
        };
        for hold in self.list(denied).await? {
            let binds = hold.denial().is_some_and(|it| it.binds(now));
            if binds && is_same_question(asked, &self.shown(hold.id()).await?.preview.asked) {
                return Ok(Some(hold));
            }
        }
        Ok(None)
    }

    /// The newest open hold of the same request.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    pub async fn open_of(&self, request_digest: &str) -> Result<Option<HoldId>, StoreError> {
        let same = HoldFilter {
            request_digest: Some(request_digest.to_owned()),
            states: StateName::OPEN.to_vec(),
            limit: Some(1),
            ..HoldFilter::default()
        };
        Ok(self.list(same).await?.first().map(|hold| hold.id().clone()))
    }

    /// Whether somebody has looked at a hold since this was last asked: what they see next is to be what would
    /// happen then.
    pub fn was_looked_at(&self, id: &HoldId) -> bool {
        self.looked_at.lock().remove(id)
    }

    /// Other holds of the same object that are open or were changed within a day, newest first; the first of
    /// them. Who may see one may see the others.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    pub async fn of_same_object(&self, hold: &Hold) -> Result<Vec<Hold>, StoreError> {
        let filter = HoldFilter {
            namespace: Some(hold.summary().request.namespace.clone()),
            // Without a moment before it, nothing is too old.
            changed_since: now().checked_sub(OTHERS_TIME).ok(),
            ..HoldFilter::default()
        };
        // The newest of the namespace, as many as are in one page: whoever shows a hold waits for this.
        let mut others = self.holds.list(filter, None).await?.items;
        others.retain(|it| it.id() != hold.id() && it.object() == hold.object());
        others.truncate(OTHERS_MAX);
        Ok(others)
    }

    /// What a hold shows.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    pub async fn shown(&self, id: &HoldId) -> Result<Shown, StoreError> {
        let gone = || StoreError::Corrupt(format!("what hold `{id}` shows is gone"));
        self.holds.shown(id).await?.ok_or_else(gone)
    }

    /// Settles what was being sent by a replica that is dead, or by the process before this one: its
    /// outcome is unknown, and stays so. Returns how many there were.
    ///
    /// # Errors
    /// [`StoreError`]: serving must not begin.
    pub async fn recover(&self) -> Result<usize, StoreError> {
        let running = self.holds.take_over().await?;
        let lost = running.len();
        for hold in running {
            let why = "agent-shield stopped while the request was being sent".to_owned();
            let corrupt = |it: Unchanged| StoreError::Corrupt(it.to_string());
            let hold = hold.lose(why, now()).map_err(corrupt)?;
            self.change(hold, None, HoldEvent::Unknown, Vec::new()).await?;
        }
        Ok(lost)
    }

    /// Wakes who waits, expires what nobody decided in time, and tells other replicas that this one
    /// lives; until it is dropped.
    pub async fn run(&self) {
        let mut changes = self.holds.changes();
        let mut every = tokio::time::interval(EXPIRE_EVERY);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut round = 0_u32;
        loop {
            tokio::select! {
                id = changes.next() => self.wake(id.as_ref()),
                _ = every.tick() => {
                    self.expire().await;
                    round = round.wrapping_add(1);
                    if round.is_multiple_of(RENEW_EVERY) {
                        self.renew().await;
                    }
                }
            }
        }
    }

    async fn renew(&self) {
        if let Err(error) = self.holds.renew().await {
            tracing::warn!(%error, "other replicas may believe that this one is dead");
        }
        match self.recover().await {
            Ok(0) => {}
            Ok(holds) => tracing::warn!(holds, "requests of a dead replica have no known outcome"),
            Err(error) => tracing::warn!(%error, "holds of dead replicas could not be settled"),
        }
    }

    /// Expires all that nobody decided in time, page after page.
    pub async fn expire(&self) {
        loop {
            let due = match self.holds.due(now()).await {
                Ok(due) => due,
                Err(error) => {
                    tracing::warn!(%error, "overdue holds could not be looked for");
                    return;
                }
            };
            let mut is_done = true;
            for hold in due {
                match self.with_expiry(hold).await {
                    Ok(_) => is_done = false,
                    Err(error) => tracing::warn!(%error, "a hold could not be expired"),
                }
            }
            // What cannot be expired now is found again in a second.
            if is_done {
                return;
            }
        }
    }

    /// The hold, expired where its time is over.
    async fn with_expiry(&self, hold: Hold) -> Result<Hold, StoreError> {
        let id = hold.id().clone();
        let hold = match hold.expire(now()) {
            Ok(expired) => expired,
            Err(Unchanged { hold, .. }) => return Ok(*hold),
        };
        match self.change(hold, None, HoldEvent::Expired, Vec::new()).await {
            Err(StoreError::Conflict) => {
                let stored = self.holds.load(&id).await?;
                stored.ok_or_else(|| StoreError::Corrupt(format!("hold `{id}` is gone")))
            }
            Ok(hold) => {
                self.keep_for_its_agent(&hold).await;
                Ok(hold)
            }
            Err(error) => Err(error),
        }
    }

    /// Loads, decides and stores; where somebody else was first, decides anew on what they left.
    async fn decide(
        &self,
        id: &HoldId,
        reviewer: &Reviewer,
        verb: &str,
        reason: &str,
        decide: impl Fn(Hold) -> Result<(Hold, HoldEvent), Unchanged>,
    ) -> Result<Hold, ReviewError> {
        for _ in 0..DECIDE_TRIES {
            let hold = self.decidable(id, reviewer, verb).await?;
            let (hold, revoked) = self.without_agent_approvals(hold).await?;
            let (hold, event) = decide(hold)?;
            match self.change_by(hold, None, event, Some((reviewer, reason)), revoked).await {
                Err(StoreError::Conflict) => {}
                changed => return Ok(changed?),
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// Takes back the approvals of those who were seen as agents since they gave them.
    async fn without_agent_approvals(
        &self,
        mut hold: Hold,
    ) -> Result<(Hold, Vec<Entry>), StoreError> {
        let mut entries = Vec::new();
        for approval in hold.state().approvals().to_vec() {
            let reviewer = approval.reviewer().clone();
            if !self.ledger.is_agent(&reviewer.username).await? {
                continue;
            }
            let at = now();
            hold = match hold.withdraw(&reviewer, at) {
                Ok(hold) => {
                    let why = "it has sent requests as an agent since".to_owned();
                    let event = HoldEvent::Withdrawn;
                    entries.push(hold_entry(&hold, event, Some(reviewer), why, at));
                    hold
                }
                // It is past that: nothing can use the approval any more.
                Err(Unchanged { hold, .. }) => *hold,
            };
        }
        Ok((hold, entries))
    }

    async fn decidable(
        &self,
        id: &HoldId,
        reviewer: &Reviewer,
        verb: &str,
    ) -> Result<Hold, ReviewError> {
        let Some(hold) = self.load(id).await? else {
            return Err(self.not_found(id, reviewer).await);
        };
        Self::not_own(reviewer, &hold)?;
        let namespace = &hold.summary().request.namespace;
        self.authorize(reviewer, verb, namespace, id.as_str()).await?;
        Ok(hold)
    }

    async fn not_found(&self, id: &HoldId, reviewer: &Reviewer) -> ReviewError {
        let mut near = Vec::new();
        // Near matches are named only to who may list holds anyway.
        if self.authorize(reviewer, "list", "", "").await.is_ok() {
            let open = HoldFilter { states: StateName::OPEN.to_vec(), ..Default::default() };
            for hold in self.list(open).await.unwrap_or_default() {
                if similar(hold.id().as_str(), id.as_str()) {
                    near.push(hold.id().clone());
                }
            }
        }
        near.truncate(3);
        ReviewError::NotFound { id: id.clone(), near }
    }
}

/// A beginning of it, or at most two letters that differ.
fn similar(id: &str, typed: &str) -> bool {
    let differing = id.bytes().zip(typed.bytes()).filter(|(a, b)| a != b).count();
    (typed.len() >= 2 && id.starts_with(typed)) || (id.len() == typed.len() && differing <= 2)
}

/// The entry that tells what happened to a hold.
fn hold_entry(
    hold: &Hold,
    event: HoldEvent,
    reviewer: Option<Identity>,
    reason: String,
    time: Timestamp,
) -> Entry {
    let of = hold.summary();
    let digest = reviewer.as_ref().map(|_| of.digest.clone()).unwrap_or_default();
    let (mut reviewer, mut reason) = (reviewer, reason);
    if reviewer.is_none()
        && let Some(decided) = hold.decided_by()
    {
        // Whatever follows a decision happens in the reviewer's name.
        reviewer = Some(decided.reviewer.clone());
        decided.reason.clone_into(&mut reason);
    }
    // The call that runs may be another one than the call that was held first.
    let audit_id = hold.state().audit_id().unwrap_or(&of.audit_id);
    // What it would do now may be asked about by others.
    let rules = if event == HoldEvent::Drifted { of.rules.clone() } else { Vec::new() };
    let record = HoldRecord { id: of.id.to_string(), event, reviewer, reason, digest, rules };
    Entry { hold: Some(record), ..Entry::new(time, audit_id, Stage::Held) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_probably_meant() {
        let table = [
            ("k3mq7xzw", "k3", true),
            ("k3mq7xzw", "k3mq7xzv", true),
            ("k3mq7xzw", "k", false),
            ("k3mq7xzw", "zzzzzzzz", false),
        ];
        for (id, typed, want) in table {
            assert_eq!(similar(id, typed), want, "{typed}");
        }
        let found = meant(&[HoldId::parse("k3mq7xzw")]);
        assert_eq!(found, "; did you mean `k3mq7xzw`?");
    }
}
