//! A law: where no effect is reported, nothing that matters differs. What matters is testkit's list,
//! written by hand, and not the engine's own. `tests/cases` asks the same of the API server's dry runs.

use attributes::Attributes;
use effects::{ClassConfig, EffectKind, Known, of_change};
use serde_json::{Value, json};
use testkit::edits::{self, Random};

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

/// Random patches; each has its number, by which it is made again.
const PATCHES: usize = 100_000;
const THREADS: usize = 4;

/// What is wrong about one random patch of a random object.
fn wrong(kind: &Kind, random: &mut Random, values: &[Value]) -> Option<String> {
    let Kind { attributes, old, places } = kind;
    let new = random.edited(old, places, values);
    let classes = ClassConfig::default();
    let effects = of_change(attributes, &Known::of(&classes), Some(old), &new);
    let differs = edits::differing(old, &new);
    if !differs.is_empty() && effects.is_empty() {
        return Some(format!("{differs:?} without an effect: {old} {new}"));
    }
    // A label or annotation alone is no explanation of anything else.
    let inert = |kind: EffectKind| matches!(kind, EffectKind::ChangeLabels | EffectKind::Restart);
    if !effects.iter().all(|it| inert(it.kind)) {
        return None;
    }
    let more = edits::beside_labels(old, &new);
    (!more.is_empty()).then(|| format!("{more:?} only {effects:?}: {old} {new}"))
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
            edits::places(&old, "", &mut all);
            Kind { attributes, old, places: all }
        })
        .collect();
    let values = edits::values();
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
        edits::edit(&mut new, path, 1, &Value::Null);
        assert_eq!(edits::differing(&old, &new), [path]);
    }
}
