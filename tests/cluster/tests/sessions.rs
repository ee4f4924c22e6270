//! Upgraded connections: held before the first byte, carried after an approval, cut when they must be.

use std::{
    io::{Read, Write},
    net::TcpListener,
    path::Path,
    process::{Child, Output, Stdio},
    thread,
    time::Duration,
};

use cluster::{Scene, list};
use serde_json::{Value, json};
use testkit::{Shield, http::Connection, wait_until};

const TIME_MAX: Duration = Duration::from_secs(60);

/// A pod on a node of kwok, whose containers are processes of this machine.
fn scene(name: &str) -> Scene {
    let scene = Scene::new(name);
    let pod = |namespace: &str| {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "web", "namespace": namespace, "labels": {"app": "web"}},
            "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "nginx:1.25"}]},
        })
    };
    scene.cluster.apply(&list(&[pod(&scene.prod)])).expect("a pod");
    let path = format!("/api/v1/namespaces/{}/pods/web", scene.prod);
    wait_until(TIME_MAX, "the pod runs", || {
        (scene.cluster.get(&path)?["status"]["phase"] == "Running").then_some(())
    });
    scene
}

/// kubectl as the agent, with something on its standard input.
fn start(scene: &Scene, kubeconfig: &Path, args: &[&str], input: &str) -> Child {
    let mut child = scene
        .cluster
        .kubectl_as(kubeconfig)
        .args(["-n", &scene.prod])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("kubectl");
    let mut stdin = child.stdin.take().expect("standard input");
    stdin.write_all(input.as_bytes()).expect("a write");
    child
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

fn approve(scene: &Scene) -> Value {
    let hold = scene.pending(&scene.prod, "web");
    scene.decide("approve", hold["id"].as_str().unwrap_or_default(), "known");
    hold
}

/// The call of a hold, once its session has ended.
fn ended(scene: &Scene, hold: &Value) -> Value {
    wait_until(TIME_MAX, "the session is recorded", || {
        let id = hold["auditID"].as_str()?;
        let calls = scene.shield.cli_json(&scene.reviewer, &["timeline", "--audit-id", id]);
        let call = calls["items"].as_array()?.first()?.clone();
        call["notes"].to_string().contains("the session").then_some(call)
    })
}

#[test]
fn a_session_is_held_shown_and_carried() {
    let scene = scene("sessions");
    let kubeconfig = scene.shield.kubeconfig(&scene.agent);
    // The positive control.
    let args = ["exec", "-i", "web", "-c", "c", "--", "sh", "-c", "read x; echo got $x; exit 3"];
    let direct = start(&scene, &scene.agent.kubeconfig, &args, "one\n");
    let direct = direct.wait_with_output().expect("kubectl");
    assert!(said(&direct).contains("got one"), "{}", said(&direct));

    let child = start(&scene, &kubeconfig, &args, "two\n");
    let hold = scene.pending(&scene.prod, "web");
    assert_eq!(hold["rules"], json!(["run-code"]));
    assert!(scene.ran(hold["auditID"].as_str().unwrap_or_default()).is_empty());
    let id = hold["id"].as_str().unwrap_or_default();
    let shown = scene.shield.cli_json(&scene.reviewer, &["show", id]);
    let payload: Value =
        serde_json::from_str(shown["payload"].as_str().unwrap_or_default()).expect("JSON");
    assert_eq!(payload["command"], json!(["sh", "-c", "read x; echo got $x; exit 3"]));
    assert_eq!((&payload["container"], &payload["stdin"]), (&json!("c"), &json!("true")));
    scene.decide("approve", id, "known");
    let output = child.wait_with_output().expect("kubectl");
    assert!(said(&output).contains("got two"), "{}", said(&output));
    assert_eq!(output.status.code(), direct.status.code(), "the exit code of the command");
    let call = ended(&scene, &hold);
    assert_eq!(call["code"], 101);
    assert!(call["notes"].to_string().contains("the session ended"), "{call}");
    assert!(call["bytes"].as_u64().is_some_and(|it| it > 0), "{call}");
    // Spent: the same command again asks again.
    let again = start(&scene, &kubeconfig, &args, "three\n");
    let hold = scene.pending(&scene.prod, "web");
    scene.decide("deny", hold["id"].as_str().unwrap_or_default(), "once is enough");
    let output = again.wait_with_output().expect("kubectl");
    assert!(!output.status.success());
    assert!(!said(&output).contains("got three"), "{}", said(&output));
}

#[test]
fn kubectl_works_as_it_does_directly() {
    let scene = scene("kubectl-sessions");
    let kubeconfig = scene.shield.kubeconfig(&scene.agent);
    let run = |args: &[&str]| {
        let child = start(&scene, &kubeconfig, args, "");
        approve(&scene);
        let output = child.wait_with_output().expect("kubectl");
        assert!(output.status.success(), "{args:?}: {}", said(&output));
        said(&output)
    };
    assert!(run(&["exec", "web", "--", "echo", "over websocket"]).contains("over websocket"));
}

#[test]
fn older_clients_speak_spdy() {
    let scene = scene("spdy");
    let kubeconfig = scene.shield.kubeconfig(&scene.agent);
    let child = scene
        .cluster
        .kubectl_as(&kubeconfig)
        .env("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", "false")
        .args(["-n", &scene.prod, "exec", "web", "--", "echo", "over spdy"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("kubectl");
    let hold = approve(&scene);
    assert_eq!(hold["request"]["method"], "POST");
    let output = child.wait_with_output().expect("kubectl");
    assert!(said(&output).contains("over spdy"), "{}", said(&output));
}

#[test]
fn ports_are_forwarded() {
    let scene = scene("port-forward");
    let kubeconfig = scene.shield.kubeconfig(&scene.agent);
    // kwok forwards every port of a pod to a port of its own, where an echo answers.
    let echo = TcpListener::bind(("127.0.0.1", scene.cluster.forward_port())).expect("a port");
    thread::spawn(move || {
        for stream in echo.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let mut stream = stream;
                let mut bytes = [0; 64];
                while let Ok(count) = stream.read(&mut bytes)
                    && count > 0
                {
                    let _ = stream.write_all(&bytes[..count]);
                }
            });
        }
    });
    let local = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("it").port();
    let mut child =
        start(&scene, &kubeconfig, &["port-forward", "web", &format!("{local}:80")], "");
    let hold = approve(&scene);
    let mut client = wait_until(TIME_MAX, "kubectl listens", || {
        std::net::TcpStream::connect(("127.0.0.1", local)).ok()
    });
    client.write_all(b"hello through the tunnel").expect("a write");
    let mut answer = [0; 24];
    client.set_read_timeout(Some(TIME_MAX)).expect("a timeout");
    client.read_exact(&mut answer).expect("an echo");
    assert_eq!(&answer, b"hello through the tunnel");
    drop(client);
    child.kill().expect("kubectl");
    child.wait().expect("kubectl");
    ended(&scene, &hold);
}

#[test]
fn a_session_ends_with_its_time_and_with_agent_shield() {
    let scene = scene("cut");
    let short = Shield::start(scene.cluster, &["--session-time", "2s"]);
    let kubeconfig = short.kubeconfig(&scene.agent);
    let child = start(&scene, &kubeconfig, &["exec", "web", "--", "sleep", "600"], "");
    let hold = short.hold(&scene.reviewer, "a session", |hold| hold["state"] == "pending");
    let id = hold["id"].as_str().unwrap_or_default();
    short.decide(&scene.reviewer, "approve", id, "").expect("an approval");
    child.wait_with_output().expect("kubectl ends");
    let audit_id = hold["auditID"].as_str().unwrap_or_default();
    wait_until(TIME_MAX, "it is recorded", || {
        let calls = short.cli_json(&scene.reviewer, &["timeline", "--audit-id", audit_id]);
        calls["items"][0]["notes"].to_string().contains("its time was over").then_some(())
    });
    let mut scene = scene;
    let kubeconfig = scene.shield.kubeconfig(&scene.agent);
    let child = start(&scene, &kubeconfig, &["exec", "web", "--", "sleep", "600"], "");
    approve(&scene);
    wait_until(TIME_MAX, "the session runs", || {
        let calls = scene.shield.cli_json(&scene.reviewer, &["timeline", "--writes"]);
        let items = calls["items"].as_array()?;
        items.iter().any(|call| call["code"] == 101).then_some(())
    });
    let status = scene.shield.terminate();
    assert!(status.success(), "{status}");
    child.wait_with_output().expect("kubectl ends");
}

#[test]
fn an_upgrade_is_never_more_than_it_says() {
    let scene = scene("no-tunnel");
    let authorization = format!("Authorization: Bearer {}", scene.agent.token);
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    let send = |method: &str, target: &str, more: &str| {
        let url = &scene.shield.agent_url;
        let mut connection = Connection::open(url, &scene.shield.ca()).expect("a connection");
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: x\r\n{authorization}\r\n{upgrade}\r\n\r\n{more}"
        );
        connection.send(head.as_bytes()).expect("a write");
        connection
    };
    // What would be read as a second request by who takes a failed upgrade for a tunnel.
    let second = format!("DELETE /api/v1/namespaces/{} HTTP/1.1\r\nHost: x\r\n\r\n", scene.dev);
    let nowhere = format!(
        "/api/v1/namespaces/{}/pods/web/exec?container=nope&command=id&stdout=true",
        scene.prod
    );
    let mut failed = send("GET", &nowhere, &second);
    let hold = scene.pending(&scene.prod, "web");
    scene.decide("approve", hold["id"].as_str().unwrap_or_default(), "");
    assert_eq!(failed.answer().expect("an answer").status, 400);
    // The second request was read by us, as a request of nobody.
    assert_eq!(failed.answer().expect("an answer").status, 403);
    // A DELETE with an upgrade is a DELETE, and is held like one.
    let pod = format!("/api/v1/namespaces/{}/pods/web", scene.prod);
    let mut delete = send("DELETE", &pod, "");
    let hold = scene.pending(&scene.prod, "web");
    assert_eq!(hold["request"]["verb"], "delete");
    scene.decide("deny", hold["id"].as_str().unwrap_or_default(), "");
    assert_eq!(delete.answer().expect("an answer").status, 403);
    // The kubelet is out of reach, upgraded or not.
    let mut node = send("GET", "/api/v1/nodes/n1/proxy/exec/default/web/c?command=id", "");
    assert_eq!(node.answer().expect("an answer").status, 403);
    assert!(scene.cluster.get(&format!("/api/v1/namespaces/{}", scene.dev)).is_some());
}

#[test]
fn a_port_forward_opens_what_was_approved_and_nothing_else() {
    let scene = scene("ports");
    let pod = format!("/api/v1/namespaces/{}/pods/web/portforward?ports=80", scene.prod);
    // What client-go's library sends: streams to port 80, then streams to port 5432.
    let sessions = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/frames/tests/sessions");
    let session = |name: &str| std::fs::read(sessions.join(name)).expect("a session");
    let run = |bytes: &[u8]| {
        let url = &scene.shield.agent_url;
        let mut connection = Connection::open(url, &scene.shield.ca()).expect("a connection");
        let token = &scene.agent.token;
        let head = format!(
            "POST {pod} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nConnection: Upgrade\r\n\
             Upgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: portforward.k8s.io\r\nContent-Length: 0\r\n\r\n"
        );
        connection.send(head.as_bytes()).expect("a request");
        let hold = scene.pending(&scene.prod, "web");
        let id = hold["id"].as_str().unwrap_or_default();
        let shown = scene.shield.cli(&scene.reviewer).args(["show", id]).output().expect("a CLI");
        let page = said(&shown);
        assert!(page.contains("wants to open port 80 of pod web"), "{page}");
        scene.decide("approve", id, "port 80");
        let head = connection.head().expect("an answer");
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        connection.send(bytes).expect("a session");
        // A session that is cut ends; one that is not is ended here.
        let _ = connection.half_close();
        while connection.read(&mut [0; 1024]).is_some_and(|count| count > 0) {}
        ended(&scene, &hold)["notes"].to_string()
    };
    let cut = run(&session("two"));
    assert!(cut.contains("port 5432 was opened, which is not among those"), "{cut}");
    let garbled = run(b"\x80\x03\x00\x63\x00\x00\x00\x00");
    assert!(garbled.contains("cannot be read"), "{garbled}");
    let whole = run(&session("one"));
    assert!(whole.contains("(ports 80)") && !whole.contains("was cut"), "{whole}");
}

#[test]
fn one_command_in_two_protocols_is_one_hold() {
    let scene = scene("fallback");
    let kubeconfig = scene.shield.kubeconfig(&scene.agent);
    let args = ["exec", "web", "--", "echo", "once"];
    let mut websocket = start(&scene, &kubeconfig, &args, "");
    let hold = scene.pending(&scene.prod, "web");
    assert_eq!(hold["request"]["method"], "GET");
    websocket.kill().expect("kubectl");
    websocket.wait().expect("kubectl");
    scene.decide("approve", hold["id"].as_str().unwrap_or_default(), "known");
    let spdy = scene
        .cluster
        .kubectl_as(&kubeconfig)
        .env("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", "false")
        .args(["-n", &scene.prod])
        .args(args)
        .output()
        .expect("kubectl");
    assert!(said(&spdy).contains("once"), "{}", said(&spdy));
    let holds = scene.shield.cli_json(&scene.reviewer, &["holds", "--state", "all"]);
    let of_here = |it: &&Value| it["request"]["namespace"] == scene.prod.as_str();
    let holds: Vec<&Value> =
        holds["items"].as_array().into_iter().flatten().filter(of_here).collect();
    assert_eq!(holds.len(), 1, "{holds:?}");
    assert_eq!(holds[0]["state"], "done");
}
