//! Comparing the live object with the dry run's answer: every differing path is explained by a
//! kind, and what no kind explains is [`EffectKind::ChangeSpec`]. Nothing is harmless because
//! nobody thought of it.

use std::collections::BTreeMap;

use attributes::Attributes;
use serde_json::Value;

use crate::{
    Change, ClassConfig, Effect, EffectKind, NamespaceClass, ObjectRef, diff, normalised, object_of,
    template, triggers,
};

/// New objects that neither run nor select traffic nor bind anybody (DEFAULTS Q5, Q10).
const INERT: [(&str, &str); 8] = [
    ("", "configmaps"),
    ("", "secrets"),
    ("", "persistentvolumeclaims"),
    ("", "serviceaccounts"),
    ("", "namespaces"),
    ("", "podtemplates"),
    ("policy", "poddisruptionbudgets"),
    ("resource.k8s.io", "resourceclaimtemplates"),
];

/// Types of Secrets that are, or become, credentials of the cluster.
const CREDENTIAL_TYPES: [&str; 2] =
    ["kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token"];

/// What a create, update or patch would do: `old` is the live object (`None`: there is none),
/// `new` the dry run's answer. For `/scale` both are a `Scale`, where a missing count means 0.
pub fn of_change(
    attributes: &Attributes,
    class_config: &ClassConfig,
    old: Option<&Value>,
    new: &Value,
) -> Vec<Effect> {
    let object = object_in(attributes, old.unwrap_or(new));
    let at = Comparison { object, old, new };
    if attributes.subresource == "scale" {
        let count = |value: &Value| value.pointer("/spec/replicas").and_then(Value::as_i64);
        let old_count = old.map_or(0, |old| count(old).unwrap_or(0));
        return at.scaled(old_count, count(new).unwrap_or(0)).into_iter().collect();
    }
    let Some(old) = old else { return at.created() };
    let mut found = Found::default();
    at.namespace(class_config, old, &mut found);
    at.credential(&mut found);
    let changes = normalised(attributes, diff(Some(old), Some(new)));
    for change in &changes {
        at.explain(change, &mut found);
    }
    at.template(&changes, &mut found);
    found.effects(&at.object)
}

/// One `Delete` for each object, with its uid.
pub fn of_delete(attributes: &Attributes, objects: &[Value]) -> Vec<Effect> {
    objects
        .iter()
        .map(|value| {
            let object = object_in(attributes, value);
            let kind = value.get("type").and_then(Value::as_str).filter(|_| {
                // A Secret's type tells helm's own bookkeeping from credentials.
                object.resource == "secrets"
            });
            let of_type = kind.map(|it| format!(" of type {it}")).unwrap_or_default();
            let detail = format!("deletes {}{of_type}", object.words());
            Effect { kind: EffectKind::Delete, object, detail, count: None }
        })
        .collect()
}

/// The object of a request, with what only the object itself tells.
fn object_in(attributes: &Attributes, value: &Value) -> ObjectRef {
    let text = |path| value.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut object = object_of(attributes);
    object.uid = text("/metadata/uid");
    if object.name.is_empty() {
        object.name = text("/metadata/name");
    }
    if attributes.verb == "create" && attributes.subresource.is_empty() {
        object.uid.clear(); // Of a dry run: another one each time.
    }
    object
}

/// Kinds with what was seen of each, so that ten paths of one kind are one effect.
#[derive(Default)]
struct Found(BTreeMap<EffectKind, (Vec<String>, Option<(i64, i64)>)>);

impl Found {
    fn add(&mut self, kind: EffectKind, detail: impl Into<String>) {
        self.0.entry(kind).or_default().0.push(detail.into());
    }

    fn counted(&mut self, effect: Effect) {
        let entry = self.0.entry(effect.kind).or_default();
        entry.0.push(effect.detail);
        entry.1 = effect.count;
    }

    fn effects(self, object: &ObjectRef) -> Vec<Effect> {
        const PARTS_MAX: usize = 6;
        let effect = |(kind, (details, count)): (EffectKind, (Vec<String>, _))| {
            let more = details.len().saturating_sub(PARTS_MAX);
            let mut detail = details.into_iter().take(PARTS_MAX).collect::<Vec<_>>().join(", ");
            if more > 0 {
                detail.push_str(&format!(" and {more} more"));
            }
            Effect { kind, object: object.clone(), detail, count }
        };
        self.0.into_iter().map(effect).collect()
    }
}

struct Comparison<'a> {
    object: ObjectRef,
    old: Option<&'a Value>,
    new: &'a Value,
}

impl Comparison<'_> {
    fn created(&self) -> Vec<Effect> {
        let mut found = Found::default();
        self.credential(&mut found);
        let kind = (self.object.api_group.as_str(), self.object.resource.as_str());
        let detail = format!("creates {}", self.object.words());
        match INERT.contains(&kind) {
            true => found.add(EffectKind::CreateInert, detail),
            false => found.add(EffectKind::CreateActive, detail),
        }
        found.effects(&self.object)
    }

    fn credential(&self, found: &mut Found) {
        let kind = self.new.get("type").and_then(Value::as_str).unwrap_or_default();
        if self.is("", "secrets") && CREDENTIAL_TYPES.contains(&kind) {
            found.add(EffectKind::MintCredential, format!("writes a Secret of type {kind}"));
        }
    }

    /// A namespace that becomes less guarded, by whatever path its labels are written.
    fn namespace(&self, config: &ClassConfig, old: &Value, found: &mut Found) {
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
            found.add(EffectKind::Unprotect, words);
        } else if before.is_weaker_than(&after) {
            found.add(EffectKind::Protect, words);
        }
    }

    /// Everything but the pod template.
    fn explain(&self, change: &Change, found: &mut Found) {
        let path = change.path.as_str();
        let segments: Vec<String> = path
            .split('/')
            .skip(1)
            .map(|segment| segment.replace("~1", "/").replace("~0", "~"))
            .collect();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        if template::within(&self.object.resource, &segments).is_some() {
            return;
        }
        match segments.as_slice() {
            ["metadata", map @ ("labels" | "annotations"), rest @ ..] => {
                self.labels(change, map, rest, found);
            }
            ["metadata", "ownerReferences", ..] => {
                found.add(EffectKind::ChangeOwners, "owner references differ");
            }
            ["metadata", "finalizers", ..] => {
                found.add(EffectKind::ChangeFinalizers, "finalizers differ");
            }
            ["spec", "replicas"] if self.scales() => {
                let count = |side: &Option<Value>| {
                    // What a workload omits is 1.
                    side.as_ref().map_or(Some(1), Value::as_i64).unwrap_or(0)
                };
                if let Some(effect) = self.scaled(count(&change.old), count(&change.new)) {
                    found.counted(effect);
                }
                self.claims(change, found);
            }
            ["spec", bound @ ("minReplicas" | "maxReplicas")]
                if self.is("autoscaling", "horizontalpodautoscalers") =>
            {
                let count = |side: &Option<Value>| side.as_ref().and_then(Value::as_i64);
                let (old, new) =
                    (count(&change.old).unwrap_or(1), count(&change.new).unwrap_or(1));
                if let Some(mut effect) = self.scaled(old, new) {
                    effect.detail = format!("{bound} {old} -> {new}");
                    found.counted(effect);
                }
            }
            ["spec", "unschedulable"] if self.is("", "nodes") => {
                match change.new.as_ref().and_then(Value::as_bool).unwrap_or(false) {
                    true => found.add(EffectKind::Cordon, "takes no more pods"),
                    false => found.add(EffectKind::Uncordon, "takes pods again"),
                }
            }
            ["spec", "taints", ..] if self.is("", "nodes") => {
                let text = change.new.as_ref().map(Value::to_string).unwrap_or_default();
                let drains = if text.contains("NoExecute") { " (NoExecute: drains it)" } else { "" };
                found.add(EffectKind::Taint, format!("taints differ{drains}"));
            }
            [data @ ("data" | "stringData" | "binaryData"), rest @ ..]
                if self.is("", "secrets") || self.is("", "configmaps") =>
            {
                let key = rest.first().map(|key| format!(" {key}")).unwrap_or_default();
                match (&change.old, &change.new) {
                    (None, Some(_)) => {
                        found.add(EffectKind::AddData, format!("adds {data}{key}"));
                    }
                    (_, None) => found.add(EffectKind::LoseData, format!("removes {data}{key}")),
                    _ => found.add(EffectKind::LoseData, format!("overwrites {data}{key}")),
                }
            }
            ["spec", field @ ("persistentVolumeReclaimPolicy" | "claimRef"), ..]
                if self.is("", "persistentvolumes") =>
            {
                found.add(EffectKind::LoseData, format!("{field} differs"));
            }
            ["spec", field @ "persistentVolumeClaimRetentionPolicy", ..] => {
                found.add(EffectKind::LoseData, format!("{field} differs"));
            }
            _ => found.add(EffectKind::ChangeSpec, format!("{path} differs")),
        }
    }

    fn labels(&self, change: &Change, map: &str, rest: &[&str], found: &mut Found) {
        // The whole map may come or go; then each of its keys does.
        let keys: Vec<String> = match rest {
            [key, ..] => vec![(*key).to_owned()],
            [] => [&change.old, &change.new]
                .into_iter()
                .flatten()
                .filter_map(Value::as_object)
                .flat_map(|map| map.keys().cloned())
                .collect(),
        };
        for key in keys {
            let acts = match map {
                "labels" => triggers::label(&self.object.resource, &key),
                _ => triggers::annotation(&key),
            };
            let what = map.trim_end_matches('s');
            match acts {
                Some(why) => {
                    found.add(EffectKind::ChangeTrigger, format!("{what} {key}: {why}"));
                }
                None => found.add(EffectKind::ChangeLabels, format!("{what} {key}")),
            }
        }
    }

    fn scaled(&self, old: i64, new: i64) -> Option<Effect> {
        let kind = match new.cmp(&old) {
            std::cmp::Ordering::Less => EffectKind::ScaleDown,
            std::cmp::Ordering::Greater => EffectKind::ScaleUp,
            std::cmp::Ordering::Equal => return None,
        };
        let detail = format!("replicas {old} -> {new}");
        Some(Effect { kind, object: self.object.clone(), detail, count: Some((old, new)) })
    }

    /// A StatefulSet that deletes its claims when it shrinks.
    fn claims(&self, change: &Change, found: &mut Found) {
        let policy = self
            .old
            .and_then(|old| old.pointer("/spec/persistentVolumeClaimRetentionPolicy/whenScaled"))
            .and_then(Value::as_str);
        let count = |side: &Option<Value>| side.as_ref().and_then(Value::as_i64).unwrap_or(1);
        if policy == Some("Delete") && count(&change.new) < count(&change.old) {
            let detail = "the claims of the pods that go are deleted (whenScaled: Delete)";
            found.add(EffectKind::LoseData, detail);
        }
    }

    fn template(&self, changes: &[Change], found: &mut Found) {
        let Some(old) = self.old else { return };
        for (kind, detail) in template::changed(&self.object.resource, changes, old, self.new) {
            found.add(kind, detail);
        }
    }

    fn scales(&self) -> bool {
        matches!(
            self.object.resource.as_str(),
            "deployments" | "statefulsets" | "replicasets" | "replicationcontrollers"
        )
    }

    fn is(&self, group: &str, resource: &str) -> bool {
        self.object.api_group == group && self.object.resource == resource
    }
}
