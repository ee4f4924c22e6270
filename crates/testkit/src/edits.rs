//! Random edits of objects, and what of an object matters: written by hand, path by path, and not the
//! effects engine's own list.

use serde_json::{Value, json};

/// What controllers, schedulers and garbage collection act on, of every kind.
pub const MATTERS: &[&str] = &[
    "/metadata/labels",
    "/metadata/annotations",
    "/metadata/ownerReferences",
    "/metadata/finalizers",
    "/metadata/deletionTimestamp",
    "/data",
    "/binaryData",
    "/stringData",
    "/immutable",
    "/type",
    "/spec/replicas",
    "/spec/selector",
    "/spec/template/metadata",
    "/spec/template/spec/containers",
    "/spec/template/spec/initContainers",
    "/spec/template/spec/volumes",
    "/spec/template/spec/nodeSelector",
    "/spec/template/spec/serviceAccountName",
    "/spec/template/spec/hostNetwork",
    "/spec/template/spec/tolerations",
    "/spec/template/spec/terminationGracePeriodSeconds",
    "/spec/strategy",
    "/spec/updateStrategy",
    "/spec/paused",
    "/spec/minReadySeconds",
    "/spec/revisionHistoryLimit",
    "/spec/persistentVolumeClaimRetentionPolicy",
    "/spec/ordinals",
    "/spec/suspend",
    "/spec/schedule",
    "/spec/jobTemplate",
    "/spec/parallelism",
    "/spec/minReplicas",
    "/spec/maxReplicas",
    "/spec/scaleTargetRef",
    "/spec/unschedulable",
    "/spec/taints",
    "/spec/ports",
    "/spec/externalIPs",
    "/spec/claimRef",
    "/spec/persistentVolumeReclaimPolicy",
    "/spec/resources",
    "/spec/hard",
    "/status/allocatable",
    "/status/phase",
    "/status/hard",
];

/// What random edits put in place of what was there.
pub fn values() -> Vec<Value> {
    vec![
        json!(null),
        json!(0),
        json!(1),
        json!(2),
        json!(10),
        json!(-1),
        json!(true),
        json!(false),
        json!(""),
        json!("x"),
        json!("Delete"),
        json!("Recreate"),
        json!("OnDelete"),
        json!("500m"),
        json!("2"),
        json!("evil:1"),
        json!([]),
        json!({}),
        json!({"name": "c", "image": "evil:1"}),
        json!([{"name": "c", "image": "evil:1"}]),
        json!({"x": "y"}),
    ]
}

/// Every place of an object, as a pointer.
pub fn places(value: &Value, at: &str, all: &mut Vec<String>) {
    let mut step = |key: &str, value: &Value| {
        let place = format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
        places(value, &place, all);
        all.push(place);
    };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| step(key, value)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, it)| step(&i.to_string(), it))
        }
        _ => {}
    }
}

/// One edit: a place gets another value, goes, or gets something beside it.
pub fn edit(object: &mut Value, place: &str, how: usize, value: &Value) {
    let value = value.clone();
    let Some((parent, key)) = place.rsplit_once('/') else { return };
    let key = key.replace("~1", "/").replace("~0", "~");
    match (object.pointer_mut(parent), how) {
        (Some(Value::Object(fields)), 0) => drop(fields.insert(key, value)),
        (Some(Value::Object(fields)), 1) => drop(fields.remove(&key)),
        (Some(Value::Object(fields)), _) => drop(fields.insert(format!("{key}2"), value)),
        (Some(Value::Array(items)), 0) => {
            if let Some(item) = key.parse::<usize>().ok().and_then(|index| items.get_mut(index)) {
                *item = value;
            }
        }
        (Some(Value::Array(items)), 1) => drop(items.pop()),
        (Some(Value::Array(items)), _) => items.push(value),
        _ => {}
    }
}

/// What stands there. Absent, null and empty are one value to the API server.
pub fn at(object: &Value, path: &str) -> Option<Value> {
    object.pointer(path).cloned().filter(|it| {
        !it.is_null()
            && it.as_object().is_none_or(|it| !it.is_empty())
            && it.as_array().is_none_or(|it| !it.is_empty())
    })
}

/// Numbers that follow from a seed (splitmix64).
pub struct Random(pub u64);

impl Random {
    /// One edit or a few of an object whose places are these.
    pub fn edited(&mut self, old: &Value, places: &[String], values: &[Value]) -> Value {
        let mut new = old.clone();
        for _ in 0..=self.below(3) {
            let place = self.below(places.len());
            let value = self.below(values.len());
            if let (Some(place), Some(value)) = (places.get(place), values.get(value)) {
                edit(&mut new, place, self.below(3), value);
            }
        }
        new
    }

    /// A number from 0 up to this, exclusive.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) >> 32).unwrap_or(0) % limit
    }
}

/// Which paths that matter differ.
pub fn differing(old: &Value, new: &Value) -> Vec<&'static str> {
    MATTERS.iter().copied().filter(|it| at(old, it) != at(new, it)).collect()
}

/// Of what differs, what a label or an annotation alone does not explain.
pub fn beside_labels(old: &Value, new: &Value) -> Vec<&'static str> {
    let inert = ["/metadata/labels", "/metadata/annotations", "/spec/template/metadata"];
    let mut more = differing(old, new);
    more.retain(|it| !inert.contains(it));
    // Where the template of a CronJob's pods lies deeper, its annotations do too.
    let template = "/spec/jobTemplate/spec/template/spec";
    if more == ["/spec/jobTemplate"] && at(old, template) == at(new, template) {
        more.clear();
    }
    more
}
