//! A pod whose disruption budget would refuse the eviction is not simply replaced.

use std::{thread, time::Duration};

use cluster::{Scene, deployment, is_ready, list};
use serde_json::{Value, json};
use testkit::wait_until;

fn budget(namespace: &str, name: &str, min_available: u32) -> Value {
    json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"minAvailable": min_available, "selector": {"matchLabels": {"app": name}}},
    })
}

/// The path of a ready pod, once its budget counts three.
fn pod(scene: &Scene, app: &str, has_budget: bool) -> String {
    let prod = &scene.prod;
    let budget = format!("/apis/policy/v1/namespaces/{prod}/poddisruptionbudgets/{app}");
    let pods = format!("/api/v1/namespaces/{prod}/pods?labelSelector=app%3D{app}");
    wait_until(Duration::from_secs(60), &format!("{app} has three pods"), || {
        let pods = scene.cluster.get(&pods)?["items"].as_array()?.clone();
        let counted =
            !has_budget || scene.cluster.get(&budget)?["status"]["currentHealthy"] == json!(3);
        let name = pods.first()?["metadata"]["name"].as_str()?;
        let all = pods.iter().filter(|it| is_ready(it)).count() == 3 && counted;
        all.then(|| format!("/api/v1/namespaces/{prod}/pods/{name}"))
    })
}

#[test]
fn a_budget_is_asked_for_a_delete_as_for_an_eviction() {
    let scene = Scene::new("budgets");
    let prod = &scene.prod;
    let items = [
        deployment(prod, "kept", 3),
        deployment(prod, "spare", 3),
        deployment(prod, "free", 3),
        budget(prod, "kept", 3),
        budget(prod, "spare", 2),
    ];
    scene.cluster.apply(&list(&items)).expect("objects");
    let delete = |path: &str| scene.shield.request(&scene.agent, "DELETE", path, None, b"");
    for (app, has_budget) in [("spare", true), ("free", false)] {
        let answer = delete(&pod(&scene, app, has_budget));
        assert_eq!(answer.status, 200, "{app}: {}", answer.text());
    }
    let kept = pod(&scene, "kept", true);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| delete(&kept));
        let hold = scene.pending(prod, "");
        assert_eq!(hold["effects"][0]["kind"], "Delete", "{hold}");
        scene.decide("deny", hold["id"].as_str().expect("an id"), "as the test says");
        assert_eq!(waiting.join().expect("an answer").status, 403);
    });
    assert_eq!(
        scene.cluster.get(&kept).expect("a pod")["metadata"]["deletionTimestamp"],
        Value::Null
    );
}
