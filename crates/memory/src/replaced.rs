//! Pods that were let go lately, also those whose call is not in the ledger yet.

use effects::ObjectRef;
use jiff::Timestamp;

use crate::{PodsGoing, REPLACED_TIME_MAX};

#[derive(Debug, Default)]
pub(crate) struct Replaced(Vec<Gone>);

/// A pod that a call lets go.
#[derive(Debug)]
struct Gone {
    at: Timestamp,
    owner: ObjectRef,
    pod_uid: String,
    audit_id: String,
}

impl Replaced {
    /// What others let go, and this one from now on.
    pub(crate) fn join(
        &mut self,
        owner: &ObjectRef,
        pod_uid: &str,
        audit_id: &str,
        now: Timestamp,
    ) -> PodsGoing {
        self.0.retain(|it| {
            now.duration_since(it.at).unsigned_abs() < REPLACED_TIME_MAX && it.audit_id != audit_id
        });
        let same = self.0.iter().filter(|it| it.owner == *owner);
        let calls = same.map(|it| it.audit_id.clone()).collect();
        let beside = self.0.iter().filter(|it| it.owner.namespace == owner.namespace);
        let uids = beside.map(|it| it.pod_uid.clone()).collect();
        let (pod_uid, audit_id) = (pod_uid.to_owned(), audit_id.to_owned());
        self.0.push(Gone { at: now, owner: owner.clone(), pod_uid, audit_id });
        PodsGoing { calls, uids }
    }

    pub(crate) fn leave(&mut self, audit_id: &str) {
        self.0.retain(|it| it.audit_id != audit_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_pods_of_a_namespace_that_go() {
        let owner = |namespace: &str, name: &str| ObjectRef {
            namespace: namespace.into(),
            name: name.into(),
            ..ObjectRef::default()
        };
        let (mut replaced, at) = (Replaced::default(), Timestamp::UNIX_EPOCH);
        replaced.join(&owner("prod", "a"), "u1", "1", at);
        replaced.join(&owner("dev", "a"), "u2", "2", at);
        let going = replaced.join(&owner("prod", "b"), "u3", "3", at);
        assert_eq!((going.calls.len(), going.uids), (0, ["u1".to_owned()].into()));
    }

    #[test]
    fn counts_pods_of_one_replica_set_and_no_others() {
        let owner = |name: &str| ObjectRef { name: name.into(), ..ObjectRef::default() };
        let at = |minutes| Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_mins(minutes);
        let mut replaced = Replaced::default();
        assert_eq!(replaced.join(&owner("a"), "", "1", at(0)).calls.len(), 0);
        assert_eq!(replaced.join(&owner("b"), "", "2", at(0)).calls.len(), 0);
        assert_eq!(replaced.join(&owner("a"), "", "3", at(1)).calls, ["1"]);
        // Looked at again: still the same call.
        assert_eq!(replaced.join(&owner("a"), "", "3", at(1)).calls, ["1"]);
        replaced.leave("1");
        assert_eq!(replaced.join(&owner("a"), "", "4", at(2)).calls, ["3"]);
        assert_eq!(
            replaced.join(&owner("a"), "", "5", at(30)).calls.len(),
            0,
            "ten minutes are over"
        );
    }
}
