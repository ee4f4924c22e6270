//! Pods that were let go lately as their ReplicaSet replaces them: requests at the same moment count
//! each other, also those whose call is not in the ledger yet.

use std::time::{Duration, Instant};

use effects::ObjectRef;
use parking_lot::Mutex;

/// So long a pod counts.
pub(crate) const WINDOW: Duration = Duration::from_secs(10 * 60);

/// When, of which ReplicaSet, by which call.
#[derive(Default)]
pub(crate) struct Replaced(Mutex<Vec<(Instant, ObjectRef, String)>>);

impl Replaced {
    /// Those of one ReplicaSet, and this one from now on.
    pub(crate) fn join(&self, owner: &ObjectRef, audit_id: &str) -> Vec<String> {
        let mut lately = self.0.lock();
        lately.retain(|(at, _, id)| at.elapsed() < WINDOW && id != audit_id);
        let same = lately.iter().filter(|(_, of, _)| of == owner);
        let calls = same.map(|(_, _, id)| id.clone()).collect();
        lately.push((Instant::now(), owner.clone(), audit_id.to_owned()));
        calls
    }

    /// It is held: it does not go, or a person has agreed.
    pub(crate) fn leave(&self, audit_id: &str) {
        let mut lately = self.0.lock();
        lately.retain(|(_, _, id)| id != audit_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_pods_of_one_replica_set_and_no_others() {
        let owner = |name: &str| ObjectRef { name: name.into(), ..ObjectRef::default() };
        let replaced = Replaced::default();
        assert_eq!(replaced.join(&owner("a"), "1").len(), 0);
        assert_eq!(replaced.join(&owner("b"), "2").len(), 0);
        assert_eq!(replaced.join(&owner("a"), "3"), ["1"]);
        // Looked at again: still the same call.
        assert_eq!(replaced.join(&owner("a"), "3"), ["1"]);
        replaced.leave("1");
        assert_eq!(replaced.join(&owner("a"), "4"), ["3"]);
    }
}
