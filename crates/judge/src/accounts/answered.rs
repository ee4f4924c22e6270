//! Accounts whom the API server refused all of the sample a moment ago.
//!
//! A chart makes many workloads of one account at once, and each would ask the same forty questions.
//! They are about what other authorizers than RBAC grant; RBAC's own rules are read each time.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The API server keeps a webhook's refusal for longer, 30 s unless it is told otherwise
/// (`--authorization-webhook-cache-unauthorized-ttl`).
const KEPT: Duration = Duration::from_secs(3);

/// Usernames, and when they were asked about.
#[derive(Default)]
pub(crate) struct Answered(Mutex<HashMap<String, Instant>>);

impl Answered {
    /// Whether all was refused that was asked a moment before `now`.
    pub(super) fn was_refused(&self, username: &str, now: Instant) -> bool {
        let asked = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(username).copied();
        asked.is_some_and(|asked| is_fresh(asked, now))
    }

    /// All was refused; it was asked from `asked` on. Others that are no longer fresh are forgotten.
    pub(super) fn refused(&self, username: &str, asked: Instant) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, before| is_fresh(*before, asked));
        all.insert(username.to_owned(), asked);
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
        answered.refused("b", start + KEPT);
        assert_eq!(answered.0.lock().expect("a map").len(), 1, "`a` is forgotten");
    }
}
