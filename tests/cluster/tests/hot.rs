//! An object whose status is written all the time: an approval is of what matters of it.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use cluster::{Scene, deployment};
use serde_json::json;
use testkit::{http::Connection, wait_until};

#[test]
fn one_approval_deletes_what_is_written_all_the_time() {
    let scene = Scene::new("hot");
    scene.cluster.apply(&deployment(&scene.prod, "web", 1)).expect("a Deployment");
    let target = format!("/apis/apps/v1/namespaces/{}/deployments/web", scene.prod);
    let (is_over, written) = (AtomicBool::new(false), AtomicUsize::new(0));
    let write_status = || {
        let authorization = format!("Bearer {}", scene.agent.token);
        let headers = [
            ("Authorization", authorization.as_str()),
            ("Content-Type", "application/merge-patch+json"),
        ];
        let mut connection =
            Connection::open(scene.cluster.server(), &scene.cluster.ca()).expect("a connection");
        while !is_over.load(Ordering::Relaxed) {
            let number = written.fetch_add(1, Ordering::Relaxed);
            let condition = json!({"type": "Hot", "status": "True", "message": number.to_string()});
            let body = json!({"status": {"conditions": [condition]}}).to_string();
            let status = format!("{target}/status");
            connection.request("PATCH", &status, &headers, body.as_bytes()).expect("a request");
            let _ = connection.answer();
            thread::sleep(Duration::from_millis(10));
        }
    };
    thread::scope(|scope| {
        scope.spawn(write_status);
        wait_until(Duration::from_secs(30), "its status is hot", || {
            (written.load(Ordering::Relaxed) > 20).then_some(())
        });
        let delete =
            scope.spawn(|| scene.shield.request(&scene.agent, "DELETE", &target, None, b""));
        let hold = scene.pending(&scene.prod, "web");
        scene.decide("approve", hold["id"].as_str().unwrap_or_default(), "known");
        let answer = delete.join().expect("a thread");
        assert_eq!(answer.status, 200, "{}", answer.text());
        is_over.store(true, Ordering::Relaxed);
    });
    assert!(written.load(Ordering::Relaxed) > 40, "it was hot to the end");
    let calls = scene.shield.cli_json(&scene.reviewer, &["timeline", "--verb", "delete"]);
    let events = calls["items"][0]["holdEvents"].as_array().cloned().unwrap_or_default();
    assert!(!events.is_empty() && events.iter().all(|it| it["event"] != "drifted"), "{calls}");
}
