//! Fields in policies against the OpenAPI documents of a real API server, whose own type check of
//! ValidatingAdmissionPolicies says which of them there are.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use cluster::{Scene, definition, list};
use serde_json::{Value, json};
use testkit::{Shield, binary, wait_until};

/// Group, version, resource, expression, and the field that is not there.
type Row = (&'static str, &'static str, &'static str, &'static str, Option<&'static str>);

const ROWS: &[Row] = &[
    ("apps", "v1", "deployments", "object.spec.replicas > 3", None),
    ("apps", "v1", "deployments", "object.spec.replica > 3", Some("replica")),
    ("apps", "v1", "deployments", "oldObject.spec.replicas > 3", None),
    ("apps", "v1", "deployments", "oldObject.spec.replicaz > 3", Some("replicaz")),
    ("apps", "v1", "deployments", "has(object.spec.strategy.rollingUpdate)", None),
    (
        "apps",
        "v1",
        "deployments",
        "has(object.spec.strategy.rollingUpdates)",
        Some("rollingUpdates"),
    ),
    ("apps", "v1", "deployments", "object.metadata.labels['a'] == 'b'", None),
    ("apps", "v1", "deployments", "object.metadata.label['a'] == 'b'", Some("label")),
    (
        "apps",
        "v1",
        "deployments",
        "object.spec.template.spec.containers.all(c, c.image != '')",
        None,
    ),
    (
        "apps",
        "v1",
        "deployments",
        "object.spec.template.spec.containers.all(c, c.imag != '')",
        Some("imag"),
    ),
    (
        "apps",
        "v1",
        "deployments",
        "object.spec.template.spec.volumes.exists(v, has(v.hostPath) && v.hostPath.path == '/')",
        None,
    ),
    (
        "apps",
        "v1",
        "deployments",
        "object.spec.template.spec.volumes.exists(v, has(v.hostpath))",
        Some("hostpath"),
    ),
    (
        "apps",
        "v1",
        "deployments",
        "object.spec.template.spec.containers[0].securityContext.capabilities.add.exists(c, c == 'ALL')",
        None,
    ),
    (
        "apps",
        "v1",
        "deployments",
        "object.spec.template.spec.containers[0].securityContext.privilegedd == true",
        Some("privilegedd"),
    ),
    ("apps", "v1", "deployments", "object.status.readyReplicas == 1", None),
    ("apps", "v1", "deployments", "object.status.readyReplica == 1", Some("readyReplica")),
    ("apps", "v1", "statefulsets", "object.spec.volumeClaimTemplates.size() == 1", None),
    (
        "apps",
        "v1",
        "statefulsets",
        "object.spec.volumeClaimTemplate.size() == 1",
        Some("volumeClaimTemplate"),
    ),
    ("", "v1", "pods", "object.spec.hostNetwork == true", None),
    ("", "v1", "pods", "object.spec.hostNetworking == true", Some("hostNetworking")),
    ("", "v1", "pods", "object.spec.nodeSelector.exists(k, k == 'a')", None),
    ("", "v1", "services", "object.spec.ports.all(p, p.port < 1000)", None),
    ("", "v1", "services", "object.spec.ports.all(p, p.prot < 1000)", Some("prot")),
    ("", "v1", "persistentvolumeclaims", "object.spec.storageClassName == 'fast'", None),
    (
        "",
        "v1",
        "persistentvolumeclaims",
        "object.spec.storageClass == 'fast'",
        Some("storageClass"),
    ),
    ("", "v1", "namespaces", "object.spec.finalizers.size() == 0", None),
    ("", "v1", "configmaps", "object.data.exists(k, k == 'a') && object.immutable", None),
    ("", "v1", "configmaps", "object.datas.exists(k, k == 'a')", Some("datas")),
    (
        "batch",
        "v1",
        "cronjobs",
        "object.spec.jobTemplate.spec.template.spec.restartPolicy == 'Never'",
        None,
    ),
    (
        "batch",
        "v1",
        "cronjobs",
        "object.spec.jobTemplate.spec.template.restartPolicy == 'Never'",
        Some("restartPolicy"),
    ),
    (
        "autoscaling",
        "v2",
        "horizontalpodautoscalers",
        "object.spec.minReplicas <= object.spec.maxReplicas",
        None,
    ),
    (
        "autoscaling",
        "v2",
        "horizontalpodautoscalers",
        "object.spec.minimumReplicas == 1",
        Some("minimumReplicas"),
    ),
    (
        "networking.k8s.io",
        "v1",
        "ingresses",
        "object.spec.rules.all(r, r.host.endsWith('.example.com'))",
        None,
    ),
    (
        "networking.k8s.io",
        "v1",
        "ingresses",
        "object.spec.rules.all(r, r.hosts.endsWith('.example.com'))",
        Some("hosts"),
    ),
    (
        "rbac.authorization.k8s.io",
        "v1",
        "clusterroles",
        "object.rules.exists(r, '*' in r.verbs)",
        None,
    ),
    (
        "rbac.authorization.k8s.io",
        "v1",
        "clusterroles",
        "object.spec.rules.exists(r, '*' in r.verbs)",
        Some("spec"),
    ),
    (
        "kinds.example.com",
        "v1",
        "gadgets",
        "object.spec.size > 3 && object.spec.parts.all(p, p.name != '')",
        None,
    ),
    ("kinds.example.com", "v1", "gadgets", "object.spec.sise > 3", Some("sise")),
    ("kinds.example.com", "v1", "gadgets", "object.spec.parts.all(p, p.nam != '')", Some("nam")),
    ("kinds.example.com", "v1", "gadgets", "has(object.spec.free)", None),
];

fn gadgets() -> Value {
    let schema = json!({"type": "object", "properties": {
        "spec": {"type": "object", "properties": {
            "size": {"type": "integer"},
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            "parts": {"type": "array", "items": {
                "type": "object", "properties": {"name": {"type": "string"}},
            }},
        }},
    }});
    definition("kinds.example.com", "Gadget", "gadgets", &schema)
}

/// The same expression as a policy of theirs and as one of ours.
fn theirs(name: &str, (group, version, resource, expression, _): &Row) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "matchConstraints": {"resourceRules": [{
                "apiGroups": [group], "apiVersions": [version], "resources": [resource],
                "operations": ["UPDATE"],
            }]},
            "validations": [{"expression": expression}],
        },
    })
}

fn ours(name: &str, (group, _, resource, expression, _): &Row) -> String {
    let policy = json!({
        "apiVersion": "agent-shield.io/v1alpha1", "kind": "Policy", "metadata": {"name": name},
        "spec": {
            "matchConstraints": {"resourceRules": [
                {"apiGroups": [group], "resources": [resource], "operations": ["UPDATE"]},
            ]},
            "rules": [{"name": "rule", "when": expression, "action": "hold"}],
        },
    });
    policy.to_string()
}

/// What `policy check --cluster` says of a file or directory.
fn checked(scene: &Scene, path: &Path) -> (bool, String) {
    let output = Command::new(binary())
        .args(["policy", "check", "--cluster", "--kubeconfig"])
        .arg(scene.cluster.kubeconfig())
        .arg(path)
        .output()
        .expect("agent-shield");
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn dir(scene: &Scene, name: &str) -> PathBuf {
    let dir = scene.cluster.dir().join(scene.cluster.unique(name));
    fs::create_dir_all(&dir).expect("a directory");
    dir
}

#[test]
fn the_api_server_knows_the_same_fields() {
    let scene = Scene::new("kinds");
    scene.cluster.apply(&gadgets()).expect("a custom resource");
    wait_until(Duration::from_secs(30), "gadgets are told of", || {
        scene.cluster.get("/openapi/v3/apis/kinds.example.com/v1")
    });
    let names: Vec<String> =
        (0..ROWS.len()).map(|n| scene.cluster.unique(&format!("kinds-{n}"))).collect();
    let rows = || names.iter().zip(ROWS);
    let all: Vec<Value> = rows().map(|(name, row)| theirs(name, row)).collect();
    scene.cluster.apply(&list(&all)).expect("policies of theirs");
    let dir = dir(&scene, "kinds");
    for (name, row) in rows() {
        fs::write(dir.join(format!("{name}.yaml")), ours(name, row)).expect("a file");
    }
    let (is_good, words) = checked(&scene, &dir);
    assert!(!is_good, "{words}");
    for (name, row) in rows() {
        let path =
            format!("/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/{name}");
        let said = wait_until(Duration::from_secs(60), "the API server has checked types", || {
            let policy = scene.cluster.get(&path)?;
            let checked = policy["status"]["typeChecking"].clone();
            (policy["status"]["observedGeneration"] == json!(1)).then(|| checked.to_string())
        });
        let (.., expression, field) = row;
        let of_it: Vec<&str> = words.lines().filter(|it| it.contains(name.as_str())).collect();
        match field {
            Some(field) => {
                assert!(
                    said.contains(&format!("undefined field '{field}'")),
                    "{expression}: {said}"
                );
                let wanted = format!("has no field `{field}`");
                assert!(of_it.iter().any(|it| it.contains(&wanted)), "{expression}: {of_it:?}");
            }
            None => {
                assert!(!said.contains("undefined field"), "{expression}: {said}");
                assert!(of_it.is_empty(), "{expression}: {of_it:?}");
            }
        }
    }
}

#[test]
fn the_cookbook_is_about_fields_that_there_are() {
    let scene = Scene::new("kinds-cookbook");
    let policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/cookbook");
    let (is_good, words) = checked(&scene, &policies);
    assert!(is_good && words.is_empty(), "{words}");
}

#[test]
fn a_running_proxy_takes_no_policy_about_a_field_that_there_is_not() {
    let scene = Scene::new("kinds-serve");
    let dir = dir(&scene, "kinds-serve");
    let put = |expression: &'static str| {
        let text = ours("counts", &("apps", "v1", "deployments", expression, None));
        fs::write(dir.join(".counts.new"), text).expect("a file");
        fs::rename(dir.join(".counts.new"), dir.join("counts.yaml")).expect("a file in place");
    };
    put("object.spec.replicas == 3");
    let shield = Shield::start(scene.cluster, &["--policy", &dir.display().to_string()]);
    let good = shield.policy_status()["digest"].clone();
    put("object.spec.replica == 3");
    let refused = wait_until(Duration::from_secs(30), "it is refused", || {
        shield.policy_status()["refused"]["issues"][0].as_str().map(str::to_owned)
    });
    assert!(refused.contains("DeploymentSpec has no field `replica`: did you mean `replicas`?"));
    assert_eq!(shield.policy_status()["digest"], good);
    put("object.spec.replicas == 4");
    wait_until(Duration::from_secs(30), "the next one is in force", || {
        (shield.policy_status()["digest"] != good && shield.policy_status()["refused"].is_null())
            .then_some(())
    });
}
