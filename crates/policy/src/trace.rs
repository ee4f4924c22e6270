//! Why a decision came out as it did: for `policy explain`.

use std::fmt;

use crate::{PolicyDecision, RuleName};

/// What one rule made of a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Step {
    /// The rule.
    pub rule: RuleName,
    /// What came of it.
    pub outcome: StepOutcome,
}

/// What came of showing one rule one request; as a text, for people: `asks: deletes deployment
/// prod/web`, `agents: it is about others`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum StepOutcome {
    /// It asks, for this reason.
    Asks(String),
    /// It has nothing to say, because of this part of it.
    Passes {
        /// Which part.
        part: RulePart,
        /// Why, in words.
        why: String,
    },
    /// It could not be evaluated, so it asks.
    Failed(String),
    /// What it reads of a recorded request was not recorded.
    Unknown(String),
}

/// A part of a rule, in the order in which a request meets them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "each is the field of its name in a policy")]
pub enum RulePart {
    Where,
    Agents,
    MatchConstraints,
    NamespaceSelector,
    /// What it reads of objects, before anybody has looked at them.
    Objects,
    Effects,
    ObjectSelector,
    MatchConditions,
    When,
}

impl RulePart {
    /// As policies spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Where => "where",
            Self::Agents => "agents",
            Self::MatchConstraints => "matchConstraints",
            Self::NamespaceSelector => "namespaceSelector",
            Self::Objects => "objects",
            Self::Effects => "effects",
            Self::ObjectSelector => "objectSelector",
            Self::MatchConditions => "matchConditions",
            Self::When => "when",
        }
    }
}

impl StepOutcome {
    /// Whether it asks for anything.
    pub fn asks(&self) -> bool {
        matches!(self, Self::Asks(_) | Self::Failed(_))
    }

    /// Whether the rule looked at the request itself before it had nothing to say.
    pub fn is_near(&self) -> bool {
        match self {
            Self::Passes { part, .. } => {
                matches!(part, RulePart::MatchConditions | RulePart::When)
            }
            Self::Unknown(_) => true,
            Self::Asks(_) | Self::Failed(_) => false,
        }
    }
}

impl fmt::Display for StepOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Asks(reason) => write!(f, "asks: {reason}"),
            Self::Passes { part, why } => write!(f, "{}: {why}", part.as_str()),
            Self::Failed(why) => write!(f, "could not be evaluated: {why}"),
            Self::Unknown(why) => write!(f, "not known: {why}"),
        }
    }
}

/// What every rule made of a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Trace {
    /// What came of it.
    pub verdict: PolicyDecision,
    /// Each rule in turn.
    pub steps: Vec<Step>,
}
