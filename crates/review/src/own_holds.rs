//! What an agent may do with holds of its own: learn where they stand, and give them up.

use std::time::Duration;

use hold::{Answer, Hold, HoldId};
use ledger::{HoldEvent, Identity, StoreError};

use crate::queue::{DECIDE_TRIES, Queue, ReviewError, now};

/// An agent that comes again within this time is told that its request expired.
const TOLD_TIME: Duration = Duration::from_secs(60 * 60);

impl Queue {
    /// A hold of this agent.
    ///
    /// # Errors
    /// [`ReviewError::NotFound`] where it has none of this id: whether another has is not said.
    pub async fn own(&self, id: &HoldId, agent: &Identity) -> Result<Hold, ReviewError> {
        let is_own = |hold: &Hold| {
            let user = &hold.summary().user;
            (&user.username, &user.uid) == (&agent.username, &agent.uid)
        };
        let found = self.load(id).await?.filter(is_own);
        found.ok_or_else(|| ReviewError::NotFound { id: id.clone(), near: Vec::new() })
    }

    /// Gives up a request that has not run, in its agent's name.
    ///
    /// # Errors
    /// [`ReviewError::NotFound`] where it has no such hold; [`ReviewError::Hold`] where it is settled or runs.
    pub async fn cancel(&self, id: &HoldId, agent: &Identity) -> Result<Hold, ReviewError> {
        for _ in 0..DECIDE_TRIES {
            let hold = self.own(id, agent).await?;
            match self.change(hold.cancel(now())?, None, HoldEvent::Cancelled, Vec::new()).await {
                Err(StoreError::Conflict) => {}
                changed => return Ok(changed?),
            }
        }
        Err(StoreError::Conflict.into())
    }

    /// An agent whose connection has ended learns that its request expired when it comes again, before it is
    /// asked anew.
    pub(crate) async fn keep_for_its_agent(&self, expired: &Hold) {
        let id = expired.id();
        let told = Answer { code: 403, headers: Vec::new(), body: Default::default() };
        let kept = match self.waiting(std::slice::from_ref(id)).await.as_deref() {
            Ok([0]) => self.holds().keep_answer(id, told, TOLD_TIME).await,
            Ok(_) => Ok(()),
            Err(error) => Err(error.clone()),
        };
        if let Err(error) = kept {
            tracing::warn!(%error, hold = %id, "its agent will not learn that it expired");
        }
    }
}
