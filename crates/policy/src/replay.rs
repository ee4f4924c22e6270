//! What a pack says of a request that was recorded, where the record has gaps.
//!
//! A string that was left out is no value, and whoever reads it has no answer: conditions are
//! evaluated with CEL's own logic of errors, where the side that decides, decides. What comes out is
//! therefore what would have come out of the request itself, or is told as not known.

use crate::{
    Input, Pack, PolicyDecision, Step,
    facts::Facts,
    gaps::{GapTracker, Gaps, Unknown},
};

/// What is known of a decision.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Replayed {
    /// What those rules say that have an answer.
    pub verdict: PolicyDecision,
    /// The others, but for those in shadow mode.
    pub unknown: Vec<Unknown>,
}

impl Replayed {
    /// Of what no rule asks about.
    pub fn unasked() -> Self {
        Self { verdict: PolicyDecision::allow(), unknown: Vec::new() }
    }

    /// Rules that could make the decision a stricter one, if they had an answer.
    pub fn open(&self) -> impl Iterator<Item = &Unknown> {
        self.unknown.iter().filter(|it| it.strictest > self.verdict.decision)
    }
}

impl Pack {
    /// What the rules say of a recorded request, as far as the record tells.
    pub fn replay(&self, input: &Input<'_>, gaps: &Gaps) -> Replayed {
        with_gaps(self, input, gaps, |facts| self.join(facts))
    }

    /// As [`Pack::replay`], and what every rule makes of it.
    pub fn explain_replay(&self, input: &Input<'_>, gaps: &Gaps) -> (Replayed, Vec<Step>) {
        let mut steps = Vec::new();
        let replayed = with_gaps(self, input, gaps, |facts| {
            let trace = self.trace(facts);
            steps = trace.steps;
            trace.verdict
        });
        (replayed, steps)
    }
}

fn with_gaps(
    pack: &Pack,
    input: &Input<'_>,
    gaps: &Gaps,
    judge: impl FnOnce(&Facts<'_>) -> PolicyDecision,
) -> Replayed {
    let tracker = GapTracker::new(gaps);
    let mut facts = Facts::new(input, &pack.guarded);
    facts.gaps = Some(&tracker);
    let verdict = judge(&facts);
    Replayed { verdict, unknown: tracker.unknown.take() }
}
