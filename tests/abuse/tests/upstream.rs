//! An API server, or what stands in its place, that answers as none should.

use abuse::{Middle, Script, is_status, works};
use cluster::Scene;
use serde_json::json;
use testkit::{Credential, Shield};

fn bytes(text: &str) -> Script {
    Script::Bytes(text.as_bytes().to_vec())
}

#[test]
fn redirects_lead_nowhere() {
    let scene = Scene::new("redirects");
    let to =
        "HTTP/1.1 302 Found\r\nLocation: https://127.0.0.1:1/stolen\r\nContent-Length: 0\r\n\r\n";
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": scene.prod},
        "spec": {"containers": [{"name": "c", "image": "i"}]}});
    scene.cluster.apply(&pod).expect("a pod");
    let exec: &'static str =
        Box::leak(format!("/api/v1/namespaces/{}/pods/p/exec", scene.prod).into());
    let middle = Middle::start(scene.cluster, &[("/redirected", bytes(to)), (exec, bytes(to))]);
    let own = middle.kubeconfig(scene.cluster, "agent-shield");
    let shield = Shield::start_as(scene.cluster, Credential::Kubeconfig(own), &[]);
    // A read gets it as it is, and nobody follows it with the agent's token.
    let answer = shield.request(&scene.agent, "GET", "/redirected", None, b"");
    assert_eq!(answer.status, 302, "{}", answer.text());
    assert_eq!(answer.header("location"), Some("https://127.0.0.1:1/stolen"));
    assert_eq!(middle.scripted(), 1);
    // An upgrade is refused.
    let authorization = format!("Bearer {}", scene.agent.token);
    let headers = [
        ("Authorization", authorization.as_str()),
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Version", "13"),
    ];
    let target = format!("{exec}?command=ls");
    let asked = std::thread::scope(|scope| {
        let asked = scope.spawn(|| {
            testkit::http::request(&shield.agent_url, &shield.ca(), "GET", &target, &headers, b"")
        });
        let hold = shield.hold(&scene.reviewer, "the exec", |hold| hold["state"] == "pending");
        let id = hold["id"].as_str().unwrap_or_default();
        shield.decide(&scene.reviewer, "approve", id, "x").expect("an approval");
        asked.join().expect("an agent").expect("an answer")
    });
    assert_eq!(asked.status, 502, "{}", asked.text());
    assert!(is_status(&asked) && asked.header("location").is_none(), "{}", asked.text());
    assert_eq!(middle.scripted(), 2);
}

#[test]
fn what_is_no_answer_is_a_status() {
    let scene = Scene::new("no-answers");
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X-A: b\r\n".repeat(100_000));
    let switched = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nGET /";
    let table = [
        ("/nothing", ""),
        ("/garbage", "hello\r\n\r\n"),
        ("/many", many.as_str()),
        ("/switched", switched),
        ("/two-lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
    ];
    let scripts: Vec<_> = table.iter().map(|(path, text)| (*path, bytes(text))).collect();
    let middle = Middle::start(scene.cluster, &scripts);
    let own = middle.kubeconfig(scene.cluster, "agent-shield");
    let shield = Shield::start_as(scene.cluster, Credential::Kubeconfig(own), &[]);
    for (path, _) in table {
        let answer = shield.request(&scene.agent, "GET", path, None, b"");
        assert!(matches!(answer.status, 502..=504), "{path}: {} {}", answer.status, answer.text());
        assert!(is_status(&answer), "{path}: {}", answer.text());
        assert!(!answer.text().contains("127.0.0.1"), "{path}: {}", answer.text());
    }
    assert!(works(&shield, &scene.agent));
}

#[test]
fn hop_by_hop_headers_of_an_answer_stay_on_their_hop() {
    let scene = Scene::new("answers");
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nKeep-Alive: timeout=5\r\n\
                  Proxy-Authenticate: Basic\r\nTrailer: X\r\nUpgrade: h2c\r\nTE: trailers\r\n\
                  Connection: close, X-Secret\r\nX-Secret: a\r\nX-Kept: b\r\n\r\nok";
    let middle = Middle::start(scene.cluster, &[("/answer", bytes(answer))]);
    let own = middle.kubeconfig(scene.cluster, "agent-shield");
    let shield = Shield::start_as(scene.cluster, Credential::Kubeconfig(own), &[]);
    let answer = shield.request(&scene.agent, "GET", "/answer", None, b"");
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    assert_eq!(answer.header("x-kept"), Some("b"));
    for name in ["keep-alive", "proxy-authenticate", "upgrade", "te", "x-secret"] {
        assert_eq!(answer.header(name), None, "{name} passed");
    }
}
