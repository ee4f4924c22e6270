//! What differs between two readings of an object.

use std::collections::{BTreeMap, BTreeSet};

use attributes::Attributes;
use serde_json::{Map, Value};

use crate::effect::Change;

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

/// Fields of the metadata of every object that differ between any two writes and order nothing.
pub(crate) const BOOKKEEPING: [&str; 5] =
    ["resourceVersion", "generation", "managedFields", "creationTimestamp", "selfLink"];

/// Times that the server writes into the conditions of a CertificateSigningRequest.
const STAMPS: [&str; 2] = ["lastUpdateTime", "lastTransitionTime"];

/// Stands for what the server makes up anew in each dry run of a create.
pub(crate) const MADE_UP: &str = "(made by the server)";

/// Differences that one comparison names, and the bytes of their paths: an agent decides how many there
/// are, and a path is as long as the keys above it, which are its own to choose.
const CHANGES_MAX: usize = 10_000;
const PATH_BYTES_MAX: usize = 4 << 20;

/// What the ServiceAccount admission calls the token volume of a new pod, before five random letters.
const TOKEN_VOLUME: &str = "kube-api-access-";

/// More differences than one comparison names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct TooMany;

/// Every path at which two objects differ, sorted. Items of a list are told apart by `name` where
/// all have one of their own (containers, env, volumes), so that an insertion shows as one; their
/// path then has the name where an index would stand. Beyond 10,000 differences there is one, from
/// the whole object to the whole object.
pub fn diff(old: Option<&Value>, new: Option<&Value>) -> Vec<Change> {
    differences(old, new, Depth::Whole).unwrap_or_else(|TooMany| {
        vec![Change { path: String::new(), old: old.cloned(), new: new.cloned() }]
    })
}

/// As [`diff`], but what comes or goes as a whole is named down to its last field: a rule that
/// knows `/spec/unschedulable` sees it also where all of `/spec` is new. Fields of the metadata in
/// `but` are not compared.
///
/// # Errors
/// [`TooMany`] where there are more than 10,000.
pub(crate) fn leaves(
    old: Option<&Value>,
    new: Option<&Value>,
    but: &'static [&'static str],
) -> Result<Vec<Change>, TooMany> {
    differences(old, new, Depth::Leaves { but })
}

/// The segments of a path, unescaped.
pub(crate) fn segments(path: &str) -> Vec<String> {
    path.split('/').skip(1).map(|it| it.replace("~1", "/").replace("~0", "~")).collect()
}

fn differences(
    old: Option<&Value>,
    new: Option<&Value>,
    depth: Depth,
) -> Result<Vec<Change>, TooMany> {
    let mut walk = Walk { path: String::new(), depth, changes: Vec::new(), path_bytes: 0 };
    walk.values(old, new)?;
    walk.changes.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(walk.changes)
}

/// Leaves out what no request asks for: versions, times, managed fields, what the server makes up,
/// and `status` unless a subresource writes it.
pub fn normalised(attributes: &Attributes, changes: Vec<Change>) -> Vec<Change> {
    let mut changes = changes;
    let of_main_object = attributes.subresource.is_empty();
    // A create or delete differs as a whole, and so does what differs in too many places: leave those
    // fields out inside.
    for change in changes.iter_mut().filter(|change| change.path.is_empty()) {
        let created = change.old.is_none();
        for side in [&mut change.old, &mut change.new] {
            if let Some(Value::Object(object)) = side {
                if created {
                    forget_made_up(attributes, object);
                }
                strip(object, of_main_object);
            }
        }
    }
    // The server stamps the conditions of an approval with the time of each dry run.
    let stamped = attributes.resource == "certificatesigningrequests";
    if stamped {
        changes.iter_mut().filter_map(|change| change.new.as_mut()).for_each(forget_times);
    }
    changes.retain(|change| {
        let noise = NOT_ASKED_FOR.iter().any(|path| within(&change.path, path))
            || (of_main_object && within(&change.path, "/status"))
            || (stamped && STAMPS.iter().any(|it| change.path.ends_with(it)));
        !noise
    });
    changes
}

fn within(path: &str, of: &str) -> bool {
    path.strip_prefix(of).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn strip(object: &mut Map<String, Value>, of_main_object: bool) {
    if of_main_object {
        object.remove("status");
    }
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        for path in NOT_ASKED_FOR {
            metadata.remove(path.trim_start_matches("/metadata/"));
        }
    }
}

/// Replaces in a new object what differs in each dry run of the same request: its uid and generated
/// name wherever they stand (a Job's selector), addresses and ports of a Service, the token volume
/// of a pod.
fn forget_made_up(attributes: &Attributes, object: &mut Map<String, Value>) {
    let text = |key: &str| {
        let metadata = object.get("metadata")?;
        metadata.get(key)?.as_str().filter(|it| !it.is_empty()).map(str::to_owned)
    };
    let generated = text("generateName").is_some() && attributes.name.is_empty();
    let made_up: Vec<String> =
        [text("uid"), text("name").filter(|_| generated)].into_iter().flatten().collect();
    for value in object.values_mut() {
        forget(value, &made_up);
    }
    if attributes.resource == "services"
        && let Some(Value::Object(spec)) = object.get_mut("spec")
    {
        for field in ["clusterIP", "clusterIPs", "healthCheckNodePort"] {
            spec.remove(field);
        }
        if let Some(Value::Array(ports)) = spec.get_mut("ports") {
            for port in ports.iter_mut().filter_map(Value::as_object_mut) {
                port.remove("nodePort");
            }
        }
    }
}

fn forget(value: &mut Value, made_up: &[String]) {
    match value {
        Value::String(text) => {
            if made_up.contains(text) {
                *text = MADE_UP.to_owned();
            } else if is_token_volume(text) {
                *text = format!("{TOKEN_VOLUME}*");
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| forget(item, made_up)),
        Value::Object(fields) => fields.values_mut().for_each(|field| forget(field, made_up)),
        _ => {}
    }
}

/// Whether the ServiceAccount admission has named this volume.
pub(crate) fn is_token_volume(name: &str) -> bool {
    name.strip_prefix(TOKEN_VOLUME).is_some_and(|rest| rest.len() == 5)
}

fn forget_times(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(forget_times),
        Value::Object(fields) => {
            fields.retain(|key, _| !STAMPS.contains(&key.as_str()));
            fields.values_mut().for_each(forget_times);
        }
        _ => {}
    }
}

/// How far a comparison goes into what comes or goes as a whole.
#[derive(Clone, Copy)]
enum Depth {
    /// It is one difference.
    Whole,
    /// Each of its fields is, but for these of the metadata.
    Leaves { but: &'static [&'static str] },
}

/// One comparison: where it is, and what it has found.
struct Walk {
    path: String,
    depth: Depth,
    changes: Vec<Change>,
    path_bytes: usize,
}

impl Walk {
    /// Each value is looked at once: whether two objects are equal is not asked before their fields are.
    fn values(&mut self, old: Option<&Value>, new: Option<&Value>) -> Result<(), TooMany> {
        let (no_fields, no_items) = (Map::new(), Vec::new());
        let to_the_leaf = matches!(self.depth, Depth::Leaves { .. });
        match (old, new) {
            (Some(Value::Object(old)), Some(Value::Object(new))) => self.fields(old, new),
            (Some(Value::Array(old)), Some(Value::Array(new))) => self.items(old, new),
            (Some(Value::Object(old)), None) if to_the_leaf && !old.is_empty() => {
                self.fields(old, &no_fields)
            }
            (None, Some(Value::Object(new))) if to_the_leaf && !new.is_empty() => {
                self.fields(&no_fields, new)
            }
            (Some(Value::Array(old)), None) if to_the_leaf && !old.is_empty() => {
                self.items(old, &no_items)
            }
            (None, Some(Value::Array(new))) if to_the_leaf && !new.is_empty() => {
                self.items(&no_items, new)
            }
            (old, new) if old == new => Ok(()),
            (old, new) => self.differs(old.cloned(), new.cloned()),
        }
    }

    fn differs(&mut self, old: Option<Value>, new: Option<Value>) -> Result<(), TooMany> {
        self.path_bytes = self.path_bytes.saturating_add(self.path.len());
        if self.changes.len() >= CHANGES_MAX || self.path_bytes > PATH_BYTES_MAX {
            return Err(TooMany);
        }
        self.changes.push(Change { path: self.path.clone(), old, new });
        Ok(())
    }

    fn fields(
        &mut self,
        old: &Map<String, Value>,
        new: &Map<String, Value>,
    ) -> Result<(), TooMany> {
        let but: &[&str] = match self.depth {
            Depth::Leaves { but } if self.path == "/metadata" => but,
            _ => &[],
        };
        let added = new.keys().filter(|key| !old.contains_key(*key));
        for key in old.keys().chain(added).filter(|key| !but.contains(&key.as_str())) {
            self.step(key, old.get(key), new.get(key))?;
        }
        Ok(())
    }

    fn items(&mut self, old: &[Value], new: &[Value]) -> Result<(), TooMany> {
        let (Some(olds), Some(news)) = (by_name(old), by_name(new)) else {
            for index in 0..old.len().max(new.len()) {
                self.step(&index.to_string(), old.get(index), new.get(index))?;
            }
            return Ok(());
        };
        // By the map, not by a search for each: an agent decides how many there are.
        let (before, after): (BTreeMap<&str, &Value>, BTreeMap<&str, &Value>) =
            (olds.iter().copied().collect(), news.iter().copied().collect());
        let names: BTreeSet<&str> = before.keys().chain(after.keys()).copied().collect();
        for name in names {
            self.step(name, before.get(name).copied(), after.get(name).copied())?;
        }
        // Containers start in order: the same items in another order are a difference too.
        fn common<'a>(these: &[(&'a str, &Value)], those: &BTreeMap<&str, &Value>) -> Vec<&'a str> {
            these.iter().map(|(name, _)| *name).filter(|name| those.contains_key(name)).collect()
        }
        let (before, after) = (common(&olds, &after), common(&news, &before));
        match before == after {
            true => Ok(()),
            false => self.differs(Some(before.into()), Some(after.into())),
        }
    }

    fn step(&mut self, key: &str, old: Option<&Value>, new: Option<&Value>) -> Result<(), TooMany> {
        let length = self.path.len();
        self.path.push('/');
        self.path.push_str(&pointer_token(key));
        let compared = self.values(old, new);
        self.path.truncate(length);
        compared
    }
}

/// A key as it stands in a path (RFC 6901).
pub fn pointer_token(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// Items by their `name`, if each has one and no two the same: so a path names them.
pub fn by_name(items: &[Value]) -> Option<Vec<(&str, &Value)>> {
    let mut names = BTreeSet::new();
    items
        .iter()
        .map(|item| {
            let name = item.get("name")?.as_str()?;
            names.insert(name).then_some((name, item))
        })
        .collect()
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
    fn names_no_more_differences_than_it_may() {
        let fields = |count: usize, key: &str, value: i32| {
            let fields: Map<String, Value> =
                (0..count).map(|n| (format!("f{n}"), json!(value))).collect();
            json!({key: fields})
        };
        let long = "k".repeat(PATH_BYTES_MAX / 100);
        let table = [
            (fields(CHANGES_MAX, "a", 1), fields(CHANGES_MAX, "a", 2), CHANGES_MAX),
            (fields(CHANGES_MAX + 1, "a", 1), fields(CHANGES_MAX + 1, "a", 2), 1),
            // Few differences, below a key that each of their paths repeats.
            (fields(90, &long, 1), fields(90, &long, 2), 90),
            (fields(110, &long, 1), fields(110, &long, 2), 1),
        ];
        for (row, (old, new, want)) in table.into_iter().enumerate() {
            let changes = diff(Some(&old), Some(&new));
            assert_eq!(changes.len(), want, "row {row}");
            assert_eq!(changes[0].path.is_empty(), want == 1, "row {row}");
            assert_eq!(leaves(Some(&old), Some(&new), &[]).is_err(), want == 1, "row {row}");
        }
        let at =
            |time: &str| json!({"metadata": {"labels": {}, "managedFields": [{"time": time}]}});
        assert_eq!(leaves(Some(&at("1")), Some(&at("2")), &["managedFields"]), Ok(Vec::new()));
    }
}
