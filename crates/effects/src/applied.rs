//! The annotation in which `kubectl apply` remembers what it applied last. The next apply removes
//! what stands in it and no longer in the file: written alone, it deletes by the next apply's hand.

use std::collections::HashMap;

use serde_json::Value;

use crate::{
    EffectKind,
    about::Part,
    diff::{by_name, leaves, pointer_token},
    effect::Change,
};

/// What kubectl writes into its record without an object that has it, and what the next apply takes
/// nothing away by: it writes annotations of its own, and nobody deletes the time of a creation.
const EMPTY: [&str; 2] = ["/metadata/annotations", "/metadata/creationTimestamp"];

/// The annotation's key.
pub(crate) const KEY: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The path of the annotation in an object.
pub fn applied_path() -> String {
    format!("/metadata/annotations/{}", pointer_token(KEY))
}

/// Where a new object's record says something that the object does not have: paths.
pub fn applied_beyond_object(record: &Value, object: &Value) -> Vec<String> {
    let mut beyond = Vec::new();
    push_beyond(record, Some(object), String::new(), &mut beyond);
    beyond
}

/// Where two records of an object differ, and the object itself does not in the same way: paths. `None` where there
/// is more than anybody can compare.
pub fn applied_beyond_changes(old: &Value, new: &Value, changes: &[Change]) -> Option<Vec<String>> {
    let mut done = HashMap::new();
    for change in changes {
        for leaf in leaves(change.old.as_ref(), change.new.as_ref(), &[]).ok()? {
            done.insert(format!("{}{}", change.path, leaf.path), leaf.new);
        }
    }
    let said = leaves(Some(old), Some(new), &[]).ok()?;
    let telling = said.into_iter().filter(|said| !is_empty(said));
    let beyond = telling.filter(|said| done.get(&said.path) != Some(&said.new));
    Some(beyond.map(|it| it.path).collect())
}

fn push_beyond(said: &Value, is: Option<&Value>, path: String, to: &mut Vec<String>) {
    let child = |key: &str| format!("{path}/{}", pointer_token(key));
    match (said, is) {
        (Value::Object(said), Some(Value::Object(is))) => {
            for (key, value) in said {
                push_beyond(value, is.get(key), child(key), to);
            }
        }
        (Value::Array(said), Some(Value::Array(is))) if said.len() == is.len() => {
            let names = by_name(said);
            for (index, (value, is)) in said.iter().zip(is).enumerate() {
                let name = names.as_ref().and_then(|it| it.get(index)).map(|(name, _)| *name);
                let path = name.map_or_else(|| child(&index.to_string()), child);
                push_beyond(value, Some(is), path, to);
            }
        }
        (said, is) => {
            let change = Change { path, old: None, new: Some(said.clone()) };
            if is != Some(said) && !is_empty(&change) {
                to.push(change.path);
            }
        }
    }
}

/// What a change of the annotation means, if it is among the changes. It is inert where it says
/// exactly what changes in the object itself, as every apply of `kubectl` does.
pub(crate) fn judge(changes: &[Change]) -> Option<(EffectKind, Part)> {
    let path = applied_path();
    let change = changes.iter().find(|change| change.path == path)?;
    let read = |side: &Option<Value>| -> Option<Value> {
        serde_json::from_str(side.as_ref()?.as_str()?).ok()
    };
    let mirrors = match (read(&change.old), read(&change.new)) {
        (Some(old), Some(new)) => says(&old, &new, changes),
        _ => false,
    };
    Some(match mirrors {
        true => (EffectKind::ChangeLabels, Part::AppliedRecord),
        false => (EffectKind::ChangeTrigger, Part::ForeignAppliedRecord),
    })
}

/// Whether what differs between two records is among what changes in the object.
fn says(old: &Value, new: &Value, changes: &[Change]) -> bool {
    let done: HashMap<&str, &Change> = changes.iter().map(|it| (it.path.as_str(), it)).collect();
    // What says more than anybody can compare is not believed.
    leaves(Some(old), Some(new), &[]).is_ok_and(|said| {
        let mut telling = said.iter().filter(|said| !is_empty(said));
        telling.all(|said| done.get(said.path.as_str()).is_some_and(|it| it.new == said.new))
    })
}

/// Whether a record says nothing there, before and after. Anywhere else a key without a value is a claim to
/// what the object has under it: the next apply deletes that.
fn is_empty(said: &Change) -> bool {
    let has_none = |side: &Option<Value>| match side {
        None | Some(Value::Null) => true,
        Some(Value::Object(fields)) => fields.is_empty(),
        Some(_) => false,
    };
    EMPTY.contains(&said.path.as_str()) && has_none(&said.old) && has_none(&said.new)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(record: Option<&Value>, labels: &Value, replicas: i64) -> Value {
        let mut object = json!({"metadata": {"labels": labels, "annotations": {"a": "b"}},
            "spec": {"replicas": replicas}});
        if let Some(record) = record
            && let Some(annotations) = object.pointer_mut("/metadata/annotations")
        {
            annotations[KEY] = json!(record.to_string());
        }
        object
    }

    #[test]
    fn finds_what_only_the_record_says() {
        let is = json!({"metadata": {"name": "web", "labels": {"a": "b"}}, "spec": {
            "replicas": 1, "list": [{"name": "c", "image": "x", "pull": "Always"}]}});
        let table = [
            (
                json!({"metadata": {"name": "web", "annotations": {}, "creationTimestamp": null}}),
                vec![],
            ),
            (json!({"spec": {"list": [{"name": "c", "image": "x"}]}}), vec![]),
            (json!({"spec": {"list": [{"name": "c", "image": "y"}]}}), vec!["/spec/list/c/image"]),
            (json!({"spec": {"list": {"c": {"image": "x"}}}}), vec!["/spec/list"]),
            (json!({"spec": {"list": []}}), vec!["/spec/list"]),
            (json!({"spec": {"paused": null}}), vec!["/spec/paused"]),
            (json!({"spec": {"replicas": "1"}}), vec!["/spec/replicas"]),
            (json!("web"), vec![""]),
        ];
        for (record, want) in table {
            assert_eq!(applied_beyond_object(&record, &is), want, "{record}");
        }
        let at = |replicas: i64| json!({"spec": {"replicas": replicas}});
        let change = |path: &str, old: Value, new: Value| {
            vec![Change { path: path.into(), old: Some(old), new: Some(new) }]
        };
        let table = [
            (change("/spec/replicas", json!(1), json!(2)), vec![]),
            (change("/spec", json!({"replicas": 1}), json!({"replicas": 2})), vec![]),
            (change("/spec/replicas", json!(1), json!(3)), vec!["/spec/replicas"]),
            (vec![], vec!["/spec/replicas"]),
        ];
        for (changes, want) in table {
            let beyond = applied_beyond_changes(&at(1), &at(2), &changes).expect("few");
            assert_eq!(beyond, want, "{changes:?}");
        }
    }

    #[test]
    fn believes_the_record_of_what_was_done() {
        let record = |labels: Value, replicas: i64| json!({"metadata": {"labels": labels}, "spec": {"replicas": replicas}});
        let before = object(Some(&record(json!({}), 5)), &json!({}), 5);
        let table = [
            ("untouched", object(Some(&record(json!({}), 5)), &json!({}), 5), None),
            (
                "an ordinary apply",
                object(Some(&record(json!({"x": "y"}), 4)), &json!({"x": "y"}), 4),
                Some(EffectKind::ChangeLabels),
            ),
            (
                "says it in other words",
                object(
                    Some(&json!({"metadata": {"labels": {}, "annotations": {},
                            "creationTimestamp": null}, "spec": {"replicas": 5}})),
                    &json!({}),
                    5,
                ),
                Some(EffectKind::ChangeLabels),
            ),
            (
                "claims a field by no value",
                object(
                    Some(
                        &json!({"metadata": {"labels": {}}, "spec": {"replicas": 5, "paused": null}}),
                    ),
                    &json!({}),
                    5,
                ),
                Some(EffectKind::ChangeTrigger),
            ),
            (
                "says what was not done",
                object(Some(&record(json!({"x": "y"}), 5)), &json!({}), 5),
                Some(EffectKind::ChangeTrigger),
            ),
            ("goes", object(None, &json!({}), 5), Some(EffectKind::ChangeTrigger)),
        ];
        for (what, after, want) in table {
            let changes = leaves(Some(&before), Some(&after), &[]).expect("changes");
            assert_eq!(judge(&changes).map(|(kind, _)| kind), want, "{what}");
        }
        let first =
            leaves(Some(&object(None, &json!({}), 5)), Some(&before), &[]).expect("changes");
        assert_eq!(judge(&first).map(|(kind, _)| kind), Some(EffectKind::ChangeTrigger));
    }
}
