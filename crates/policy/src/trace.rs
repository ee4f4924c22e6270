//! Why a decision came out as it did: for `policy explain`.

use crate::{RuleName, Verdict};

/// What one rule made of a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Step {
    /// The rule.
    pub rule: RuleName,
    /// For people: `asks: deletes deployment prod/web`, `agents: not alice`.
    pub outcome: String,
    /// Whether it asked for anything.
    pub asked: bool,
}

/// What every rule made of a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Trace {
    /// What came of it.
    pub verdict: Verdict,
    /// Each rule in turn.
    pub steps: Vec<Step>,
}
