//! Values of two revisions: what differs, and whether the objects show it.
//!
//! Helm hands the values of a release on to the next upgrade that gives none. One that shows nowhere in
//! the objects would only then become what it is for, by another's hand.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::manifest::Document;

/// Names that are told.
const NAMED_MAX: usize = 8;
/// Values that switch something on or off, whatever they stand for.
const SWITCHES: [&str; 4] = ["", "0", "false", "true"];

/// Where pods' specs are, by kind.
const POD_SPECS: [(&str, &str); 8] = [
    ("CronJob", "/spec/jobTemplate/spec/template/spec"),
    ("DaemonSet", "/spec/template/spec"),
    ("Deployment", "/spec/template/spec"),
    ("Job", "/spec/template/spec"),
    ("Pod", "/spec"),
    ("ReplicaSet", "/spec/template/spec"),
    ("ReplicationController", "/spec/template/spec"),
    ("StatefulSet", "/spec/template/spec"),
];

/// Values over others: maps are joined, and what is null goes (helm.sh/helm, `CoalesceTables`).
pub(super) fn lay_over(values: &mut Value, over: &Value) {
    let Value::Object(over) = over else { return };
    if !values.is_object() {
        *values = Value::Object(Map::new());
    }
    let Value::Object(values) = values else { return };
    for (key, value) in over {
        match value {
            Value::Null => drop(values.remove(key)),
            Value::Object(_) => {
                let under = values.entry(key.clone()).or_insert(Value::Null);
                lay_over(under, value);
            }
            other => drop(values.insert(key.clone(), other.clone())),
        }
    }
}

/// What of its objects is judged as such before it runs: images, whole and in their parts, and counts.
pub(super) fn shown(documents: &[Document]) -> BTreeSet<String> {
    let mut shown: BTreeSet<String> = BTreeSet::new();
    for document in documents {
        let value = &document.value;
        let replicas = value.pointer("/spec/replicas").and_then(Value::as_i64);
        shown.extend(replicas.map(|it| it.to_string()));
        let spec = POD_SPECS.iter().find(|(kind, _)| *kind == document.kind);
        let Some(spec) = spec.and_then(|(_, path)| value.pointer(path)) else { continue };
        let lists = ["containers", "initContainers"].into_iter().filter_map(|it| spec.get(it));
        let containers = lists.filter_map(Value::as_array).flatten();
        let images = containers.filter_map(|it| it.get("image").and_then(Value::as_str));
        images.for_each(|it| shown.extend(parts(it)));
    }
    shown.retain(|it| !SWITCHES.contains(&it.as_str()));
    shown
}

/// An image, and what charts put it together from: registry, repository, tag and digest.
fn parts(image: &str) -> Vec<String> {
    let (named, digest) = image.split_once('@').map_or((image, ""), |(name, it)| (name, it));
    let (repository, tag) = match named.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ => (named, ""),
    };
    let (registry, path) = repository.split_once('/').unwrap_or(("", repository));
    [image, named, repository, tag, digest, registry, path].map(str::to_owned).to_vec()
}

/// The paths of values that differ and are not shown.
pub(super) fn differing(now: &Value, before: &Value, shown: &BTreeSet<String>) -> Vec<String> {
    let mut found = Vec::new();
    compare("", Some(now), Some(before), shown, &mut found);
    found.truncate(NAMED_MAX);
    found
}

fn compare(
    path: &str,
    now: Option<&Value>,
    before: Option<&Value>,
    shown: &BTreeSet<String>,
    found: &mut Vec<String>,
) {
    if now == before || found.len() > NAMED_MAX {
        return;
    }
    let none = Map::new();
    let maps = match (now, before) {
        (Some(Value::Object(now)), Some(Value::Object(before))) => Some((now, before)),
        // A map that comes is shown where all that is in it is.
        (Some(Value::Object(now)), None) if !now.is_empty() => Some((now, &none)),
        _ => None,
    };
    let Some((now, before)) = maps else {
        let text = match now {
            Some(Value::String(text)) => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        if text.is_none_or(|it| !shown.contains(&it)) {
            found.push(path.trim_start_matches('.').to_owned());
        }
        return;
    };
    let keys: BTreeSet<&String> = now.keys().chain(before.keys()).collect();
    for key in keys {
        compare(&format!("{path}.{key}"), now.get(key), before.get(key), shown, found);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::release::manifest;

    #[test]
    fn tells_values_that_do_not_show() {
        let manifest = "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  \
            replicas: 5\n  template:\n    spec:\n      containers:\n      - image: r.io:5000/shop/web:2.1\n\
            ---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {image: other}\n";
        let documents = manifest::documents(manifest, "shop").expect("documents");
        let shown = shown(&documents);
        let before = json!({"image": {"tag": "2.0"}, "debug": false, "args": ["a"]});
        let table = [
            (json!({}), ""),
            (json!({"image": {"tag": "2.1"}}), ""),
            (json!({"image": {"tag": 2.1}}), ""),
            (json!({"image": "r.io:5000/shop/web:2.1"}), ""),
            (json!({"image": {"repository": "r.io:5000/shop/web"}}), ""),
            (json!({"image": {"registry": "r.io:5000", "name": "shop/web"}}), ""),
            (json!({"replicas": 5}), ""),
            (json!({"replicas": 6}), "replicas"),
            (json!({"image": {"tag": "2.2"}}), "image.tag"),
            (json!({"image": "other"}), "image"),
            (json!({"debug": true}), "debug"),
            (json!({"debug": null}), "debug"),
            (json!({"args": ["a", "b"]}), "args"),
            (json!({"extra": {"root": true}}), "extra.root"),
            (json!({"extra": {}}), "extra"),
        ];
        for (over, want) in table {
            let mut now = before.clone();
            lay_over(&mut now, &over);
            assert_eq!(differing(&now, &before, &shown).join(", "), want, "{over}");
        }
    }
}
