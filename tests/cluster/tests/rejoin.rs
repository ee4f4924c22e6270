//! A client that comes again for its held call costs the API server little, and the reviewer still sees what
//! would happen now.

use std::time::Duration;

use cluster::{Scene, deployment, list};
use serde_json::{Value, json};
use testkit::{Shield, wait_until};

/// How many calls the API server logged of the scene's agent.
fn asked(scene: &Scene) -> usize {
    let name = scene.agent.username.as_str();
    scene.cluster.audit_events_about(name, |event| event["user"]["username"] == name).len()
}

/// Sends a delete of the namespace once, to a shield that lets nobody wait.
fn send(scene: &Scene, shield: &Shield) -> (u16, usize) {
    let before = asked(scene);
    let target = format!("/api/v1/namespaces/{}", scene.prod);
    let status = shield.request(&scene.agent, "DELETE", &target, None, b"").status;
    (status, asked(scene) - before)
}

fn config_map(scene: &Scene, name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": scene.prod}})
}

fn counted(scene: &Scene, shield: &Shield, id: &str) -> Value {
    let shown = shield.cli_json(&scene.reviewer, &["show", id]);
    let rows = shown["preview"]["goesWith"].as_array().cloned().unwrap_or_default();
    rows.into_iter()
        .find(|it| it["resource"] == "configmaps")
        .map_or(Value::Null, |it| it["count"].clone())
}

#[test]
fn a_call_that_comes_again_is_not_counted_again() {
    let scene = Scene::new("rejoin");
    let shield = Shield::start(scene.cluster, &["--hold-open", "1s", "--count-within", "20s"]);
    let objects = [deployment(&scene.prod, "web", 1), config_map(&scene, "one")];
    scene.cluster.apply(&list(&objects)).expect("objects");
    let (status, first) = send(&scene, &shield);
    assert_eq!(status, 429);
    let hold = shield.hold(&scene.reviewer, "the delete", |_| true);
    let id = hold["id"].as_str().unwrap_or_default().to_owned();
    // A namespace has objects of many kinds, and each is listed.
    assert!(first > 20, "{first}");
    for _ in 0..3 {
        let (status, again) = send(&scene, &shield);
        assert_eq!(status, 429);
        assert!(again < 10, "{again} calls for a call that came again, and {first} at first");
    }

    // Somebody looks: what they see next is what would happen then.
    let before = counted(&scene, &shield, &id);
    scene.cluster.apply(&config_map(&scene, "two")).expect("an object");
    let (_, looked_at) = send(&scene, &shield);
    assert!(looked_at > 20, "{looked_at}");
    let after = counted(&scene, &shield, &id);
    assert_eq!(after.as_u64(), before.as_u64().map(|it| it + 1), "{before} {after}");
    // Whoever looked just now is shown what is known; the next one after that costs little again.
    send(&scene, &shield);
    assert!(send(&scene, &shield).1 < 10);

    // Approved as it was shown; what came since that, and that nobody was shown, does not run by it.
    shield.decide(&scene.reviewer, "approve", &id, "agreed").expect("an approval");
    scene.cluster.apply(&config_map(&scene, "three")).expect("an object");
    let (status, _) = send(&scene, &shield);
    assert_eq!(status, 429, "it is counted again before it runs, and there is more");
    let shown = shield.cli_json(&scene.reviewer, &["show", &id]);
    assert_eq!(shown["state"], "pending", "{shown}");
    assert!(scene.cluster.get(&format!("/api/v1/namespaces/{}", scene.prod)).is_some());
    shield.decide(&scene.reviewer, "approve", &id, "agreed").expect("an approval");
    assert_eq!(send(&scene, &shield).0, 200);
}

#[test]
fn an_object_that_changed_is_counted_again() {
    let scene = Scene::new("rejoin-changed");
    let shield = Shield::start(scene.cluster, &["--hold-open", "1s", "--count-within", "20s"]);
    scene.cluster.apply(&deployment(&scene.prod, "web", 1)).expect("a Deployment");
    let target = format!("/apis/apps/v1/namespaces/{}/deployments/web", scene.prod);
    let send = || {
        let before = asked(&scene);
        let status = shield.request(&scene.agent, "DELETE", &target, None, b"").status;
        assert_eq!(status, 429);
        asked(&scene) - before
    };
    let first = send();
    // It is written by controllers until it stands.
    let settled = wait_until(Duration::from_secs(60), "it costs less to come again", || {
        let again = send();
        (again < first).then_some(again)
    });
    let patch = ["-n", &scene.prod, "label", "deployment", "web", "team=a"];
    scene.cluster.kubectl_says(&patch).expect("a label");
    assert!(send() > settled, "its version is another");
}
