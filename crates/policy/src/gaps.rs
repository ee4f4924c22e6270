//! What of a recorded request was left out, and whether a decision came to read it.

use std::cell::RefCell;

use crate::{Decision, RuleName};

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

/// Gaps that are watched while one decision is made.
pub(crate) struct GapTracker<'a> {
    pub(crate) gaps: &'a Gaps,
    /// What was met since [`GapTracker::forget`].
    met: RefCell<Option<String>>,
    pub(crate) unknown: RefCell<Vec<Unknown>>,
}

impl<'a> GapTracker<'a> {
    pub(crate) fn new(gaps: &'a Gaps) -> Self {
        Self { gaps, met: RefCell::default(), unknown: RefCell::default() }
    }

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
