//! Pods that were let go lately, also those whose call is not in the ledger yet.

use effects::ObjectRef;
use jiff::Timestamp;

use crate::REPLACED_TIME_MAX;

/// When, of which owner, with which call.
#[derive(Debug, Default)]
pub(crate) struct Replaced(Vec<(Timestamp, ObjectRef, String)>);

impl Replaced {
    /// The other calls of one owner, and this one from now on.
    pub(crate) fn join(
        &mut self,
        owner: &ObjectRef,
        audit_id: &str,
        now: Timestamp,
    ) -> Vec<String> {
        self.0.retain(|(at, _, id)| {
            now.duration_since(*at).unsigned_abs() < REPLACED_TIME_MAX && id != audit_id
        });
        let same = self.0.iter().filter(|(_, of, _)| of == owner);
        let calls = same.map(|(_, _, id)| id.clone()).collect();
        self.0.push((now, owner.clone(), audit_id.to_owned()));
        calls
    }

    pub(crate) fn leave(&mut self, audit_id: &str) {
        self.0.retain(|(_, _, id)| id != audit_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_pods_of_one_replica_set_and_no_others() {
        let owner = |name: &str| ObjectRef { name: name.into(), ..ObjectRef::default() };
        let at = |minutes| Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_mins(minutes);
        let mut replaced = Replaced::default();
        assert_eq!(replaced.join(&owner("a"), "1", at(0)).len(), 0);
        assert_eq!(replaced.join(&owner("b"), "2", at(0)).len(), 0);
        assert_eq!(replaced.join(&owner("a"), "3", at(1)), ["1"]);
        // Looked at again: still the same call.
        assert_eq!(replaced.join(&owner("a"), "3", at(1)), ["1"]);
        replaced.leave("1");
        assert_eq!(replaced.join(&owner("a"), "4", at(2)), ["3"]);
        assert_eq!(replaced.join(&owner("a"), "5", at(30)).len(), 0, "ten minutes are over");
    }
}
