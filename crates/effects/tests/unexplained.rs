//! A law: where no effect is reported, nothing that matters differs. What matters is written here by
//! hand, path by path, and is not the engine's own list.

use attributes::Attributes;
use effects::{ClassConfig, EffectKind, of_change};
use serde_json::{Value, json};

/// What controllers, schedulers and garbage collection act on, of every kind.
const MATTERS: &[&str] = &[
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
fn values() -> Vec<Value> {
    vec![
        json!(null),
        json!(0),
        json!(1),
        json!(10),
        json!(-1),
        json!(true),
        json!(false),
        json!(""),
        json!("x"),
        json!("Delete"),
        json!("evil:1"),
        json!([]),
        json!({}),
        json!({"name": "c", "image": "evil:1"}),
        json!([{"name": "c", "image": "evil:1"}]),
        json!({"x": "y"}),
    ]
}

fn objects() -> Vec<(&'static str, &'static str, Value)> {
    let metadata = json!({
        "name": "x", "namespace": "prod", "uid": "u", "resourceVersion": "1", "generation": 1,
        "labels": {"app": "x", "env": "production"}, "annotations": {"note": "n", "a/b": "c"},
        "finalizers": ["f"], "ownerReferences": [{"kind": "K", "name": "o", "uid": "v"}],
    });
    let template = json!({
        "metadata": {"labels": {"app": "x"}, "annotations": {"a": "b"}},
        "spec": {
            "serviceAccountName": "sa", "nodeSelector": {"pool": "a"}, "hostNetwork": false,
            "terminationGracePeriodSeconds": 30, "tolerations": [{"key": "k"}],
            "containers": [
                {"name": "c", "image": "nginx:1", "env": [{"name": "A", "value": "b"}],
                 "resources": {"limits": {"cpu": "1"}}},
                {"name": "d", "image": "nginx:2"},
            ],
            "initContainers": [{"name": "i", "image": "busybox"}],
            "volumes": [{"name": "v", "emptyDir": {}}],
        },
    });
    let with = |spec: Value| json!({"metadata": metadata, "spec": spec, "status": {"replicas": 3}});
    vec![
        (
            "apps",
            "deployments",
            with(json!({
                "replicas": 10, "selector": {"matchLabels": {"app": "x"}}, "template": template,
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%"}},
                "paused": false, "minReadySeconds": 0, "revisionHistoryLimit": 10,
            })),
        ),
        (
            "apps",
            "statefulsets",
            with(json!({
                "replicas": 3, "selector": {"matchLabels": {"app": "x"}}, "template": template,
                "updateStrategy": {"type": "RollingUpdate"}, "ordinals": {"start": 0},
                "persistentVolumeClaimRetentionPolicy": {"whenScaled": "Retain", "whenDeleted": "Retain"},
            })),
        ),
        (
            "batch",
            "cronjobs",
            with(json!({
                "schedule": "0 3 * * *", "suspend": false,
                "jobTemplate": {"spec": {"parallelism": 1, "template": template}},
            })),
        ),
        ("batch", "jobs", with(json!({"parallelism": 3, "suspend": false, "template": template}))),
        (
            "autoscaling",
            "horizontalpodautoscalers",
            with(json!({
                "minReplicas": 2, "maxReplicas": 9, "scaleTargetRef": {"kind": "Deployment", "name": "x"},
            })),
        ),
        (
            "",
            "nodes",
            json!({
                "metadata": metadata, "spec": {"unschedulable": false, "taints": [{"key": "k", "effect": "NoSchedule"}]},
                "status": {"allocatable": {"cpu": "8"}},
            }),
        ),
        (
            "",
            "services",
            with(json!({
                "selector": {"app": "x"}, "ports": [{"name": "http", "port": 80}], "externalIPs": [],
            })),
        ),
        ("", "secrets", json!({"metadata": metadata, "type": "Opaque", "data": {"a": "Yg=="}})),
        (
            "",
            "configmaps",
            json!({"metadata": metadata, "data": {"a": "b"}, "binaryData": {"c": "ZA=="}}),
        ),
        (
            "",
            "persistentvolumes",
            with(json!({
                "claimRef": {"name": "c", "namespace": "prod"}, "persistentVolumeReclaimPolicy": "Retain",
            })),
        ),
        (
            "",
            "persistentvolumeclaims",
            with(json!({"resources": {"requests": {"storage": "1Gi"}}})),
        ),
        (
            "",
            "resourcequotas",
            json!({
                "metadata": metadata, "spec": {"hard": {"pods": "10"}}, "status": {"hard": {"pods": "10"}},
            }),
        ),
        (
            "",
            "pods",
            json!({"metadata": metadata, "spec": template.get("spec"), "status": {"phase": "Running"}}),
        ),
    ]
}

/// Every place of an object, as a pointer.
fn places(value: &Value, at: &str, all: &mut Vec<String>) {
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
fn edit(object: &mut Value, place: &str, how: usize, value: &Value) {
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

/// Absent, null and empty are one value to the API server.
fn at(object: &Value, path: &str) -> Option<Value> {
    object.pointer(path).cloned().filter(|it| {
        !it.is_null()
            && it.as_object().is_none_or(|it| !it.is_empty())
            && it.as_array().is_none_or(|it| !it.is_empty())
    })
}

/// Random patches; each has its number, by which it is made again.
const PATCHES: usize = 100_000;
const THREADS: usize = 4;

/// Numbers that follow from a seed (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) >> 32).unwrap_or(0) % limit
    }
}

/// What is wrong about one random patch of a random object.
fn wrong(kind: &Kind, random: &mut Random, values: &[Value]) -> Option<String> {
    let Kind { attributes, old, places } = kind;
    let mut new = old.clone();
    for _ in 0..=random.below(3) {
        let place = places.get(random.below(places.len()))?;
        let value = values.get(random.below(values.len()))?;
        edit(&mut new, place, random.below(3), value);
    }
    let effects = of_change(attributes, &ClassConfig::default(), Some(old), &new);
    let differs: Vec<&&str> = MATTERS.iter().filter(|it| at(old, it) != at(&new, it)).collect();
    if !differs.is_empty() && effects.is_empty() {
        return Some(format!("{differs:?} without an effect: {old} {new}"));
    }
    // A label or annotation alone is no explanation of anything else.
    let inert = |kind: EffectKind| matches!(kind, EffectKind::ChangeLabels | EffectKind::Restart);
    if !effects.iter().all(|it| inert(it.kind)) {
        return None;
    }
    let inert = ["/metadata/labels", "/metadata/annotations", "/spec/template/metadata"];
    let more: Vec<_> = differs.iter().filter(|it| !inert.contains(**it)).collect();
    // Where the template of a CronJob's pods lies deeper, its annotations do too.
    let deep = more.iter().all(|it| ***it == "/spec/jobTemplate")
        && at(old, "/spec/jobTemplate/spec/template/spec")
            == at(&new, "/spec/jobTemplate/spec/template/spec");
    (!more.is_empty() && !deep).then(|| format!("{more:?} only {effects:?}: {old} {new}"))
}

struct Kind {
    attributes: Attributes,
    old: Value,
    places: Vec<String>,
}

#[test]
fn what_matters_never_differs_without_an_effect() {
    let kinds: Vec<Kind> = objects()
        .into_iter()
        .map(|(group, resource, old)| {
            let attributes = Attributes {
                verb: "patch".into(),
                method: "PATCH".into(),
                api_group: group.into(),
                api_version: "v1".into(),
                resource: resource.into(),
                namespace: "prod".into(),
                name: "x".into(),
                is_resource_request: true,
                ..Attributes::default()
            };
            let mut all = Vec::new();
            places(&old, "", &mut all);
            Kind { attributes, old, places: all }
        })
        .collect();
    let values = values();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (kinds, values) = (&kinds, &values);
            scope.spawn(move || {
                for number in (thread..PATCHES).step_by(THREADS) {
                    let mut random = Random(number as u64);
                    let Some(kind) = kinds.get(random.below(kinds.len())) else { continue };
                    let found = wrong(kind, &mut random, values);
                    assert!(found.is_none(), "patch {number}: {}", found.unwrap_or_default());
                }
            });
        }
    });
}

/// The law is worth something only if it can be broken.
#[test]
fn the_list_is_looked_at() {
    let (_, _, old) = objects().swap_remove(0);
    for path in ["/spec/replicas", "/metadata/labels", "/spec/template/spec/containers"] {
        let mut new = old.clone();
        edit(&mut new, path, 1, &Value::Null);
        assert!(MATTERS.iter().any(|it| at(&old, it) != at(&new, it)), "{path}");
    }
}
