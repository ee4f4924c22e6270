//! The annotation in which `kubectl apply` remembers what it applied last. The next apply removes
//! what stands in it and no longer in the file: written alone, it deletes by the next apply's hand.

use std::collections::HashMap;

use serde_json::Value;

use crate::{EffectKind, about::Part, diff::leaves, effect::Change};

/// What kubectl writes into its record without an object that has it, and what the next apply takes
/// nothing away by: it writes annotations of its own, and nobody deletes the time of a creation.
const EMPTY: [&str; 2] = ["/metadata/annotations", "/metadata/creationTimestamp"];

/// The annotation's key.
pub(crate) const KEY: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What a change of the annotation means, if it is among the changes. It is inert where it says
/// exactly what changes in the object itself, as every apply of `kubectl` does.
pub(crate) fn judge(changes: &[Change]) -> Option<(EffectKind, Part)> {
    let path = format!("/metadata/annotations/{}", KEY.replace('/', "~1"));
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
