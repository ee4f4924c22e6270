//! Which requests a policy is about, as ValidatingAdmissionPolicy says it.
//!
//! Versions of one resource are one resource here (its `matchPolicy: Equivalent`): a policy on
//! `autoscaling/v2` is not walked around in `autoscaling/v1`.

use std::collections::BTreeMap;

use attributes::Attributes;
use serde_json::Value as Json;

use crate::document::{MatchConstraints, ResourceRule, Scope, Selector, SelectorOperator};

pub(crate) const OPERATIONS: [&str; 5] = ["CREATE", "UPDATE", "DELETE", "CONNECT", "*"];
pub(crate) const READ_VERBS: [&str; 3] = ["get", "list", "watch"];
pub(crate) const WRITE_VERBS: [&str; 6] =
    ["create", "update", "patch", "delete", "deletecollection", "*"];

/// What a request does, in the words of admission. A patch or update that finds no object creates
/// it; while that is not known, it may be either.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Operation {
    Create,
    Update,
    CreateOrUpdate,
    Delete,
    Connect,
    Read,
    Other,
}

impl Operation {
    /// `has_old` is whether the object is there; `None` while that is not known.
    pub(crate) fn of_request(attributes: &Attributes, has_old: Option<bool>) -> Self {
        if attributes.is_connect() {
            return Self::Connect;
        }
        match (attributes.verb.as_str(), has_old) {
            ("create", _) => Self::Create,
            ("update" | "patch", Some(true)) => Self::Update,
            ("update" | "patch", Some(false)) => Self::Create,
            ("update" | "patch", None) => Self::CreateOrUpdate,
            ("delete" | "deletecollection", _) => Self::Delete,
            ("get" | "list" | "watch", _) => Self::Read,
            _ => Self::Other,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update | Self::CreateOrUpdate => "UPDATE",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
            Self::Read | Self::Other => "",
        }
    }

    fn is(self, name: &str) -> bool {
        match name {
            "*" => self != Self::Read,
            "CREATE" => matches!(self, Self::Create | Self::CreateOrUpdate),
            "UPDATE" => matches!(self, Self::Update | Self::CreateOrUpdate),
            "DELETE" => self == Self::Delete,
            "CONNECT" => self == Self::Connect,
            _ => false,
        }
    }
}

/// Whether a request is one that these constraints name, objects aside.
pub(crate) fn names(
    constraints: Option<&MatchConstraints>,
    attributes: &Attributes,
    operation: Operation,
) -> bool {
    let Some(constraints) = constraints else { return operation != Operation::Read };
    let of = |rules: &[ResourceRule]| rules.iter().any(|it| names_one(it, attributes, operation));
    let included = match constraints.resource_rules.as_slice() {
        [] => operation != Operation::Read,
        rules => of(rules),
    };
    included && !of(&constraints.exclude_resource_rules)
}

fn names_one(rule: &ResourceRule, attributes: &Attributes, operation: Operation) -> bool {
    let verb = attributes.verb.as_str();
    let does = match rule.verbs.is_empty() {
        true => rule.operations.iter().any(|it| operation.is(&it.value)),
        // A star means every write: reads are only ever named.
        false => rule
            .verbs
            .iter()
            .any(|it| it.value == verb || (it.value == "*" && operation != Operation::Read)),
    };
    let is_in = |list: &[String], it: &str| list.iter().any(|one| one == "*" || one == it);
    let scoped = match rule.scope {
        Scope::Any => true,
        Scope::Namespaced => {
            !attributes.namespace.is_empty() && attributes.resource != "namespaces"
        }
        Scope::Cluster => attributes.namespace.is_empty() || attributes.resource == "namespaces",
    };
    does && scoped
        && attributes.is_resource_request
        && is_in(&rule.api_groups, &attributes.api_group)
        && rule.resources.iter().any(|it| is_resource(&it.value, attributes))
        && (rule.resource_names.is_empty()
            // A collection, or a generated name, has any name among its objects.
            || attributes.name.is_empty()
            || rule.resource_names.contains(&attributes.name))
}

fn is_resource(pattern: &str, attributes: &Attributes) -> bool {
    let (resource, subresource) = pattern.split_once('/').unwrap_or((pattern, ""));
    let all = pattern == "*/*";
    all || ((resource == "*" || resource == attributes.resource)
        && (subresource == "*" || subresource == attributes.subresource))
}

/// Resources by name that these constraints are limited to; `None` where they name all.
pub(crate) fn resources(constraints: Option<&MatchConstraints>) -> Option<Vec<String>> {
    let rules = constraints.map(|it| it.resource_rules.as_slice()).filter(|it| !it.is_empty())?;
    let mut named = Vec::new();
    for pattern in rules.iter().flat_map(|it| &it.resources) {
        match pattern.value.split('/').next() {
            None | Some("*") => return None,
            Some(resource) => named.push(resource.to_owned()),
        }
    }
    named.sort();
    named.dedup();
    Some(named)
}

/// Which requests a policy's constraints name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Requests {
    Reads,
    Writes,
    /// Which no policy may: reads are never held.
    Both,
}

impl Requests {
    pub(crate) fn has_reads(self) -> bool {
        self != Self::Writes
    }
}

/// Which requests constraints name; without any, every write.
pub(crate) fn requests(constraints: Option<&MatchConstraints>) -> Requests {
    let rules = constraints.map(|it| it.resource_rules.as_slice()).unwrap_or_default();
    let is_read = |verb: &str| READ_VERBS.contains(&verb);
    let reads = rules.iter().flat_map(|it| &it.verbs).any(|it| is_read(&it.value));
    // A rule without verbs has operations, which are of writes.
    let is_of_writes =
        |it: &ResourceRule| it.verbs.is_empty() || it.verbs.iter().any(|it| !is_read(&it.value));
    match (reads, rules.iter().any(is_of_writes)) {
        (true, true) => Requests::Both,
        (true, false) => Requests::Reads,
        (false, _) => Requests::Writes,
    }
}

impl Selector {
    /// Whether labels are what it selects.
    pub(crate) fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        self.selects_by(|key| labels.get(key).map(String::as_str))
    }

    /// Whether an object's labels are what it selects.
    pub(crate) fn selects_object(&self, object: &Json) -> bool {
        let labels = object.pointer("/metadata/labels");
        self.selects_by(|key| labels?.get(key)?.as_str())
    }

    /// The labels that it looks at.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        let expressions = self.match_expressions.iter().map(|it| it.key.as_str());
        self.match_labels.keys().map(String::as_str).chain(expressions)
    }

    fn selects_by<'l>(&self, label: impl Fn(&str) -> Option<&'l str>) -> bool {
        use SelectorOperator as O;
        self.match_labels.iter().all(|(key, value)| label(key) == Some(value))
            && self.match_expressions.iter().all(|it| {
                let found = label(&it.key);
                let is_in = found.is_some_and(|found| it.values.iter().any(|one| one == found));
                match it.operator {
                    O::In => is_in,
                    O::NotIn => !is_in,
                    O::Exists => found.is_some(),
                    O::DoesNotExist => found.is_none(),
                }
            })
    }
}
