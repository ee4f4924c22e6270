//! The bytes that an approval binds to: a canonical form of effects and differences, and no prose.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::{
    diff::MADE_UP,
    effect::{Change, Effect},
};

/// Stands before everything else: another form is another digest, and never one that happens to match.
const VERSION: &str = "agent-shield.io/preview/v2";

/// Canonical bytes of what was seen: the same in whatever order keys, effects or changes came.
pub fn digest_input(effects: &[Effect], changes: &[Change], object_uid: &str) -> Vec<u8> {
    let lines: BTreeSet<String> =
        effects.iter().map(of_effect).chain(changes.iter().map(of_change)).collect();
    let mut bytes = format!("{VERSION}\n{}\n", canonical(&json!(["uid", object_uid]))).into_bytes();
    for line in lines {
        bytes.extend_from_slice(line.as_bytes());
        bytes.push(b'\n');
    }
    bytes
}

fn of_effect(effect: &Effect) -> String {
    let o = &effect.object;
    let object = [&o.api_group, &o.resource, &o.namespace, &o.name, &o.uid];
    canonical(&json!(["effect", effect.kind.as_str(), object, effect.about]))
}

fn of_change(change: &Change) -> String {
    // A port or address that was not there before is drawn anew in each dry run.
    let is_drawn = change.old.is_none()
        && ["/nodePort", "/healthCheckNodePort", "/clusterIP"]
            .iter()
            .any(|it| change.path.ends_with(it));
    let is_deleted = change.path.is_empty() && change.new.is_none();
    // What is absent differs from null: a list of none or one tells them apart.
    let side = |value: Option<String>| format!("[{}]", value.unwrap_or_default());
    let old = change.old.as_ref().map(|old| match is_deleted {
        true => canonical(&asked_for(old)),
        false => canonical(old),
    });
    let new = match is_drawn {
        true => Some(canonical(&MADE_UP.into())),
        false => change.new.as_ref().map(canonical),
    };
    let path = canonical(&change.path.as_str().into());
    format!(r#"["change",{path},{},{}]"#, side(old), side(new))
}

/// What a delete is approved for: the object less what controllers write at any moment, which takes
/// nothing more with it. Annotations number a Deployment; taints come and go with a node's health.
fn asked_for(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        metadata.remove("annotations");
    }
    let is_node = object.get("kind").is_some_and(|kind| kind == "Node");
    if let Some(Value::Object(spec)) = object.get_mut("spec").filter(|_| is_node) {
        for field in ["taints", "podCIDR", "podCIDRs", "providerID"] {
            spec.remove(field);
        }
    }
    object
}

/// JSON with its keys in order: one text for one value, without line breaks.
pub fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write_canonical(value, &mut text);
    text
}

/// Into one text from the outermost value on, as each level that makes its own would copy all below it.
fn write_canonical(value: &Value, text: &mut String) {
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<_, _> = fields.iter().collect();
            text.push('{');
            for (index, (key, value)) in fields.into_iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                text.push_str(&Value::from(key.as_str()).to_string());
                text.push(':');
                write_canonical(value, text);
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (index, value) in items.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_canonical(value, text);
            }
            text.push(']');
        }
        scalar => text.push_str(&scalar.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{EffectKind, ObjectRef, diff::diff};

    #[test]
    fn a_delete_does_not_drift_with_what_controllers_write() {
        let object = |metadata: Value, spec: Value| json!({"kind": "Node", "metadata": metadata, "spec": spec});
        let plain = object(json!({"name": "n"}), json!({}));
        let written = object(
            json!({"name": "n", "annotations": {"node.alpha.kubernetes.io/ttl": "0"}}),
            json!({"taints": [{"key": "node.kubernetes.io/not-ready"}], "podCIDR": "10.1.0.0/24"}),
        );
        let labelled = object(json!({"name": "n", "labels": {"pool": "a"}}), json!({}));
        let deleted = |it| digest_input(&[], &diff(Some(it), None), "u");
        let created = |it| digest_input(&[], &diff(None, Some(it)), "u");
        assert_eq!(deleted(&plain), deleted(&written));
        assert_ne!(deleted(&plain), deleted(&labelled));
        assert_ne!(created(&plain), created(&written));
    }

    #[test]
    fn binds_to_content_and_not_to_order() {
        let change = |text: &str| {
            let value: Value = serde_json::from_str(text).unwrap_or_default();
            vec![Change { path: "/x".into(), old: None, new: Some(value) }]
        };
        let bytes = |text: &str| digest_input(&[], &change(text), "u");
        assert_eq!(bytes(r#"{"a":1,"b":[2]}"#), bytes(r#"{"b":[2],"a":1}"#));
        assert_ne!(bytes(r#"{"a":1}"#), bytes(r#"{"a":2}"#));
        assert_ne!(bytes("1"), digest_input(&[], &change("1"), "other"));
        let absent = vec![Change { path: "/x".into(), old: None, new: None }];
        assert_ne!(bytes("null"), digest_input(&[], &absent, "u"));
    }

    #[test]
    fn is_made_of_fields_and_its_form_is_fixed() {
        let object =
            ObjectRef { resource: "nodes".into(), name: "n\n1".into(), ..ObjectRef::default() };
        let effects = [Effect::plain(EffectKind::Cordon, object)];
        let changes =
            [Change { path: "/spec/unschedulable".into(), old: None, new: Some(json!(true)) }];
        assert_eq!(
            String::from_utf8_lossy(&digest_input(&effects, &changes, "u-1")),
            "agent-shield.io/preview/v2\n\
             [\"uid\",\"u-1\"]\n\
             [\"change\",\"/spec/unschedulable\",[],[true]]\n\
             [\"effect\",\"Cordon\",[\"\",\"nodes\",\"\",\"n\\n1\",\"\"],\"nothing\"]\n"
        );
    }
}
