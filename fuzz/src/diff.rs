//! Laws of comparing an object before and after.

use attributes::Attributes;
use effects::{Change, ClassConfig, Known};
use http::{HeaderMap, Method};
use serde_json::{Map, Value, json};

/// `METHOD TARGET`, the object in JSON on a line, then bytes that edit it: whatever differs is seen,
/// from both sides alike, and nothing is seen where nothing differs.
pub fn diff(data: &[u8]) {
    let mut parts = data.splitn(3, |byte| *byte == b'\n');
    let mut part = || parts.next().unwrap_or_default();
    let (line, object, edits) = (part(), part(), part());
    let Ok(line) = std::str::from_utf8(line) else { return };
    let Some((method, target)) = line.split_once(' ') else { return };
    let Ok(method) = method.parse::<Method>() else { return };
    let Ok(attributes) = attributes::read(&method, target, &HeaderMap::new()) else { return };
    let Ok(old) = serde_json::from_slice::<Value>(object) else { return };
    let new = edited(&old, edits);
    differences(&old, &new);
    effects_of(&attributes, &old, &new);
}

fn differences(old: &Value, new: &Value) {
    assert_eq!(effects::diff(Some(old), Some(old)), []);
    let there = effects::diff(Some(old), Some(new));
    assert_eq!(there.is_empty(), old == new, "a difference that is not seen");
    let back = effects::diff(Some(new), Some(old));
    let sides = |changes: &[Change], turned: bool| -> Vec<(String, Option<Value>, Option<Value>)> {
        let side = |it: &Change| match turned {
            true => (it.path.clone(), it.new.clone(), it.old.clone()),
            false => (it.path.clone(), it.old.clone(), it.new.clone()),
        };
        changes.iter().map(side).collect()
    };
    assert_eq!(sides(&there, false), sides(&back, true), "seen from one side only");
}

fn effects_of(attributes: &Attributes, old: &Value, new: &Value) {
    let config = ClassConfig::default();
    let of_change = |old, new| effects::of_change(attributes, &Known::of(&config), old, new);
    let is_object = |it: &Value| it.is_object() && it.get("kind") != Some(&json!("Status"));
    if is_object(old) {
        assert_eq!(of_change(Some(old), old), [], "effects of nothing");
    }
    let mut found = of_change(Some(old), new);
    let created = of_change(None, new);
    let answers_object = !matches!(attributes.subresource.as_str(), "eviction" | "binding")
        && attributes.resource != "bindings";
    if answers_object {
        assert!(!created.is_empty(), "a new object without an effect");
        assert!(is_object(new) || !found.is_empty(), "an answer that is no object passes");
    }
    let changes = effects::normalised(attributes, effects::diff(Some(old), Some(new)));
    let bytes = effects::digest_input(&found, &changes, "uid-1");
    let (mut turned, mut turned_changes) = (found.clone(), changes.clone());
    turned.reverse();
    turned_changes.reverse();
    assert_eq!(effects::digest_input(&turned, &turned_changes, "uid-1"), bytes, "order counts");
    assert_ne!(
        effects::digest_input(&found, &changes, "uid-2"),
        bytes,
        "the object does not count"
    );
    effects::of_scaled_workload(&mut found, new);
    let _ = effects::of_delete(attributes, &[old.clone(), new.clone()]);
    let _ = effects::normalised(attributes, effects::diff(None, Some(new)));
    let _ = effects::normalised(attributes, effects::diff(Some(old), None));
}

/// Names of fields that rules ask about.
const KEYS: [&str; 40] = [
    "metadata",
    "name",
    "namespace",
    "uid",
    "labels",
    "annotations",
    "finalizers",
    "ownerReferences",
    "generateName",
    "spec",
    "status",
    "replicas",
    "template",
    "containers",
    "initContainers",
    "image",
    "resources",
    "limits",
    "cpu",
    "env",
    "value",
    "volumes",
    "data",
    "stringData",
    "type",
    "kind",
    "apiVersion",
    "unschedulable",
    "taints",
    "selector",
    "ports",
    "clusterIP",
    "nodePort",
    "minReplicas",
    "claimRef",
    "strategy",
    "hostNetwork",
    "serviceAccountName",
    "agent-shield.io/protected",
    "paused",
];

/// The object after some edits, each of three bytes: where, what, and with what.
fn edited(old: &Value, edits: &[u8]) -> Value {
    let mut new = old.clone();
    for edit in edits.chunks_exact(3).take(64) {
        let [whence, what, with] = [edit[0], edit[1], edit[2]].map(usize::from);
        let paths = paths(&new);
        let path = paths[(whence + what / 16 * 256) % paths.len()].clone();
        let values = [
            json!(null),
            json!(0),
            json!(1),
            json!(-1),
            json!(u64::MAX),
            json!(1.5),
            json!(""),
            json!("x"),
            json!("production"),
            json!("nginx:2"),
            json!(true),
            json!([]),
            json!({}),
            json!([{"name": "a"}, {"name": "a"}]),
            json!([{"name": "b"}, {"name": "a"}]),
            json!({"name": "a", "image": "b"}),
        ];
        let value = values[with % values.len()].clone();
        let key = KEYS[with % KEYS.len()];
        let Some(at) = new.pointer_mut(&path) else { continue };
        match (what % 8, at) {
            (0, at) => *at = value,
            (1, Value::Object(fields)) => {
                fields.insert(key.to_owned(), value);
            }
            (2, Value::Object(fields)) => {
                let gone = fields.keys().nth(with % fields.len().max(1)).cloned();
                gone.and_then(|it| fields.shift_remove(&it));
            }
            (3, Value::Object(fields)) => {
                let turned: Map<String, Value> = std::mem::take(fields).into_iter().rev().collect();
                *fields = turned;
            }
            (1, Value::Array(items)) => items.insert(with % (items.len() + 1), value),
            (2, Value::Array(items)) if !items.is_empty() => {
                items.remove(with % items.len());
            }
            (3, Value::Array(items)) => items.reverse(),
            (4, Value::Array(items)) if !items.is_empty() => {
                items.push(items[with % items.len()].clone());
            }
            (5, Value::String(text)) => text.push_str(key),
            (6, Value::Number(number)) => {
                *number = number.as_i64().unwrap_or_default().wrapping_add(1).into();
            }
            _ => {}
        }
    }
    new
}

/// Every path in a value, itself first.
fn paths(value: &Value) -> Vec<String> {
    fn walk(value: &Value, path: String, paths: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    let key = key.replace('~', "~0").replace('/', "~1");
                    walk(value, format!("{path}/{key}"), paths);
                }
            }
            Value::Array(items) => {
                for (index, value) in items.iter().enumerate() {
                    walk(value, format!("{path}/{index}"), paths);
                }
            }
            _ => {}
        }
        paths.push(path);
    }
    let mut paths = Vec::new();
    walk(value, String::new(), &mut paths);
    paths.reverse();
    paths
}
