//! Rules that never decide anything: nobody means to write one.
//!
//! What is found here is certain, from the document alone: constraints that leave no request, a
//! condition that is always false, a hold where a rule of the same policy denies all the same. What
//! may be is not told.

use serde_saphyr::Location;

use crate::document::{Action, MatchConstraints, Mode, Place, Policy, ResourceRule, Rule, Scope};

/// What is wrong, and where. `is_excepted` is of rules by the name within their policy: a rule that
/// an exception takes back leaves others to speak.
pub(crate) fn find(policy: &Policy, is_excepted: impl Fn(&str) -> bool) -> Vec<(Location, String)> {
    let spec = &policy.spec;
    let mut found = Vec::new();
    if let Some(constraints) = &spec.match_constraints
        && names_nothing(constraints)
    {
        let message =
            "no request is left: `excludeResourceRules` takes back all of `resourceRules`";
        found.push((policy.metadata.name.referenced, message.to_owned()));
    }
    for condition in &spec.match_conditions {
        if is_false(&condition.expression.value) {
            let message = format!("condition `{}` is never true: no rule asks", condition.name);
            found.push((condition.expression.referenced, message));
        }
    }
    for rule in &spec.rules {
        if let Some(when) = rule.when.as_ref().filter(|it| is_false(&it.value)) {
            let message = format!("rule `{}` never asks: this is never true", rule.name.value);
            found.push((when.referenced, message));
            // Said once of a rule; that another one denies before it adds nothing.
            continue;
        }
        let shadows = |other: &&Rule| {
            denies_wherever(other, rule, spec.mode) && !is_excepted(&other.name.value)
        };
        if let Some(other) = spec.rules.iter().find(shadows) {
            let (name, other) = (&rule.name.value, &other.name.value);
            let message =
                format!("rule `{name}` is never heard: wherever it asks, `{other}` denies");
            found.push((rule.name.referenced, message));
        }
    }
    found
}

fn is_false(expression: &str) -> bool {
    expression.trim() == "false"
}

fn names_nothing(constraints: &MatchConstraints) -> bool {
    let excluded = |it: &ResourceRule| {
        constraints.exclude_resource_rules.iter().any(|other| covers(other, it))
    };
    !constraints.resource_rules.is_empty() && constraints.resource_rules.iter().all(excluded)
}

/// Whether all that `narrow` names, `wide` names.
fn covers(wide: &ResourceRule, narrow: &ResourceRule) -> bool {
    let all = |wide: &[String], narrow: &[String]| {
        narrow.iter().all(|it| wide.iter().any(|one| one == "*" || one == it))
    };
    let values = |it: &[serde_saphyr::Spanned<String>]| -> Vec<String> {
        it.iter().map(|it| it.value.clone()).collect()
    };
    // `*` names no subresources, and `*/*` all; what else has a star is compared as it is written.
    let resources = narrow.resources.iter().all(|it| {
        let of = |one: &str| match one {
            "*/*" => true,
            "*" => !it.value.contains('/'),
            one => one == it.value,
        };
        wide.resources.iter().any(|one| of(&one.value))
    });
    let (operations, verbs) = (values(&wide.operations), values(&wide.verbs));
    resources
        && all(&wide.api_groups, &narrow.api_groups)
        // Of two ways to say what is done, one is not measured by the other.
        && operations.is_empty() == narrow.operations.is_empty()
        && all(&operations, &values(&narrow.operations))
        && values(&narrow.verbs).iter().all(|it| verbs.contains(it))
        && (wide.resource_names.is_empty()
            || (!narrow.resource_names.is_empty()
                && narrow.resource_names.iter().all(|it| wide.resource_names.contains(it))))
        && (wide.scope == Scope::Any || wide.scope == narrow.scope)
}

/// Whether one rule denies each request that another would hold.
fn denies_wherever(denies: &Rule, holds: &Rule, mode: Mode) -> bool {
    let is_enforced = |it: &Rule| it.mode.unwrap_or(mode) == Mode::Enforce;
    let kinds =
        |it: &Rule| -> Vec<String> { it.effects.iter().map(|it| it.value.clone()).collect() };
    let (wide, narrow) = (kinds(denies), kinds(holds));
    let same_when = match (&denies.when, &holds.when) {
        (None, _) => true,
        (Some(one), Some(other)) => one.value.trim() == other.value.trim(),
        (Some(_), None) => false,
    };
    let by_effects = match (wide.is_empty(), narrow.is_empty()) {
        // Asked about the request as a whole, it denies whatever effects it has.
        (true, _) => true,
        (false, true) => false,
        (false, false) => narrow.iter().all(|it| wide.contains(it)),
    };
    denies.action == Action::Deny
        && holds.action == Action::Hold
        && is_enforced(denies)
        && is_enforced(holds)
        && same_when
        && by_effects
        && (denies.place == Place::Everywhere || denies.place == holds.place)
}
