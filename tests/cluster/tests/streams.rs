//! Many watches at once: each delivers, nothing waits behind them, and they share connections.

use std::{fs, time::Duration};

use cluster::Scene;
use serde_json::json;
use testkit::{Shield, http::Connection, wait_until};

/// More than fit on two connections with the API server's limit of 100 streams.
const WATCHES: usize = 220;

/// Established TCP connections of a process to a port, as the kernel counts them.
fn connections_to(pid: u32, port: &str) -> usize {
    let inodes: Vec<String> = fs::read_dir(format!("/proc/{pid}/fd"))
        .expect("its files")
        .filter_map(|file| fs::read_link(file.ok()?.path()).ok()?.to_str().map(str::to_owned))
        .filter_map(|link| Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let port = format!(":{:04X}", port.parse::<u16>().expect("a port"));
    let tcp = fs::read_to_string(format!("/proc/{pid}/net/tcp")).expect("its connections");
    tcp.lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|it| it.len() > 9 && it[2].ends_with(&port) && it[3] == "01")
        .filter(|it| inodes.iter().any(|inode| inode == it[9]))
        .count()
}

#[test]
fn many_watches_deliver_and_nothing_waits_behind_them() {
    let scene = Scene::new("streams");
    let path = format!("/api/v1/namespaces/{}/configmaps", scene.dev);
    let authorization = format!("Bearer {}", scene.agent.token);
    let headers = [("Authorization", authorization.as_str())];
    let mut watches: Vec<Connection> = (0..WATCHES)
        .map(|_| {
            let mut watch = Connection::open(&scene.shield.agent_url, &scene.shield.ca())
                .expect("a connection");
            let target = format!("{path}?watch=1&fieldSelector=metadata.name%3Dnews");
            watch.request("GET", &target, &headers, b"").expect("a request");
            assert!(watch.head().expect("a head").starts_with("HTTP/1.1 200"));
            watch
        })
        .collect();
    let (_, port) = scene.cluster.host_and_port();
    let shared = connections_to(scene.shield.pid(), port);
    assert!(shared > 0, "no connection to the API server was found");
    assert!(shared < WATCHES / 4, "{WATCHES} watches use {shared} connections");

    let read = scene.shield.request(&scene.agent, "GET", &path, None, b"");
    assert_eq!(read.status, 200, "a read beside them");
    let news = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "news", "namespace": scene.dev},
    });
    scene.cluster.apply(&news).expect("a config map");
    for watch in &mut watches {
        let event = watch.chunk().expect("an event").expect("an event");
        assert!(String::from_utf8_lossy(&event).contains("ADDED"));
    }
    drop(watches);
    wait_until(Duration::from_secs(60), "the watches end upstream too", || {
        let path = "apiserver_longrunning_requests{";
        let metrics = scene.cluster.kubectl().args(["get", "--raw", "/metrics"]).output().ok()?;
        let metrics = String::from_utf8_lossy(&metrics.stdout).into_owned();
        let open: f64 = metrics
            .lines()
            .filter(|it| it.starts_with(path) && it.contains("resource=\"configmaps\""))
            .filter_map(|it| it.rsplit(' ').next()?.parse::<f64>().ok())
            .sum();
        (open < WATCHES as f64 / 2.0).then_some(())
    });
}

#[test]
fn who_has_too_much_under_way_is_told_so() {
    let scene = Scene::new("bounds");
    let shield = Shield::start(
        scene.cluster,
        &["--requests-per-agent", "3", "--holds-per-agent", "2", "--hold-open", "1s"],
    );
    let path = format!("/api/v1/namespaces/{}/configmaps", scene.dev);
    let authorization = format!("Bearer {}", scene.agent.token);
    let headers = [("Authorization", authorization.as_str())];
    let watches: Vec<Connection> = (0..3)
        .map(|_| {
            let mut watch =
                Connection::open(&shield.agent_url, &shield.ca()).expect("a connection");
            watch.request("GET", &format!("{path}?watch=1"), &headers, b"").expect("a request");
            assert!(watch.head().expect("a head").starts_with("HTTP/1.1 200"));
            watch
        })
        .collect();
    let refused = shield.request(&scene.agent, "GET", &path, None, b"");
    assert_eq!((refused.status, refused.json()["reason"].as_str()), (429, Some("TooManyRequests")));
    assert!(refused.header("retry-after").is_some());
    let other = scene.cluster.cluster_agent(&scene.dev, "other", &json!([])).expect("an agent");
    assert_eq!(shield.request(&other, "GET", "/version", None, b"").status, 200, "another agent");
    drop(watches);
    wait_until(Duration::from_secs(60), "its places are free again", || {
        (shield.request(&scene.agent, "GET", &path, None, b"").status == 200).then_some(())
    });

    for (n, want) in
        [(1, "holds this request"), (2, "holds this request"), (3, "wait for a reviewer already")]
    {
        let namespace = scene.cluster.unique("bounds-hold");
        scene.cluster.apply(&cluster::namespace(&namespace, "production")).expect("a namespace");
        let answer = shield.request(
            &scene.agent,
            "DELETE",
            &format!("/api/v1/namespaces/{namespace}"),
            None,
            b"",
        );
        assert_eq!(answer.status, 429, "{n}: {}", answer.text());
        assert!(answer.text().contains(want), "{n}: {}", answer.text());
    }
}
