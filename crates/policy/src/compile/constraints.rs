//! What a policy's `matchConstraints` name, and whether there is such a thing.

use serde_saphyr::{Location, Spanned};

use super::{compiler::Compiler, file::File};
use crate::{
    document::{MatchConstraints, ResourceRule},
    matching::{OPERATIONS, READ_VERBS, WRITE_VERBS},
};

impl Compiler<'_> {
    /// Tells of operations, verbs and resources that no request can have.
    pub(super) fn check_constraints(
        &mut self,
        file: &File,
        constraints: Option<&MatchConstraints>,
    ) {
        let Some(constraints) = constraints else { return };
        let all = constraints.resource_rules.iter().chain(&constraints.exclude_resource_rules);
        for rule in all {
            if !file.is_builtin {
                self.warn_of_unserved(file, rule);
            }
            self.check_actions(file, rule);
            for resource in &rule.resources {
                self.check_plural(file, resource);
            }
        }
    }

    /// Operations and verbs: each is known, and a rule has one or the other.
    fn check_actions(&mut self, file: &File, rule: &ResourceRule) {
        for operation in &rule.operations {
            if !OPERATIONS.contains(&operation.value.as_str()) {
                let message = format!("there is no operation `{}`", operation.value);
                let issue = file.issue_at(operation.referenced, message);
                // A verb in capitals is the usual slip: `delete` for `DELETE`.
                let upper = operation.value.to_uppercase();
                self.issues.push(issue.meant(&upper, OPERATIONS.into_iter()));
            }
        }
        for verb in &rule.verbs {
            let known = || READ_VERBS.into_iter().chain(WRITE_VERBS);
            if !known().any(|it| it == verb.value) {
                let message = format!("there is no verb `{}`", verb.value);
                let issue = file.issue_at(verb.referenced, message);
                self.issues.push(issue.meant(&verb.value, known()));
            }
        }
        if rule.operations.is_empty() == rule.verbs.is_empty() {
            self.report(
                file,
                first_resource(rule),
                "names `operations` or `verbs`, and one of them",
            );
        }
    }

    /// `Pod` for `pods`: requests name resources, and never kinds.
    fn check_plural(&mut self, file: &File, resource: &Spanned<String>) {
        let name = &resource.value;
        if name.is_empty() || name.contains(char::is_uppercase) {
            let plural = format!("{}s", name.to_lowercase());
            let message = format!("`{name}` is not a resource: they are plural, as in `{plural}`");
            self.report(file, resource.referenced, message);
        }
    }

    /// What a rule names and the cluster, where it is known, does not have. A warning only: a policy
    /// may be there before its kind is.
    fn warn_of_unserved(&mut self, file: &File, rule: &ResourceRule) {
        let kinds = self.kinds;
        for group in kinds.unserved_groups(rule) {
            let message = format!("the cluster serves no API group `{group}`");
            let issue = file.issue_at(first_resource(rule), message).warning();
            self.issues.push(issue.meant(group, kinds.served()));
        }
        for resource in &rule.resources {
            let Some(served) = kinds.instead_of(rule, &resource.value) else { continue };
            let message = format!("the cluster serves no resource `{}`", resource.value);
            let issue = file.issue_at(resource.referenced, message).warning();
            self.issues.push(issue.meant(&resource.value, served.iter().map(String::as_str)));
        }
    }
}

/// Where a rule of requests stands: groups have no place of their own.
fn first_resource(rule: &ResourceRule) -> Location {
    rule.resources.first().map_or(Location::UNKNOWN, |it| it.referenced)
}
