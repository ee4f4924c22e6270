//! Who owns which fields of an object (`metadata.managedFields`). No value differs when somebody applies
//! in another's name; but the next apply of that other one removes whatever is theirs by then and not in
//! their files. Only entries of `Apply` act so.
//!
//! What the server itself writes there follows from the request: a manager that updates owns what it
//! changed, and whoever owned it before does no longer. All else was edited by hand.

use std::collections::{BTreeMap, BTreeSet};

use attributes::Attributes;
use serde_json::Value;

use crate::{
    EffectKind,
    about::{About, FieldsChange, FieldsTaken, Part, Parts, Whose},
    effect::Effect,
    field_sets::{self, Unchanged},
    object::object_of,
};

/// Fields of one entry that an effect names.
const FIELDS_MAX: usize = 6;

/// By whom the server-side apply of kubectl is done.
const KUBECTL: &str = "kubectl";

/// Managers under which kubectl has applied on its own side, which its server-side apply takes over.
const CLIENT_SIDE: [&str; 5] = [
    "before-first-apply",
    "kubectl-client-side-apply",
    "kubectl-create",
    "kubectl-last-applied",
    "kubectl-replace",
];

/// The entry that only the server writes: of updates that are too many to be told apart.
const ANCIENT: &str = "ancient-changes";

/// Words in the names by which deploy tools and operators apply.
const TOOLS: [&str; 30] = [
    "ansible",
    "argo",
    "capi-",
    "carvel",
    "config-sync",
    "configsync",
    "controller",
    "crossplane",
    "datree",
    "eks",
    "fleet",
    "flux",
    "gitlab",
    "gitops",
    "gotk",
    "hashicorp",
    "helm",
    "jenkins",
    "kapp",
    "keel",
    "kubelet",
    "kustomize",
    "operator",
    "pulumi",
    "rancher",
    "scheduler",
    "spinnaker",
    "tekton",
    "terraform",
    "werf",
];

/// What a write does to the ownership of fields. `applied_by` is the manager of a server-side apply;
/// `is_noop`: no value differs.
pub(crate) fn changed(
    attributes: &Attributes,
    applied_by: Option<&str>,
    old: &Value,
    new: &Value,
    is_noop: bool,
) -> Vec<Part> {
    let (before, after) = (entries(old), entries(new));
    if before == after || is_noop && applied_by.is_none() && is_upgrade(&before, &after) {
        return Vec::new();
    }
    let subresource = attributes.subresource.as_str();
    let by = applied_by.map(|manager| Id { applies: true, manager, subresource, version: "" });
    let at = Comparison { old, new, before: &before, after: &after, by };
    let ids = before.keys().chain(after.keys()).collect::<BTreeSet<_>>();
    ids.into_iter().filter_map(|id| at.of_entry(id)).map(Part::Fields).collect()
}

/// What the create of an object by server-side apply leaves behind: an entry of its manager.
pub(crate) fn created(manager: &str) -> Part {
    let whose = if is_tool(manager) { Whose::Tools } else { Whose::Own };
    Part::Fields(taken(manager, FieldsChange::Created, whose, Vec::new()))
}

/// What a server-side apply to the count of a workload does, whose `Scale` does not tell of owners.
/// `workload` is the live main object, as far as it is known.
pub fn of_applied_scale(
    attributes: &Attributes,
    manager: &str,
    workload: Option<&Value>,
) -> Option<Effect> {
    let owned = workload.map(entries);
    let id = Id { applies: true, manager, subresource: "scale", version: "" };
    let counts = |fields: &&Value| fields.pointer("/f:spec/f:replicas").is_some();
    let owns = owned.as_ref().and_then(|it| it.get(&id)).map(|it| it.fields).filter(counts);
    if owns.is_some() {
        return None;
    }
    let change = FieldsChange::Created;
    let whose = owned.map_or(Whose::Others, |before| whose(manager, &before));
    let part = Part::Fields(taken(manager, change, whose, vec!["spec/replicas".to_owned()]));
    let about = About::Parts(Parts::of(vec![part]));
    Some(Effect { kind: EffectKind::TakeFields, object: object_of(attributes), about })
}

/// Tells entries apart, as the server does.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Id<'a> {
    applies: bool,
    manager: &'a str,
    subresource: &'a str,
    /// Of an update alone.
    version: &'a str,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Entry<'a> {
    version: &'a str,
    fields: &'a Value,
}

type Entries<'a> = BTreeMap<Id<'a>, Entry<'a>>;

static NO_FIELDS: Value = Value::Null;

fn entries(object: &Value) -> Entries<'_> {
    let entries = object.pointer("/metadata/managedFields").and_then(Value::as_array);
    let entry = |it| {
        let text = |key| Value::get(it, key).and_then(Value::as_str).unwrap_or_default();
        let (applies, version) = (text("operation") == "Apply", text("apiVersion"));
        let (manager, subresource) = (text("manager"), text("subresource"));
        let id = Id { applies, manager, subresource, version: if applies { "" } else { version } };
        (id, Entry { version, fields: it.get("fieldsV1").unwrap_or(&NO_FIELDS) })
    };
    entries.into_iter().flatten().map(entry).collect()
}

struct Comparison<'a> {
    old: &'a Value,
    new: &'a Value,
    before: &'a Entries<'a>,
    after: &'a Entries<'a>,
    /// The entry of whoever applies.
    by: Option<Id<'a>>,
}

impl Comparison<'_> {
    fn of_entry(&self, id: &Id<'_>) -> Option<FieldsTaken> {
        let (before, after) = (self.before.get(id), self.after.get(id));
        let was = before.map_or(&NO_FIELDS, |it| it.fields);
        let is = after.map_or(&NO_FIELDS, |it| it.fields);
        let gained = field_sets::beyond(is, was, self.old, self.new);
        let lost = field_sets::beyond(was, is, self.old, self.new);
        let told = |change, whose, fields| Some(taken(id.manager, change, whose, fields));
        if self.by.as_ref() == Some(id) {
            let whose = whose(id.manager, self.before);
            let change = if before.is_none() { FieldsChange::Created } else { FieldsChange::Grown };
            return match (gained.is_empty(), lost.is_empty()) {
                (true, true) if before.is_some() => None,
                // What is given up is nobody's loss but a tool's, which would not know it again.
                (true, false) if whose != Whose::Tools => None,
                (true, false) => told(FieldsChange::Dropped, whose, lost.all()),
                _ => told(change, whose, gained.all()),
            };
        }
        let moved = before.zip(after).is_some_and(|(old, new)| old.version != new.version);
        let edited = match id.applies {
            true => moved || !gained.is_empty() || lost.of_unchanged(),
            false => self.is_edited_update(id, &gained, &lost),
        };
        if edited {
            let fields = gained.all().into_iter().chain(lost.all()).collect();
            return told(FieldsChange::Edited, Whose::Others, fields);
        }
        let forced = id.applies && self.by.is_some() && !lost.is_empty();
        forced.then(|| told(FieldsChange::Forced, whose(id.manager, self.before), lost.all()))?
    }

    /// Whether an entry of an update differs otherwise than by what was changed.
    fn is_edited_update(&self, id: &Id<'_>, gained: &Unchanged, lost: &Unchanged) -> bool {
        let vanished = !self.after.contains_key(id);
        let is_known_by_server = id.manager == ANCIENT
            || (id.manager == "before-first-apply" && self.before.is_empty() && self.by.is_some());
        // The oldest updates become one, and those of versions that are no longer served are forgotten.
        let merged = self.after.keys().any(|it| it.manager == ANCIENT);
        let of_other_version =
            self.new.get("apiVersion").and_then(Value::as_str) != Some(id.version);
        let lost_by_server = vanished && (merged || of_other_version);
        (gained.of_unchanged() && !is_known_by_server) || (lost.of_unchanged() && !lost_by_server)
    }
}

fn whose(manager: &str, before: &Entries<'_>) -> Whose {
    if is_tool(manager) {
        Whose::Tools
    } else if before.keys().any(|it| it.manager == manager) {
        Whose::Others
    } else {
        Whose::Own
    }
}

fn is_tool(manager: &str) -> bool {
    let manager = manager.to_ascii_lowercase();
    TOOLS.iter().any(|word| manager.contains(word))
}

fn taken(
    manager: &str,
    change: FieldsChange,
    whose: Whose,
    mut fields: Vec<String>,
) -> FieldsTaken {
    let more = fields.len().saturating_sub(FIELDS_MAX);
    fields.truncate(FIELDS_MAX);
    FieldsTaken { manager: manager.to_owned(), change, whose, fields, more }
}

/// Whether this is what kubectl writes when it moves over to server-side apply (client-go's
/// `csaupgrade`): what it has applied on its own side becomes its own apply, and nothing else differs.
fn is_upgrade(before: &Entries<'_>, after: &Entries<'_>) -> bool {
    let is_client_side = |id: &Id<'_>, entry: &Entry<'_>| {
        !id.applies
            && id.subresource.is_empty()
            && CLIENT_SIDE.contains(&id.manager)
            && entry.fields.pointer(APPLIED_RECORD).is_some()
    };
    let own = Id { applies: true, manager: KUBECTL, subresource: "", version: "" };
    let names: Vec<&str> = before
        .iter()
        .filter(|(id, entry)| is_client_side(id, entry))
        .map(|(id, _)| id.manager)
        .collect();
    let Some(now) = after.get(&own) else { return false };
    let goes =
        |id: &Id<'_>| !id.applies && id.subresource.is_empty() && names.contains(&id.manager);
    let stays = |(id, _): &(&Id<'_>, &Entry<'_>)| !goes(id) && **id != own;
    if names.is_empty()
        || !before.iter().filter(stays).eq(after.iter().filter(|(id, _)| **id != own))
    {
        return false;
    }
    // Of one version, as another one names other fields.
    let united = before
        .iter()
        .filter(|(id, entry)| **id == own || (goes(id) && entry.version == now.version))
        .map(|(_, entry)| field_sets::names(entry.fields));
    let united: BTreeSet<String> = united.flatten().collect();
    before.get(&own).is_none_or(|it| it.version == now.version)
        && field_sets::names(now.fields).into_iter().collect::<BTreeSet<_>>() == united
}

/// Where a set of fields has the record of kubectl's last apply.
const APPLIED_RECORD: &str =
    "/f:metadata/f:annotations/f:kubectl.kubernetes.io~1last-applied-configuration";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(fields: Value, replicas: i64, label: &str) -> Value {
        json!({"apiVersion": "apps/v1", "metadata": {"labels": {"a": label}, "managedFields": fields},
            "spec": {"replicas": replicas, "list": [{"name": "c", "x": 1}]}})
    }

    fn entry(operation: &str, manager: &str, fields: &Value) -> Value {
        json!({"operation": operation, "manager": manager, "apiVersion": "apps/v1",
            "fieldsType": "FieldsV1", "fieldsV1": fields})
    }

    #[test]
    fn knows_what_the_server_writes_from_what_was_edited() {
        let (count, label) = (
            json!({"f:spec": {"f:replicas": {}}}),
            json!({"f:metadata": {"f:labels": {"f:a": {}}}}),
        );
        let item = json!({"f:spec": {"f:list": {"k:{\"name\":\"c\"}": {".": {}, "f:x": {}}}}});
        let (argo, kubectl) = ("argocd-controller", "kubectl-client-side-apply");
        let both = json!({"f:metadata": {"f:labels": {"f:a": {}}}, "f:spec": {"f:replicas": {}}});
        let tool = entry("Apply", argo, &count);
        let mine = || entry("Apply", "me", &count);
        let update = entry("Update", kubectl, &item);
        let table = [
            ("nothing", None, json!([tool, update]), json!([tool, update]), 1, ""),
            (
                "an update of a label",
                None,
                json!([tool]),
                json!([tool, entry("Update", "u", &label)]),
                1,
                "",
            ),
            (
                "wiped beside a label",
                None,
                json!([tool]),
                json!([entry("Update", "u", &label)]),
                1,
                "edited argocd-controller",
            ),
            (
                "an update takes the count",
                None,
                json!([tool]),
                json!([entry("Update", "u", &count)]),
                2,
                "",
            ),
            (
                "an item is let go of",
                None,
                json!([update]),
                json!([]),
                1,
                "edited kubectl-client-side-apply",
            ),
            (
                "an apply of its own",
                Some("me"),
                json!([tool]),
                json!([tool, mine()]),
                1,
                "created me",
            ),
            (
                "grows",
                Some("me"),
                json!([mine()]),
                json!([entry("Apply", "me", &both)]),
                1,
                "grown me",
            ),
            ("again", Some("me"), json!([mine()]), json!([mine()]), 1, ""),
            ("less", Some("me"), json!([entry("Apply", "me", &both)]), json!([mine()]), 1, ""),
            (
                "in a tool's name",
                Some(argo),
                json!([]),
                json!([tool]),
                1,
                "created argocd-controller",
            ),
            (
                "by force",
                Some("me"),
                json!([tool]),
                json!([mine()]),
                2,
                "forced argocd-controller, created me",
            ),
            ("an apply by hand", None, json!([]), json!([mine()]), 1, "edited me"),
            (
                "another version",
                None,
                json!([tool]),
                json!([{"operation": "Apply", "manager": argo, "apiVersion": "v0", "fieldsV1": count}]),
                1,
                "edited argocd-controller",
            ),
        ];
        for (what, by, before, after, replicas, want) in table {
            let (old, new) = (object(before, 1, "x"), object(after, replicas, "y"));
            let parts = changed(&Attributes::default(), by, &old, &new, false);
            let found: Vec<String> = parts
                .iter()
                .map(|part| match part {
                    Part::Fields(it) => format!("{} {}", it.change.as_str(), it.manager),
                    other => format!("{other:?}"),
                })
                .collect();
            assert_eq!(found.join(", "), want, "{what}");
        }
    }

    #[test]
    fn believes_kubectl_that_moves_over_and_nobody_who_only_looks_like_it() {
        let record = json!({"f:kubectl.kubernetes.io/last-applied-configuration": {}});
        let client =
            json!({"f:metadata": {"f:annotations": record.clone()}, "f:spec": {"f:replicas": {}}});
        let server = json!({"f:spec": {"f:replicas": {}}});
        let more = json!({"f:metadata": {"f:annotations": record, "f:labels": {"f:a": {}}},
            "f:spec": {"f:replicas": {}}});
        let before = || {
            json!([
                entry("Update", "kubectl-client-side-apply", &client),
                entry("Apply", "flux", &server),
                entry("Apply", "kubectl", &server)
            ])
        };
        let table = [
            (json!([entry("Apply", "flux", &server), entry("Apply", "kubectl", &client)]), true),
            (json!([entry("Apply", "flux", &server), entry("Apply", "kubectl", &more)]), false),
            (json!([entry("Apply", "flux", &server), entry("Apply", "kubectl", &server)]), false),
            (json!([entry("Apply", "kubectl", &client)]), false),
            (json!([entry("Apply", "flux", &client), entry("Apply", "kubectl", &server)]), false),
        ];
        for (row, (after, want)) in table.into_iter().enumerate() {
            let (old, new) = (object(before(), 1, "x"), object(after, 1, "x"));
            let found = changed(&Attributes::default(), None, &old, &new, true);
            assert_eq!(found.is_empty(), want, "row {row}: {found:?}");
        }
    }
}
