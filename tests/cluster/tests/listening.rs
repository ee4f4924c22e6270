//! Watches and logs on a WebSocket, as some client libraries ask for them by default: a read where the API
//! server itself answers, and a way into something everywhere else.

use std::time::Duration;

use cluster::{Scene, aggregated::Registered};
use serde_json::{Value, json};
use testkit::{Shield, base64, http::Connection, wait_until};

const PATIENCE: Duration = Duration::from_secs(30);

/// A WebSocket below an answer of 101; otherwise the answer.
enum Asked {
    Open(Box<WebSocket>),
    Answered(u16, Value),
}

struct WebSocket(Connection);

/// Asks with the scene's agent, and with these headers, which stand for others of their name.
fn ask(
    scene: &Scene,
    url: &str,
    ca: &std::path::Path,
    target: &str,
    more: &[(&str, &str)],
) -> Asked {
    let mut connection = Connection::open(url, ca).expect("a connection");
    let (authorization, key) = (format!("Bearer {}", scene.agent.token), base64(&[7; 16]));
    let mut headers = vec![
        ("Authorization", authorization.as_str()),
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", key.as_str()),
        ("Origin", url),
    ];
    headers.retain(|(name, _)| more.iter().all(|(other, _)| other != name));
    headers.extend(more);
    connection.request("GET", target, &headers, b"").expect("a request");
    let answer = connection.answer().expect("an answer");
    match answer.status {
        101 => Asked::Open(Box::new(WebSocket(connection))),
        status => Asked::Answered(status, answer.json()),
    }
}

fn listen(scene: &Scene, target: &str) -> WebSocket {
    match ask(scene, &scene.shield.agent_url, &scene.shield.ca(), target, &[]) {
        Asked::Open(socket) => *socket,
        Asked::Answered(status, answer) => panic!("{target}: {status}: {answer}"),
    }
}

impl WebSocket {
    /// The next message with something in it.
    fn message(&mut self) -> String {
        loop {
            let (opcode, payload) = self.frame().expect("a frame");
            if matches!(opcode, 0..=2) && !payload.is_empty() {
                return String::from_utf8_lossy(&payload).into_owned();
            }
        }
    }

    /// What kind of frame comes next, and what is in it; `None` at the end.
    fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut head = [0; 2];
        self.0.read_exact(&mut head).ok()?;
        let length = match head[1] & 0x7f {
            126 => {
                let mut length = [0; 2];
                self.0.read_exact(&mut length).ok()?;
                u64::from(u16::from_be_bytes(length))
            }
            127 => {
                let mut length = [0; 8];
                self.0.read_exact(&mut length).ok()?;
                u64::from_be_bytes(length)
            }
            short => u64::from(short),
        };
        let mut payload = vec![0; usize::try_from(length).expect("a length")];
        self.0.read_exact(&mut payload).ok()?;
        Some((head[0] & 0x0f, payload))
    }

    fn send(&mut self, opcode: u8, payload: &[u8]) {
        let length = u8::try_from(payload.len()).expect("a short payload");
        let frame = [&[0x80 | opcode, 0x80 | length, 0, 0, 0, 0][..], payload].concat();
        self.0.send(&frame).expect("a frame");
    }
}

fn config_map(scene: &Scene, name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": scene.dev}})
}

/// The notes of the watches on a WebSocket that have ended.
fn notes_of_watches(scene: &Scene) -> Vec<String> {
    let calls = scene.shield.cli_json(&scene.reviewer, &["timeline", "--verb", "watch"]);
    let calls = calls["items"].as_array().expect("calls").clone();
    calls
        .iter()
        .filter(|call| call["code"] == 101)
        .filter_map(|call| Some(call["notes"].as_array()?.first()?.as_str()?.to_owned()))
        .collect()
}

#[test]
fn a_watch_on_a_websocket_delivers_and_is_recorded() {
    let scene = Scene::new("listening");
    let path = format!("/api/v1/namespaces/{}/configmaps", scene.dev);
    // By query and by path, and of a group with a name.
    let mut sockets: Vec<WebSocket> = [
        format!("{path}?watch=true&fieldSelector=metadata.name%3Dnews"),
        format!("/api/v1/watch/namespaces/{}/configmaps/news", scene.dev),
    ]
    .iter()
    .map(|target| listen(&scene, target))
    .collect();
    let _deployments =
        listen(&scene, &format!("/apis/apps/v1/namespaces/{}/deployments?watch=1", scene.prod));
    scene.cluster.apply(&config_map(&scene, "news")).expect("a ConfigMap");
    for socket in &mut sockets {
        let event: Value = serde_json::from_str(&socket.message()).expect("an event");
        assert_eq!(
            (&event["type"], &event["object"]["metadata"]["name"]),
            (&json!("ADDED"), &json!("news"))
        );
    }
    // Signs of life pass, and so does what comes after them.
    let [first, second] = sockets.as_mut_slice() else { panic!("two") };
    first.send(9, b"alive");
    scene
        .cluster
        .apply(&json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"},
        "metadata": {"name": "news", "namespace": scene.dev}}))
        .expect("a ConfigMap");
    assert!(first.message().contains("MODIFIED"));
    first.send(8, &[3, 232]);
    wait_until(PATIENCE, "it ends when its client leaves", || {
        first.frame().is_none().then_some(())
    });
    // Whoever says more than that is cut off.
    second.send(1, b"{\"kind\":\"Status\"}");
    wait_until(PATIENCE, "it is cut", || second.frame().is_none().then_some(()));
    let notes = wait_until(PATIENCE, "both are in the record", || {
        let notes = notes_of_watches(&scene);
        (notes.len() == 2).then_some(notes)
    });
    let cut = "the client sent data where only the API server speaks";
    assert!(notes.iter().any(|it| it.contains(cut)), "{notes:?}");
    assert!(
        scene.shield.cli_json(&scene.reviewer, &["holds"])["items"]
            .as_array()
            .is_some_and(Vec::is_empty)
    );
}

#[test]
fn what_the_api_server_says_to_a_websocket_is_said() {
    let scene = Scene::new("listening-errors");
    let shield = &scene.shield;
    let table = [
        (format!("/api/v1/namespaces/{}/pods/absent/log", scene.dev), 404),
        (format!("/api/v1/namespaces/{}/configmaps?watch=1&labelSelector=%21%21", scene.dev), 400),
    ];
    for (target, want) in table {
        let [direct, through] = [
            ask(&scene, scene.cluster.server(), &scene.cluster.ca(), &target, &[]),
            ask(&scene, &shield.agent_url, &shield.ca(), &target, &[]),
        ]
        .map(|asked| match asked {
            Asked::Open(_) => panic!("{target}: it is open"),
            Asked::Answered(status, answer) => {
                (status, answer["reason"].clone(), answer["message"].clone())
            }
        });
        assert_eq!((&direct, direct.0), (&through, want), "{target}");
    }
    // The API server takes this for a credential.
    let token =
        format!("base64url.bearer.authorization.k8s.io.{}", base64(scene.agent.token.as_bytes()));
    let target = format!("/api/v1/namespaces/{}/configmaps?watch=1", scene.dev);
    let protocols = [("Sec-WebSocket-Protocol", token.trim_end_matches('='))];
    match ask(&scene, &shield.agent_url, &shield.ca(), &target, &protocols) {
        Asked::Answered(400, _) => {}
        Asked::Answered(status, answer) => panic!("{status}: {answer}"),
        Asked::Open(_) => panic!("it is open"),
    }
}

#[test]
fn every_other_upgrade_is_held() {
    let scene = Scene::new("listening-held");
    // Nobody is behind it: it need not be reached to be held.
    let group = format!("{}.example.com", scene.dev);
    let service = json!({
        "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "metadata": {"name": format!("v1.{group}")},
        "spec": {
            "group": group, "version": "v1", "groupPriorityMinimum": 100, "versionPriority": 100,
            "insecureSkipTLSVerify": true, "service": {"name": "nobody", "namespace": scene.dev},
        },
    });
    let _registered = Registered::apply(scene.cluster, &service);
    let shield = Shield::start(scene.cluster, &["--hold-open", "1s"]);
    let spdy = [("Upgrade", "SPDY/3.1")];
    let table: [(String, &[(&str, &str)]); 6] = [
        (format!("/apis/{group}/v1/namespaces/{}/machines/m/console", scene.dev), &[]),
        (format!("/apis/{group}/v1/namespaces/{}/machines?watch=1", scene.dev), &[]),
        (format!("/apis/{group}/v1/watch/namespaces/{}/machines", scene.dev), &[]),
        (format!("/api/v1/namespaces/{}/pods", scene.dev), &[]),
        // The API server knows no watch over SPDY.
        (format!("/api/v1/namespaces/{}/pods?watch=1", scene.dev), &spdy),
        (format!("/apis/{group}/v1/namespaces/{}/pods/web/log", scene.dev), &[]),
    ];
    for (target, more) in &table {
        match ask(&scene, &shield.agent_url, &shield.ca(), target, more) {
            Asked::Answered(429, answer) => {
                let message = answer["message"].as_str().unwrap_or_default();
                assert!(
                    message.contains("opens a connection, and what is said on it is not known"),
                    "{target}: {message}"
                );
            }
            Asked::Answered(status, answer) => panic!("{target}: {status}: {answer}"),
            Asked::Open(_) => panic!("{target}: it is open"),
        }
    }
}
