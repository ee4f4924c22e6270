//! Who was seen as an agent, and so cannot review; and who is cleared of that.

use ledger::{Call, Filter};

use crate::{Queue, Reviewer, freezes::entry_of, queue::ReviewError};

impl Queue {
    /// Everybody who was seen as an agent, with their last call.
    ///
    /// # Errors
    /// [`ReviewError::Reviewer`] for who may not list everywhere.
    pub async fn agents_seen(
        &self,
        reviewer: &Reviewer,
    ) -> Result<Vec<(String, Option<Call>)>, ReviewError> {
        self.authorize(reviewer, "list", "", "").await?;
        let mut seen = Vec::new();
        for username in self.ledger.agents().await? {
            let filter =
                Filter { username: Some(username.clone()), limit: Some(1), ..Filter::default() };
            let last = self.ledger.calls(filter).await?.items.pop();
            seen.push((username, last));
        }
        Ok(seen)
    }

    /// Has somebody not count as an agent any more, who sent a request to the agents' side by mistake; whether
    /// they did. A right of its own (`clear`), as whoever was cleared may review. Never a ServiceAccount: those
    /// are what agents are made as.
    ///
    /// # Errors
    /// [`ReviewError`]: they count as before.
    pub async fn clear_agent(
        &self,
        username: &str,
        reviewer: &Reviewer,
        reason: &str,
    ) -> Result<bool, ReviewError> {
        self.authorize(reviewer, "clear", "", "").await?;
        if username.starts_with("system:") {
            return Err(ReviewError::NeverCleared(username.to_owned()));
        }
        let entry = entry_of(username, "clear", reviewer, reason);
        let cleared = self.ledger.clear_agent(username, vec![entry]).await?;
        if cleared {
            tracing::warn!(user = username, by = reviewer.user().username, reason, "cleared");
        }
        Ok(cleared)
    }
}
