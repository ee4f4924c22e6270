//! What the steps of compiling share: the pack so far, and what is wrong so far.

use std::collections::{BTreeSet, HashMap};

use expression::Problem;
use jiff::Timestamp;
use serde_saphyr::{Location, Spanned};

use super::file::File;
use crate::{Issue, Pack, RuleName, document::PolicySettings, kinds::Kinds};

/// Longest name of a document or rule, in bytes.
const NAME_BYTES_MAX: usize = 100;

/// The settings of a set, each with its file.
pub(super) type Settings<'d> = &'d [(&'d PolicySettings, &'d File)];

/// A set that is being compiled. Nothing stops at the first mistake: all of them are told at once.
pub(super) struct Compiler<'d> {
    pub(super) now: Timestamp,
    pub(super) kinds: &'d Kinds,
    pub(super) settings: Settings<'d>,
    /// Whether built-in rules are in shadow mode, but for those that guard agent-shield.
    pub(super) observe: bool,
    pub(super) issues: Vec<Issue>,
    pub(super) pack: Pack,
    /// Where each rule stands: file and line.
    pub(super) names: HashMap<RuleName, (String, usize)>,
    /// Labels of namespaces that rules look at; `*` for any.
    pub(super) guarded: BTreeSet<String>,
}

impl Compiler<'_> {
    /// Tells of a mistake at a place of a file.
    pub(super) fn report(&mut self, file: &File, at: Location, message: impl Into<String>) {
        self.issues.push(file.issue_at(at, message));
    }

    /// What compiled; of what did not, its problems become issues.
    pub(super) fn reported<T>(
        &mut self,
        file: &File,
        written: &Spanned<String>,
        compiled: Result<T, Vec<Problem>>,
    ) -> Option<T> {
        match compiled {
            Ok(compiled) => Some(compiled),
            Err(problems) => {
                let issues = problems.into_iter().map(|it| file.problem_at(written, it));
                self.issues.extend(issues);
                None
            }
        }
    }

    /// A name that objects of a cluster may have too.
    pub(super) fn check_name(&mut self, file: &File, name: &Spanned<String>) {
        let it = &name.value;
        let fits = !it.is_empty()
            && it.len() <= NAME_BYTES_MAX
            && it.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !it.starts_with('-')
            && !it.ends_with('-');
        if !fits {
            let message = format!("`{it}` is not a name: use lower-case letters, digits and `-`");
            self.report(file, name.referenced, message);
        }
    }
}
