//! What a reviewer said of a hold.

use jiff::Timestamp;
use ledger::Identity;

/// A yes, to exactly what was shown.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Approval {
    reviewer: Identity,
    reason: String,
    at: Timestamp,
    digest: String,
}

impl Approval {
    /// By whom, why (may be empty), when, and the digest of the preview that was on their screen.
    pub fn new(reviewer: Identity, reason: String, at: Timestamp, digest: String) -> Self {
        Self { reviewer, reason, at, digest }
    }

    /// Who.
    pub fn reviewer(&self) -> &Identity {
        &self.reviewer
    }

    /// Why, as they wrote it; may be empty.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// When.
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// Of which preview.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Whether it says why.
    pub(crate) fn has_reason(&self) -> bool {
        !self.reason.trim().is_empty()
    }
}

/// A no, whatever was shown. It binds for a time: what it is about is not asked again.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Denial {
    reviewer: Identity,
    reason: String,
    at: Timestamp,
    until: Option<Timestamp>,
}

impl Denial {
    /// By whom, why (may be empty), when, and until when it binds.
    pub fn new(reviewer: Identity, reason: String, at: Timestamp, until: Timestamp) -> Self {
        Self { reviewer, reason, at, until: Some(until) }
    }

    /// The same, which binds until another moment, or no more.
    #[must_use]
    pub fn binding(self, until: Option<Timestamp>) -> Self {
        Self { until, ..self }
    }

    /// Until when it binds; `None` where a reviewer has lifted it.
    pub fn until(&self) -> Option<Timestamp> {
        self.until
    }

    /// Whether it binds at a moment.
    pub fn binds(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// Who.
    pub fn reviewer(&self) -> &Identity {
        &self.reviewer
    }

    /// Why, as they wrote it; may be empty.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// When.
    pub fn at(&self) -> Timestamp {
        self.at
    }
}

/// Who decided a hold: the one who denied it, or whose approval was the last that was missing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DecidedBy<'a> {
    /// Who.
    pub reviewer: &'a Identity,
    /// Why, as they wrote it; may be empty.
    pub reason: &'a str,
    /// When.
    pub at: Timestamp,
}

impl<'a> From<&'a Approval> for DecidedBy<'a> {
    fn from(approval: &'a Approval) -> Self {
        Self { reviewer: &approval.reviewer, reason: &approval.reason, at: approval.at }
    }
}

impl<'a> From<&'a Denial> for DecidedBy<'a> {
    fn from(denial: &'a Denial) -> Self {
        Self { reviewer: &denial.reviewer, reason: &denial.reason, at: denial.at }
    }
}
