//! Comparing the live object with the dry run's answer: every differing path is explained by a
//! kind, and what no kind explains is [`EffectKind::ChangeSpec`]. Nothing is harmless because
//! nobody thought of it.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet, HashSet},
};

use attributes::Attributes;
use serde_json::Value;

use crate::{
    Change, ClassConfig, Effect, EffectKind, NamespaceClass, ObjectRef, applied, diff::leaves,
    object_of, plan::decides_access, powers, template, triggers, unknown,
};

/// New objects that neither run nor select traffic nor bind anybody (DEFAULTS Q5, Q10).
const INERT: [(&str, &str); 7] = [
    ("", "configmaps"),
    ("", "secrets"),
    ("", "persistentvolumeclaims"),
    ("", "serviceaccounts"),
    ("", "podtemplates"),
    ("policy", "poddisruptionbudgets"),
    ("resource.k8s.io", "resourceclaimtemplates"),
];

/// Types of Secrets that are, or become, credentials of the cluster.
const CREDENTIAL_TYPES: [&str; 2] =
    ["kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token"];

/// Fields of every object that differ between any two writes and order nothing.
const BOOKKEEPING: [&str; 5] =
    ["resourceVersion", "generation", "managedFields", "creationTimestamp", "selfLink"];

/// What a create, update or patch would do: `old` is the live object (`None`: there is none),
/// `new` the dry run's answer. For `/scale` both are a `Scale`, where a missing count means 0.
/// Evictions and bindings, whose answer is no object, do what [`crate::plan()`] says and nothing else.
pub fn of_change(
    attributes: &Attributes,
    class_config: &ClassConfig,
    old: Option<&Value>,
    new: &Value,
) -> Vec<Effect> {
    let answers_no_object = matches!(attributes.subresource.as_str(), "eviction" | "binding");
    if answers_no_object || attributes.resource == "bindings" {
        return Vec::new();
    }
    if new.get("kind").and_then(Value::as_str) == Some("Status") || !new.is_object() {
        let why = "the API server's dry run did not answer with the object";
        return vec![unknown(attributes, why)];
    }
    let object = object_in(attributes, old, new);
    let mut at = Comparison { attributes, object, new, found: Found::default() };
    match old {
        _ if attributes.subresource == "scale" => at.scale(old),
        Some(old) => at.changed(class_config, old),
        None => at.created(),
    }
    at.found.effects(&at.object)
}

/// What the workload itself adds to a `/scale` that was judged by its `Scale` alone: whether a
/// smaller StatefulSet takes its claims with it. `workload` is the live main object; without this
/// call such a scale-down counts as a loss of data.
pub fn of_scaled_workload(effects: &mut Vec<Effect>, workload: &Value) {
    let (lost, rest): (Vec<Effect>, Vec<Effect>) =
        effects.drain(..).partition(|effect| effect.kind == EffectKind::LoseData);
    *effects = rest;
    for effect in lost {
        if deletes_claims(workload, "whenScaled") {
            effects.push(claims_go(&effect.object, "whenScaled"));
        }
    }
}

/// What a write to the `/scale` of a custom resource does by its own words: from the live count to the
/// one that is asked for, as far as either is known.
pub fn of_said_scale(attributes: &Attributes, old: Option<i64>, new: Option<i64>) -> Vec<Effect> {
    let object = object_of(attributes);
    let (Some(old), Some(new)) = (old, new) else {
        let kind = EffectKind::ScaleDown;
        let detail = "replicas -> a count that is not known".to_owned();
        return vec![Effect { kind, object, detail, count: None }];
    };
    let mut found = Found::default();
    found.scaled(&object, "replicas", old, new);
    found.effects(&object)
}

/// One `Delete` for each object, with its uid.
pub fn of_delete(attributes: &Attributes, objects: &[Value]) -> Vec<Effect> {
    let mut effects = Vec::new();
    for value in objects {
        let object = object_in(attributes, Some(value), value);
        let text = |path| value.pointer(path).and_then(Value::as_str);
        let replicas = value.pointer("/spec/replicas").and_then(Value::as_i64);
        let kind = (object.api_group.as_str(), object.resource.as_str());
        let more = match kind {
            // A Secret's type tells helm's own bookkeeping from credentials.
            ("", "secrets") => text("/type").map(|kind| format!(" of type {kind}")),
            ("", "persistentvolumes") => {
                text("/spec/claimRef/namespace").map(|it| format!(", bound to a claim in {it}"))
            }
            _ => replicas.map(|replicas| format!(" with {replicas} replicas")),
        };
        let claims = kind == ("apps", "statefulsets") && deletes_claims(value, "whenDeleted");
        let claims = claims.then(|| claims_go(&object, "whenDeleted"));
        let detail = format!("deletes {}{}", object.words(), more.unwrap_or_default());
        effects.push(Effect { kind: EffectKind::Delete, object, detail, count: None });
        effects.extend(claims);
    }
    effects
}

/// What an exec, attach, port-forward or proxy into a live pod takes from outside its namespace.
pub fn of_entered(attributes: &Attributes, pod: &Value) -> Vec<Effect> {
    let object = object_in(attributes, Some(pod), pod);
    let mut found = Found::default();
    for power in powers::of_code("pods", pod) {
        found.add(EffectKind::Borrow, format!("takes {power}"));
    }
    found.others.extend(powers::account("pods", pod).map(|name| runs_as(name, &object)));
    found.effects(&object)
}

/// Code runs with the rights of a service account: what these are is RBAC's to say.
fn runs_as(account: &str, of: &ObjectRef) -> Effect {
    let object = ObjectRef {
        resource: "serviceaccounts".to_owned(),
        namespace: of.namespace.clone(),
        name: account.to_owned(),
        ..ObjectRef::default()
    };
    let detail = format!("{} runs with its rights", of.words());
    Effect { kind: EffectKind::Borrow, object, detail, count: None }
}

/// The segments of a path, unescaped.
pub(crate) fn segments(path: &str) -> Vec<String> {
    path.split('/').skip(1).map(|it| it.replace("~1", "/").replace("~0", "~")).collect()
}

/// The object of a request, with what only the object itself tells. What the server makes up in a
/// dry run (the uid of a new object, a generated name) is left empty: it differs each time.
fn object_in(attributes: &Attributes, old: Option<&Value>, new: &Value) -> ObjectRef {
    let text = |value: &Value, path| {
        value.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let mut object = object_of(attributes);
    object.uid = old.map(|old| text(old, "/metadata/uid")).unwrap_or_default();
    let generated = old.is_none() && !text(new, "/metadata/generateName").is_empty();
    if object.name.is_empty() && !generated {
        object.name = text(new, "/metadata/name");
    }
    if object.namespace.is_empty() && attributes.resource != "namespaces" {
        object.namespace = text(new, "/metadata/namespace");
    }
    object
}

fn deletes_claims(workload: &Value, when: &str) -> bool {
    let path = format!("/spec/persistentVolumeClaimRetentionPolicy/{when}");
    workload.pointer(&path).and_then(Value::as_str) == Some("Delete")
}

/// Claims that go with their StatefulSet: which ones is not known here.
fn claims_go(of: &ObjectRef, when: &str) -> Effect {
    let object = ObjectRef {
        resource: "persistentvolumeclaims".to_owned(),
        namespace: of.namespace.clone(),
        ..ObjectRef::default()
    };
    let detail =
        format!("deletes the claims of the pods that go from {} ({when}: Delete)", of.words());
    Effect { kind: EffectKind::Delete, object, detail, count: None }
}

/// Kinds with what was seen of each, so that ten paths of one kind are one effect. Counts stand
/// each for itself, and so does what happens to another object.
#[derive(Default)]
struct Found {
    kinds: BTreeMap<EffectKind, Vec<String>>,
    seen: HashSet<(EffectKind, String)>,
    others: Vec<Effect>,
}

impl Found {
    fn add(&mut self, kind: EffectKind, detail: impl Into<String>) {
        let detail = detail.into();
        if self.seen.insert((kind, detail.clone())) {
            self.kinds.entry(kind).or_default().push(detail);
        }
    }

    fn scaled(&mut self, object: &ObjectRef, what: &str, old: i64, new: i64) {
        let kind = match new.cmp(&old) {
            Ordering::Less => EffectKind::ScaleDown,
            Ordering::Greater => EffectKind::ScaleUp,
            Ordering::Equal => return,
        };
        let detail = format!("{what} {old} -> {new}");
        let (object, count) = (object.clone(), Some((old, new)));
        self.others.push(Effect { kind, object, detail, count });
    }

    fn effects(self, object: &ObjectRef) -> Vec<Effect> {
        const PARTS_MAX: usize = 6;
        let effect = |(kind, details): (EffectKind, Vec<String>)| {
            let more = details.len().saturating_sub(PARTS_MAX);
            let mut detail = details.into_iter().take(PARTS_MAX).collect::<Vec<_>>().join(", ");
            if more > 0 {
                detail.push_str(&format!(" and {more} more"));
            }
            Effect { kind, object: object.clone(), detail, count: None }
        };
        self.kinds.into_iter().map(effect).chain(self.others).collect()
    }
}

struct Comparison<'a> {
    attributes: &'a Attributes,
    object: ObjectRef,
    new: &'a Value,
    found: Found,
}

impl Comparison<'_> {
    fn scale(&mut self, old: Option<&Value>) {
        let count =
            |value: &Value| value.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(0);
        let Some(old) = old else {
            return self.found.add(EffectKind::Unknown, "scales what is not there");
        };
        let (old, new) = (count(old), count(self.new));
        self.found.scaled(&self.object, "replicas", old, new);
        if self.is("apps", "statefulsets") && new < old {
            let detail = "claims of the pods that go may be deleted with them";
            self.found.add(EffectKind::LoseData, detail);
        }
    }

    fn created(&mut self) {
        let detail = match (self.object.name.as_str(), self.text("/metadata/generateName")) {
            ("", Some(prefix)) => format!("creates {} named {prefix}…", self.object.words()),
            _ => format!("creates {}", self.object.words()),
        };
        let kind = (self.object.api_group.as_str(), self.object.resource.as_str());
        let mut inert = INERT.contains(&kind);
        if decides_access(self.attributes) {
            let detail = format!("{detail}, which decides what others may do");
            return self.found.add(EffectKind::GrantAccess, detail);
        }
        for map in ["labels", "annotations"] {
            let map = self.new.get("metadata").and_then(|metadata| metadata.get(map));
            for key in map.and_then(Value::as_object).into_iter().flat_map(|map| map.keys()) {
                if let Some(why) = triggers::on_create(key) {
                    self.found.add(EffectKind::ChangeTrigger, format!("{key}: {why}"));
                    inert = false;
                }
            }
        }
        let kind = if inert { EffectKind::CreateInert } else { EffectKind::CreateActive };
        self.found.add(kind, detail);
        self.credential();
        self.powers(None, true);
    }

    fn changed(&mut self, class_config: &ClassConfig, old: &Value) {
        let changes: Vec<Change> = leaves(Some(old), Some(self.new))
            .into_iter()
            .filter(|change| !is_bookkeeping(change))
            .collect();
        if changes.is_empty() {
            return;
        }
        self.namespace(class_config, old);
        self.credential();
        if let Some((kind, detail)) = applied::judge(&changes) {
            self.found.add(kind, detail);
        }
        for change in &changes {
            self.explain(old, change);
        }
        for (kind, detail) in template::changed(&self.object.resource, &changes, old, self.new) {
            self.found.add(kind, detail);
        }
        self.powers(Some(old), template::runs_other_code(&self.object.resource, &changes));
        let paths = || {
            changes.iter().map(|change| change.path.as_str()).take(6).collect::<Vec<_>>().join(", ")
        };
        if decides_access(self.attributes) {
            let words = self.object.words();
            let detail = format!("changes {words}, which decides what others may do: {}", paths());
            self.found.add(EffectKind::GrantAccess, detail);
        }
        if self.is("", "persistentvolumes") && old.pointer("/spec/claimRef").is_some() {
            let claim = |field| old.pointer(field).and_then(Value::as_str).unwrap_or_default();
            let (namespace, name) =
                (claim("/spec/claimRef/namespace"), claim("/spec/claimRef/name"));
            let detail = format!("{} on the volume of claim {namespace}/{name}", paths());
            self.found.add(EffectKind::ChangeTrigger, detail);
        }
    }

    fn credential(&mut self) {
        let Some(kind) = self.text("/type") else { return };
        if self.is("", "secrets") && CREDENTIAL_TYPES.contains(&kind) {
            let detail = format!("writes a Secret of type {kind}");
            self.found.add(EffectKind::MintCredential, detail);
        }
    }

    /// Powers from outside the namespace that the object did not have before; where other code runs,
    /// also those that it had.
    fn powers(&mut self, old: Option<&Value>, runs_other_code: bool) {
        let resource = self.object.resource.as_str();
        let of = |object| powers::of(resource, &self.object.namespace, object);
        let had = old.map(of).unwrap_or_default();
        let mut taken: BTreeSet<String> = of(self.new).difference(&had).cloned().collect();
        if runs_other_code {
            taken.extend(powers::of_code(resource, self.new));
        }
        for power in taken {
            self.found.add(EffectKind::Borrow, format!("takes {power}"));
        }
        let account = powers::account(resource, self.new);
        let had = old.and_then(|old| powers::account(resource, old));
        if let Some(name) = account.filter(|_| runs_other_code || account != had) {
            self.found.others.push(runs_as(name, &self.object));
        }
    }

    /// A namespace that becomes less or more guarded, by whatever path its labels are written.
    fn namespace(&mut self, config: &ClassConfig, old: &Value) {
        if !self.is("", "namespaces") {
            return;
        }
        let class = |value: &Value| {
            let labels = value.pointer("/metadata/labels").and_then(Value::as_object);
            let labels = labels
                .into_iter()
                .flatten()
                .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()))
                .collect();
            NamespaceClass::of(&self.object.name, Some(&labels), config)
        };
        let (before, after) = (class(old), class(self.new));
        let words =
            format!("namespace {}: {} -> {}", self.object.name, before.words(), after.words());
        if after.is_weaker_than(&before) {
            self.found.add(EffectKind::Unprotect, words);
        } else if before.is_weaker_than(&after) {
            self.found.add(EffectKind::Protect, words);
        }
    }

    /// Explains one differing field, unless it is of the pod template.
    fn explain(&mut self, old: &Value, change: &Change) {
        let path = change.path.as_str();
        let segments = segments(path);
        if template::within(&self.object.resource, &segments).is_some() {
            return;
        }
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        match segments.as_slice() {
            ["metadata", "annotations", applied::KEY] => {} // Judged with what it belongs to.
            ["metadata", map @ ("labels" | "annotations"), key] => self.label(map, key),
            // An empty map that comes or goes.
            ["metadata", "labels" | "annotations" | "finalizers" | "ownerReferences"]
                if is_empty(change.old.as_ref()) && is_empty(change.new.as_ref()) => {}
            // All of them are named once, however many differ.
            ["metadata", "ownerReferences", ..]
                if self.found.kinds.contains_key(&EffectKind::ChangeOwners) => {}
            ["metadata", "finalizers", ..]
                if self.found.kinds.contains_key(&EffectKind::ChangeFinalizers) => {}
            ["metadata", "ownerReferences", ..] => {
                let detail = format!("owners: {} -> {}", owners(old), owners(self.new));
                self.found.add(EffectKind::ChangeOwners, detail);
            }
            ["metadata", "finalizers", ..] => {
                let detail = format!("finalizers: {} -> {}", finalizers(old), finalizers(self.new));
                self.found.add(EffectKind::ChangeFinalizers, detail);
            }
            ["metadata", "deletionTimestamp"] => {
                self.found.add(EffectKind::Delete, format!("deletes {}", self.object.words()));
            }
            ["metadata", "uid"] => {
                self.found.add(EffectKind::Unknown, "the object is another one meanwhile");
            }
            ["spec", "replicas"] if self.scales() => self.replicas(old, change),
            ["spec", bound @ ("minReplicas" | "maxReplicas")]
                if self.is("autoscaling", "horizontalpodautoscalers") =>
            {
                let count = |side: &Option<Value>| side.as_ref().and_then(Value::as_i64);
                let (old, new) = (count(&change.old).unwrap_or(1), count(&change.new).unwrap_or(1));
                self.found.scaled(&self.object, bound, old, new);
            }
            ["spec", "unschedulable"] if self.is("", "nodes") => {
                match change.new.as_ref().and_then(Value::as_bool).unwrap_or(false) {
                    true => self.found.add(EffectKind::Cordon, "takes no more pods"),
                    false => self.found.add(EffectKind::Uncordon, "takes pods again"),
                }
            }
            ["spec", "taints", ..] if self.is("", "nodes") => {
                let detail = format!("taints: {} -> {}", taints(old), taints(self.new));
                self.found.add(EffectKind::Taint, detail);
            }
            ["data" | "stringData" | "binaryData", ..] | ["immutable"] if self.holds_data() => {
                self.data(&segments, change);
            }
            ["spec", field @ ("persistentVolumeReclaimPolicy" | "claimRef"), ..]
                if self.is("", "persistentvolumes") =>
            {
                self.found.add(EffectKind::LoseData, format!("{field} differs"));
            }
            ["spec", field @ "persistentVolumeClaimRetentionPolicy", ..] => {
                self.found.add(EffectKind::LoseData, format!("{field} differs"));
            }
            // Of values only the path is told: they may be secret.
            _ => self.found.add(EffectKind::ChangeSpec, format!("{path} differs")),
        }
    }

    fn label(&mut self, map: &str, key: &str) {
        let acts = match map {
            "labels" => triggers::label(&self.object.resource, key),
            _ => triggers::annotation(&self.object.resource, key),
        };
        let what = map.trim_end_matches('s');
        match acts {
            Some(why) => {
                self.found.add(EffectKind::ChangeTrigger, format!("{what} {key}: {why}"));
            }
            None => self.found.add(EffectKind::ChangeLabels, format!("{what} {key}")),
        }
    }

    fn replicas(&mut self, old: &Value, change: &Change) {
        // What a workload omits is 1.
        let count =
            |side: &Option<Value>| side.as_ref().map_or(Some(1), Value::as_i64).unwrap_or(0);
        let (before, after) = (count(&change.old), count(&change.new));
        self.found.scaled(&self.object, "replicas", before, after);
        let claims = deletes_claims(old, "whenScaled") || deletes_claims(self.new, "whenScaled");
        if after < before && self.is("apps", "statefulsets") && claims {
            self.found.others.push(claims_go(&self.object, "whenScaled"));
        }
    }

    fn data(&mut self, segments: &[&str], change: &Change) {
        let name = segments.get(1..).unwrap_or_default().join("/");
        let (kind, detail) = match (segments, &change.old, &change.new) {
            (["immutable"], ..) => (EffectKind::LoseData, "can never be changed again".to_owned()),
            (_, None, Some(_)) => (EffectKind::AddData, format!("adds {name}")),
            (_, _, None) => (EffectKind::LoseData, format!("removes {name}")),
            _ => (EffectKind::LoseData, format!("overwrites {name}")),
        };
        self.found.add(kind, detail);
    }

    fn scales(&self) -> bool {
        let kind = (self.object.api_group.as_str(), self.object.resource.as_str());
        matches!(
            kind,
            ("apps", "deployments" | "statefulsets" | "replicasets")
                | ("", "replicationcontrollers")
        )
    }

    fn holds_data(&self) -> bool {
        self.is("", "secrets") || self.is("", "configmaps")
    }

    fn is(&self, group: &str, resource: &str) -> bool {
        self.attributes.api_group == group && self.attributes.resource == resource
    }

    fn text(&self, path: &str) -> Option<&str> {
        self.new.pointer(path).and_then(Value::as_str).filter(|it| !it.is_empty())
    }
}

fn is_bookkeeping(change: &Change) -> bool {
    let field = change.path.strip_prefix("/metadata/").and_then(|it| it.split('/').next());
    field.is_some_and(|field| BOOKKEEPING.contains(&field))
}

fn is_empty(value: Option<&Value>) -> bool {
    match value {
        None => true,
        Some(Value::Object(fields)) => fields.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        Some(_) => false,
    }
}

fn owners(object: &Value) -> String {
    named(object, "/metadata/ownerReferences", |owner| {
        let text = |key| owner.get(key).and_then(Value::as_str).unwrap_or_default();
        format!("{} {}", text("kind"), text("name"))
    })
}

fn finalizers(object: &Value) -> String {
    named(object, "/metadata/finalizers", |it| it.as_str().unwrap_or_default().to_owned())
}

fn taints(object: &Value) -> String {
    named(object, "/spec/taints", |taint| {
        let text = |key| taint.get(key).and_then(Value::as_str).unwrap_or_default();
        let drains = if text("effect") == "NoExecute" { " (drains the node)" } else { "" };
        format!("{}:{}{drains}", text("key"), text("effect"))
    })
}

fn named(object: &Value, path: &str, name: impl Fn(&Value) -> String) -> String {
    let items: Vec<String> =
        object.pointer(path).and_then(Value::as_array).into_iter().flatten().map(name).collect();
    if items.is_empty() { "none".to_owned() } else { items.join(", ") }
}
