//! What is decided, and the rules that decided it.

use std::fmt;

use crate::Severity;

/// A rule's name: kebab-case, stable, part of the ledger format.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RuleName(pub &'static str);

impl fmt::Display for RuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// What policy says of one request, mildest first: the `max` of two decisions is the stricter.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Decision {
    /// Forward at once.
    Allow,
    /// Ask a person.
    Hold,
    /// Refuse, whoever would approve.
    Deny,
}

/// A decision with everything that asked for it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Verdict {
    /// The strictest of what was asked for.
    pub decision: Decision,
    /// How bad the worst of it is.
    pub severity: Severity,
    /// Every rule that asked for this decision, with its reason; sorted.
    pub asked: Vec<(RuleName, String)>,
}

impl Verdict {
    /// Nobody asked for anything.
    pub fn allow() -> Self {
        Self { decision: Decision::Allow, severity: Severity::Low, asked: Vec::new() }
    }

    /// One rule's voice.
    pub fn of(decision: Decision, severity: Severity, rule: RuleName, reason: String) -> Self {
        Self { decision, severity, asked: vec![(rule, reason)] }
    }

    /// Joins two voices, in whatever order: the stricter wins, and equals speak together.
    #[must_use]
    pub fn join(mut self, mut other: Self) -> Self {
        if other.decision > self.decision {
            std::mem::swap(&mut self, &mut other);
        }
        if other.decision == self.decision {
            self.severity = self.severity.max(other.severity);
            self.asked.append(&mut other.asked);
            self.asked.sort();
            self.asked.dedup();
        }
        self
    }

    /// Names of the rules, each once.
    pub fn rules(&self) -> Vec<String> {
        let mut names: Vec<String> = self.asked.iter().map(|(rule, _)| rule.to_string()).collect();
        names.dedup();
        names
    }

    /// Every reason, in plain words, bounded for collections.
    pub fn reason(&self) -> String {
        const REASONS_MAX: usize = 5;
        let mut reasons: Vec<&str> = Vec::new();
        for (_, reason) in &self.asked {
            if !reasons.contains(&reason.as_str()) {
                reasons.push(reason);
            }
        }
        let more = reasons.len().saturating_sub(REASONS_MAX);
        let shown = reasons.get(..REASONS_MAX).unwrap_or(&reasons).join("; ");
        if more == 0 { shown } else { format!("{shown}; and {more} more") }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn verdict() -> impl Strategy<Value = Verdict> {
        let decision =
            prop_oneof![Just(Decision::Allow), Just(Decision::Hold), Just(Decision::Deny)];
        let severity = prop_oneof![Just(Severity::Low), Just(Severity::High)];
        let rule = prop_oneof![Just(RuleName("a")), Just(RuleName("b")), Just(RuleName("c"))];
        (decision, severity, rule, "[xy]").prop_map(|(decision, severity, rule, reason)| {
            match decision {
                Decision::Allow => Verdict::allow(),
                decision => Verdict::of(decision, severity, rule, reason),
            }
        })
    }

    proptest! {
        #[test]
        fn order_never_matters_and_adding_never_loosens(
            verdicts in prop::collection::vec(verdict(), 0..8),
            added in verdict(),
        ) {
            let join = |verdicts: Vec<Verdict>| {
                verdicts.into_iter().fold(Verdict::allow(), Verdict::join)
            };
            let mut reversed = verdicts.clone();
            reversed.reverse();
            let joined = join(verdicts.clone());
            prop_assert_eq!(&join(reversed), &joined);
            let mut more = verdicts;
            more.push(added);
            prop_assert!(join(more).decision >= joined.decision);
        }
    }
}
