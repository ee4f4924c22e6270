//! Sets of fields, as `managedFields` has them (`FieldsV1`): which of them are in one and not in another,
//! and whether their values differ.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Fields that are in one set and not in another.
#[derive(Debug, Default)]
pub(crate) struct Unchanged {
    changed: Vec<String>,
    unchanged: Vec<String>,
}

impl Unchanged {
    pub(crate) fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.unchanged.is_empty()
    }

    /// Whether one of them has the value that it had.
    pub(crate) fn of_unchanged(&self) -> bool {
        !self.unchanged.is_empty()
    }

    /// Their names, those first whose values are as before.
    pub(crate) fn all(&self) -> Vec<String> {
        self.unchanged.iter().chain(&self.changed).cloned().collect()
    }
}

/// Fields of one set that another has not, by their values in the object before and after.
pub(crate) fn beyond(set: &Value, other: &Value, old: &Value, new: &Value) -> Unchanged {
    let mut walk = Walk { path: Vec::new(), found: Unchanged::default() };
    walk.set(set, Some(other), Some(old), Some(new));
    walk.found
}

/// The names of all fields of a set.
pub(crate) fn names(set: &Value) -> Vec<String> {
    beyond(set, &Value::Null, &Value::Null, &Value::Null).all()
}

struct Walk<'a> {
    path: Vec<&'a str>,
    found: Unchanged,
}

impl<'a> Walk<'a> {
    fn set(
        &mut self,
        set: &'a Value,
        other: Option<&Value>,
        old: Option<&Value>,
        new: Option<&Value>,
    ) {
        let Some(children) = set.as_object() else { return };
        if Some(set) == other {
            return;
        }
        let is_member = |set: &Map<String, Value>| set.is_empty() || set.contains_key(".");
        // The set of everything is no member of itself.
        if !self.path.is_empty()
            && is_member(children)
            && !other.and_then(Value::as_object).is_some_and(is_member)
        {
            self.member(old != new);
        }
        let (old, new) = (Parts::of(children, old), Parts::of(children, new));
        for (key, child) in children.iter().filter(|(key, _)| *key != ".") {
            self.path.push(key);
            self.set(child, other.and_then(|it| it.get(key)), old.get(key), new.get(key));
            self.path.pop();
        }
    }

    fn member(&mut self, differs: bool) {
        let step = |it: &&'a str| it.split_once(':').map_or(*it, |(_, name)| name);
        let path = self.path.iter().map(step).collect::<Vec<_>>().join("/");
        match differs {
            true => self.found.changed.push(path),
            false => self.found.unchanged.push(path),
        }
    }
}

/// The parts of a value by the keys of a set: fields by name, items by their own keys, by their value or
/// by their index. Items are put in order once, as an agent decides how many there are.
enum Parts<'v> {
    None,
    Fields(&'v Map<String, Value>),
    Items(BTreeMap<String, &'v Value>),
}

impl<'v> Parts<'v> {
    fn of(set: &Map<String, Value>, value: Option<&'v Value>) -> Self {
        match value {
            Some(Value::Object(fields)) => Self::Fields(fields),
            Some(Value::Array(items)) => {
                let has = |kind| set.keys().any(|key| key.starts_with(kind));
                let (by_value, by_index) = (has("v:"), has("i:"));
                let named = set.keys().find_map(|key| key.strip_prefix("k:")).and_then(keys_of);
                let names = |(index, item): (usize, &'v Value)| {
                    let value = by_value.then(|| format!("v:{item}"));
                    let index = by_index.then(|| format!("i:{index}"));
                    let named = named.as_ref().map(|keys| format!("k:{}", key_of(keys, item)));
                    [value, index, named].into_iter().flatten().map(move |name| (name, item))
                };
                Self::Items(items.iter().enumerate().flat_map(names).collect())
            }
            _ => Self::None,
        }
    }

    fn get(&self, key: &str) -> Option<&'v Value> {
        match self {
            Self::None => None,
            Self::Fields(fields) => fields.get(key.strip_prefix("f:")?),
            Self::Items(items) => match key.strip_prefix("k:") {
                Some(text) => items.get(&format!("k:{}", canonical(text)?)).copied(),
                None => items.get(key).copied(),
            },
        }
    }
}

/// The names of the fields by which items of a list are told apart.
fn keys_of(text: &str) -> Option<Vec<String>> {
    let keys: BTreeMap<String, Value> = serde_json::from_str(text).ok()?;
    Some(keys.into_keys().collect())
}

fn key_of(keys: &[String], item: &Value) -> String {
    let fields: BTreeMap<&str, &Value> =
        keys.iter().filter_map(|key| Some((key.as_str(), item.get(key)?))).collect();
    serde_json::to_string(&fields).unwrap_or_default()
}

fn canonical(text: &str) -> Option<String> {
    let fields: BTreeMap<String, Value> = serde_json::from_str(text).ok()?;
    serde_json::to_string(&fields).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn finds_values_by_every_kind_of_key() {
        let set = json!({"f:spec": {
            ".": {},
            "f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:name": {}}},
            "f:finalizers": {"v:\"a\"": {}, "v:\"b\"": {}},
            "f:items": {"i:0": {}},
        }});
        let old = json!({"spec": {"ports": [{"protocol": "TCP", "port": 80, "name": "x"}],
            "finalizers": ["a", "b"], "items": [1]}});
        let new = json!({"spec": {"ports": [{"port": 80, "protocol": "TCP", "name": "y"}],
            "finalizers": ["b"], "items": [1]}});
        let found = beyond(&set, &Value::Null, &old, &new);
        assert_eq!(found.unchanged, ["spec/finalizers/\"b\"", "spec/items/0"]);
        assert_eq!(
            found.changed,
            [
                "spec",
                "spec/ports/{\"port\":80,\"protocol\":\"TCP\"}",
                "spec/ports/{\"port\":80,\"protocol\":\"TCP\"}/name",
                "spec/finalizers/\"a\"",
            ]
        );
        assert!(beyond(&set, &set, &old, &new).is_empty());
    }
}
