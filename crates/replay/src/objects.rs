//! The part of objects that is recorded: all that rules commonly read, no value that may be a secret,
//! and never more than so many bytes.

use ledger::{Extent, FactsRecord, PairRecord};
use policy::NOT_RECORDED;
use serde_json::{Map, Value};

use crate::patch;

/// Of all objects of one call, as JSON.
const BYTES_MAX: usize = 32 << 10;
/// Labels of an object of which only the outline is recorded.
const LABEL_BYTES_MAX: usize = 4 << 10;

/// Metadata that says which object it is.
const NAMES: [&str; 5] = ["name", "namespace", "generateName", "uid", "labels"];
/// A second copy of the whole object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What of these objects, before and after and without their secrets, is to be recorded.
///
/// Where a value is left out, a mark with its `digest` stands: that it differs still shows. Left out
/// are values of ConfigMaps and of environment variables, as people write secrets into both; and what
/// is large and says nothing of its own (managed fields, last-applied).
pub fn objects(
    pairs: impl Iterator<Item = (Option<Value>, Option<Value>)>,
    digest: &dyn Fn(&[u8]) -> String,
) -> (Vec<PairRecord>, Extent) {
    let mark = Marks(digest);
    let (mut whole, mut outlines) = (Vec::new(), Vec::new());
    let (mut bytes, mut outline_bytes) = (0, 0);
    for (mut old, mut new) in pairs {
        old.iter_mut().chain(&mut new).for_each(|object| mark.values(object));
        let of = |old: &Option<Value>, new: &Option<Value>| {
            (old.as_ref().map(|it| mark.outline(it)), new.as_ref().map(|it| mark.outline(it)))
        };
        let (old_outline, new_outline) = of(&old, &new);
        let outline = pair(old_outline, new_outline);
        outline_bytes += size(&outline);
        if outline_bytes > BYTES_MAX {
            return (Vec::new(), Extent::None);
        }
        outlines.push(outline);
        if bytes <= BYTES_MAX {
            let pair = pair(old, new);
            bytes += size(&pair);
            whole.push(pair);
        }
    }
    if bytes <= BYTES_MAX { (whole, Extent::Whole) } else { (outlines, Extent::Outline) }
}

/// Leaves no more of the objects in facts than this, as what is kept of their agent is used up.
pub fn shorten(facts: &mut FactsRecord, to: Extent, digest: &dyn Fn(&[u8]) -> String) {
    match to {
        _ if facts.objects.is_empty() => return,
        Extent::Outline if facts.extent == Extent::Whole => {
            let mark = Marks(digest);
            let outline = |it: Option<Value>| it.map(|it| mark.outline(&it));
            for it in &mut facts.objects {
                let [old, new] = sides(it);
                *it = pair(outline(old), outline(new));
            }
        }
        Extent::None => facts.objects.clear(),
        Extent::Whole | Extent::Outline => return,
    }
    (facts.extent, facts.over_budget) = (to, true);
}

/// Bytes that are equal where a replay reads the same of the objects: all but managed fields, of which it
/// reads nothing, and what the API server makes up in each dry run, which it takes for unknown where
/// the objects are another call's.
pub fn sameness(facts: &FactsRecord) -> Vec<u8> {
    let mut pairs: Vec<[Option<Value>; 2]> = facts.objects.iter().map(sides).collect();
    for metadata in pairs.iter_mut().flatten().flatten().filter_map(|it| it.get_mut("metadata")) {
        metadata.as_object_mut().and_then(|it| it.remove("managedFields"));
    }
    for value in pairs.iter_mut().flat_map(made_up) {
        *value = Value::Null;
    }
    format!("{:?} {}", facts.extent, Value::from_iter(pairs.iter().flatten().cloned())).into_bytes()
}

/// What the API server makes up of an object anew in each dry run of a create.
pub(crate) fn made_up(pair: &mut [Option<Value>; 2]) -> impl Iterator<Item = &mut Value> {
    let created = match pair {
        [None, Some(new)] => new.get_mut("metadata").and_then(Value::as_object_mut),
        _ => None,
    };
    let fields = created.into_iter().flatten();
    fields.filter(|(key, _)| matches!(key.as_str(), "uid" | "creationTimestamp")).map(|(_, it)| it)
}

/// An object before and after.
pub(crate) fn sides(pair: &PairRecord) -> [Option<Value>; 2] {
    let new = match (&pair.old, &pair.patch) {
        (Some(old), Some(patch)) => Some(patch::applied(old.clone(), patch)),
        _ => pair.new.clone(),
    };
    [pair.old.clone(), new]
}

fn pair(old: Option<Value>, new: Option<Value>) -> PairRecord {
    let patch = match (&old, &new) {
        (Some(old), Some(new)) => patch::between(old, new),
        _ => None,
    };
    let new = if patch.is_some() { None } else { new };
    PairRecord { old, new, patch }
}

fn size(pair: &PairRecord) -> usize {
    let sides = [&pair.old, &pair.new, &pair.patch];
    sides.into_iter().flatten().map(|it| it.to_string().len()).sum()
}

struct Marks<'a>(&'a dyn Fn(&[u8]) -> String);

impl Marks<'_> {
    fn of(&self, value: &Value) -> Value {
        let digest = (self.0)(value.to_string().as_bytes());
        Value::String(format!("{NOT_RECORDED} {}]", digest.get(..12).unwrap_or_default()))
    }

    fn leave_out(&self, value: &mut Value) {
        *value = self.of(value);
    }

    fn leave_out_each(&self, value: &mut Value) {
        match value {
            Value::Object(fields) => fields.values_mut().for_each(|it| self.leave_out(it)),
            other => self.leave_out(other),
        }
    }

    /// Leaves out of an object what may hold secrets, and what only makes it large.
    fn values(&self, object: &mut Value) {
        // In a list, as a delete of a collection is answered with, objects are without their kind.
        let kind = object.get("kind").and_then(Value::as_str);
        let is_config_map = kind.is_none_or(|it| it == "ConfigMap");
        let Value::Object(fields) = &mut *object else { return };
        if is_config_map {
            for key in ["data", "binaryData"] {
                fields.get_mut(key).into_iter().for_each(|it| self.leave_out_each(it));
            }
        }
        if let Some(Value::Object(metadata)) = fields.get_mut("metadata") {
            metadata.get_mut("managedFields").into_iter().for_each(|it| self.leave_out(it));
            let annotations = metadata.get_mut("annotations").and_then(Value::as_object_mut);
            let applied = annotations.and_then(|it| it.get_mut(LAST_APPLIED));
            applied.into_iter().for_each(|it| self.leave_out(it));
        }
        self.variables(object);
    }

    /// Leaves out the values of environment variables, wherever containers stand.
    fn variables(&self, value: &mut Value) {
        match value {
            Value::Object(fields) => {
                for (key, value) in fields.iter_mut() {
                    match value {
                        Value::Array(items) if key == "env" => {
                            for item in items {
                                item.get_mut("value").into_iter().for_each(|it| self.leave_out(it));
                            }
                        }
                        value => self.variables(value),
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.variables(item)),
            _ => {}
        }
    }

    /// Which object it is, and no more.
    fn outline(&self, object: &Value) -> Value {
        let Value::Object(fields) = object else { return self.of(object) };
        let of = |(key, value): (&String, &Value)| {
            let value = match (key.as_str(), value) {
                ("apiVersion" | "kind", value) => value.clone(),
                ("metadata", Value::Object(metadata)) => self.names(metadata),
                (_, value) => self.of(value),
            };
            (key.clone(), value)
        };
        Value::Object(fields.iter().map(of).collect())
    }

    fn names(&self, metadata: &Map<String, Value>) -> Value {
        let of = |(key, value): (&String, &Value)| {
            let is_large = || value.to_string().len() > LABEL_BYTES_MAX;
            let kept = NAMES.contains(&key.as_str()) && !is_large();
            (key.clone(), if kept { value.clone() } else { self.of(value) })
        };
        Value::Object(metadata.iter().map(of).collect())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn digest(bytes: &[u8]) -> String {
        format!("{:012x}", bytes.iter().fold(7u64, |a, b| a.wrapping_mul(31) + u64::from(*b)))
    }

    fn recorded(pairs: Vec<(Option<Value>, Option<Value>)>) -> (Vec<PairRecord>, Extent) {
        objects(pairs.into_iter(), &digest)
    }

    fn facts(old: Option<Value>, new: Option<Value>) -> FactsRecord {
        let empty = r#"{"version": 1, "at": "2026-01-01T00:00:00Z", "looked": true}"#;
        let mut facts: FactsRecord = serde_json::from_str(empty).expect("facts");
        (facts.objects, facts.extent) = recorded(vec![(old, new)]);
        facts
    }

    #[test]
    fn is_shortened_as_if_it_had_been_too_large() {
        let large = |size: usize, image: &str| json!({"kind": "X", "metadata": {"name": "n", "labels": {"a": "b"}}, "spec": {"image": image, "text": "x".repeat(size)}});
        let mut short = facts(Some(large(9_000, "a")), Some(large(9_000, "b")));
        let whole = short.clone();
        shorten(&mut short, Extent::Whole, &digest);
        assert_eq!(short, whole);
        shorten(&mut short, Extent::Outline, &digest);
        assert!(short.over_budget && short.extent == Extent::Outline);
        let text = serde_json::to_string(&short).expect("JSON");
        assert!(text.len() < 500 && text.contains(r#""labels":{"a":"b"}"#), "{text}");
        // That the two differ still shows.
        assert!(short.objects[0].patch.as_ref().is_some_and(|it| it.get("spec").is_some()));
        shorten(&mut short, Extent::None, &digest);
        assert_eq!((short.objects.len(), short.extent), (0, Extent::None));
        // What is an outline for its own size is not said to be one for another reason.
        let mut own = facts(Some(large(50_000, "a")), None);
        shorten(&mut own, Extent::Outline, &digest);
        assert!(own.extent == Extent::Outline && !own.over_budget);
        // Nor is anything missing where there are no objects.
        let mut none = FactsRecord { objects: Vec::new(), ..whole };
        for extent in [Extent::Outline, Extent::None] {
            shorten(&mut none, extent, &digest);
        }
        assert!(none.extent == Extent::Whole && !none.over_budget, "{none:?}");
    }

    #[test]
    fn is_the_same_where_a_replay_reads_the_same() {
        let object = |uid: &str, manager: &str, image: &str| json!({"metadata": {"name": "n", "uid": uid, "creationTimestamp": uid, "managedFields": [manager]}, "spec": image});
        let one = || object("1", "m", "i");
        let created = sameness(&facts(None, Some(one())));
        let table = [
            (None, Some(object("2", "n", "i")), true),
            (None, Some(object("1", "m", "j")), false),
            (Some(one()), Some(one()), false),
            (Some(one()), None, false),
        ];
        for (row, (old, new, want)) in table.into_iter().enumerate() {
            assert_eq!(sameness(&facts(old, new)) == created, want, "row {row}");
        }
        let changed = |uid, image| {
            sameness(&facts(Some(object(uid, "m", "i")), Some(object(uid, "n", image))))
        };
        assert_eq!(changed("1", "j"), changed("1", "j"));
        // Of an object that is there, the uid is no invention.
        assert_ne!(changed("1", "j"), changed("2", "j"));
        assert_ne!(changed("1", "j"), changed("1", "k"));
    }

    #[test]
    fn leaves_out_what_may_be_a_secret_and_shows_that_it_differs() {
        let map = |value: &str| json!({"kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"k": value}});
        let pod = |value: &str| json!({"kind": "Pod", "spec": {"containers": [{"image": "i", "env": [{"name": "A", "value": value}]}]}});
        let applied = |value: &str| json!({"kind": "X", "metadata": {"managedFields": [value], "annotations": {LAST_APPLIED: value, "a": "b"}}});
        let listed = |value: &str| json!({"metadata": {"name": "c"}, "binaryData": {"k": value}, "data": {"k": value}});
        for of in [map, pod, applied, listed] {
            let (pairs, extent) = recorded(vec![(Some(of("hunter2")), Some(of("hunter3")))]);
            let text = serde_json::to_string(&pairs).expect("JSON");
            assert!(!text.contains("hunter"), "{text}");
            assert_eq!(extent, Extent::Whole);
            assert!(
                pairs[0].patch.as_ref().is_some_and(|it| it.to_string().contains(NOT_RECORDED)),
                "{text}"
            );
        }
    }

    #[test]
    fn is_bounded() {
        let large = |size: usize| json!({"kind": "X", "metadata": {"name": "n", "labels": {"a": "b"}}, "spec": {"text": "x".repeat(size)}});
        let (pairs, extent) = recorded(vec![(Some(large(10)), None)]);
        assert_eq!((extent, pairs[0].old.clone()), (Extent::Whole, Some(large(10))));
        let (pairs, extent) = recorded(vec![(Some(large(50_000)), Some(large(60_000)))]);
        assert_eq!(extent, Extent::Outline);
        let text = serde_json::to_string(&pairs).expect("JSON");
        assert!(text.len() < 400 && text.contains(r#""labels":{"a":"b"}"#), "{text}");
        // Many small ones, as in a collection.
        let (pairs, extent) = recorded(vec![(Some(large(1_000)), None); 100]);
        assert_eq!((pairs.len(), extent), (100, Extent::Outline));
        let (pairs, extent) = recorded(vec![(Some(large(1_000)), None); 3_000]);
        assert_eq!((pairs.len(), extent), (0, Extent::None));
        let labels: Map<String, Value> =
            (0..1_000).map(|it| (format!("l{it}"), json!("value"))).collect();
        let labelled =
            json!({"kind": "X", "metadata": {"labels": labels}, "spec": "x".repeat(50_000)});
        let (pairs, _) = recorded(vec![(Some(labelled), None)]);
        assert!(serde_json::to_string(&pairs).expect("JSON").len() < 400);
    }
}
