//! What a pack says of a request that was recorded, where the record has gaps.
//!
//! A string that was left out is no value, and whoever reads it has no answer: conditions are
//! evaluated with CEL's own logic of errors, where the side that decides, decides. What comes out is
//! therefore what would have come out of the request itself, or is told as not known.

use std::cell::RefCell;

use crate::{Decision, Input, Pack, RuleName, Step, Verdict, facts::Facts};

/// Stands in a recorded object, as the beginning of a string, for what was left out of it.
pub const NOT_RECORDED: &str = "[not recorded";

/// What of a request was not recorded.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Gaps {
    /// What else than [`NOT_RECORDED`] stands in objects for what nobody knows: the marks of
    /// redaction, where rules saw what is behind them.
    pub marks: Vec<&'static str>,
    /// Why none of its objects is known.
    pub objects: Option<String>,
    /// Why `diff` is not known.
    pub diff: Option<String>,
    /// Why `window` is not known.
    pub window: Option<String>,
    /// Why the labels of the namespace are not known.
    pub labels: Option<String>,
}

impl Gaps {
    /// Whether a string stands for what is not known.
    pub(crate) fn is_one(&self, text: &str) -> bool {
        text.contains(NOT_RECORDED) || self.marks.iter().any(|mark| text.contains(mark))
    }
}

/// A rule of which the record does not tell what it would have said.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unknown {
    /// The rule.
    pub rule: RuleName,
    /// The strictest that it may have asked for.
    pub strictest: Decision,
    /// What it reads that is not there.
    pub why: String,
}

/// What is known of a decision.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Replayed {
    /// What those rules say that have an answer.
    pub verdict: Verdict,
    /// The others, but for those in shadow mode.
    pub unknown: Vec<Unknown>,
}

impl Replayed {
    /// Rules that could make the decision a stricter one, if they had an answer.
    pub fn open(&self) -> impl Iterator<Item = &Unknown> {
        self.unknown.iter().filter(|it| it.strictest > self.verdict.decision)
    }
}

/// Gaps that are watched while one decision is made.
pub(crate) struct Watch<'a> {
    pub(crate) gaps: &'a Gaps,
    /// What was met since [`Watch::forget`].
    met: RefCell<Option<String>>,
    pub(crate) unknown: RefCell<Vec<Unknown>>,
}

impl Watch<'_> {
    pub(crate) fn forget(&self) {
        self.met.take();
    }

    pub(crate) fn met(&self) -> Option<String> {
        self.met.borrow().clone()
    }

    /// Remembers that something was read that is not there, and gives its words back.
    pub(crate) fn meet(&self, why: String) -> String {
        self.met.borrow_mut().get_or_insert_with(|| why.clone());
        why
    }
}

impl Pack {
    /// What the rules say of a recorded request, as far as the record tells.
    pub fn replay(&self, input: &Input<'_>, gaps: &Gaps) -> Replayed {
        watched(self, input, gaps, |facts| self.join(facts))
    }

    /// As [`Pack::replay`], and what every rule makes of it.
    pub fn explain_replay(&self, input: &Input<'_>, gaps: &Gaps) -> (Replayed, Vec<Step>) {
        let mut steps = Vec::new();
        let replayed = watched(self, input, gaps, |facts| {
            let trace = self.trace(facts);
            steps = trace.steps;
            trace.verdict
        });
        (replayed, steps)
    }
}

fn watched(
    pack: &Pack,
    input: &Input<'_>,
    gaps: &Gaps,
    judge: impl FnOnce(&Facts<'_>) -> Verdict,
) -> Replayed {
    let watch = Watch { gaps, met: RefCell::default(), unknown: RefCell::default() };
    let mut facts = Facts::new(input, pack);
    facts.watch = Some(&watch);
    let verdict = judge(&facts);
    Replayed { verdict, unknown: watch.unknown.take() }
}
