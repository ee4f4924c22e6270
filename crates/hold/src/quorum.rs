//! Whose approvals a hold needs, and which of them are missing.
//!
//! Each demand counts for itself, so that of several rules the strictest wins: one person may speak
//! for several demands, and never twice for one. An approval is of what was shown, by its digest; one
//! of anything else counts for nothing, wherever it is found.

use std::collections::BTreeSet;

use ledger::Identity;
use policy::Reviewers;

use crate::Approval;

/// What a hold needs before it may run. By default one approval, of anybody who may.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Quorum {
    /// All of them; never empty.
    reviewers: Vec<Demand>,
    /// An approval says why.
    reason_required: bool,
}

/// So many different people of some groups.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Demand {
    /// Sorted. An approval counts where its reviewer is in one of them; empty, whoever may approve.
    pub groups: Vec<String>,
    /// How many.
    pub count: u32,
}

impl Default for Quorum {
    fn default() -> Self {
        Self { reviewers: vec![Demand { groups: Vec::new(), count: 1 }], reason_required: false }
    }
}

impl Quorum {
    /// What all rules of a decision demand together.
    pub fn of(reviewers: &BTreeSet<Reviewers>) -> Self {
        let reason_required = reviewers.iter().any(|it| it.reason_required);
        let mut demands = reviewers.iter().map(Demand::from).collect::<Vec<_>>();
        demands.extend(Self::default().reviewers);
        let mut reviewers: Vec<Demand> = Vec::new();
        for demand in demands {
            if !reviewers.iter().any(|it| it.implies(&demand)) {
                reviewers.retain(|it| !demand.implies(it));
                reviewers.push(demand);
            }
        }
        Self { reviewers, reason_required }
    }

    /// A quorum as it was stored: for stores alone. One that demands nothing is never met.
    pub fn restore(reviewers: Vec<Demand>, reason_required: bool) -> Self {
        Self { reviewers, reason_required }
    }

    /// Every demand; of each its own approvals are needed.
    pub fn demands(&self) -> &[Demand] {
        &self.reviewers
    }

    /// Whether an approval says why.
    pub fn reason_required(&self) -> bool {
        self.reason_required
    }

    /// Whether these approvals of what has this digest are all that is needed. Rules may have changed
    /// since they were given: where a reason is required now, each must have one.
    pub fn is_met(&self, approvals: &[Approval], digest: &str) -> bool {
        let says_why = |it: &Approval| it.digest() != digest || it.has_reason();
        // What demands nothing was not stored by us, and lets nothing run.
        !self.reviewers.is_empty()
            && (!self.reason_required || approvals.iter().all(says_why))
            && self.reviewers.iter().all(|it| it.missing(approvals, digest) == 0)
    }

    /// Whether one more approval, of this reviewer, would count for something that is missing.
    pub(crate) fn needs(&self, reviewer: &Identity, approvals: &[Approval], digest: &str) -> bool {
        let mut demands = self.reviewers.iter();
        demands.any(|it| it.is_of(reviewer) && it.missing(approvals, digest) > 0)
    }

    /// What is missing, for people: `1 more approval by another member of dba`. Empty where nothing is.
    pub fn missing(&self, approvals: &[Approval], digest: &str) -> String {
        let words = self.reviewers.iter().filter_map(|demand| {
            let missing = demand.missing(approvals, digest);
            (missing > 0).then(|| demand.words(missing))
        });
        words.collect::<Vec<_>>().join(" and ")
    }
}

impl From<&Reviewers> for Demand {
    fn from(reviewers: &Reviewers) -> Self {
        Self { groups: reviewers.groups.iter().cloned().collect(), count: reviewers.count }
    }
}

impl Demand {
    /// How many approvals it still needs.
    pub fn missing(&self, approvals: &[Approval], digest: &str) -> u32 {
        let mut people: Vec<&Identity> = Vec::new();
        for approval in approvals.iter().filter(|it| it.digest() == digest) {
            let reviewer = approval.reviewer();
            if self.is_of(reviewer) && !people.iter().any(|it| is_same_person(it, reviewer)) {
                people.push(reviewer);
            }
        }
        self.count.saturating_sub(u32::try_from(people.len()).unwrap_or(u32::MAX))
    }

    /// Whether an approval of this reviewer counts. Groups are compared letter by letter, as RBAC does.
    fn is_of(&self, reviewer: &Identity) -> bool {
        self.groups.is_empty() || self.groups.iter().any(|it| reviewer.groups.contains(it))
    }

    /// Whether whatever meets this meets the other too.
    fn implies(&self, other: &Self) -> bool {
        let is_narrower = other.groups.is_empty()
            || !self.groups.is_empty() && self.groups.iter().all(|it| other.groups.contains(it));
        is_narrower && self.count >= other.count
    }

    fn words(&self, missing: u32) -> String {
        let (one, is_more) = (missing == 1, missing < self.count);
        let approvals = match (one, is_more) {
            (true, false) => "1 approval".to_owned(),
            (false, false) => format!("{missing} approvals"),
            (true, true) => "1 more approval".to_owned(),
            (false, true) => format!("{missing} more approvals"),
        };
        let by = match (self.groups.is_empty(), one, is_more) {
            (true, true, false) => return approvals,
            (true, true, true) => "another person",
            (true, false, false) => "different people",
            (true, false, true) => "other people",
            (false, true, false) => "a member of ",
            (false, true, true) => "another member of ",
            (false, false, false) => "different members of ",
            (false, false, true) => "other members of ",
        };
        format!("{approvals} by {by}{}", self.groups.join(" or "))
    }
}

/// Whether two identities may be one person: by username, also where an authenticator is careless of
/// its case, or by uid. Where it errs, one voice too few is counted.
pub fn is_same_person(one: &Identity, other: &Identity) -> bool {
    let name = |it: &Identity| it.username.trim().to_lowercase();
    name(one) == name(other) || !one.uid.is_empty() && one.uid == other.uid
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;

    fn demand(groups: &[&str], count: u32) -> Reviewers {
        let groups = groups.iter().map(|it| (*it).to_owned()).collect();
        Reviewers { groups, count, reason_required: false }
    }

    fn quorum(reviewers: &[Reviewers]) -> Quorum {
        Quorum::of(&reviewers.iter().cloned().collect())
    }

    fn approval(username: &str, groups: &[&str]) -> Approval {
        let groups = groups.iter().map(|it| (*it).to_owned()).collect();
        let reviewer = Identity { username: username.into(), groups, uid: String::new() };
        Approval::new(reviewer, String::new(), Timestamp::UNIX_EPOCH, "d".into())
    }

    #[test]
    fn an_approval_without_a_reason_is_worth_nothing_once_one_is_required() {
        let because = Reviewers { reason_required: true, ..demand(&[], 1) };
        let (before, since) = (quorum(&[demand(&[], 1)]), quorum(&[because]));
        let approval = approval("a", &["x"]);
        let saying = |reason: &str| {
            let (reviewer, at) = (approval.reviewer().clone(), approval.at());
            [Approval::new(reviewer, reason.into(), at, "d".into())]
        };
        assert!(before.is_met(&saying(""), "d"));
        assert!(!since.is_met(&saying(""), "d"));
        assert!(!since.is_met(&saying("  "), "d"));
        assert!(since.is_met(&saying("known"), "d"));
    }

    #[test]
    fn says_what_is_missing() {
        let dba = |count| demand(&["dba"], count);
        let table = [
            (vec![], vec![], "1 approval"),
            (vec![], vec![("a", "x")], ""),
            (vec![demand(&[], 2)], vec![], "2 approvals by different people"),
            (vec![demand(&[], 2)], vec![("a", "x")], "1 more approval by another person"),
            (vec![demand(&[], 3)], vec![("a", "x")], "2 more approvals by other people"),
            (vec![demand(&[], 2)], vec![("a", "x"), ("b", "x")], ""),
            (vec![dba(2)], vec![], "2 approvals by different members of dba"),
            (vec![dba(2)], vec![("a", "dba")], "1 more approval by another member of dba"),
            (vec![dba(3)], vec![("a", "dba")], "2 more approvals by other members of dba"),
            // One voice, whatever it calls itself.
            (
                vec![dba(2)],
                vec![("a", "dba"), ("a", "dba")],
                "1 more approval by another member of dba",
            ),
            (
                vec![dba(2)],
                vec![("a", "dba"), ("A ", "dba")],
                "1 more approval by another member of dba",
            ),
            // Groups are not usernames, and not written another way.
            (vec![dba(1)], vec![("dba", "sre")], "1 approval by a member of dba"),
            (vec![dba(1)], vec![("a", "DBA")], "1 approval by a member of dba"),
            (vec![dba(1)], vec![("a", "dba2")], "1 approval by a member of dba"),
            (vec![demand(&["sre", "dba"], 1)], vec![], "1 approval by a member of dba or sre"),
            // Each demand for itself, and one person for several.
            (
                vec![dba(2), demand(&["sre"], 1)],
                vec![("a", "dba")],
                "1 more approval by another member of dba and 1 approval by a member of sre",
            ),
            (vec![dba(2), demand(&["sre"], 1)], vec![("a", "dba,sre"), ("b", "dba")], ""),
            (
                vec![dba(1), demand(&[], 3)],
                vec![("a", "dba"), ("b", "dba")],
                "1 more approval by another person",
            ),
        ];
        for (demands, approvals, want) in table {
            let approvals: Vec<Approval> = approvals
                .iter()
                .map(|(name, groups)| approval(name, &groups.split(',').collect::<Vec<_>>()))
                .collect();
            let quorum = quorum(&demands);
            assert_eq!(quorum.missing(&approvals, "d"), want, "{demands:?} {approvals:?}");
            assert_eq!(quorum.is_met(&approvals, "d"), want.is_empty());
            assert!(!quorum.is_met(&approvals, "other"), "an approval of something else counted");
        }
    }

    #[test]
    fn one_uid_is_one_person() {
        let mut identities = ["alice", "oidc:alice"].map(|name| Identity {
            username: name.into(),
            uid: "u-1".into(),
            ..Identity::default()
        });
        let [one, other] = &identities;
        assert!(is_same_person(one, other));
        identities.iter_mut().for_each(|it| it.uid.clear());
        let [one, other] = &identities;
        assert!(!is_same_person(one, other));
    }

    #[test]
    fn what_another_demand_implies_is_left_out() {
        let words = |demands: &[Reviewers]| quorum(demands).missing(&[], "");
        let table = [
            (
                vec![demand(&["dba"], 1), demand(&["dba"], 2)],
                "2 approvals by different members of dba",
            ),
            (
                vec![demand(&["dba", "sre"], 1), demand(&["dba"], 1)],
                "1 approval by a member of dba",
            ),
            (vec![demand(&[], 1), demand(&["dba"], 1)], "1 approval by a member of dba"),
        ];
        for (demands, want) in table {
            assert_eq!(words(&demands), want, "{demands:?}");
        }
    }

    fn reviewers() -> impl Strategy<Value = Reviewers> {
        let groups = prop::collection::btree_set("[a-c]", 0..3);
        (groups, 1_u32..4).prop_map(|(groups, count)| Reviewers {
            groups,
            count,
            reason_required: false,
        })
    }

    fn approvals() -> impl Strategy<Value = Vec<Approval>> {
        let groups = prop::collection::btree_set("[a-c]", 0..3);
        let one = ("[p-tP]", groups).prop_map(|(name, groups)| {
            approval(&name, &groups.iter().map(String::as_str).collect::<Vec<_>>())
        });
        prop::collection::vec(one, 0..7)
    }

    proptest! {
        /// Counted by hand: of every rule, so many different usernames of its groups.
        #[test]
        fn is_met_where_every_rule_is(
            demands in prop::collection::vec(reviewers(), 0..4),
            approvals in approvals(),
        ) {
            let is_met = |demand: &Reviewers| {
                let counts = |it: &&Approval| {
                    demand.groups.is_empty()
                        || it.reviewer().groups.iter().any(|group| demand.groups.contains(group))
                };
                let people: BTreeSet<String> = approvals
                    .iter()
                    .filter(counts)
                    .map(|it| it.reviewer().username.to_lowercase())
                    .collect();
                people.len() >= demand.count as usize
            };
            let all = demands.iter().all(is_met) && !approvals.is_empty();
            prop_assert_eq!(quorum(&demands).is_met(&approvals, "d"), all);
        }
    }
}
