//! Requests at the same moment: rules that count, count those that are judged beside each other.

use std::{fs, thread};

use cluster::Scene;
use serde_json::json;
use testkit::Shield;

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
        // Held, it is asked to come again a little before its time is over.
        let target = format!("/api/v1/namespaces/{}/configmaps?timeout=5s", scene.dev);
        let json = Some("application/json");
        let answer =
            shield.request(&scene.agent, "POST", &target, json, map.to_string().as_bytes());
        (answer.status, answer.text())
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
