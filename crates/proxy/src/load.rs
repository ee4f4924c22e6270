//! How much each agent has under way: requests by credential, and bodies of everybody.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use upstream::RunAs;

/// Requests under way, by credential.
#[derive(Default)]
pub(crate) struct Loads {
    hasher: RandomState,
    by_agent: Mutex<HashMap<u64, Arc<AtomicUsize>>>,
}

/// A request under way; dropped, it is none any more.
pub(crate) struct Load(Arc<AtomicUsize>);

impl Drop for Load {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Loads {
    /// Counts one more request of a credential; `None` where it has `max` already. Who they are is
    /// not known yet, so it is the credential that counts: one that the API server does not know
    /// is answered by it and is gone at once.
    pub(crate) fn take(&self, run_as: &RunAs, max: usize) -> Option<Load> {
        let agent = match run_as {
            RunAs::Nobody => self.hasher.hash_one(0_u8),
            RunAs::Bearer(token) => self.hasher.hash_one(token),
            RunAs::Impersonated(user) => self.hasher.hash_one(&user.username),
        };
        let mut by_agent = self.by_agent.lock().unwrap_or_else(PoisonError::into_inner);
        if by_agent.len() > FORGET_AT {
            by_agent.retain(|_, count| count.load(Relaxed) > 0);
        }
        let count = Arc::clone(by_agent.entry(agent).or_default());
        // Counted under the lock, so that no count is forgotten between the two.
        let before = count.fetch_add(1, Relaxed);
        let load = Load(count);
        (before < max).then_some(load)
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
    use super::*;

    #[test]
    fn each_credential_has_its_own_count() {
        let loads = Loads::default();
        let bearer = |token: &str| RunAs::Bearer(token.to_owned());
        let first = loads.take(&bearer("a"), 2);
        let second = loads.take(&bearer("a"), 2);
        assert!(first.is_some() && second.is_some());
        assert!(loads.take(&bearer("a"), 2).is_none());
        assert!(loads.take(&bearer("a"), 2).is_none(), "a refused one does not count");
        assert!(loads.take(&bearer("b"), 2).is_some());
        assert!(loads.take(&RunAs::Nobody, 2).is_some());
        drop(first);
        assert!(loads.take(&bearer("a"), 2).is_some());
    }

    #[test]
    fn who_has_gone_is_forgotten() {
        let loads = Loads::default();
        let kept = loads.take(&RunAs::Nobody, 1);
        for n in 0..FORGET_AT + 1 {
            drop(loads.take(&RunAs::Bearer(n.to_string()), 1));
        }
        assert!(loads.by_agent.lock().expect("a lock").len() <= FORGET_AT + 1);
        assert!(kept.is_some() && loads.take(&RunAs::Nobody, 1).is_none(), "still counted");
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
