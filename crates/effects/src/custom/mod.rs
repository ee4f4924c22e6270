//! What a write to a custom resource does, as far as the object before and after tells.

pub(crate) mod groups;

use attributes::Attributes;
use groups::Custom;
use serde_json::Value;

use crate::{
    EffectKind,
    about::{self, About},
    applied,
    diff::{BOOKKEEPING, leaves, segments},
    effect::{Change, Effect},
    keys::Keys,
    known::Known,
    object::{ObjectRef, object_in},
};

/// Inert on what Kubernetes serves itself but in a pod template; operators restart databases by it.
const RESTARTED: &str = "kubectl.kubernetes.io/restartedAt";

/// What a write to a custom resource does by what its operator makes of it; what Kubernetes makes of its
/// metadata is told elsewhere. `old` is the live object, `new` as it would be; one that goes says nothing
/// here, as its delete is an effect already.
pub(crate) fn effects(
    attributes: &Attributes,
    old: Option<&Value>,
    new: Option<&Value>,
    known: &Known<'_>,
) -> Vec<Effect> {
    let Some(new) = new else { return Vec::new() };
    let is_harmless = old.is_some_and(|old| {
        let changes = leaves(Some(old), Some(new), &BOOKKEEPING);
        changes.is_ok_and(|changes| changes.iter().all(|it| is_of_no_operator(known, it)))
    });
    match is_harmless {
        true => Vec::new(),
        false => vec![written(attributes, object_in(attributes, old, new))],
    }
}

/// That a custom resource is written, by what is known of its group.
pub(crate) fn written(attributes: &Attributes, object: ObjectRef) -> Effect {
    let kind = match groups::of(&attributes.api_group) {
        Custom::Acts(_) => EffectKind::WriteActing,
        Custom::Plain => EffectKind::WriteCustom,
        Custom::OfKubernetes => EffectKind::Unknown,
    };
    let (verb, subresource) = (attributes.verb.clone(), attributes.subresource.clone());
    Effect { kind, object, about: About::Custom(about::Custom { verb, subresource }) }
}

/// Whether a difference is one of which no operator makes anything: of keys that are known to be inert, or
/// of what Kubernetes itself acts on, which has an effect of its own. Operators select their objects by
/// labels as common as `app.kubernetes.io/name`.
fn is_of_no_operator(known: &Known<'_>, change: &Change) -> bool {
    let segments = segments(&change.path);
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let is_nothing = |side: &Option<Value>| match side {
        None => true,
        Some(value) => value.as_object().is_some_and(serde_json::Map::is_empty),
    };
    match segments.as_slice() {
        ["metadata", "labels" | "annotations"] => {
            is_nothing(&change.old) && is_nothing(&change.new)
        }
        ["metadata", "annotations", applied::KEY] => true,
        ["metadata", "labels", key] => known.inert_keys.contains(*key),
        ["metadata", "annotations", key] => {
            Keys::new(known.inert_keys).is_inert(key) && *key != RESTARTED
        }
        ["metadata", "ownerReferences" | "finalizers" | "deletionTimestamp" | "uid", ..] => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_no_operator_acts_on_is_no_effect() {
        let object = |metadata: Value| json!({"metadata": metadata, "spec": {"size": 1}});
        let with = |map: &str, key: &str| object(json!({map: {key: "x"}}));
        let old = object(json!({"uid": "u", "generation": 1}));
        let other = json!({"metadata": {}, "spec": {"size": 2}});
        let one = json!({"metadata": {}, "spec": {"size": 1}, "status": {"ready": true}});
        let table = [
            (object(json!({"generation": 2, "managedFields": [1]})), false),
            (object(json!({"labels": {}, "annotations": {}})), false),
            (with("annotations", "kubernetes.io/change-cause"), false),
            (with("labels", "example.com/team"), false),
            (with("annotations", applied::KEY), false),
            (object(json!({"finalizers": ["a/b"], "ownerReferences": [{"uid": "u"}]})), false),
            (with("annotations", "note"), true),
            (with("annotations", RESTARTED), true),
            (with("labels", "app.kubernetes.io/name"), true),
            (with("labels", "team"), true),
            (other, true),
            (one, true),
        ];
        let classes = crate::ClassConfig::default();
        let inert = std::collections::BTreeSet::from(["example.com/team".to_owned()]);
        let known = Known::of(&classes).with_inert_keys(&inert);
        let of = |api_group: &str| Attributes {
            verb: "patch".into(),
            api_group: api_group.into(),
            resource: "things".into(),
            ..Attributes::default()
        };
        for (new, want) in table {
            let found = effects(&of("ex.io"), Some(&old), Some(&new), &known);
            assert_eq!(!found.is_empty(), want, "{new}");
        }
        let kind = |group: &str, old: Option<&Value>, new: Option<&Value>| {
            effects(&of(group), old, new, &known).first().map(|it| it.kind)
        };
        let new = object(json!({"labels": {"team": "x"}}));
        assert_eq!(kind("ex.io", None, Some(&old)), Some(EffectKind::WriteCustom));
        assert_eq!(kind("argoproj.io", Some(&old), Some(&new)), Some(EffectKind::WriteActing));
        assert_eq!(kind("new.k8s.io", Some(&old), Some(&new)), Some(EffectKind::Unknown));
        assert_eq!(kind("ex.io", Some(&old), None), None);
    }
}
