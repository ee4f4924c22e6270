//! Whom code runs as: what an account may do by itself and through others, and who is told of it.

use std::{fs, time::Duration};

use cluster::{Scene, list, namespace};
use serde_json::{Value, json};
use testkit::{Shield, wait_until};

const JSON: Option<&str> = Some("application/json");

/// A ServiceAccount of `home`, and a Role of its own in each of the namespaces.
fn account(home: &str, name: &str, rights: &[(&str, Value)]) -> Vec<Value> {
    let mut objects = vec![json!({
        "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": home},
    })];
    for (namespace, rule) in rights {
        let metadata = json!({"name": format!("{home}-{name}"), "namespace": namespace});
        objects.push(json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
            "metadata": metadata, "rules": [rule],
        }));
        objects.push(json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io", "kind": "Role",
                "name": format!("{home}-{name}"),
            },
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": home}],
        }));
    }
    objects
}

fn may(verb: &str, resource: &str) -> Value {
    json!({"apiGroups": [""], "resources": [resource], "verbs": [verb]})
}

fn pod(name: &str, account: &str) -> String {
    let spec = json!({
        "serviceAccountName": account, "containers": [{"name": "c", "image": "nginx:1.25"}],
    });
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}).to_string()
}

/// The status and the whole answer to an agent who makes a pod and does not wait long.
fn make_pod(
    shield: &Shield,
    scene: &Scene,
    namespace: &str,
    name: &str,
    account: &str,
) -> (u16, String) {
    let target = format!("/api/v1/namespaces/{namespace}/pods?timeout=2s");
    let body = pod(name, account);
    let answer = shield.request(&scene.agent, "POST", &target, JSON, body.as_bytes());
    (answer.held_or_status(), answer.text())
}

#[test]
fn code_of_an_account_reaches_the_others_of_its_namespaces() {
    let scene = Scene::new("accounts");
    let cluster = scene.cluster;
    let prod = scene.prod.as_str();
    // Not the home of the agent, which may do anything.
    let [near, far, calm] = ["near", "far", "calm"].map(|it| cluster.unique(it));
    let mut objects = [&near, &far, &calm].map(|it| namespace(it, "dev")).to_vec();
    objects.extend(account(&near, "ci", &[(&near, may("create", "pods"))]));
    objects.extend(account(&near, "boss", &[(prod, may("delete", "secrets"))]));
    objects.extend(account(&near, "reader", &[(&near, may("list", "pods"))]));
    objects.extend(account(&far, "hop", &[(&near, may("create", "pods/exec"))]));
    objects.extend(account(&calm, "ci", &[(&calm, may("create", "pods"))]));
    objects.extend(account(&calm, "peer", &[(&calm, may("create", "pods/exec"))]));
    cluster.apply(&list(&objects)).expect("accounts");
    wait_until(Duration::from_secs(20), "the namespaces are known", || {
        let seen = scene.shield.cli_json(&scene.reviewer, &["namespaces"]).to_string();
        [&near, &far, &calm].into_iter().all(|it| seen.contains(it)).then_some(())
    });

    let detail = |namespace: &str, name: &str| {
        let hold = scene.pending(namespace, "");
        let effects = hold["effects"].as_array().expect("effects").clone();
        let is_account = |it: &&Value| it["resource"] == "serviceaccounts" && it["name"] == name;
        effects.iter().find(is_account).expect("an account")["detail"].to_string()
    };
    let (status, _) = make_pod(&scene.shield, &scene, &near, "p", "ci");
    assert_eq!(status, 429, "held");
    let power = format!("and so act as {near}/boss, which may delete secrets in {prod}");
    let told = detail(&near, "ci");
    assert!(told.contains(&format!("which may create pods in {near}, {power}")), "{told}");
    let (status, _) = make_pod(&scene.shield, &scene, &far, "p", "hop");
    assert_eq!(status, 429, "held");
    let told = detail(&far, "hop");
    assert!(told.contains(&format!("which may use pods/exec in {near}, {power}")), "{told}");
    for (namespace, name) in [(&calm, "ci"), (&calm, "peer"), (&near, "reader")] {
        let (status, said) = make_pod(&scene.shield, &scene, namespace, name, name);
        assert_eq!(status, 201, "as {namespace}/{name}: {said}");
    }
    // Somebody powerful moves in.
    let boss = account(&calm, "boss", &[(prod, may("delete", "secrets"))]);
    cluster.apply(&list(&boss)).expect("an account");
    let (status, _) = make_pod(&scene.shield, &scene, &calm, "later", "ci");
    assert_eq!(status, 429, "a grant counts at once");
}

#[test]
fn what_an_account_may_do_is_told_to_reviewers_alone() {
    let scene = Scene::new("accounts-told");
    let (prod, dev) = (scene.prod.as_str(), scene.dev.as_str());
    let boss = account(dev, "boss", &[(prod, may("delete", "secrets"))]);
    scene.cluster.apply(&list(&boss)).expect("an account");
    let power = format!("which may delete secrets in {prod}");
    let hides = |said: &str| {
        assert!(said.contains("runs with its rights"), "why it waits: {said}");
        for secret in ["which may", "delete secrets", prod] {
            assert!(!said.contains(secret), "the agent is told of {secret}: {said}");
        }
    };
    let (status, said) = make_pod(&scene.shield, &scene, dev, "held", "boss");
    assert_eq!(status, 429, "{said}");
    hides(&said);
    let hold = scene.pending(dev, "");
    assert!(hold["effects"].to_string().contains(&power), "{hold}");
    let id = hold["id"].as_str().expect("an id");
    let shown = scene.shield.cli(&scene.reviewer).args(["show", id]).output().expect("a CLI");
    // Lines are broken to fit.
    let shown = String::from_utf8_lossy(&shown.stdout).split_whitespace().collect::<String>();
    assert!(shown.contains(&power.replace(' ', "")), "{shown}");
    let timeline = scene.shield.cli_json(&scene.reviewer, &["timeline", "--since", "5m"]);
    assert!(timeline.to_string().contains(&power), "{timeline}");

    // Nor by the words of a rule that denies.
    let dir = scene.cluster.dir().join(scene.cluster.unique("accounts-told"));
    fs::create_dir_all(&dir).expect("a directory");
    let policy = "apiVersion: agent-shield.io/v1alpha1
kind: Policy
metadata: {name: own}
spec:
  rules: [{name: borrowed, effects: [Borrow], action: deny, reason: 'not by {{effect.words}}'}]
";
    fs::write(dir.join("p.yaml"), policy).expect("a file");
    let shield = Shield::start(scene.cluster, &["--policy", &dir.display().to_string()]);
    let (status, said) = make_pod(&shield, &scene, dev, "denied", "boss");
    assert_eq!(status, 403, "{said}");
    hides(&said);
    let timeline = shield.cli_json(&scene.reviewer, &["timeline", "--since", "5m"]);
    assert!(timeline.to_string().contains(&power), "{timeline}");
}
