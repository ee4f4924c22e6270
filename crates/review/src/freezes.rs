//! Agents whose writes are refused at once and all together, in a reviewer's name.
//!
//! What is frozen is in the store, which every write asks, on whichever replica. A freeze is in force when
//! the store has it; one that cannot be stored is not said to be.

use std::time::Duration;

use hold::Freeze;
use ledger::{ACTS, ActRecord, Entry, Identity, RequestRecord, Stage, StoreError};

use crate::{Queue, Reviewer, queue::ReviewError, queue::now};

/// Where the store cannot tell who is frozen, it is asked again so soon.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// Longest name of a user that can be frozen, in bytes.
const USERNAME_BYTES_MAX: usize = 1_024;

/// What came of a freeze.
#[derive(Clone, Debug)]
pub struct Frozen {
    /// As it is in force.
    pub freeze: Freeze,
    /// Whether its agent was ever seen.
    pub is_known: bool,
    /// Whether it was frozen before.
    pub was_frozen: bool,
}

impl Queue {
    /// The freeze that this user is under.
    ///
    /// # Errors
    /// [`StoreError`] where that is not known: nothing of theirs may be sent.
    pub async fn frozen(&self, username: &str) -> Result<Option<Freeze>, StoreError> {
        self.freezes.frozen(username).await
    }

    /// Returns once this user is frozen, by any replica.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn until_frozen(&self, username: &str) -> Freeze {
        // Listens before it asks, so that no freeze falls between the two.
        let mut changes = self.freezes.changes();
        loop {
            match self.freezes.frozen(username).await {
                Ok(Some(freeze)) => return freeze,
                Ok(None) => while changes.next().await.is_some_and(|it| it != username) {},
                Err(error) => {
                    tracing::warn!(%error, "who is frozen is not known");
                    tokio::time::sleep(ASK_AGAIN).await;
                }
            }
        }
    }

    /// Everybody who is frozen, by name.
    ///
    /// # Errors
    /// [`ReviewError::Reviewer`] for who may not list.
    pub async fn freezes(&self, reviewer: &Reviewer) -> Result<Vec<Freeze>, ReviewError> {
        self.authorize(reviewer, "list", "", "").await?;
        Ok(self.freezes.all().await?)
    }

    /// The same, for who may list already.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    pub async fn all_freezes(&self) -> Result<Vec<Freeze>, StoreError> {
        self.freezes.all().await
    }

    /// Refuses all writes of an agent from now on, waiting ones too, and cuts its sessions. Only with `unseen` one
    /// that was never seen as an agent: a name with a slip of the pen freezes nobody. Who is frozen already stays
    /// so since when they are; without a reason, with the one that was given.
    ///
    /// # Errors
    /// [`ReviewError`]: it is not frozen, or not for this reason.
    pub async fn freeze(
        &self,
        username: &str,
        reviewer: &Reviewer,
        reason: &str,
        unseen: bool,
    ) -> Result<Frozen, ReviewError> {
        self.authorize(reviewer, "freeze", "", "").await?;
        if username.trim().is_empty() || username.len() > USERNAME_BYTES_MAX {
            return Err(ReviewError::Username);
        }
        let (earlier, is_known) =
            (self.freezes.frozen(username).await?, self.ledger.is_agent(username).await?);
        let was_frozen = earlier.is_some();
        if !is_known && !unseen && !was_frozen {
            return Err(ReviewError::NeverSeen(username.to_owned()));
        }
        let at = match earlier {
            Some(freeze) if reason.is_empty() => {
                return Ok(Frozen { freeze, is_known, was_frozen });
            }
            Some(freeze) => freeze.at,
            None => now(),
        };
        let freeze = Freeze {
            username: username.to_owned(),
            by: Identity::from(reviewer.user()),
            reason: reason.to_owned(),
            at,
        };
        let entry = entry_of(&freeze.username, "freeze", reviewer, reason);
        self.freezes.freeze(freeze.clone(), vec![entry]).await?;
        tracing::warn!(user = freeze.username, by = freeze.by.username, reason, "frozen");
        Ok(Frozen { freeze, is_known, was_frozen })
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
        let entry = entry_of(username, "thaw", reviewer, reason);
        if !self.freezes.thaw(username, vec![entry]).await? {
            return Ok(false);
        }
        tracing::warn!(user = username, by = reviewer.user().username, reason, "thawed");
        Ok(true)
    }
}

/// The entry of what was done to an agent. It has no user: whoever stands there counts as an agent ever after, and the
/// reviewer is none.
pub(crate) fn entry_of(username: &str, verb: &str, reviewer: &Reviewer, reason: &str) -> Entry {
    let request = RequestRecord {
        verb: verb.to_owned(),
        api_group: ACTS.0.to_owned(),
        resource: ACTS.1.to_owned(),
        name: username.to_owned(),
        ..RequestRecord::default()
    };
    let act = ActRecord { reviewer: Identity::from(reviewer.user()), reason: reason.to_owned() };
    Entry {
        request: Some(request),
        act: Some(act),
        ..Entry::new(now(), uuid::Uuid::new_v4().to_string(), Stage::ResponseComplete)
    }
}
