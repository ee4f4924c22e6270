//! A pod whose disruption budget would refuse the eviction is not simply replaced; what a reviewer learns of pods
//! that go.

use std::{thread, time::Duration};

use cluster::{Scene, deployment, is_ready, list};
use serde_json::{Value, json};
use testkit::{Shield, wait_until};

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

/// The notes of a hold that a request makes; it is denied then.
fn notes(scene: &Scene, method: &str, path: &str, body: &Value) -> String {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let media = (!body.is_empty()).then_some("application/json");
    thread::scope(|threads| {
        let asked = threads
            .spawn(|| scene.shield.request(&scene.agent, method, path, media, body.as_bytes()));
        let hold = scene.pending(&scene.prod, "");
        let id = hold["id"].as_str().expect("an id");
        let json = scene.shield.cli_json(&scene.reviewer, &["show", id]);
        scene.decide("deny", id, "only looked at");
        assert_eq!(asked.join().expect("an answer").status, 403);
        json["preview"]["notes"].to_string()
    })
}

#[test]
fn an_eviction_tells_of_its_pod_what_a_delete_tells() {
    let mut scene = Scene::new("evictions");
    scene.shield = Shield::start(scene.cluster, &["--count-within", "30s"]);
    let prod = &scene.prod;
    let bare = |name: &str| {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": prod, "labels": {"app": "bare"}},
            "spec": {"containers": [{"name": "c", "image": "nginx:1.25"}]},
        })
    };
    let items = [
        deployment(prod, "spare", 3),
        deployment(prod, "kept", 3),
        bare("evicted"),
        bare("deleted"),
        budget(prod, "spare", 2),
        budget(prod, "kept", 3),
    ];
    scene.cluster.apply(&list(&items)).expect("objects");
    let evict = |pod: &str| {
        let name = pod.rsplit('/').next().expect("a name");
        let body = json!({"apiVersion": "policy/v1", "kind": "Eviction",
            "metadata": {"name": name, "namespace": prod}});
        notes(&scene, "POST", &format!("{pod}/eviction"), &body)
    };
    let delete = |pod: &str| notes(&scene, "DELETE", pod, &Value::Null);
    let says = |said: &str, wanted: &[&str]| {
        for wanted in wanted {
            assert!(said.contains(wanted), "{wanted}: {said}");
        }
    };
    let spare = pod(&scene, "spare", true);
    says(
        &evict(&spare),
        &[
            "ReplicaSet spare-",
            " keeps it up; 2 of its other pods are ready",
            "disruption budget spare lets it go now",
        ],
    );
    // Two pods: a delete of the one whose eviction was denied is not asked again.
    let alone = ["nothing keeps it up", "no disruption budget stands for it"];
    says(&evict(&format!("/api/v1/namespaces/{prod}/pods/evicted")), &alone);
    says(&delete(&format!("/api/v1/namespaces/{prod}/pods/deleted")), &alone);
    says(
        &delete(&pod(&scene, "kept", true)),
        &[
            "ReplicaSet kept-",
            " keeps it up; 2 of its other pods are ready",
            "disruption budget kept does not let it go now; a delete does not ask it",
        ],
    );
}
