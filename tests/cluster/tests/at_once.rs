//! Requests at the same moment: rules that count, count those that are judged beside each other.

use std::{fs, thread, time::Duration};

use cluster::{Scene, is_ready, list, workload};
use serde_json::{Value, json};
use testkit::{Shield, wait_until};

/// How many may pass.
const MAY_PASS: usize = 3;

#[test]
fn of_forty_at_once_no_more_pass_than_may() {
    let scene = Scene::new("at-once");
    let policy = scene.shield.data_dir().join("few.yaml");
    let few = json!({
        "apiVersion": "agent-shield.io/v1alpha1", "kind": "Policy", "metadata": {"name": "few"},
        "spec": {"rules": [{
            "name": "few-creates", "action": "hold",
            "when": format!("window.filter(it, it.kind == 'CreateInert').size() >= {MAY_PASS}"),
            "reason": "more than a few",
        }]},
    });
    fs::write(&policy, few.to_string()).expect("a policy");
    let shield = Shield::start(scene.cluster, &["--policy", &policy.display().to_string()]);
    let create = |n: usize| {
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": format!("m{n}")}});
        // Held, it is answered a little before its time is over.
        let target = format!("/api/v1/namespaces/{}/configmaps?timeout=5s", scene.dev);
        let json = Some("application/json");
        let answer =
            shield.request(&scene.agent, "POST", &target, json, map.to_string().as_bytes());
        (answer.held_or_status(), answer.text())
    };
    let answers: Vec<(u16, String)> = thread::scope(|threads| {
        let create = &create;
        let asked: Vec<_> = (0..40).map(|n| threads.spawn(move || create(n))).collect();
        asked.into_iter().map(|it| it.join().expect("an answer")).collect()
    });
    let passed = answers.iter().filter(|(status, _)| *status == 201).count();
    let held = answers.iter().filter(|(status, _)| *status == 429).count();
    assert_eq!((passed, held), (MAY_PASS, 40 - MAY_PASS), "{answers:?}");
    let maps = format!("/api/v1/namespaces/{}/configmaps", scene.dev);
    let there = scene.cluster.get(&maps).expect("a list");
    let made = there["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|it| it["metadata"]["name"].as_str().is_some_and(|it| it.starts_with('m')));
    assert_eq!(made.count(), MAY_PASS);
    // Those that were held have given their places back: what was approved counts, and nothing else.
    assert_eq!(create(40).0, 429);
}

/// The paths of four ready pods of a ReplicaSet whose next ones nobody will schedule.
fn four_pods(scene: &Scene, app: &str) -> Vec<String> {
    let prod = &scene.prod;
    let pods = format!("/api/v1/namespaces/{prod}/pods?labelSelector=app%3D{app}");
    let ready = wait_until(Duration::from_secs(60), &format!("{app} has four pods"), || {
        let pods = scene.cluster.get(&pods)?["items"].as_array()?.clone();
        (pods.iter().filter(|it| is_ready(it)).count() == 4).then_some(pods)
    });
    let nobody = r#"{"spec":{"template":{"spec":{"schedulerName":"nobody"}}}}"#;
    let patch = ["-n", prod, "patch", "replicaset", app, "-p", nobody];
    let patched = scene.cluster.kubectl().args(patch).output().expect("kubectl");
    assert!(patched.status.success(), "{}", String::from_utf8_lossy(&patched.stderr));
    let name = |pod: &Value| pod["metadata"]["name"].as_str().expect("a name").to_owned();
    ready.iter().map(|it| format!("/api/v1/namespaces/{prod}/pods/{}", name(it))).collect()
}

#[test]
fn of_four_pods_at_once_no_more_go_than_one_after_the_other() {
    let scene = Scene::new("at-once-pods");
    let prod = &scene.prod;
    let budget = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": {"name": "kept", "namespace": prod},
        "spec": {"minAvailable": 3, "selector": {"matchLabels": {"app": "kept"}}},
    });
    let sets = ["free", "kept"].map(|app| workload("ReplicaSet", prod, app, 4));
    scene.cluster.apply(&list(&[&sets[..], &[budget]].concat())).expect("objects");
    let shield = Shield::start(scene.cluster, &["--hold-open", "1s"]);
    // Two others must stay ready; of those with a budget, one may go.
    for (app, may_go) in [("free", 2), ("kept", 1)] {
        let pods = four_pods(&scene, app);
        let budget = format!("/apis/policy/v1/namespaces/{prod}/poddisruptionbudgets/kept");
        wait_until(Duration::from_secs(60), "the budget has counted", || {
            let allowed = &scene.cluster.get(&budget)?["status"]["disruptionsAllowed"];
            (*allowed == json!(1)).then_some(())
        });
        let delete = |path: &str| shield.request(&scene.agent, "DELETE", path, None, b"").status;
        let answers: Vec<u16> = thread::scope(|threads| {
            let asked: Vec<_> = pods.iter().map(|it| threads.spawn(|| delete(it))).collect();
            asked.into_iter().map(|it| it.join().expect("an answer")).collect()
        });
        let of = |status| answers.iter().filter(|it| **it == status).count();
        assert!((1..=may_go).contains(&of(200)), "{app}: {answers:?}");
        assert_eq!(of(200) + of(429), 4, "{app}: {answers:?}");
    }
}
