//! Two proxies on one store are one agent-shield: they never make two holds of one request, decide and
//! run each other's holds, and see each other's freezes, answers and windows.

use std::{process::Stdio, thread, time::Duration};

use cluster::{Replicas, SlowWebhook, deployment};
use serde_json::{Value, json};
use testkit::{http, wait_until};

const TIME_MAX: Duration = Duration::from_secs(60);

fn web(replicas: &Replicas) -> String {
    let made = replicas.cluster.apply(&deployment(&replicas.prod, "web", 2));
    made.expect("a deployment");
    format!("/apis/apps/v1/namespaces/{}/deployments/web", replicas.prod)
}

fn id(hold: &Value) -> String {
    hold["id"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn identical_requests_at_once_through_both_make_one_hold_and_run_once() {
    let replicas = Replicas::start("one-hold", &[]);
    let target = web(&replicas);
    let (a, b) = (&replicas.a, &replicas.b);
    thread::scope(|threads| {
        let through = |at| {
            let (replicas, target) = (&replicas, &target);
            threads.spawn(move || replicas.request(at, "DELETE", target, None))
        };
        let waiting = [through(a), through(b), through(a), through(b)];
        let hold = replicas.hold(a, "pending", 4);
        assert_eq!(replicas.hold(b, "pending", 4), hold, "both show the same");
        assert_eq!(replicas.holds(a, "all").len(), 1);
        // Made at one of them, decided at the other, run where somebody waits, told to all.
        replicas.decide(b, "approve", &id(&hold));
        for waiting in waiting {
            let answer = waiting.join().expect("an answer");
            assert_eq!(answer.status, 200, "{}", answer.text());
            let warning = answer.header("warning").unwrap_or_default();
            assert!(warning.contains("approved by one-hold-reviewer"), "{warning}");
        }
    });
    assert_eq!(replicas.count_real("delete", &target), 1);
    assert_eq!(replicas.hold(a, "done", 0)["code"], 200);
}

#[test]
fn a_hold_runs_where_its_agent_waits_or_comes_again() {
    let replicas = Replicas::start("runs", &[]);
    let target = web(&replicas);
    let (a, b) = (&replicas.a, &replicas.b);
    let ran = thread::scope(|threads| {
        let waiting = threads.spawn(|| replicas.request(a, "DELETE", &target, None));
        let hold = replicas.hold(b, "pending", 1);
        replicas.decide(b, "approve", &id(&hold));
        waiting.join().expect("an answer")
    });
    assert_eq!(ran.status, 200, "{}", ran.text());
    assert_eq!(replicas.count_real("delete", &target), 1);

    // Its client has gone when it is approved, and comes again elsewhere.
    web(&replicas);
    let brief = format!("{target}?timeout=1s");
    let asked = replicas.request(a, "DELETE", &brief, None);
    assert_eq!(asked.held_or_status(), 429, "{}", asked.text());
    let hold = replicas.hold(b, "pending", 0);
    replicas.decide(a, "approve", &id(&hold));
    assert_eq!(replicas.count_real("delete", &target), 1, "nobody is there to run it");
    let again = replicas.request(b, "DELETE", &brief, None);
    assert_eq!(again.status, 200, "{}", again.text());
    assert_eq!(replicas.count_real("delete", &target), 2);

    // And a denial at one is an answer at the other, in whatever form it is asked again.
    web(&replicas);
    let denied = thread::scope(|threads| {
        let waiting = threads.spawn(|| replicas.request(b, "DELETE", &target, None));
        let hold = replicas.hold(a, "pending", 1);
        replicas.decide(a, "deny", &id(&hold));
        waiting.join().expect("an answer")
    });
    assert_eq!(denied.status, 403, "{}", denied.text());
    let options = json!({
        "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background",
    });
    let again = replicas.request(a, "DELETE", &target, Some(&options));
    assert_eq!(again.status, 403, "{}", again.text());
    assert!(again.text().contains("denied the same at"), "{}", again.text());
    assert!(replicas.cluster.get(&target).is_some());
}

#[test]
fn an_answer_that_reached_nobody_is_given_by_the_other() {
    let replicas = Replicas::start("answers", &[]);
    let target = web(&replicas);
    let webhook = SlowWebhook::start(replicas.cluster, &replicas.prod);
    let (a, b) = (&replicas.a, &replicas.b);
    let head = format!(
        "DELETE {target} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\n\r\n",
        replicas.agent.token
    );
    let ca = replicas.cluster.ca();
    let mut connection = http::Connection::open(&a.agent_url, &ca).expect("a connection");
    connection.send(head.as_bytes()).expect("a request");
    let hold = replicas.hold(a, "pending", 1);
    replicas.decide(a, "approve", &id(&hold));
    webhook.wait_for_a_real_request();
    // Its client goes in the middle of the send.
    drop(connection);
    replicas.hold(b, "running", 0);
    // It comes again elsewhere while the first one is still under way.
    let again = thread::scope(|threads| {
        let again = threads.spawn(|| replicas.request(b, "DELETE", &target, None));
        replicas.hold(a, "running", 1);
        webhook.let_go();
        again.join().expect("an answer")
    });
    assert_eq!(again.status, 200, "{}", again.text());
    let warning = again.header("warning").unwrap_or_default();
    assert!(warning.contains(&format!("hold {}", id(&hold))), "{warning}");
    assert_eq!(replicas.count_real("delete", &target), 1);
    assert_eq!(replicas.holds(a, "all").len(), 1, "the same request is the same hold");
}

#[test]
fn a_freeze_at_one_is_in_force_at_the_other() {
    let replicas = Replicas::start("frozen", &[]);
    let target = web(&replicas);
    let (a, b) = (&replicas.a, &replicas.b);
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "shell", "namespace": replicas.prod},
        "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "nginx:1.25"}]},
    });
    replicas.cluster.apply(&pod).expect("a pod");
    let path = format!("/api/v1/namespaces/{}/pods/shell", replicas.prod);
    wait_until(TIME_MAX, "the pod runs", || {
        (replicas.cluster.get(&path)?["status"]["phase"] == "Running").then_some(())
    });
    let kubeconfig = replicas.kubeconfig(b);
    let mut session = replicas
        .cluster
        .kubectl_as(&kubeconfig)
        .args(["-n", &replicas.prod, "exec", "shell", "--", "sleep", "600"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("kubectl");
    let hold = replicas.hold(b, "pending", 1);
    replicas.decide(a, "approve", &id(&hold));
    replicas.hold(b, "done", 0);

    let user = &replicas.agent.username;
    let waiting = thread::scope(|threads| {
        let waiting = threads.spawn(|| replicas.request(b, "DELETE", &target, None));
        replicas.hold(a, "pending", 1);
        let (code, text) = replicas.says(a, &["freeze", user, "--reason", "runs wild"]);
        assert_eq!(code, Some(0), "{text}");
        waiting.join().expect("an answer")
    });
    assert_eq!(waiting.status, 403, "{}", waiting.text());
    assert!(waiting.text().contains("froze this agent: runs wild"), "{}", waiting.text());
    wait_until(TIME_MAX, "the session at the other is cut", || {
        session.try_wait().expect("kubectl")
    });
    let maps = format!("/api/v1/namespaces/{}/configmaps", replicas.dev);
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}});
    assert_eq!(replicas.request(b, "POST", &maps, Some(&map)).status, 403);
    assert_eq!(replicas.request(b, "GET", &maps, None).status, 200, "reads go on");
    let (code, text) = replicas.says(b, &["thaw", user]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(replicas.request(a, "POST", &maps, Some(&map)).status, 201);
}

#[test]
fn a_rule_that_counts_counts_over_both() {
    let policy = json!({
        "apiVersion": "agent-shield.io/v1alpha1", "kind": "Policy",
        "metadata": {"name": "few"},
        "spec": {"rules": [{
            "name": "few-creates", "action": "deny",
            "when": "window.filter(it, it.kind == 'CreateInert').size() >= 2",
            "reason": "two are enough",
        }]},
    });
    let replicas = Replicas::start("window", &[policy]);
    let maps = format!("/api/v1/namespaces/{}/configmaps", replicas.dev);
    let create = |at, name: &str| {
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
        replicas.request(at, "POST", &maps, Some(&map))
    };
    let (a, b) = (&replicas.a, &replicas.b);
    for (at, name, want) in [(a, "one", 201), (b, "two", 201), (a, "three", 403), (b, "four", 403)]
    {
        let answer = create(at, name);
        assert_eq!(answer.status, want, "{name}: {}", answer.text());
    }
}
