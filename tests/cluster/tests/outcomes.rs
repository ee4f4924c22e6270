//! `approve` tells what became of the request, in words and as an exit code.

use std::thread;

use cluster::{Scene, deployment};
use serde_json::Value;
use testkit::http::{self, Answer};

const JSON: Option<&str> = Some("application/json");

fn says(scene: &Scene, args: &[&str]) -> (Option<i32>, String) {
    let output = scene.shield.cli(&scene.reviewer).args(args).output().expect("a CLI");
    let text = [output.stdout.as_slice(), &output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

fn digest_of(scene: &Scene, id: &str) -> String {
    let shown = scene.shield.cli_json(&scene.reviewer, &["show", id]);
    shown["preview"]["digest"].as_str().expect("a digest").to_owned()
}

/// Approves what is shown.
fn approves(scene: &Scene, id: &str, more: &[&str]) -> (Option<i32>, String) {
    let digest = digest_of(scene, id);
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
    assert_eq!(asked.held_or_status(), 429, "{}", asked.text());
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
            let seen = digest_of(&scene, id);
            scene.decide("deny", id, "it is needed");
            says(&scene, &["approve", id, "--digest", &seen])
        });
    assert_eq!((code, answer.status), (Some(6), 403), "{text}");
    assert!(text.contains("Denied by") && text.contains("it is needed"), "{text}");
}

#[test]
fn several_are_decided_together_as_they_were_shown() {
    let scene = Scene::new("together");
    let apps = format!("/apis/apps/v1/namespaces/{}/deployments", scene.prod);
    let (url, ca) = (&scene.shield.agent_url, scene.shield.ca());
    let token = format!("Bearer {}", scene.agent.token);
    // An agent asks for one after the other, in one session of kubectl, and waits for none.
    let asks = |name: &str, session: &str| {
        scene.cluster.apply(&deployment(&scene.prod, name, 1)).expect("a Deployment");
        let headers = [("Authorization", token.as_str()), ("Kubectl-Session", session)];
        let target = format!("{apps}/{name}?timeout=1s");
        let answer = http::request(url, &ca, "DELETE", &target, &headers, b"").expect("an answer");
        assert_eq!(answer.held_or_status(), 429, "{}", answer.text());
        scene.pending(&scene.prod, name)["id"].as_str().expect("an id").to_owned()
    };
    let state = |id: &str| {
        scene.shield.cli_json(&scene.reviewer, &["show", id])["state"].as_str().map(str::to_owned)
    };
    let is = |ids: &[&String], want: &str| ids.iter().all(|id| state(id).as_deref() == Some(want));
    // What `show` says to approve them all with.
    let of_all = |id: &str| {
        let (_, page) = says(&scene, &["show", "--all-of", id]);
        let digest = page.split("--all-of").nth(1).and_then(|it| it.split("--digest ").nth(1));
        let digest =
            digest.and_then(|it| it.split_whitespace().next()).expect("a digest").to_owned();
        (page, digest)
    };

    let [one, two] = ["one", "two"].map(|name| asks(name, "first"));
    let alone = asks("alone", "second");
    let (page, digest) = of_all(&one);
    assert!(page.contains("All 2 of them:") && page.contains(&two), "{page}");
    assert!(!page.contains(&alone), "{page}");
    assert_eq!(page.matches("Who asks, and how").count(), 2, "each is shown whole: {page}");
    let (_, page) = says(&scene, &["show", &one]);
    assert!(page.contains("2 requests of this command wait;") && page.contains(&two), "{page}");
    assert!(
        !page.contains(&format!("--all-of {one} --digest")),
        "what is not shown is not approved: {page}"
    );
    // One more has come since.
    let three = asks("three", "first");
    let (code, text) = says(&scene, &["approve", "--all-of", &one, "--digest", &digest]);
    assert_eq!(code, Some(6), "{text}");
    assert!(text.contains("has changed since it was shown"), "{text}");
    assert!(is(&[&one, &two, &three], "pending"));
    let (_, digest) = of_all(&two);
    let (code, text) = says(&scene, &["approve", "--all-of", &two, "--digest", &digest]);
    assert_eq!(code, Some(10), "their agent has gone: {text}");
    assert!(is(&[&one, &two, &three], "approved"), "{text}");
    assert!(is(&[&alone], "pending"), "another session");

    // By their ids, each with what was reviewed of it.
    let [four, five] = ["four", "five"].map(|name| asks(name, "third"));
    let [seen_four, seen_five] = [&four, &five].map(|id| format!("{id}@{}", digest_of(&scene, id)));
    let (code, text) = says(&scene, &["approve", &four, &five, "--digest", &"0".repeat(64)]);
    assert_eq!(code, Some(2), "{text}");
    let stale = format!("{alone}@{}", "0".repeat(64));
    let (code, text) = says(&scene, &["approve", &seen_four, &stale, &seen_five]);
    assert_eq!(code, Some(6), "the worst of them: {text}");
    assert!(is(&[&four, &five], "approved"), "{text}");
    assert!(is(&[&alone], "pending"), "{text}");

    let six = asks("six", "second");
    let (code, text) = says(&scene, &["deny", "--all-of", &alone, "--reason", "not these"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(is(&[&alone, &six], "denied"), "{text}");
}
