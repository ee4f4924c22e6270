//! What differs between two readings of an object, and the bytes that an approval binds to.

use std::collections::{BTreeMap, BTreeSet};

use attributes::Attributes;
use serde_json::{Map, Value};

use crate::{Change, Effect};

/// Fields that differ between any two writes, or that only the server writes.
const NOT_ASKED_FOR: [&str; 8] = [
    "/metadata/resourceVersion",
    "/metadata/generation",
    "/metadata/managedFields",
    "/metadata/creationTimestamp",
    "/metadata/deletionTimestamp",
    "/metadata/deletionGracePeriodSeconds",
    "/metadata/uid",
    "/metadata/selfLink",
];

/// Every path at which two objects differ, sorted. Items of a list are told apart by `name` where
/// all have one of their own (containers, env, volumes), so that an insertion shows as one; their
/// path then has the name where an index would stand.
pub fn diff(old: Option<&Value>, new: Option<&Value>) -> Vec<Change> {
    let mut changes = Vec::new();
    walk(&mut String::new(), old, new, &mut changes);
    changes.sort_by(|a, b| a.path.cmp(&b.path));
    changes
}

/// Leaves out what no request asks for: versions, times, managed fields, generated names, and
/// `status` unless it is what is written.
pub fn normalised(attributes: &Attributes, changes: Vec<Change>) -> Vec<Change> {
    let generated = attributes.verb == "create" && attributes.name.is_empty();
    let mut changes = changes;
    // A create or delete differs as a whole: leave those fields out inside.
    for change in &mut changes {
        if change.path.is_empty() {
            for side in [&mut change.old, &mut change.new] {
                if let Some(Value::Object(object)) = side {
                    strip(object, generated);
                }
            }
        }
    }
    changes.retain(|change| {
        let within = |path: &str| {
            change.path.strip_prefix(path).is_some_and(|it| it.is_empty() || it.starts_with('/'))
        };
        !NOT_ASKED_FOR.iter().any(|path| within(path))
            && (attributes.subresource == "status" || !within("/status"))
    });
    changes
}

fn strip(object: &mut Map<String, Value>, generated: bool) {
    object.remove("status");
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        for path in NOT_ASKED_FOR {
            metadata.remove(path.trim_start_matches("/metadata/"));
        }
        if generated && metadata.contains_key("generateName") {
            metadata.remove("name");
        }
    }
}

/// Canonical bytes of what was seen: the same in whatever order keys, effects or changes came.
pub fn digest_input(effects: &[Effect], changes: &[Change], object_uid: &str) -> Vec<u8> {
    let mut lines: BTreeSet<String> = effects
        .iter()
        .map(|effect| {
            let o = &effect.object;
            let object = [&o.api_group, &o.resource, &o.namespace, &o.name, &o.uid];
            format!("effect {:?} {object:?} {:?} {:?}", effect.kind, effect.detail, effect.count)
        })
        .collect();
    for change in changes {
        let (old, new) = (change.old.as_ref().map(sorted), change.new.as_ref().map(sorted));
        lines.insert(format!("change {:?} {old:?} {new:?}", change.path));
    }
    let mut bytes = format!("uid {object_uid:?}\n").into_bytes();
    for line in lines {
        bytes.extend_from_slice(line.as_bytes());
        bytes.push(b'\n');
    }
    bytes
}

fn sorted(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<_, _> = fields.iter().collect();
            let fields: Vec<String> =
                fields.into_iter().map(|(k, v)| format!("{k:?}:{}", sorted(v))).collect();
            format!("{{{}}}", fields.join(","))
        }
        Value::Array(items) => {
            format!("[{}]", items.iter().map(sorted).collect::<Vec<_>>().join(","))
        }
        scalar => scalar.to_string(),
    }
}

fn walk(path: &mut String, old: Option<&Value>, new: Option<&Value>, changes: &mut Vec<Change>) {
    match (old, new) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            for key in keys {
                step(path, key, |path| walk(path, old.get(key), new.get(key), changes));
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => lists(path, old, new, changes),
        (old, new) if old == new => {}
        (old, new) => {
            changes.push(Change { path: path.clone(), old: old.cloned(), new: new.cloned() });
        }
    }
}

fn lists(path: &mut String, old: &[Value], new: &[Value], changes: &mut Vec<Change>) {
    let (Some(olds), Some(news)) = (by_name(old), by_name(new)) else {
        for index in 0..old.len().max(new.len()) {
            step(path, &index.to_string(), |path| {
                walk(path, old.get(index), new.get(index), changes);
            });
        }
        return;
    };
    let find = |items: &[(&str, &Value)], name: &str| -> Option<Value> {
        items.iter().find(|(it, _)| *it == name).map(|(_, value)| (*value).clone())
    };
    let names: BTreeSet<&str> = olds.iter().chain(&news).map(|(name, _)| *name).collect();
    for name in names {
        let (old, new) = (find(&olds, name), find(&news, name));
        step(path, name, |path| walk(path, old.as_ref(), new.as_ref(), changes));
    }
    // Containers start in order: the same items in another order are a difference too.
    let common = |these: &[(&str, &Value)], those: &[(&str, &Value)]| -> Vec<String> {
        let those: BTreeSet<&str> = those.iter().map(|(name, _)| *name).collect();
        let these = these.iter().filter(|(name, _)| those.contains(name));
        these.map(|(name, _)| (*name).to_owned()).collect()
    };
    let (before, after) = (common(&olds, &news), common(&news, &olds));
    if before != after {
        changes.push(Change {
            path: path.clone(),
            old: Some(before.into()),
            new: Some(after.into()),
        });
    }
}

/// Items by their `name`, if each has one and no two the same.
fn by_name(items: &[Value]) -> Option<Vec<(&str, &Value)>> {
    let mut names = BTreeSet::new();
    items
        .iter()
        .map(|item| {
            let name = item.get("name")?.as_str()?;
            names.insert(name).then_some((name, item))
        })
        .collect()
}

fn step(path: &mut String, key: &str, then: impl FnOnce(&mut String)) {
    let length = path.len();
    path.push('/');
    path.push_str(&key.replace('~', "~0").replace('/', "~1"));
    then(path);
    path.truncate(length);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn paths(old: &Value, new: &Value) -> Vec<String> {
        diff(Some(old), Some(new)).into_iter().map(|change| change.path).collect()
    }

    #[test]
    fn names_what_differs() {
        let table = [
            (json!({"a": 1}), json!({"a": 1}), vec![]),
            (json!({"a": 1}), json!({"a": 2, "b": 3}), vec!["/a", "/b"]),
            (json!({"a": null}), json!({}), vec!["/a"]),
            (
                json!({"c": [{"name": "x", "image": "1"}, {"name": "y"}]}),
                json!({"c": [{"name": "z"}, {"name": "x", "image": "2"}, {"name": "y"}]}),
                vec!["/c/x/image", "/c/z"],
            ),
            (
                json!({"c": [{"name": "x"}, {"name": "y"}]}),
                json!({"c": [{"name": "y"}, {"name": "x"}]}),
                vec!["/c"],
            ),
            (json!({"l": [1, 2]}), json!({"l": [1, 3, 4]}), vec!["/l/1", "/l/2"]),
            (json!({"x/y": {"~": 1}}), json!({"x/y": {"~": 2}}), vec!["/x~1y/~0"]),
        ];
        for (old, new, want) in table {
            assert_eq!(paths(&old, &new), want, "{old} {new}");
        }
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
    }
}
