//! JSON merge patches (RFC 7386): what differs between two objects, which mostly is little.

use serde_json::{Map, Value};

/// The patch that makes `new` of `old`; `None` where there is none, as a merge patch cannot set null.
pub(crate) fn between(old: &Value, new: &Value) -> Option<Value> {
    let patch = difference(old, new)?;
    (applied(old.clone(), &patch) == *new).then_some(patch)
}

fn difference(old: &Value, new: &Value) -> Option<Value> {
    let (Value::Object(old), Value::Object(new)) = (old, new) else { return None };
    let mut patch = Map::new();
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    for (key, value) in new {
        match old.get(key) {
            // Not compared before its fields are: each level would compare all below it once more.
            Some(before @ Value::Object(_)) if value.is_object() => {
                let change = difference(before, value).filter(|it| !is_nothing(it));
                patch.extend(change.map(|change| (key.clone(), change)));
            }
            Some(before) if before == value => {}
            Some(_) | None => {
                patch.insert(key.clone(), value.clone());
            }
        }
    }
    Some(Value::Object(patch))
}

fn is_nothing(patch: &Value) -> bool {
    patch.as_object().is_some_and(Map::is_empty)
}

/// What a patch makes of an object.
pub(crate) fn applied(old: Value, patch: &Value) -> Value {
    let Value::Object(changes) = patch else { return patch.clone() };
    let mut fields = match old {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    for (key, change) in changes {
        match change {
            Value::Null => {
                fields.remove(key);
            }
            change => {
                let before = fields.remove(key).unwrap_or_default();
                fields.insert(key.clone(), applied(before, change));
            }
        }
    }
    Value::Object(fields)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            "[ab]{0,2}".prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[abc]", inner, 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn makes_the_one_of_the_other_or_says_that_it_cannot(old in value(), new in value()) {
            if let Some(patch) = between(&old, &new) {
                prop_assert_eq!(applied(old, &patch), new);
            }
        }
    }

    #[test]
    fn is_as_small_as_what_differs() {
        let old = json!({"spec": {"replicas": 3, "paused": true, "x": {"y": 1}}, "kind": "D"});
        let new = json!({"spec": {"replicas": 5, "x": {"y": 1}}, "kind": "D"});
        let want = json!({"spec": {"replicas": 5, "paused": null}});
        assert_eq!(between(&old, &new), Some(want));
        assert_eq!(between(&old, &json!({"spec": {"new": {"a": null}}})), None);
    }
}
