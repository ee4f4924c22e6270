//! Requests that are answered before their body is whole: a client that writes first and reads then sees the
//! answer, and not the end of its connection.

use std::{fs, process::Command};

use cluster::Scene;
use serde_json::Value;
use testkit::http::Connection;

/// Far more than fits into the buffers on the way, and than may be sent.
const BODY_BYTES: usize = 12 << 20;

#[test]
fn who_writes_first_reads_the_answer() {
    let scene = Scene::new("early");
    let (shield, body) = (&scene.shield, vec![b' '; BODY_BYTES]);
    let maps = format!("/api/v1/namespaces/{}/configmaps", scene.dev);
    let own = format!("Bearer {}", scene.agent.token);
    let large = "a".repeat(70_000);
    let json = ("Content-Type", "application/json");
    let (known, unknown) = (("Authorization", own.as_str()), ("Authorization", "Bearer made-up"));
    type Row<'a> = (String, Vec<(&'a str, &'a str)>, u16);
    let table: [Row<'_>; 5] = [
        (maps.clone(), vec![known, json], 413),
        (maps.clone(), vec![unknown, json], 401),
        (format!("{maps}?timeout=1s&timeout=2s"), vec![known, json], 400),
        (maps.clone(), vec![known, json, ("Impersonate-User", "x")], 403),
        (maps.clone(), vec![known, json, ("X-Large", large.as_str())], 431),
    ];
    for (target, headers, want) in &table {
        let mut connection =
            Connection::open(&shield.agent_url, &shield.ca()).expect("a connection");
        connection.request("POST", target, headers, &body).expect("the whole body is taken");
        let answer = connection.answer().expect("an answer");
        assert_eq!(answer.status, *want, "{}", answer.text());
        assert_eq!(answer.json()["code"], *want, "{}", answer.text());
        // What was discarded is not read as another request.
        connection.request("GET", &maps, &[known], b"").expect("the connection goes on");
        assert_eq!(connection.answer().expect("an answer").status, 200, "after {want}");
    }
}

#[test]
fn curl_sees_the_answer_in_either_protocol() {
    let scene = Scene::new("early-curl");
    let file = scene.shield.data_dir().join("body");
    fs::write(&file, vec![b' '; BODY_BYTES]).expect("a file");
    let target = format!("{}/api/v1/namespaces/{}/configmaps", scene.shield.agent_url, scene.dev);
    for protocol in ["--http1.1", "--http2"] {
        // curl waits to be told to continue unless it is told not to.
        for expect in ["Expect:", "Expect: 100-continue"] {
            let output = Command::new("curl")
                .args([
                    "--silent",
                    "--show-error",
                    protocol,
                    "--request",
                    "POST",
                    "--header",
                    expect,
                ])
                .arg("--cacert")
                .arg(scene.shield.ca())
                .args(["--header", &format!("Authorization: Bearer {}", scene.agent.token)])
                .args(["--header", "Content-Type: application/json", "--data-binary"])
                .arg(format!("@{}", file.display()))
                .arg(&target)
                .output()
                .expect("curl");
            let what = format!("{protocol} {expect}");
            assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
            let status: Value = serde_json::from_slice(&output.stdout).expect("a Status");
            assert_eq!(status["code"], 413, "{what}: {status}");
        }
    }
}
