//! `kind: PolicyException` -> an [`Exception`], and what it may loosen.

use expression::{Expression, Type};
use jiff::Timestamp;
use serde_saphyr::Spanned;

use super::{compiler::Compiler, file::File};
use crate::{
    Exception, Rule, RuleName, agents,
    document::{ExceptionSpec, PolicyException},
    facts::{self, Purpose},
};

impl Compiler<'_> {
    /// Adds an exception. One whose expiry cannot be read is left out.
    pub(super) fn exception(&mut self, exception: &PolicyException, file: &File) {
        let spec = &exception.spec;
        let name = &exception.metadata.name;
        self.check_width(file, name, spec);
        for rule in &spec.rules {
            self.check_loosens(file, rule);
        }
        let nothing = |name| Type::object(name, []);
        let (params, variables) = (nothing("params"), nothing("variables"));
        let schema = facts::schema(&Type::Dyn, params, variables, Purpose::OfRequest);
        let when = spec
            .when
            .as_ref()
            .and_then(|it| self.reported(file, it, Expression::condition(&it.value, &schema)));
        let at = spec.expires.referenced;
        let Ok(expires) = spec.expires.value.parse::<Timestamp>() else {
            self.report(file, at, "is not a timestamp such as 2027-01-31T00:00:00Z");
            return;
        };
        if expires <= self.now {
            let message = format!("exception `{}` has expired, and is worth nothing", name.value);
            self.issues.push(file.issue_at(at, message).warning());
        }
        self.pack.exceptions.push(Exception {
            name: name.value.clone(),
            reason: spec.reason.clone(),
            expires,
            rules: spec.rules.iter().map(|it| RuleName::from(it.value.as_str())).collect(),
            agents: spec.agents.clone(),
            namespaces: spec.namespaces.clone(),
            when,
        });
    }

    /// None is ever meant to be wide: rules, namespaces, agents and a reason must be given.
    fn check_width(&mut self, file: &File, name: &Spanned<String>, spec: &ExceptionSpec) {
        let missing = [
            (spec.reason.trim().is_empty(), "an exception needs a reason"),
            (spec.rules.is_empty(), "an exception names the rules that it is from"),
            (spec.namespaces.is_empty(), "an exception names the namespaces that it is for"),
            (agents::is_empty(&spec.agents), "an exception names the agents that it is for"),
        ];
        for (_, message) in missing.into_iter().filter(|(is_missing, _)| *is_missing) {
            self.report(file, name.referenced, message);
        }
    }

    /// Whether a rule is there, and may be loosened.
    pub(super) fn check_loosens(&mut self, file: &File, name: &Spanned<String>) {
        let wanted = &name.value;
        match self.pack.rules.iter().find(|rule| *rule.name.0 == **wanted) {
            Some(rule) if rule.unconditional => {
                let message = format!("`{wanted}` guards agent-shield itself: nothing loosens it");
                self.report(file, name.referenced, message);
            }
            Some(_) => {}
            // One that settings disable is known, and is no mistake.
            None if self.pack.disabled.iter().any(|it| *it.0 == **wanted) => {}
            None => {
                let name_of = |rule: &Rule| rule.name.to_string();
                let names: Vec<String> = self.pack.rules.iter().map(name_of).collect();
                let message = format!("there is no rule `{wanted}`");
                let issue = file.issue_at(name.referenced, message);
                self.issues.push(issue.meant(wanted, names.iter().map(String::as_str)));
            }
        }
    }
}
