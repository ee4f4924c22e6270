//! A file that was read, and how it came here.

use expression::Problem;
use serde_saphyr::{Location, Spanned};

use super::places::{issue_at, problem_at};
use crate::{Issue, source::Source};

/// The file that a document stands in.
#[derive(Clone, Debug)]
pub(super) struct File {
    /// Its name and text.
    pub(super) source: Source,
    /// Whether it ships in the binary: its rules keep their short names, and no cluster is asked
    /// whether it has their kinds.
    pub(super) is_builtin: bool,
}

impl File {
    /// An issue at a place of this file.
    pub(super) fn issue_at(&self, at: Location, message: impl Into<String>) -> Issue {
        issue_at(&self.source, at, message.into())
    }

    /// A problem of an expression of this file.
    pub(super) fn problem_at(&self, written: &Spanned<String>, problem: Problem) -> Issue {
        problem_at(&self.source, written, problem)
    }
}
