//! What is wrong with a set that no document alone shows.

use std::collections::{BTreeSet, HashMap};

use super::{compiler::Compiler, file::File};
use crate::{
    Issue, Rule,
    document::{Document, Mode},
    unreachable,
};

/// Most rules of a set.
const RULES_MAX: usize = 20_000;

impl Compiler<'_> {
    /// Names of documents: well formed, and each once among its kind.
    pub(super) fn check_document_names(&mut self, documents: &[(Document, File)]) {
        let mut seen: HashMap<(&str, &str), &str> = HashMap::new();
        for (document, file) in documents {
            let (kind, name) = match document {
                Document::Policy(it) => ("Policy", &it.metadata.name),
                Document::Exception(it) => ("PolicyException", &it.metadata.name),
                Document::Settings(it) => ("PolicySettings", &it.metadata.name),
            };
            self.check_name(file, name);
            let key = (kind, name.value.as_str());
            if let Some(first) = seen.insert(key, &file.source.name) {
                let message = format!("there is a {kind} `{}` already, in {first}", name.value);
                self.report(file, name.referenced, message);
            }
        }
    }

    /// Rules that never decide; what is disabled is not meant to.
    pub(super) fn warn_of_unreachable(&mut self, documents: &[(Document, File)]) {
        let exceptions = self.pack.exceptions.iter();
        let excepted: BTreeSet<String> =
            exceptions.flat_map(|it| it.rules.iter().map(ToString::to_string)).collect();
        for (document, file) in documents {
            let Document::Policy(policy) = document else { continue };
            if file.is_builtin {
                continue; // A test says what they do.
            }
            let is_excepted = |rule: &str| {
                let name = format!("{}/{rule}", policy.metadata.name.value);
                self.is_disabled(&name) || excepted.contains(&name)
            };
            for (at, message) in unreachable::find(policy, is_excepted) {
                self.issues.push(file.issue_at(at, message).warning());
            }
        }
    }

    /// Whether any rule is in force, and not too many are.
    pub(super) fn check_rules(&mut self) {
        let chosen = |rule: &&Rule| !(self.pack.is_builtin(rule) && rule.unconditional);
        let mut chosen = self.pack.rules.iter().filter(chosen).peekable();
        let is_empty = chosen.peek().is_none();
        if chosen.all(|rule| rule.mode == Mode::Shadow) && self.issues.is_empty() {
            // Missing means hold: a set that says nothing was not meant. One in shadow mode was.
            let issue = Issue::of_set("no rule of the whole set is in force".to_owned());
            self.issues.push(if is_empty { issue } else { issue.warning() });
        }
        if self.pack.rules.len() > RULES_MAX {
            let message = format!("has more than {RULES_MAX} rules");
            self.issues.push(Issue::of_set(message));
        }
    }
}
