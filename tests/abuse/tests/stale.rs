//! Kept connections that turn out dead: a read is sent once more, a write never.

use abuse::{Middle, Script};
use cluster::Scene;
use serde_json::json;
use testkit::{Credential, Shield};

fn once(status: &str, body: &str) -> Script {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\n");
    Script::Once(format!("{head}Content-Length: {length}\r\n\r\n{body}").into_bytes())
}

#[test]
fn a_read_is_sent_once_more_and_a_write_never() {
    let scene = Scene::new("stale");
    // A write without a preview: a preview would meet the dead connection first.
    let group = "/apis/authorization.k8s.io/v1/namespaces";
    let reviews: &'static str =
        Box::leak(format!("{group}/{}/localsubjectaccessreviews", scene.dev).into());
    let middle = Middle::start(
        scene.cluster,
        &[("/version", once("200 OK", "{}")), (reviews, once("201 Created", "{}"))],
    );
    let own = middle.kubeconfig(scene.cluster, "agent-shield");
    let shield = Shield::start_as(scene.cluster, Credential::Kubeconfig(own), &[]);
    // Threads keep connections of their own, so which request meets a dead one is left to chance.
    let mut asked = 0;
    while middle.scripted() <= asked {
        assert!(asked < 200, "no read met a dead connection");
        let answer = shield.request(&scene.agent, "GET", "/version", None, b"");
        assert_eq!(answer.status, 200, "{}", answer.text());
        asked += 1;
    }
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "LocalSubjectAccessReview",
        "spec": {"user": "x", "resourceAttributes": {"verb": "get", "resource": "pods"}},
    });
    let before = middle.scripted();
    let mut sent = 0;
    let lost = loop {
        assert!(sent < 200, "no write met a dead connection");
        let body = review.to_string();
        let json = Some("application/json");
        let answer = shield.request(&scene.agent, "POST", reviews, json, body.as_bytes());
        sent += 1;
        if answer.status != 201 {
            break answer;
        }
    };
    assert_eq!(lost.status, 504, "{}", lost.text());
    assert!(lost.header("retry-after").is_none());
    assert!(lost.text().contains("whether it ran is not known"), "{}", lost.text());
    assert_eq!(middle.scripted() - before, sent, "each write was sent once");
}
