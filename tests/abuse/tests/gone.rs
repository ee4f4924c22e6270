//! Clients that leave before they are answered: nothing that they asked is missing from the record.

use std::{collections::BTreeMap, time::Duration};

use abuse::is_closed;
use cluster::{Scene, deployment};
use serde_json::Value;
use testkit::{http::Connection, wait_until};

/// Writes whose clients leave at once.
const WRITES: usize = 28;

#[test]
fn a_write_whose_client_leaves_is_recorded() {
    let scene = Scene::new("gone");
    let shield = &scene.shield;
    scene.cluster.apply(&deployment(&scene.prod, "victim", 1)).expect("a deployment");
    let target = format!("/apis/apps/v1/namespaces/{}/deployments/victim", scene.prod);
    let mut connections: Vec<Connection> = (0..WRITES)
        .map(|n| {
            let mut connection =
                Connection::open(&shield.agent_url, &shield.ca()).expect("a connection");
            let head = format!(
                "DELETE {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
                 User-Agent: gone-{n}\r\n\r\n",
                scene.agent.token
            );
            connection.send(head.as_bytes()).expect("a request");
            connection.half_close().expect("half a connection");
            connection
        })
        .collect();
    assert!(connections.iter_mut().all(is_closed), "nobody is answered who has left");
    let calls = wait_until(Duration::from_secs(30), "each of them is in the record", || {
        let args = ["timeline", "--writes", "-n", &scene.prod, "--object", "victim"];
        let calls = by_client(&shield.cli_json(&scene.reviewer, &args));
        let open = calls.values().filter(|it| it["outcome"] == "open").count();
        eprintln!("{} of {WRITES} are recorded, {open} open", calls.len());
        (calls.len() == WRITES && calls.values().all(|it| it["outcome"] != "open")).then_some(calls)
    });
    let gone = calls.values().filter(|it| it["outcome"] == "clientGone");
    assert!(gone.clone().count() > 0, "{calls:#?}");
    for call in gone {
        assert_eq!(call["user"]["username"], scene.agent.username.as_str(), "{call:#}");
        assert_eq!((&call["code"], &call["request"]["verb"]), (&0.into(), &"delete".into()));
    }
    // What was asked of the API server in their name belongs to them.
    let all = shield.cli_json(&scene.reviewer, &["timeline", "-n", &scene.prod, "--probes"]);
    let ids: Vec<&Value> = calls.values().map(|call| &call["auditID"]).collect();
    let probes =
        all["items"].as_array().expect("calls").iter().filter(|it| it["probeOf"] != Value::Null);
    assert!(probes.clone().all(|it| ids.contains(&&it["probeOf"])), "{all:#}");
    assert!(scene.cluster.get(&target).is_some(), "and nothing ran");
}

/// Calls by the word that their client has for itself.
fn by_client(calls: &Value) -> BTreeMap<String, Value> {
    let calls = calls["items"].as_array().into_iter().flatten();
    let named = calls.map(|it| (it["request"]["userAgent"].as_str().unwrap_or_default(), it));
    let ours = named.filter(|(name, _)| name.starts_with("gone-"));
    ours.map(|(name, it)| (name.to_owned(), it.clone())).collect()
}
