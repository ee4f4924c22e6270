//! What is decided, and the rules that decided it.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::Arc,
    time::Duration,
};

use attributes::Attributes;
use serde::Serialize;

use crate::document::Level;

/// A rule's name: kebab-case, stable, part of the ledger format. Rules of the built-in packs have
/// a name of their own, others stand after their policy's: `freeze/friday`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RuleName(pub Arc<str>);

impl From<&str> for RuleName {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl fmt::Display for RuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What policy says of one request, mildest first: the `max` of two decisions is the stricter.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Decision {
    /// Forward at once.
    Allow,
    /// Ask a person.
    Hold,
    /// Refuse, whoever would approve.
    Deny,
}

impl Decision {
    /// As in JSON and in policies.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Hold => "hold",
            Self::Deny => "deny",
        }
    }
}

/// How bad it is if a reviewer is wrong.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Severity {
    /// Easily put back.
    Low,
    /// Costs somebody's time.
    Medium,
    /// An outage.
    High,
    /// An outage that cannot be undone, or rights over everything.
    Critical,
}

impl Severity {
    /// As in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// The severity of this name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Low, Self::Medium, Self::High, Self::Critical]
            .into_iter()
            .find(|it| it.as_str() == name)
    }
}

impl From<Level> for Severity {
    fn from(level: Level) -> Self {
        match level {
            Level::Low => Self::Low,
            Level::Medium => Self::Medium,
            Level::High => Self::High,
            Level::Critical => Self::Critical,
        }
    }
}

/// Who must approve what a rule holds, beside what RBAC says.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reviewers {
    /// An approval counts where its reviewer is in one of these; empty, whoever may approve.
    pub groups: BTreeSet<String>,
    /// So many different people.
    pub count: u32,
    /// An approval says why.
    pub reason_required: bool,
}

impl fmt::Display for Reviewers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.count)?;
        if !self.groups.is_empty() {
            let groups: Vec<&str> = self.groups.iter().map(String::as_str).collect();
            write!(f, " of {}", groups.join(" or "))?;
        }
        f.write_str(if self.reason_required { ", with a reason" } else { "" })
    }
}

/// What a rule in shadow mode would have said, or what an exception took back.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Shadow {
    /// The rule.
    pub rule: RuleName,
    /// What it would have asked for.
    pub decision: Decision,
    /// Its reason.
    pub reason: String,
    /// The exception that took it back; empty for a rule in shadow mode.
    pub exception: String,
}

/// A decision with everything that asked for it. Its fields are private, so that what is allowed is
/// what a [`crate::Pack`] said, and nobody's assignment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PolicyDecision {
    pub(crate) decision: Decision,
    pub(crate) severity: Severity,
    pub(crate) asked: Vec<(RuleName, String)>,
    pub(crate) deadline: Option<Duration>,
    pub(crate) denial_time: Option<Duration>,
    pub(crate) reviewers: BTreeSet<Reviewers>,
    pub(crate) shadow: Vec<Shadow>,
    /// Method and target of what was decided; missing of a voice, and of what is only told.
    pub(crate) about: Option<Box<(String, String)>>,
}

/// That policy allows one request, by its method and target. Only [`PolicyDecision::allowed`] makes one.
#[derive(Debug)]
pub struct Allowed {
    method: String,
    target: String,
}

impl Allowed {
    /// The HTTP method that was decided on.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// Path and query that were decided on, as the agent sent them.
    pub fn target(&self) -> &str {
        &self.target
    }
}

impl PolicyDecision {
    /// Nobody asked for anything.
    pub(crate) fn allow() -> Self {
        Self {
            decision: Decision::Allow,
            severity: Severity::Low,
            asked: Vec::new(),
            deadline: None,
            denial_time: None,
            reviewers: BTreeSet::new(),
            shadow: Vec::new(),
            about: None,
        }
    }

    /// One rule's voice.
    pub(crate) fn of(
        decision: Decision,
        severity: Severity,
        rule: RuleName,
        reason: String,
    ) -> Self {
        Self { decision, severity, asked: vec![(rule, reason)], ..Self::allow() }
    }

    /// As the answer to one request.
    pub(crate) fn about(self, attributes: &Attributes) -> Self {
        let request = (attributes.method.clone(), attributes.target.clone());
        Self { about: Some(Box::new(request)), ..self }
    }

    /// The strictest of what was asked for.
    pub fn decision(&self) -> Decision {
        self.decision
    }

    /// The right that an allowing decision gives; `None` of any other.
    pub fn allowed(&self) -> Option<Allowed> {
        let (method, target) = self.about.as_deref()?.clone();
        (self.decision == Decision::Allow).then_some(Allowed { method, target })
    }

    /// How bad the worst of it is.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// Every rule that asked for this decision, with its reason; sorted.
    pub fn asked(&self) -> &[(RuleName, String)] {
        &self.asked
    }

    /// The shortest deadline that any of them gives.
    pub fn deadline(&self) -> Option<Duration> {
        self.deadline
    }

    /// The longest time that a denial binds, of those that any of them gives.
    pub fn denial_time(&self) -> Option<Duration> {
        self.denial_time
    }

    /// What each of them demands of those who approve, where it is more than one person; all of it
    /// counts.
    pub fn reviewers(&self) -> &BTreeSet<Reviewers> {
        &self.reviewers
    }

    /// What did not count; sorted.
    pub fn shadow(&self) -> &[Shadow] {
        &self.shadow
    }

    /// Joins voices, in whatever order: the stricter wins, and equals speak together.
    pub fn join(voices: impl IntoIterator<Item = Self>) -> Self {
        let mut joined = Self::allow();
        for mut voice in voices {
            joined.shadow.append(&mut voice.shadow);
            if voice.decision > joined.decision {
                voice.shadow = std::mem::take(&mut joined.shadow);
                joined = voice;
            } else if voice.decision == joined.decision {
                joined.severity = joined.severity.max(voice.severity);
                joined.asked.append(&mut voice.asked);
                joined.deadline = match (joined.deadline, voice.deadline) {
                    (Some(a), Some(b)) => Some(a.min(b)),
                    (a, b) => a.or(b),
                };
                joined.denial_time = joined.denial_time.max(voice.denial_time);
                joined.reviewers.append(&mut voice.reviewers);
            }
        }
        joined.asked.sort();
        joined.asked.dedup();
        joined.shadow.sort();
        joined.shadow.dedup();
        joined
    }

    /// How many different people must approve, at the least: one may speak for several rules.
    pub fn approvals_min(&self) -> u32 {
        match self.decision {
            Decision::Hold => self.reviewers.iter().map(|it| it.count).fold(1, u32::max),
            Decision::Allow | Decision::Deny => 0,
        }
    }

    /// Names of the rules, each once.
    pub fn rules(&self) -> Vec<String> {
        let mut names: Vec<String> = self.asked.iter().map(|(rule, _)| rule.to_string()).collect();
        names.dedup();
        names
    }

    /// Every reason once, in plain words, bounded for collections.
    pub fn reason(&self) -> String {
        joined(self.reasons().into_iter().map(|it| it.reason.to_owned()))
    }

    /// The same for those who see no rules beside it: a reason of several names them.
    pub fn reason_by_rules(&self) -> String {
        joined(self.reasons().into_iter().map(|Reason { reason, rules }| match rules.as_slice() {
            [] | [_] => reason.to_owned(),
            rules => format!("{reason} (rules {})", rules.join(", ")),
        }))
    }

    /// Every reason with the rules that give it: with a full stop at its end or without, it is the same.
    fn reasons(&self) -> Vec<Reason<'_>> {
        let mut reasons: Vec<Reason<'_>> = Vec::new();
        let mut places = HashMap::new();
        for (rule, reason) in &self.asked {
            let reason = reason.trim().trim_end_matches('.');
            let place = *places.entry(reason).or_insert(reasons.len());
            match reasons.get_mut(place) {
                // Sorted by rule: the same one stands beside itself.
                Some(it) if it.rules.last() == Some(&&*rule.0) => {}
                Some(it) => it.rules.push(&rule.0),
                None => reasons.push(Reason { reason, rules: vec![&rule.0] }),
            }
        }
        reasons
    }
}

/// One reason, and the rules that give it.
struct Reason<'a> {
    reason: &'a str,
    rules: Vec<&'a str>,
}

fn joined(reasons: impl Iterator<Item = String>) -> String {
    const REASONS_MAX: usize = 5;
    let reasons: Vec<String> = reasons.collect();
    let more = reasons.len().saturating_sub(REASONS_MAX);
    let shown = reasons.get(..REASONS_MAX).unwrap_or(&reasons).join("; ");
    if more == 0 { shown } else { format!("{shown}; and {more} more") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_reason_of_two_rules_is_said_once() {
        let voice = |rule: &str, reason: &str| {
            PolicyDecision::of(Decision::Hold, Severity::High, rule.into(), reason.to_owned())
        };
        let both = [voice("b", "deletes pod prod/db."), voice("a", "deletes pod prod/db")];
        let joined = PolicyDecision::join(both.clone());
        assert_eq!(joined.reason(), "deletes pod prod/db");
        assert_eq!(joined.reason_by_rules(), "deletes pod prod/db (rules a, b)");
        let joined = PolicyDecision::join(both.into_iter().chain([voice("c", "at night")]));
        assert_eq!(joined.reason_by_rules(), "deletes pod prod/db (rules a, b); at night");
        let one = PolicyDecision::join([voice("a", "x"), voice("a", "y"), voice("a", "x")]);
        assert_eq!(one.reason_by_rules(), "x; y");
    }

    fn verdict() -> impl Strategy<Value = PolicyDecision> {
        let decision =
            prop_oneof![Just(Decision::Allow), Just(Decision::Hold), Just(Decision::Deny)];
        let severity = prop_oneof![Just(Severity::Low), Just(Severity::High)];
        let rule = prop_oneof![Just("a"), Just("b"), Just("c")].prop_map(RuleName::from);
        let deadline = prop::option::of((1_u64..4).prop_map(Duration::from_secs));
        let reviewers = ("[a-c]", 1_u32..4, any::<bool>()).prop_map(|(group, count, reason)| {
            Reviewers { groups: [group].into(), count, reason_required: reason }
        });
        let denial_time = prop::option::of((1_u64..4).prop_map(Duration::from_secs));
        let demands = (deadline, denial_time, prop::collection::btree_set(reviewers, 0..2));
        (decision, severity, rule, "[xy]", demands).prop_map(
            |(decision, severity, rule, reason, (deadline, denial_time, reviewers))| match decision
            {
                Decision::Allow => PolicyDecision::allow(),
                decision => {
                    let voice = PolicyDecision::of(decision, severity, rule, reason);
                    PolicyDecision { deadline, denial_time, reviewers, ..voice }
                }
            },
        )
    }

    proptest! {
        #[test]
        fn order_never_matters_and_adding_never_loosens(
            verdicts in prop::collection::vec(verdict(), 0..8),
            added in verdict(),
        ) {
            let mut reversed = verdicts.clone();
            reversed.reverse();
            let joined = PolicyDecision::join(verdicts.clone());
            prop_assert_eq!(&PolicyDecision::join(reversed), &joined);
            let mut more = verdicts;
            more.push(added);
            let more = PolicyDecision::join(more);
            prop_assert!(more.decision >= joined.decision);
            if more.decision == joined.decision {
                prop_assert!(more.severity >= joined.severity);
                prop_assert!(more.denial_time >= joined.denial_time);
                prop_assert!(more.reviewers.is_superset(&joined.reviewers));
                prop_assert!(more.approvals_min() >= joined.approvals_min());
                let longest = Duration::MAX;
                prop_assert!(more.deadline.unwrap_or(longest) <= joined.deadline.unwrap_or(longest));
            }
        }
    }
}
