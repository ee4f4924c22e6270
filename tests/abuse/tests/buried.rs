//! Many calls that mean nothing, to push those out of sight that count.

use std::thread;

use cluster::{Scene, deployment};
use serde_json::json;
use testkit::{Shield, http::Connection};

/// More than one page of the ledger.
const JUNK: usize = 1_040;

#[test]
fn cuts_add_up_however_much_is_asked_between() {
    let scene = Scene::new("buried");
    let own = Shield::own_credential(scene.cluster);
    let shield = Shield::start_as(scene.cluster, own, &["--hold-open", "1s"]);
    scene.cluster.apply(&deployment(&scene.prod, "big", 10)).expect("a Deployment");
    let big = format!("/apis/apps/v1/namespaces/{}/deployments/big", scene.prod);
    let merge = Some("application/merge-patch+json");
    let scale = |replicas: u32| {
        let body = json!({"spec": {"replicas": replicas}}).to_string();
        shield.request(&scene.agent, "PATCH", &format!("{big}/scale"), merge, body.as_bytes())
    };
    let first = scale(7);
    assert_eq!(first.status, 200, "{}", first.text());

    let authorization = format!("Bearer {}", scene.agent.token);
    let headers = [
        ("Authorization", authorization.as_str()),
        ("Content-Type", "application/merge-patch+json"),
    ];
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let open = || Connection::open(&shield.agent_url, &shield.ca());
                let mut connection = open().expect("a connection");
                for _ in 0..JUNK / 4 {
                    connection.request("PATCH", &big, &headers, b"{\"a\"").expect("a request");
                    let answer = connection.answer().expect("an answer");
                    assert_eq!(answer.status, 400, "{}", answer.text());
                }
            });
        }
    });

    let second = scale(5);
    assert_eq!(second.status, 429, "{}", second.text());
    let hold = shield.hold(&scene.reviewer, "the cut", |hold| hold["state"] == "pending");
    assert!(hold["reason"].to_string().contains("10 -> 5"), "{hold:#}");
}
