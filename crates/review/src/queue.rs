//! The queue: holds in the store, and in memory only who waits on them.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hold::{Hold, HoldError, HoldFilter, HoldId, Holds, State, Verdict};
use jiff::Timestamp;
use ledger::{Entry, HoldEvent, HoldRecord, Identity, Ledger, Stage, StoreError};
use tokio::sync::watch;
use upstream::ControlClient;

use crate::{Reviewer, ReviewerError, freezes::Freezes};

/// Between two looks for holds that nobody decided in time.
const EXPIRE_EVERY: Duration = Duration::from_secs(1);
/// Reviewers who decide on one hold at the same moment take their turns; so many of them.
const DECIDE_TRIES: usize = 16;

/// Times and names that a deployment sets.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Undecided for so long, a hold is denied as expired.
    pub deadline: Duration,
    /// An approval that waits for its request is worth nothing after so long.
    pub grant_time: Duration,
    /// ServiceAccounts that may review all the same.
    pub reviewers_allowed: BTreeSet<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(30 * 60),
            grant_time: Duration::from_secs(10 * 60),
            reviewers_allowed: BTreeSet::new(),
        }
    }
}

/// The queue of holds.
pub struct Queue {
    pub(crate) holds: Arc<dyn Holds>,
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) own: ControlClient,
    pub(crate) settings: Settings,
    pub(crate) freezes: Freezes,
    waiting: Mutex<HashMap<HoldId, watch::Sender<()>>>,
}

/// Told of each change of one hold.
pub struct Waiter {
    changed: watch::Receiver<()>,
}

impl Waiter {
    /// Returns at the next change since this waiter was made or last told.
    ///
    /// # Cancel safety
    /// Safe: a change is not lost.
    pub async fn changed(&mut self) {
        if self.changed.changed().await.is_err() {
            // The sender goes when the hold is settled and told of; nothing further will come.
            std::future::pending::<()>().await;
        }
    }
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
    /// Nobody can have this name.
    #[error("give the name of a user, as the API server knows it, of at most 1024 bytes")]
    Username,
    /// It could not be stored, so it is not decided.
    #[error(transparent)]
    Store(#[from] StoreError),
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

/// The one clock of the review.
pub fn now() -> Timestamp {
    Timestamp::now()
}

impl Queue {
    /// A queue over a store; nobody waits yet.
    pub fn new(
        holds: Arc<dyn Holds>,
        ledger: Arc<dyn Ledger>,
        own: ControlClient,
        settings: Settings,
    ) -> Self {
        Self {
            holds,
            ledger,
            own,
            settings,
            freezes: Freezes::default(),
            waiting: Mutex::default(),
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

    /// Puts a request in the queue; when it returns, the hold survives a crash.
    ///
    /// # Errors
    /// [`StoreError`]: it is not in the queue, and must not be waited for.
    pub async fn insert(&self, hold: Hold, mut entries: Vec<Entry>) -> Result<(), StoreError> {
        entries.push(told(&hold, HoldEvent::Created, None, String::new(), hold.created_at));
        self.holds.insert(hold, entries).await
    }

    /// Waits on a hold.
    pub fn wait_on(&self, id: &HoldId) -> Waiter {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|_, sender| sender.receiver_count() > 0);
        let changed = waiting.entry(id.clone()).or_insert_with(|| watch::channel(()).0).subscribe();
        Waiter { changed }
    }

    /// How many connections wait on a hold now.
    pub fn waiting_on(&self, id: &HoldId) -> usize {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.get(id).map_or(0, watch::Sender::receiver_count)
    }

    /// One hold as it stands now.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    pub async fn load(&self, id: &HoldId) -> Result<Option<Hold>, StoreError> {
        match self.holds.load(id).await? {
            Some(hold) => self.timely(hold).await.map(Some),
            None => Ok(None),
        }
    }

    /// Holds that match, as they stand now, newest first.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    pub async fn list(&self, filter: HoldFilter) -> Result<Vec<Hold>, StoreError> {
        let states = filter.states.clone();
        let mut holds = Vec::new();
        for hold in self.holds.list(filter).await? {
            let hold = self.timely(hold).await?;
            if states.is_empty() || states.contains(&hold.state.name()) {
                holds.push(hold);
            }
        }
        Ok(holds)
    }

    /// Stores a hold in its next state with the entry that tells of it, then tells who waits.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where somebody changed it first; nothing was stored.
    pub async fn change(
        &self,
        mut hold: Hold,
        event: HoldEvent,
        by: Option<(&Reviewer, &str)>,
        mut entries: Vec<Entry>,
    ) -> Result<Hold, StoreError> {
        hold.changed_at = now();
        let (reviewer, reason) = match by {
            Some((reviewer, reason)) => (Some(Identity::from(reviewer.user())), reason.to_owned()),
            None => (None, String::new()),
        };
        entries.push(told(&hold, event, reviewer, reason, hold.changed_at));
        self.replace(hold, entries).await
    }

    /// Takes back the approvals of those who were seen as agents since they gave them; whether there
    /// were any, or somebody else changed the hold meanwhile. To be asked before approvals are used.
    ///
    /// # Errors
    /// [`StoreError`]: it is not known, and they must not be used.
    pub async fn strike(&self, mut hold: Hold) -> Result<bool, StoreError> {
        let struck = self.strike_agents(&mut hold).await?;
        if struck.is_empty() {
            return Ok(false);
        }
        hold.changed_at = now();
        match self.replace(hold, struck).await {
            Ok(_) | Err(StoreError::Conflict) => Ok(true),
            Err(error) => Err(error),
        }
    }

    async fn replace(&self, hold: Hold, entries: Vec<Entry>) -> Result<Hold, StoreError> {
        let hold = self.holds.replace(hold, entries).await?;
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = waiting.get(&hold.id) {
            sender.send_replace(());
        }
        drop(waiting);
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
        self.decide(id, reviewer, "approve", reason, |hold| {
            let at = now();
            let until = at + self.settings.grant_time;
            let verdict = self.verdict(reviewer, reason, at, digest);
            let (current, deadline) = (&hold.preview.digest, hold.deadline);
            let state =
                hold.state.clone().approve(verdict, &hold.quorum, current, deadline, until)?;
            let event = match state {
                State::Pending { .. } => HoldEvent::PartlyApproved,
                _ => HoldEvent::Approved,
            };
            Ok((state, event))
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
            let state = hold.state.clone().withdraw(&who, now(), hold.deadline)?;
            Ok((state, HoldEvent::Withdrawn))
        })
        .await
    }

    /// Denies, in the reviewer's name.
    ///
    /// # Errors
    /// [`ReviewError`]: nothing was decided.
    pub async fn deny(
        &self,
        id: &HoldId,
        reviewer: &Reviewer,
        reason: &str,
    ) -> Result<Hold, ReviewError> {
        self.decide(id, reviewer, "deny", reason, |hold| {
            let verdict = self.verdict(reviewer, reason, now(), &hold.preview.digest);
            Ok((hold.state.clone().deny(verdict, hold.deadline)?, HoldEvent::Denied))
        })
        .await
    }

    /// One hold that the reviewer may see.
    ///
    /// # Errors
    /// [`ReviewError::NotFound`], also for who may not even know that it exists.
    pub async fn show(&self, id: &HoldId, reviewer: &Reviewer) -> Result<Hold, ReviewError> {
        let Some(hold) = self.load(id).await? else {
            return Err(self.not_found(id, reviewer).await);
        };
        self.authorize(reviewer, "get", &hold.request.namespace, id.as_str()).await?;
        Ok(hold)
    }

    /// After a start: who was frozen is so still; whatever was being sent when the process ended is
    /// unknown, and stays so. Returns how many there were.
    ///
    /// # Errors
    /// [`StoreError`]: serving must not begin.
    pub async fn recover(&self) -> Result<usize, StoreError> {
        self.load_freezes().await?;
        let running =
            self.holds.list(HoldFilter { states: vec!["running"], ..Default::default() }).await?;
        let lost = running.len();
        for mut hold in running {
            let why = "agent-shield stopped while the request was being sent".to_owned();
            hold.state = hold
                .state
                .lose(why, now())
                .map_err(|error| StoreError::Corrupt(error.to_string()))?;
            self.change(hold, HoldEvent::Unknown, None, Vec::new()).await?;
        }
        Ok(lost)
    }

    /// Expires what nobody decided in time, until it is dropped.
    pub async fn run(&self) {
        loop {
            self.expire().await;
            tokio::time::sleep(EXPIRE_EVERY).await;
        }
    }

    async fn expire(&self) {
        let open = HoldFilter { states: vec!["pending", "approved"], ..Default::default() };
        if let Err(error) = self.list(open).await {
            tracing::warn!(%error, "holds could not be looked through for expired ones");
        }
    }

    async fn timely(&self, mut hold: Hold) -> Result<Hold, StoreError> {
        let state = hold.state.clone().at(now(), hold.deadline);
        if state == hold.state {
            return Ok(hold);
        }
        hold.state = state;
        let id = hold.id.clone();
        match self.change(hold, HoldEvent::Expired, None, Vec::new()).await {
            Err(StoreError::Conflict) => {
                let stored = self.holds.load(&id).await?;
                stored.ok_or_else(|| StoreError::Corrupt(format!("hold `{id}` is gone")))
            }
            changed => changed,
        }
    }

    /// Loads, decides and stores; where somebody else was first, decides anew on what they left.
    async fn decide(
        &self,
        id: &HoldId,
        reviewer: &Reviewer,
        verb: &str,
        reason: &str,
        decide: impl Fn(&Hold) -> Result<(State, HoldEvent), HoldError>,
    ) -> Result<Hold, ReviewError> {
        for _ in 0..DECIDE_TRIES {
            let mut hold = self.decidable(id, reviewer, verb).await?;
            let struck = self.strike_agents(&mut hold).await?;
            let (state, event) = decide(&hold)?;
            hold.state = state;
            match self.change(hold, event, Some((reviewer, reason)), struck).await {
                Err(StoreError::Conflict) => {}
                changed => return Ok(changed?),
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// Takes back the approvals of those who were seen as agents since they gave them.
    async fn strike_agents(&self, hold: &mut Hold) -> Result<Vec<Entry>, StoreError> {
        let mut entries = Vec::new();
        for Verdict { reviewer, .. } in hold.state.approvals().to_vec() {
            if !self.ledger.is_agent(&reviewer.username).await? {
                continue;
            }
            let at = now();
            if let Ok(state) = hold.state.clone().withdraw(&reviewer, at, hold.deadline) {
                hold.state = state;
                let why = "it has sent requests as an agent since".to_owned();
                entries.push(told(hold, HoldEvent::Withdrawn, Some(reviewer), why, at));
            }
        }
        Ok(entries)
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
        self.authorize(reviewer, verb, &hold.request.namespace, id.as_str()).await?;
        Ok(hold)
    }

    fn verdict(&self, reviewer: &Reviewer, reason: &str, at: Timestamp, digest: &str) -> Verdict {
        Verdict {
            reviewer: Identity::from(reviewer.user()),
            reason: reason.to_owned(),
            at,
            digest: digest.to_owned(),
        }
    }

    async fn not_found(&self, id: &HoldId, reviewer: &Reviewer) -> ReviewError {
        let mut near = Vec::new();
        // Near matches are named only to who may list holds anyway.
        if self.authorize(reviewer, "list", "", "").await.is_ok() {
            let open = HoldFilter { states: State::OPEN.to_vec(), ..Default::default() };
            for hold in self.holds.list(open).await.unwrap_or_default() {
                if similar(hold.id.as_str(), id.as_str()) {
                    near.push(hold.id);
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

fn told(
    hold: &Hold,
    event: HoldEvent,
    reviewer: Option<Identity>,
    reason: String,
    time: Timestamp,
) -> Entry {
    let digest = reviewer.as_ref().map(|_| hold.preview.digest.clone()).unwrap_or_default();
    let (mut reviewer, mut reason) = (reviewer, reason);
    if reviewer.is_none()
        && let Some(verdict) = hold.state.verdict()
    {
        // Whatever follows a verdict happens in the reviewer's name.
        reviewer = Some(verdict.reviewer.clone());
        reason.clone_from(&verdict.reason);
    }
    // The call that runs may be another one than the call that was held first.
    let audit_id = hold.state.audit_id().unwrap_or(&hold.audit_id);
    let record = HoldRecord { id: hold.id.to_string(), event, reviewer, reason, digest };
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
