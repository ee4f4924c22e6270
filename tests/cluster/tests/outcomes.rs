//! `approve` tells what became of the request, in words and as an exit code.

use std::thread;

use cluster::{Scene, deployment};
use serde_json::Value;
use testkit::http::Answer;

const JSON: Option<&str> = Some("application/json");

fn says(scene: &Scene, args: &[&str]) -> (Option<i32>, String) {
    let output = scene.shield.cli(&scene.reviewer).args(args).output().expect("a CLI");
    let text = [output.stdout.as_slice(), &output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

fn digest(scene: &Scene, id: &str) -> String {
    let shown = scene.shield.cli_json(&scene.reviewer, &["show", id]);
    shown["preview"]["digest"].as_str().expect("a digest").to_owned()
}

/// Approves what is shown.
fn approves(scene: &Scene, id: &str, more: &[&str]) -> (Option<i32>, String) {
    let digest = digest(scene, id);
    let args = [&["approve", id, "--digest", digest.as_str()], more].concat();
    says(scene, &args)
}

/// What a reviewer does while the agent waits, and what the agent gets.
fn meanwhile<T>(
    scene: &Scene,
    (method, target, body): (&str, &str, &Value),
    reviews: impl FnOnce(&str) -> T,
) -> (T, Answer) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    thread::scope(|threads| {
        let asked = threads
            .spawn(|| scene.shield.request(&scene.agent, method, target, JSON, body.as_bytes()));
        let hold = scene.shield.hold(&scene.reviewer, target, |hold| hold["state"] == "pending");
        let told = reviews(hold["id"].as_str().expect("an id"));
        (told, asked.join().expect("an answer"))
    })
}

#[test]
fn approve_tells_what_became_of_the_request() {
    let scene = Scene::new("outcomes");
    let apps = format!("/apis/apps/v1/namespaces/{}/deployments", scene.prod);
    for name in ["ran", "gone", "lost", "brief"] {
        scene.cluster.apply(&deployment(&scene.prod, name, 1)).expect("a Deployment");
    }
    let delete = |name: &str| format!("{apps}/{name}");

    let ((code, text), answer) =
        meanwhile(&scene, ("DELETE", &delete("ran"), &Value::Null), |id| approves(&scene, id, &[]));
    assert_eq!((code, answer.status), (Some(0), 200), "{text}");
    assert!(text.contains("it ran: the API server answered 200"), "{text}");

    // Somebody makes it first.
    let new = deployment(&scene.prod, "new", 1);
    let ((code, text), answer) = meanwhile(&scene, ("POST", &apps, &new), |id| {
        scene.cluster.apply(&new).expect("a Deployment");
        approves(&scene, id, &[])
    });
    assert_eq!((code, answer.status), (Some(1), 409), "{text}");
    assert!(text.contains("the API server refused it: 409"), "{text}");

    // Its agent is there no more.
    let brief = format!("{}?timeout=1s", delete("gone"));
    let asked = scene.shield.request(&scene.agent, "DELETE", &brief, None, b"");
    assert_eq!(asked.status, 429, "{}", asked.text());
    let hold = scene.pending(&scene.prod, "gone");
    let (code, text) = approves(&scene, hold["id"].as_str().expect("an id"), &[]);
    assert_eq!(code, Some(10), "{text}");
    assert!(text.contains("the agent has gone") && !text.contains("error"), "{text}");
    assert!(scene.cluster.get(&delete("gone")).is_some());

    // Nobody waits for it.
    let ((code, text), answer) =
        meanwhile(&scene, ("DELETE", &delete("brief"), &Value::Null), |id| {
            approves(&scene, id, &["--no-wait"])
        });
    assert_eq!((code, answer.status), (Some(10), 200), "{text}");

    // Another was first.
    let ((code, text), answer) =
        meanwhile(&scene, ("DELETE", &delete("lost"), &Value::Null), |id| {
            let seen = digest(&scene, id);
            scene.decide("deny", id, "it is needed");
            says(&scene, &["approve", id, "--digest", &seen])
        });
    assert_eq!((code, answer.status), (Some(6), 403), "{text}");
    assert!(text.contains("Denied by") && text.contains("it is needed"), "{text}");
}
