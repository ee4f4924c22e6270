//! Comparing the live object with the dry run's answer: every differing path is explained by a
//! kind, and what no kind explains is [`EffectKind::ChangeSpec`]. Nothing is harmless because
//! nobody thought of it.

use std::collections::BTreeSet;

use attributes::Attributes;
use serde_json::Value;

use crate::{
    EffectKind,
    about::{
        About, ClaimsGo, ClaimsOf, ClassChange, Count, Counted, Deleted, OldNew, Part, Power,
        Record, Taint, VolumeOfClaim,
    },
    applied,
    builtin::Builtin,
    custom_write::{self, asks_no_operator},
    diff::{BOOKKEEPING, TooMany, leaves, segments},
    effect::{Change, Effect},
    found::{Found, runs_as},
    keys::{self, Keys, Map},
    known::Known,
    lease, lifetime,
    namespace::{ClassConfig, NamespaceClass, is_for_trying},
    object::{ObjectRef, each, finalizers, object_in, object_of, owners},
    ownership,
    plan::{self, decides_access, unknown},
    powers, records, relay, routing, template,
    unknown::Unknown,
};

/// New objects that neither run nor select traffic nor bind anybody (DEFAULTS Q5, Q10).
const INERT: [(&str, &str); 10] = [
    ("", "configmaps"),
    ("", "secrets"),
    ("", "persistentvolumeclaims"),
    ("", "serviceaccounts"),
    ("", "podtemplates"),
    ("policy", "poddisruptionbudgets"),
    ("resource.k8s.io", "resourceclaimtemplates"),
    ("", "events"),
    ("events.k8s.io", "events"),
    ("coordination.k8s.io", "leases"),
];

/// What those who report an Event once more write into it.
const OF_EVENTS: [&str; 9] = [
    "action",
    "count",
    "deprecatedCount",
    "deprecatedLastTimestamp",
    "eventTime",
    "lastTimestamp",
    "message",
    "note",
    "series",
];

/// Types of Secrets that are, or become, credentials of the cluster.
const CREDENTIAL_TYPES: [&str; 2] =
    ["kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token"];

/// Paths that one part names.
const PATHS_MAX: usize = 6;

/// What a create, update or patch would do: `old` is the live object (`None`: there is none),
/// `new` the dry run's answer. For `/scale` both are a `Scale`, where a missing count means 0.
/// Evictions and bindings, whose answer is no object, do what [`crate::plan()`] says and nothing else.
pub fn of_change(
    attributes: &Attributes,
    known: &Known<'_>,
    old: Option<&Value>,
    new: &Value,
) -> Vec<Effect> {
    let answers_no_object = matches!(attributes.subresource.as_str(), "eviction" | "binding");
    if answers_no_object || attributes.resource == "bindings" {
        return Vec::new();
    }
    if new.get("kind").and_then(Value::as_str) == Some("Status") || !new.is_object() {
        return vec![unknown(attributes, Unknown::NotTheObject)];
    }
    let object = object_in(attributes, old, new);
    let keys = Keys::new(known.inert_keys);
    let found = Found::default();
    let mut at = Comparison { attributes, keys, known: *known, object, new, found };
    let is_custom = Builtin::find(&attributes.api_group, &attributes.resource).is_none();
    match old {
        _ if is_custom => at.custom(old),
        _ if attributes.subresource == "scale" => at.scale(old),
        Some(old) => at.changed(known.classes, old),
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
        if deletes_claims(workload, ClaimsGo::WhenScaled) {
            effects.push(claims_go(&effect.object, ClaimsGo::WhenScaled));
        }
    }
}

/// What a write to the `/scale` of a custom resource does by its own words: from the live count to the
/// one that is asked for, as far as either is known.
pub fn of_said_scale(attributes: &Attributes, old: Option<i64>, new: Option<i64>) -> Vec<Effect> {
    let object = object_of(attributes);
    let (Some(old), Some(new)) = (old, new) else {
        let count = Count::new(Counted::Replicas, old, new);
        return vec![Effect { kind: EffectKind::ScaleDown, object, about: About::Count(count) }];
    };
    let mut found = Found::default();
    found.scaled(&object, Counted::Replicas, old, new);
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
        let what = match kind {
            // A Secret's type tells helm's own bookkeeping from credentials.
            ("", "secrets") => text("/type").map(|it| Deleted::Secret(it.to_owned())),
            ("", "persistentvolumes") => {
                text("/spec/claimRef/namespace").map(|it| Deleted::BoundVolume(it.to_owned()))
            }
            _ if Builtin::find(kind.0, kind.1).is_none() => Some(Deleted::Custom),
            _ => replicas.map(Deleted::Workload),
        };
        let when = ClaimsGo::WhenDeleted;
        let claims = kind == ("apps", "statefulsets") && deletes_claims(value, when);
        let claims = claims.then(|| claims_go(&object, when));
        effects.push(Effect::delete(object, what.unwrap_or(Deleted::Named)));
        effects.extend(claims);
    }
    effects
}

/// What an exec, attach, port-forward or proxy into a live pod takes from outside its namespace.
pub fn of_entered(attributes: &Attributes, pod: &Value) -> Vec<Effect> {
    let object = object_in(attributes, Some(pod), pod);
    let mut found = Found::default();
    for power in powers::of_code("pods", pod) {
        found.add(EffectKind::Borrow, Part::Power(power));
    }
    found.others.extend(powers::account("pods", pod).map(|name| runs_as(name, &object)));
    found.effects(&object)
}

fn deletes_claims(workload: &Value, when: ClaimsGo) -> bool {
    let path = format!("/spec/persistentVolumeClaimRetentionPolicy/{}", when.as_str());
    workload.pointer(&path).and_then(Value::as_str) == Some("Delete")
}

/// Claims that go with their StatefulSet: which ones is not known here.
fn claims_go(of: &ObjectRef, when: ClaimsGo) -> Effect {
    let object = ObjectRef {
        resource: "persistentvolumeclaims".to_owned(),
        namespace: of.namespace.clone(),
        ..ObjectRef::default()
    };
    Effect::delete(object, Deleted::ClaimsOf(ClaimsOf { owner: of.into(), when }))
}

struct Comparison<'a> {
    attributes: &'a Attributes,
    keys: Keys<'a>,
    known: Known<'a>,
    object: ObjectRef,
    new: &'a Value,
    found: Found,
}

impl Comparison<'_> {
    fn scale(&mut self, old: Option<&Value>) {
        let count =
            |value: &Value| value.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(0);
        let Some(old) = old else {
            self.found.others.push(unknown(self.attributes, Unknown::NotThere));
            return;
        };
        let (old, new) = (count(old), count(self.new));
        self.found.scaled(&self.object, Counted::Replicas, old, new);
        if self.is("apps", "statefulsets") && new < old {
            self.found.add(EffectKind::LoseData, Part::ClaimsMayGo);
        }
    }

    /// What Kubernetes itself makes of a custom resource. The rest is its operator's to know.
    fn custom(&mut self, old: Option<&Value>) {
        let changes = leaves(old, Some(self.new), &BOOKKEEPING);
        match old {
            _ if self.attributes.subresource == "scale" => self.scale(old),
            Some(old) => self.metadata(old, &changes),
            None => self.applied_first(),
        }
        let (a, written) = (self.attributes, plan::written(self.attributes, self.object.clone()));
        // Of a kind that is known to act, this says how.
        let says = match &changes {
            Ok(changes) if old.is_some() && asks_no_operator(&self.known, changes) => return,
            Ok(changes) => custom_write::of_changes(a, &self.known, old, self.new, changes),
            Err(TooMany) => vec![unknown(a, Unknown::TooManyDifferences)],
        };
        if !says.iter().any(|it| it.kind == written.kind) {
            self.found.others.push(written);
        }
        self.found.others.extend(says);
    }

    /// What garbage collection, owners of fields, and whoever reads keys make of a change.
    fn metadata(&mut self, old: &Value, changes: &Result<Vec<Change>, TooMany>) {
        self.ownership(old, changes);
        let Ok(changes) = changes else { return };
        if let Some((kind, part)) = applied::judge(changes) {
            self.found.add(kind, part);
        }
        for change in changes {
            self.explain_metadata(old, change);
        }
    }

    fn applied_first(&mut self) {
        if let Some(manager) = self.known.applied_by {
            self.found.add(EffectKind::TakeFields, ownership::created(manager));
        }
    }

    fn ownership(&mut self, old: &Value, changes: &Result<Vec<Change>, TooMany>) {
        let (by, is_noop) = (self.known.applied_by, changes.as_ref().is_ok_and(Vec::is_empty));
        for part in ownership::changed(self.attributes, by, old, self.new, is_noop) {
            self.found.add(EffectKind::TakeFields, part);
        }
    }

    fn created(&mut self) {
        let prefix = match (self.object.name.as_str(), self.text("/metadata/generateName")) {
            ("", Some(prefix)) => prefix.to_owned(),
            _ => String::new(),
        };
        let kind = (self.object.api_group.as_str(), self.object.resource.as_str());
        let is_inert_kind = INERT.contains(&kind);
        if decides_access(self.attributes) {
            return self.found.add(EffectKind::GrantAccess, Part::AccessCreated(prefix));
        }
        for key in template::granting(self.keys, &self.object.resource, self.new) {
            self.found.add(EffectKind::GrantAccess, Part::Grants(key.clone()));
        }
        for (map, key) in keys::of(self.new).filter(|_| is_inert_kind) {
            if self.keys.marks(&self.object.resource, map, key) {
                self.found.add(EffectKind::ChangeTrigger, Part::Mark(key.clone()));
            }
        }
        self.record(None);
        let is_inert = is_inert_kind || self.is_namespace_for_trying();
        let kind = if is_inert && self.found.kinds.is_empty() {
            EffectKind::CreateInert
        } else {
            EffectKind::CreateActive
        };
        self.found.add(kind, Part::Created(prefix));
        self.lease(None);
        self.applied_first();
        self.credential();
        self.powers(None, true);
        let routing = routing::of_annotations(self.keys, &self.object.resource, self.new);
        self.found.borrows(routing);
    }

    fn changed(&mut self, class_config: &ClassConfig, old: &Value) {
        let changes = leaves(Some(old), Some(self.new), &BOOKKEEPING);
        self.ownership(old, &changes);
        let Ok(changes) = changes else { return self.changed_beyond_telling(class_config, old) };
        if changes.is_empty() {
            return;
        }
        self.namespace(class_config, old);
        self.credential();
        self.record(Some(old));
        self.lease(Some(old));
        if let Some((kind, part)) = applied::judge(&changes) {
            self.found.add(kind, part);
        }
        for change in &changes {
            self.explain(old, change);
        }
        let (keys, resource) = (self.keys, self.object.resource.as_str());
        for (kind, part) in template::changed(keys, resource, &changes, old, self.new) {
            self.found.add(kind, part);
        }
        self.found.others.extend(lifetime::of(&self.object, keys, &changes));
        self.found.borrows(relay::written(resource, &changes));
        self.found.borrows(routing::by_annotations(keys, resource, &changes));
        self.powers(Some(old), template::runs_other_code(keys, resource, &changes));
        let paths =
            || changes.iter().map(|it| it.path.clone()).take(PATHS_MAX).collect::<Vec<String>>();
        if decides_access(self.attributes) {
            self.found.add(EffectKind::GrantAccess, Part::AccessChanged(paths()));
        }
        if self.is("", "persistentvolumes") && old.pointer("/spec/claimRef").is_some() {
            let claim =
                |field| old.pointer(field).and_then(Value::as_str).unwrap_or_default().to_owned();
            let (namespace, name) =
                (claim("/spec/claimRef/namespace"), claim("/spec/claimRef/name"));
            let volume = VolumeOfClaim { namespace, name, fields: paths() };
            self.found.add(EffectKind::ChangeTrigger, Part::VolumeOfClaim(volume));
        }
    }

    /// What differs in more places than are compared: what the object as a whole shows is told all the
    /// same.
    fn changed_beyond_telling(&mut self, class_config: &ClassConfig, old: &Value) {
        self.found.others.push(unknown(self.attributes, Unknown::TooManyDifferences));
        self.namespace(class_config, old);
        self.credential();
        self.record(Some(old));
        self.lease(Some(old));
        self.powers(Some(old), true);
    }

    /// A tool's record, as it is or would be.
    fn record(&mut self, old: Option<&Value>) {
        let mut sides = old.into_iter().chain([self.new]);
        let record = sides.find_map(|it| records::of(self.attributes, self.keys, it));
        if let Some(record) = record {
            self.found.add(EffectKind::ChangeTrigger, Part::Record(record));
        }
    }

    fn lease(&mut self, old: Option<&Value>) {
        if !self.is("coordination.k8s.io", "leases") {
            return;
        }
        if let Some(change) = lease::of(old, self.new, self.known.now) {
            let (object, about) = (self.object.clone(), About::Lease(change));
            self.found.others.push(Effect { kind: EffectKind::TakeLease, object, about });
        }
    }

    fn is_namespace_for_trying(&self) -> bool {
        self.is("", "namespaces") && is_for_trying(self.new, self.known.classes)
    }

    fn credential(&mut self) {
        let Some(kind) = self.text("/type") else { return };
        if self.is("", "secrets") && CREDENTIAL_TYPES.contains(&kind) {
            let credential = Part::Credential(kind.to_owned());
            self.found.add(EffectKind::MintCredential, credential);
        }
    }

    /// Powers from outside the namespace that the object did not have before; where other code runs,
    /// also those that it had.
    fn powers(&mut self, old: Option<&Value>, runs_other_code: bool) {
        let resource = self.object.resource.as_str();
        let of = |object| powers::of(resource, &self.object.namespace, object);
        let had = old.map(of).unwrap_or_default();
        let mut taken: BTreeSet<Power> = of(self.new).difference(&had).cloned().collect();
        if runs_other_code {
            taken.extend(powers::of_code(resource, self.new));
        }
        self.found.borrows(taken);
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
        let kind = if after.is_weaker_than(&before) {
            EffectKind::Unprotect
        } else if before.is_weaker_than(&after) {
            EffectKind::Protect
        } else {
            return;
        };
        let change = ClassChange { old: before.mark(), new: after.mark(), recreated: false };
        let (object, about) = (self.object.clone(), About::Class(change));
        self.found.others.push(Effect { kind, object, about });
    }

    /// Explains one differing field, unless it is of the pod template.
    fn explain(&mut self, old: &Value, change: &Change) {
        let path = change.path.as_str();
        let segments = segments(path);
        if template::within(&self.object.resource, &segments).is_some()
            || self.explain_metadata(old, change)
        {
            return;
        }
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        match segments.as_slice() {
            ["spec", "taints", ..]
                if self.is("", "nodes") && self.found.kinds.contains_key(&EffectKind::Taint) => {}
            ["spec", _]
                if self.is("coordination.k8s.io", "leases") && lease::FIELDS.contains(&path) => {}
            [field, ..] if self.object.resource == "events" && OF_EVENTS.contains(field) => {}
            ["spec", "replicas"] if self.scales() => self.replicas(old, change),
            ["spec", bound @ ("minReplicas" | "maxReplicas")]
                if self.is("autoscaling", "horizontalpodautoscalers") =>
            {
                let counted = match *bound {
                    "minReplicas" => Counted::MinReplicas,
                    _ => Counted::MaxReplicas,
                };
                let count = |side: &Option<Value>| side.as_ref().and_then(Value::as_i64);
                let (old, new) = (count(&change.old).unwrap_or(1), count(&change.new).unwrap_or(1));
                self.found.scaled(&self.object, counted, old, new);
            }
            ["spec", "unschedulable"] if self.is("", "nodes") => {
                let kind = match change.new.as_ref().and_then(Value::as_bool).unwrap_or(false) {
                    true => EffectKind::Cordon,
                    false => EffectKind::Uncordon,
                };
                self.found.others.push(Effect::plain(kind, self.object.clone()));
            }
            ["spec", "paused"]
                if self.is("apps", "deployments") && change.new == Some(Value::Bool(true)) =>
            {
                self.found.others.push(Effect::plain(EffectKind::Pause, self.object.clone()));
            }
            ["spec", "taints", ..] if self.is("", "nodes") => {
                let taints = OldNew { old: taints(old), new: taints(self.new) };
                self.found.add(EffectKind::Taint, Part::Taints(taints));
            }
            ["data" | "stringData" | "binaryData", ..] | ["immutable"] if self.holds_data() => {
                self.data(&segments, old, change);
            }
            ["spec", field @ ("persistentVolumeReclaimPolicy" | "claimRef"), ..]
                if self.is("", "persistentvolumes") =>
            {
                self.found.add(EffectKind::LoseData, Part::Field(format!("/spec/{field}")));
            }
            ["spec", field @ "persistentVolumeClaimRetentionPolicy", ..] => {
                self.found.add(EffectKind::LoseData, Part::Field(format!("/spec/{field}")));
            }
            // Of values only the path is told: they may be secret.
            _ => self.found.add(EffectKind::ChangeSpec, Part::Field(path.to_owned())),
        }
    }

    /// Explains one differing field, if it is one that every kind of object has.
    fn explain_metadata(&mut self, old: &Value, change: &Change) -> bool {
        let segments = segments(&change.path);
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
                let owners = OldNew { old: owners(old), new: owners(self.new) };
                self.found.add(EffectKind::ChangeOwners, Part::Owners(owners));
            }
            ["metadata", "finalizers", ..] => {
                let finalizers = OldNew { old: finalizers(old), new: finalizers(self.new) };
                self.found.add(EffectKind::ChangeFinalizers, Part::Finalizers(finalizers));
            }
            ["metadata", "deletionTimestamp"] => {
                self.found.others.push(Effect::delete(self.object.clone(), Deleted::Named));
            }
            ["metadata", "uid"] => {
                self.found.others.push(unknown(self.attributes, Unknown::AnotherObject));
            }
            _ => return false,
        }
        true
    }

    fn label(&mut self, map: &str, key: &str) {
        let (resource, of) = (self.object.resource.as_str(), Map::called(map));
        if self.keys.grants(resource, of, key) {
            return self.found.add(EffectKind::GrantAccess, Part::Grants(key.to_owned()));
        }
        let kind = match self.keys.acts(resource, of, key) {
            true => EffectKind::ChangeTrigger,
            false => EffectKind::ChangeLabels,
        };
        let part = match of {
            Map::Labels => Part::Label(key.to_owned()),
            Map::Annotations => Part::Annotation(key.to_owned()),
        };
        self.found.add(kind, part);
    }

    fn replicas(&mut self, old: &Value, change: &Change) {
        // What a workload omits is 1.
        let count =
            |side: &Option<Value>| side.as_ref().map_or(Some(1), Value::as_i64).unwrap_or(0);
        let (before, after) = (count(&change.old), count(&change.new));
        self.found.scaled(&self.object, Counted::Replicas, before, after);
        let when = ClaimsGo::WhenScaled;
        let claims = deletes_claims(old, when) || deletes_claims(self.new, when);
        if after < before && self.is("apps", "statefulsets") && claims {
            self.found.others.push(claims_go(&self.object, when));
        }
    }

    fn data(&mut self, segments: &[&str], old: &Value, change: &Change) {
        let name = segments.get(1..).unwrap_or_default().join("/");
        let (kind, part) = match (segments, &change.old, &change.new) {
            (["immutable"], ..) => (EffectKind::LoseData, Part::Immutable),
            (_, None, Some(_)) => (EffectKind::AddData, Part::DataAdded(name)),
            (_, _, None) => (EffectKind::LoseData, Part::DataRemoved(name)),
            _ => (EffectKind::LoseData, Part::DataOverwritten(name)),
        };
        self.found.add(kind, part);
        if kind == EffectKind::AddData
            && let Some(key) = keys::of(old).map(|(_, key)| key).find(|key| keys::is_of_tool(key))
        {
            let record = Part::Record(Record::Key(key.clone()));
            self.found.add(EffectKind::ChangeTrigger, record);
        }
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

fn is_empty(value: Option<&Value>) -> bool {
    match value {
        None => true,
        Some(Value::Object(fields)) => fields.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        Some(_) => false,
    }
}

fn taints(object: &Value) -> Vec<Taint> {
    each(object, "/spec/taints", |taint| {
        let text = |key| taint.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        Taint { key: text("key"), effect: text("effect") }
    })
}
