//! Accounts whom the API server refused all of the sample a moment ago.
//!
//! A chart makes many workloads of one account at once, and each would ask the same forty questions.
//! They are about what other authorizers than RBAC grant; RBAC's own rules are read each time.

use std::time::{Duration, Instant};

use moka::sync::Cache;

/// The API server keeps a webhook's refusal for longer, 30 s unless it is told otherwise
/// (`--authorization-webhook-cache-unauthorized-ttl`).
const KEPT: Duration = Duration::from_secs(3);

/// Accounts that are remembered at a time.
const ACCOUNTS_MAX: u64 = 10_000;

/// Usernames, and when they were asked about.
pub(super) struct Answered(Cache<String, Instant>);

impl Default for Answered {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(ACCOUNTS_MAX).time_to_live(KEPT).build())
    }
}

impl Answered {
    /// Whether all was refused that was asked a moment before `now`.
    pub(super) fn was_refused(&self, username: &str, now: Instant) -> bool {
        // The cache counts from the last answer; what matters is when the questions were asked.
        self.0.get(username).is_some_and(|asked| is_fresh(asked, now))
    }

    /// All was refused; it was asked from `asked` on.
    pub(super) fn refused(&self, username: &str, asked: Instant) {
        self.0.insert(username.to_owned(), asked);
    }
}

fn is_fresh(asked: Instant, now: Instant) -> bool {
    now.saturating_duration_since(asked) < KEPT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgets_a_refusal_soon() {
        let (answered, start) = (Answered::default(), Instant::now());
        assert!(!answered.was_refused("a", start));
        answered.refused("a", start);
        assert!(answered.was_refused("a", start + Duration::from_millis(2_999)));
        assert!(!answered.was_refused("a", start + KEPT));
        assert!(!answered.was_refused("b", start));
        let policy = answered.0.policy();
        assert_eq!(policy.time_to_live(), Some(KEPT), "`a` leaves the memory too");
        assert_eq!(policy.max_capacity(), Some(ACCOUNTS_MAX));
    }
}
