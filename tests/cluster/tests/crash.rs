//! What survives: a hold survives kill -9, an approval is spent once, a store that cannot write
//! stops writes alone, and a stop tells those who wait to come again.

use std::time::Duration;

use cluster::{Scene, SlowWebhook, deployment};
use testkit::wait_until;

#[test]
fn a_hold_survives_a_kill_and_runs_once() {
    let mut scene = Scene::new("kill");
    scene.cluster.apply(&deployment(&scene.prod, "web", 2)).expect("a deployment");
    let kubeconfig = scene.shield.kubeconfig(&scene.agent);
    let delete = |scene: &Scene| {
        let mut command = scene.cluster.kubectl_as(&kubeconfig);
        command.args(["-n", &scene.prod, "delete", "deployment", "web"]);
        command.spawn().expect("kubectl")
    };
    let mut first = delete(&scene);
    let hold = scene.pending(&scene.prod, "web");
    let id = hold["id"].as_str().unwrap_or_default().to_owned();
    scene.shield.kill9();
    assert!(!first.wait().expect("kubectl").success());
    scene.shield.restart();
    assert_eq!(scene.pending(&scene.prod, "web")["id"], id.as_str());

    let mut second = delete(&scene);
    wait_until(Duration::from_secs(20), "the same command waits on the same hold", || {
        (scene.pending(&scene.prod, "web")["waiting"] == 1).then_some(())
    });
    scene.decide("approve", &id, "yes");
    assert!(second.wait().expect("kubectl").success());
    let target = format!("/apis/apps/v1/namespaces/{}/deployments/web", scene.prod);
    let ran = scene.cluster.audit_events(|event| {
        event["verb"] == "delete"
            && event["requestURI"] == target.as_str()
            && event["requestObject"]["dryRun"].is_null()
    });
    assert_eq!(ran.len(), 1, "{ran:?}");
    // The approval is spent: the next identical request is a new question.
    scene.cluster.apply(&deployment(&scene.prod, "web", 2)).expect("a deployment");
    let mut third = delete(&scene);
    let hold = scene.pending(&scene.prod, "web");
    assert_ne!(hold["id"], id.as_str());
    scene.decide("deny", hold["id"].as_str().unwrap_or_default(), "");
    assert!(!third.wait().expect("kubectl").success());
}

#[test]
fn an_agent_that_left_runs_nothing_until_it_comes_back() {
    let scene = Scene::new("left");
    scene.cluster.apply(&deployment(&scene.prod, "web", 2)).expect("a deployment");
    let kubeconfig = scene.shield.kubeconfig(&scene.agent);
    let args = ["-n", scene.prod.as_str(), "delete", "deployment", "web"];
    let mut child = scene.cluster.kubectl_as(&kubeconfig).args(args).spawn().expect("kubectl");
    let hold = scene.pending(&scene.prod, "web");
    child.kill().expect("a kubectl to kill");
    child.wait().expect("its end");
    wait_until(Duration::from_secs(20), "nobody waits", || {
        (scene.pending(&scene.prod, "web")["waiting"] == 0).then_some(())
    });
    scene.decide("approve", hold["id"].as_str().unwrap_or_default(), "when it comes back");
    let target = format!("/apis/apps/v1/namespaces/{}/deployments/web", scene.prod);
    scene.lets_a_later_write_pass();
    assert!(scene.ran(hold["auditID"].as_str().unwrap_or_default()).is_empty());
    assert!(scene.cluster.get(&target).is_some());
    let status = scene.cluster.kubectl_as(&kubeconfig).args(args).status().expect("kubectl");
    assert!(status.success());
    wait_until(Duration::from_secs(20), "it is gone", || {
        scene.cluster.get(&target).is_none().then_some(())
    });
}

#[test]
fn what_changed_since_the_approval_is_asked_again() {
    let scene = Scene::new("drift");
    scene.cluster.apply(&deployment(&scene.prod, "web", 4)).expect("a deployment");
    let kubeconfig = scene.shield.kubeconfig(&scene.agent);
    let args = ["-n", scene.prod.as_str(), "scale", "deployment", "web", "--replicas", "0"];
    let mut child = scene.cluster.kubectl_as(&kubeconfig).args(args).spawn().expect("kubectl");
    let hold = scene.pending(&scene.prod, "web");
    let id = hold["id"].as_str().unwrap_or_default();
    let four = scene.shield.decision(&scene.reviewer, "approve", id, "four is little");
    let more = scene.cluster.kubectl_says(&[
        "-n",
        &scene.prod,
        "scale",
        "deployment",
        "web",
        "--replicas",
        "9",
    ]);
    assert!(more.is_some());
    let approved = { four }.output().expect("a CLI");
    // The look before the decision finds out, or the one before the send.
    assert!(matches!(approved.status.code(), Some(6 | 10)), "{approved:?}");
    let drifted = scene.shield.hold(&scene.reviewer, "the drifted hold", |hold| {
        hold["id"] == id && hold["state"] == "pending" && hold["drifts"] == 1
    });
    assert!(drifted["effects"].to_string().contains("9"), "{drifted}");
    let target = format!("/apis/apps/v1/namespaces/{}/deployments/web", scene.prod);
    assert_eq!(scene.cluster.get(&target).map(|it| it["spec"]["replicas"].clone()), Some(9.into()));
    scene.decide("deny", id, "not nine");
    assert!(!child.wait().expect("kubectl").success());
}

#[test]
fn a_store_that_cannot_write_stops_writes_alone() {
    let scene = Scene::new("store");
    let database = scene.shield.data_dir().join("agent-shield.db");
    let lock = rusqlite::Connection::open(&database).expect("the database");
    lock.execute_batch("BEGIN IMMEDIATE").expect("its lock");
    let maps = format!("/api/v1/namespaces/{}/configmaps", scene.dev);
    let body = br#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"}}"#;
    let json = Some("application/json");
    let answer = scene.shield.request(&scene.agent, "POST", &maps, json, body);
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(scene.cluster.get(&format!("{maps}/x")).is_none());
    assert_eq!(scene.shield.request(&scene.agent, "GET", &maps, None, b"").status, 200);
    lock.execute_batch("ROLLBACK").expect("its end");
    let answer = scene.shield.request(&scene.agent, "POST", &maps, json, body);
    assert_eq!(answer.status, 201, "{}", answer.text());
    wait_until(Duration::from_secs(20), "the read made meanwhile is recorded", || {
        let calls = scene.shield.cli_json(&scene.reviewer, &["timeline", "--verb", "list"]);
        (!calls["items"].as_array()?.is_empty()).then_some(())
    });
}

#[test]
fn a_stop_tells_those_who_wait_to_come_again() {
    let mut scene = Scene::new("stop");
    scene.cluster.apply(&deployment(&scene.prod, "web", 2)).expect("a deployment");
    let target = format!("/apis/apps/v1/namespaces/{}/deployments/web", scene.prod);
    let mut connection =
        testkit::http::Connection::open(&scene.shield.agent_url, &scene.shield.ca()).expect("TLS");
    let authorization = format!("Bearer {}", scene.agent.token);
    connection
        .request("DELETE", &target, &[("Authorization", &authorization)], b"")
        .expect("a request");
    let hold = scene.pending(&scene.prod, "web");
    let stopped = scene.shield.terminate();
    assert!(stopped.success(), "{stopped}");
    let answer = connection.answer().expect("an answer before the end");
    assert_eq!(answer.status, 429, "{}", answer.text());
    assert!(answer.header("retry-after").is_some());
    scene.shield.restart();
    assert_eq!(scene.pending(&scene.prod, "web")["id"], hold["id"]);
}

#[test]
fn what_was_sent_when_it_was_killed_is_unknown_and_never_sent_again() {
    let mut scene = Scene::new("unknown");
    scene.cluster.apply(&deployment(&scene.prod, "web", 2)).expect("a deployment");
    let target = format!("/apis/apps/v1/namespaces/{}/deployments/web", scene.prod);
    // The API server answers real deletes of this namespace only when the webhook lets go.
    let webhook = SlowWebhook::start(scene.cluster, &scene.prod);
    let kubeconfig = scene.shield.kubeconfig(&scene.agent);
    let args = ["-n", scene.prod.as_str(), "delete", "deployment", "web"];
    let mut child = scene.cluster.kubectl_as(&kubeconfig).args(args).spawn().expect("kubectl");
    let hold = scene.pending(&scene.prod, "web");
    let id = hold["id"].as_str().unwrap_or_default().to_owned();
    scene.decide("approve", &id, "go");
    webhook.wait_for_a_real_request();
    scene.shield.kill9();
    assert!(!child.wait().expect("kubectl").success());
    scene.shield.restart();
    let holds = scene.shield.cli_json(&scene.reviewer, &["holds", "--state", "unknown"]);
    assert_eq!(holds["items"][0]["id"], id.as_str(), "{holds}");
    webhook.let_go();
    // Whatever became of it, nothing was sent a second time.
    wait_until(Duration::from_secs(40), "the API server is done with it", || {
        (!scene.ran(hold["auditID"].as_str().unwrap_or_default()).is_empty()).then_some(())
    });
    // A second send would follow on its own, before what is asked later.
    scene.lets_a_later_write_pass();
    let ran = scene.cluster.audit_events(|event| {
        event["verb"] == "delete"
            && event["requestURI"] == target.as_str()
            && event["requestObject"]["dryRun"].is_null()
    });
    assert_eq!(ran.len(), 1, "{ran:?}");
    let output = scene.shield.decision(&scene.reviewer, "approve", &id, "").output();
    assert_eq!(output.expect("a CLI").status.code(), Some(6));
}
