//! How much each agent has under way: requests by credential, and bodies of everybody.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use parking_lot::Mutex;
use upstream::RunAs;

/// Requests under way, by credential.
#[derive(Default)]
pub(crate) struct RequestsInFlight {
    hasher: RandomState,
    by_agent: Mutex<HashMap<u64, InFlight>>,
}

/// The requests of one credential; connections keep it from one request to the next.
#[derive(Clone, Default)]
pub(crate) struct InFlight(Arc<AtomicUsize>);

/// A request under way; dropped, it is none any more.
pub(crate) struct RequestGuard(Arc<AtomicUsize>);

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl RequestsInFlight {
    /// The requests of a credential. Who they are is not known yet, so it is the credential that
    /// counts: one that the API server does not know is answered by it and is gone at once.
    pub(crate) fn of(&self, run_as: &RunAs) -> InFlight {
        let agent = match run_as {
            RunAs::Nobody => self.hasher.hash_one(0_u8),
            RunAs::Bearer(bearer) => self.hasher.hash_one(bearer.token()),
            RunAs::Impersonated(user) => self.hasher.hash_one(&user.username),
        };
        let mut by_agent = self.by_agent.lock();
        if by_agent.len() > FORGET_AT {
            // A counter that a request or a connection still holds goes on counting.
            by_agent.retain(|_, agent| Arc::strong_count(&agent.0) > 1);
        }
        by_agent.entry(agent).or_default().clone()
    }
}

impl InFlight {
    /// Counts one more request; `None` where there are `max` already.
    pub(crate) fn take(&self, max: usize) -> Option<RequestGuard> {
        let before = self.0.fetch_add(1, Relaxed);
        let guard = RequestGuard(Arc::clone(&self.0));
        (before < max).then_some(guard)
    }
}

/// Credentials that are known at a time; those without a request are forgotten then.
const FORGET_AT: usize = 4_096;

/// Bytes of bodies that are in memory.
#[derive(Clone, Default)]
pub(crate) struct Bodies(Arc<AtomicUsize>);

/// Some bytes of a body; dropped, they are gone.
pub(crate) struct Taken {
    bodies: Bodies,
    bytes: usize,
}

impl Bodies {
    /// Nothing yet.
    pub(crate) fn taken(&self) -> Taken {
        Taken { bodies: self.clone(), bytes: 0 }
    }
}

impl Taken {
    /// Counts some more bytes; false where all of them together would be more than `max`.
    pub(crate) fn more(&mut self, bytes: usize, max: usize) -> bool {
        let before = self.bodies.0.fetch_add(bytes, Relaxed);
        self.bytes += bytes;
        before.saturating_add(bytes) <= max
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.bodies.0.fetch_sub(self.bytes, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use upstream::Bearer;

    use super::*;

    fn bearer(token: &str) -> RunAs {
        RunAs::Bearer(Bearer::new(token).expect("a token"))
    }

    #[test]
    fn each_credential_has_its_own_count() {
        let in_flight = RequestsInFlight::default();
        let first = in_flight.of(&bearer("a")).take(2);
        let second = in_flight.of(&bearer("a")).take(2);
        assert!(first.is_some() && second.is_some());
        assert!(in_flight.of(&bearer("a")).take(2).is_none());
        assert!(in_flight.of(&bearer("a")).take(2).is_none(), "a refused one does not count");
        assert!(in_flight.of(&bearer("b")).take(2).is_some());
        assert!(in_flight.of(&RunAs::Nobody).take(2).is_some());
        drop(first);
        assert!(in_flight.of(&bearer("a")).take(2).is_some());
    }

    #[test]
    fn who_has_gone_is_forgotten() {
        let in_flight = RequestsInFlight::default();
        let kept = in_flight.of(&RunAs::Nobody).take(1);
        for n in 0..FORGET_AT + 1 {
            drop(in_flight.of(&bearer(&n.to_string())).take(1));
        }
        assert!(in_flight.by_agent.lock().len() <= FORGET_AT + 1);
        assert!(kept.is_some() && in_flight.of(&RunAs::Nobody).take(1).is_none(), "still counted");
    }

    #[test]
    fn bodies_share_one_bound() {
        let bodies = Bodies::default();
        let (mut one, mut other) = (bodies.taken(), bodies.taken());
        assert!(one.more(6, 10));
        assert!(!other.more(6, 10));
        drop(one);
        drop(other);
        assert!(bodies.taken().more(10, 10));
    }
}
