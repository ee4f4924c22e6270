//! The API server falls silent, on kept connections or on all, or cannot be reached: what is asked then is
//! answered in time, and nobody is asked to approve it.

use std::time::{Duration, Instant};

use abuse::Road;
use cluster::{Scene, deployment};
use serde_json::{Value, json};
use testkit::{Credential, Shield, http::Answer};

/// Far more than the few seconds that it takes, and less than for ever.
const PATIENCE: Duration = Duration::from_secs(50);

fn shield_on(road: &Road, scene: &Scene) -> Shield {
    let own = road.kubeconfig(scene.cluster, "agent-shield");
    Shield::start_as(scene.cluster, Credential::Kubeconfig(own), &["--hold-open", "1s"])
}

fn read(scene: &Scene, shield: &Shield, query: &str) -> (Answer, Duration) {
    let target = format!("/api/v1/namespaces/{}/configmaps{query}", scene.dev);
    let began = Instant::now();
    (shield.request(&scene.agent, "GET", &target, None, b""), began.elapsed())
}

fn write(scene: &Scene, shield: &Shield) -> (Answer, Duration) {
    let target = format!("/api/v1/namespaces/{}/configmaps", scene.dev);
    let map =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "silent-"}});
    let began = Instant::now();
    let json = Some("application/json");
    (
        shield.request(&scene.agent, "POST", &target, json, map.to_string().as_bytes()),
        began.elapsed(),
    )
}

fn delete(scene: &Scene, shield: &Shield) -> (Answer, Duration) {
    let target = format!("/apis/apps/v1/namespaces/{}/deployments/web", scene.prod);
    let began = Instant::now();
    (shield.request(&scene.agent, "DELETE", &target, None, b""), began.elapsed())
}

fn nothing_is_held(scene: &Scene, shield: &Shield) {
    let holds = shield.cli_json(&scene.reviewer, &["holds"]);
    assert!(holds["items"].as_array().is_some_and(Vec::is_empty), "{holds}");
}

/// Several reads at a time, so that each thread keeps some connections.
fn warm_up(scene: &Scene, shield: &Shield) {
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| assert_eq!(read(scene, shield, "").0.status, 200));
        }
    });
    assert_eq!(write(scene, shield).0.status, 201);
}

#[test]
fn dead_kept_connections_are_noticed() {
    let scene = Scene::new("dead-kept");
    let road = Road::to(scene.cluster);
    let shield = shield_on(&road, &scene);
    warm_up(&scene, &shield);
    road.silence_old();
    for _ in 0..4 {
        let (answer, took) = read(&scene, &shield, "");
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(took < PATIENCE, "{took:?}");
    }
    // What was in use a moment ago may be used again; what gets no answer then says so.
    let (answer, took) = write(&scene, &shield);
    assert!(matches!(answer.status, 201 | 503 | 504), "{}", answer.text());
    assert!(took < PATIENCE, "{took:?}");
    let (answer, _) = write(&scene, &shield);
    assert_eq!(answer.status, 201, "{}", answer.text());
    nothing_is_held(&scene, &shield);
}

/// The one hold of the scene, as its reviewer sees it.
fn held(scene: &Scene, shield: &Shield) -> Value {
    shield.hold(&scene.reviewer, "the delete", |_| true)
}

/// A webhook that nobody answers, in the way of every write to a namespace.
fn broken_webhook(scene: &Scene, name: &str) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [{
            "name": "broken.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "failurePolicy": "Fail", "timeoutSeconds": 1,
            "clientConfig": {"url": "https://127.0.0.1:9/x"},
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": scene.prod}},
            "rules": [{
                "apiGroups": ["apps"], "apiVersions": ["*"], "operations": ["DELETE"],
                "resources": ["deployments"],
            }],
        }],
    })
}

#[test]
fn an_approval_outlives_an_api_server_that_cannot_be_asked() {
    let scene = Scene::new("approved-meanwhile");
    let road = Road::to(scene.cluster);
    let shield = shield_on(&road, &scene);
    let target = format!("/apis/apps/v1/namespaces/{}/deployments/web", scene.prod);
    type Step<'a> = Box<dyn Fn() + 'a>;
    let table: [(&str, Step, Step, &[u16]); 2] = [
        ("silent", Box::new(|| road.silence_all()), Box::new(|| road.open()), &[503, 504]),
        ("away", Box::new(|| road.close()), Box::new(|| road.open()), &[503]),
    ];
    for (what, fall, mend, want) in table {
        scene.cluster.apply(&deployment(&scene.prod, "web", 2)).expect("a Deployment");
        warm_up(&scene, &shield);
        assert_eq!(delete(&scene, &shield).0.status, 429, "{what}");
        let id = held(&scene, &shield)["id"].as_str().unwrap_or_default().to_owned();
        shield.decide(&scene.reviewer, "approve", &id, "agreed").expect("an approval");
        fall();
        for _ in 0..2 {
            let (answer, took) = delete(&scene, &shield);
            assert!(want.contains(&answer.status), "{what}: {}", answer.text());
            assert!(answer.header("retry-after").is_some(), "{what}");
            assert!(took < PATIENCE, "{what}: {took:?}");
        }
        mend();
        warm_up(&scene, &shield);
        assert_eq!(held(&scene, &shield)["id"], id.as_str(), "{what}: it is the same hold");
        assert!(scene.cluster.get(&target).is_some(), "{what}: nothing was sent");
        let (answer, _) = delete(&scene, &shield);
        assert_eq!(answer.status, 200, "{what}: {}", answer.text());
        nothing_is_held(&scene, &shield);
    }
}

#[test]
fn a_last_look_that_fails_spends_no_approval() {
    let scene = Scene::new("broken-meanwhile");
    let (cluster, shield) = (scene.cluster, &scene.shield);
    cluster.apply(&deployment(&scene.prod, "web", 2)).expect("a Deployment");
    let webhook = cluster.unique("broken");
    let remove = ["delete", "validatingwebhookconfiguration", &webhook];
    // It is in force where the API server itself refuses, and gone where it does not.
    let until_dry_run = |is_refused: bool| {
        let dry = ["-n", &scene.prod, "delete", "deployment", "web", "--dry-run=server"];
        testkit::wait_until(PATIENCE, "the webhook is there, or gone", || {
            (cluster.kubectl_says(&dry).is_none() == is_refused).then_some(())
        });
    };
    let id = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| delete(&scene, shield).0);
        let id = held(&scene, shield)["id"].as_str().unwrap_or_default().to_owned();
        cluster.apply(&broken_webhook(&scene, &webhook)).expect("a webhook");
        until_dry_run(true);
        shield.decide(&scene.reviewer, "approve", &id, "agreed").expect("an approval");
        let answer = waiting.join().expect("an answer");
        assert_eq!(answer.status, 503, "{}", answer.text());
        assert!(answer.text().contains("its approval stays"), "{}", answer.text());
        assert!(answer.header("retry-after").is_some());
        id
    });
    cluster.kubectl_says(&remove).expect("no webhook any more");
    until_dry_run(false);
    assert_eq!(held(&scene, shield)["id"], id.as_str(), "it is the same hold");
    let (answer, _) = delete(&scene, shield);
    assert_eq!(answer.status, 200, "{}", answer.text());
    nothing_is_held(&scene, shield);
}

#[test]
fn what_gets_no_answer_is_told_so_and_held_by_nobody() {
    let scene = Scene::new("no-answer");
    scene.cluster.apply(&deployment(&scene.prod, "web", 2)).expect("a Deployment");
    let road = Road::to(scene.cluster);
    let shield = shield_on(&road, &scene);
    type Fall = fn(&Road);
    // While it is silent, a write may fail at the question whose it is.
    let table: [(&str, Fall, &[u16]); 2] =
        [("silent", Road::silence_all, &[503, 504]), ("away", Road::close, &[503])];
    for (what, fall, want) in table {
        warm_up(&scene, &shield);
        fall(&road);
        let asked = [
            ("a read", read(&scene, &shield, "?timeout=3s")),
            ("a write", write(&scene, &shield)),
            ("a delete in production", delete(&scene, &shield)),
        ];
        for (of, (answer, took)) in asked {
            assert!(want.contains(&answer.status), "{what}: {of}: {}", answer.text());
            assert!(took < PATIENCE, "{what}: {of}: {took:?}");
            assert!(answer.header("retry-after").is_some(), "{what}: {of}");
            let status: Value = answer.json();
            assert_eq!(
                (&status["kind"], &status["code"]),
                (&json!("Status"), &json!(answer.status))
            );
        }
        road.open();
        warm_up(&scene, &shield);
        nothing_is_held(&scene, &shield);
    }
    let target = format!("/apis/apps/v1/namespaces/{}/deployments/web", scene.prod);
    assert!(scene.cluster.get(&target).is_some(), "it is there still");
}
