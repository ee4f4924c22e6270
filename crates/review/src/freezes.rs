//! Agents whose writes are refused at once and all together, in a reviewer's name.
//!
//! What is frozen is in the store, and a copy of it in memory, since every write asks. A freeze is in
//! force when the store has it; one that cannot be stored is not said to be.

use std::{collections::BTreeMap, sync::Arc};

use hold::Freeze;
use ledger::{Entry, Identity, RequestRecord, Stage, StoreError};
use tokio::sync::watch;

use crate::{Queue, Reviewer, queue::ReviewError, queue::now};

/// Longest name of a user that can be frozen, in bytes.
const USERNAME_BYTES_MAX: usize = 1_024;

type Frozen = Arc<BTreeMap<String, Freeze>>;

/// Those that are frozen now.
pub(crate) struct Freezes {
    now: watch::Sender<Frozen>,
    /// One change at a time, so that memory follows the store in its order.
    changing: tokio::sync::Mutex<()>,
}

impl Default for Freezes {
    fn default() -> Self {
        Self { now: watch::channel(Frozen::default()).0, changing: tokio::sync::Mutex::default() }
    }
}

impl Queue {
    /// Reads who is frozen; to be called before anybody is served.
    ///
    /// # Errors
    /// [`StoreError`]: serving must not begin.
    pub(crate) async fn load_freezes(&self) -> Result<(), StoreError> {
        let freezes = self.holds.freezes().await?;
        let freezes = freezes.into_iter().map(|it| (it.username.clone(), it)).collect();
        self.freezes.now.send_replace(Arc::new(freezes));
        Ok(())
    }

    /// The freeze that this user is under.
    pub fn frozen(&self, username: &str) -> Option<Freeze> {
        self.freezes.now.borrow().get(username).cloned()
    }

    /// Returns once this user is frozen.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn until_frozen(&self, username: &str) -> Freeze {
        let mut freezes = self.freezes.now.subscribe();
        loop {
            if let Some(freeze) = freezes.borrow_and_update().get(username).cloned() {
                return freeze;
            }
            // Not to be reached while there is a queue, which has the sender.
            if freezes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Everybody who is frozen, by name.
    ///
    /// # Errors
    /// [`ReviewError::Reviewer`] for who may not list.
    pub async fn freezes(&self, reviewer: &Reviewer) -> Result<Vec<Freeze>, ReviewError> {
        self.authorize(reviewer, "list", "", "").await?;
        Ok(self.freezes.now.borrow().values().cloned().collect())
    }

    /// Refuses all writes of an agent from now on, waiting ones too, and cuts its sessions. Whether it
    /// was ever seen as an agent comes back: a name with a slip of the pen freezes nobody.
    ///
    /// # Errors
    /// [`ReviewError`]: it is not frozen.
    pub async fn freeze(
        &self,
        username: &str,
        reviewer: &Reviewer,
        reason: &str,
    ) -> Result<(Freeze, bool), ReviewError> {
        self.authorize(reviewer, "freeze", "", "").await?;
        if username.trim().is_empty() || username.len() > USERNAME_BYTES_MAX {
            return Err(ReviewError::Username);
        }
        let freeze = Freeze {
            username: username.to_owned(),
            by: Identity::from(reviewer.user()),
            reason: reason.to_owned(),
            at: now(),
        };
        let entry = told(&freeze.username, "freeze", reviewer, reason);
        let _one = self.freezes.changing.lock().await;
        self.holds.freeze(freeze.clone(), vec![entry]).await?;
        self.freezes.now.send_modify(|frozen| {
            Arc::make_mut(frozen).insert(freeze.username.clone(), freeze.clone());
        });
        tracing::warn!(user = freeze.username, by = freeze.by.username, reason, "frozen");
        let is_known = self.ledger.is_agent(username).await?;
        Ok((freeze, is_known))
    }

    /// Lifts a freeze. Says whether there was one.
    ///
    /// # Errors
    /// [`ReviewError`]: nothing was lifted.
    pub async fn thaw(
        &self,
        username: &str,
        reviewer: &Reviewer,
        reason: &str,
    ) -> Result<bool, ReviewError> {
        self.authorize(reviewer, "freeze", "", "").await?;
        let _one = self.freezes.changing.lock().await;
        if self.frozen(username).is_none() {
            return Ok(false);
        }
        let entry = told(username, "thaw", reviewer, reason);
        self.holds.thaw(username, vec![entry]).await?;
        self.freezes.now.send_modify(|frozen| {
            Arc::make_mut(frozen).remove(username);
        });
        tracing::warn!(user = username, by = reviewer.user().username, reason, "thawed");
        Ok(true)
    }
}

/// The entry of it. It has no user: whoever stands there counts as an agent ever after, and the
/// reviewer is none.
fn told(username: &str, verb: &str, reviewer: &Reviewer, reason: &str) -> Entry {
    let by = &reviewer.user().username;
    let request = RequestRecord {
        verb: verb.to_owned(),
        api_group: "agent-shield.io".to_owned(),
        resource: "agents".to_owned(),
        name: username.to_owned(),
        ..RequestRecord::default()
    };
    let did = if verb == "freeze" { "froze" } else { "thawed" };
    let said = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    Entry {
        request: Some(request),
        note: Some(format!("{by} {did} it{said}")),
        ..Entry::new(now(), uuid::Uuid::new_v4().to_string(), Stage::ResponseComplete)
    }
}
