//! What an agent learns while a person decides, what it may do about its own holds, and what a reviewer sees who
//! looks again.

use std::{thread, time::Duration};

use cluster::{Scene, deployment};
use serde_json::{Value, json};
use testkit::{
    Agent, Shield,
    http::{self, Answer},
    wait_until,
};

const TIME_MAX: Duration = Duration::from_secs(60);
const JSON: Option<&str> = Some("application/json");
const MERGE: Option<&str> = Some("application/merge-patch+json");

struct Asking {
    scene: Scene,
    apps: String,
}

impl Asking {
    fn new(name: &str, args: &[&str]) -> Self {
        let mut scene = Scene::new(name);
        if !args.is_empty() {
            scene.shield = Shield::start(scene.cluster, args);
        }
        let apps = format!("/apis/apps/v1/namespaces/{}/deployments", scene.prod);
        Self { scene, apps }
    }

    /// A Deployment of production, by its target.
    fn has(&self, name: &str) -> String {
        let object = deployment(&self.scene.prod, name, 4);
        self.scene.cluster.apply(&object).expect("a Deployment");
        format!("{}/{name}", self.apps)
    }

    fn asks(&self, method: &str, target: &str) -> Answer {
        self.asks_as(&self.scene.agent, method, target)
    }

    fn asks_as(&self, agent: &Agent, method: &str, target: &str) -> Answer {
        self.scene.shield.request(agent, method, target, JSON, b"")
    }

    fn says(&self, args: &[&str]) -> String {
        let output =
            self.scene.shield.cli(&self.scene.reviewer).args(args).output().expect("a CLI");
        let text = [output.stdout, output.stderr].concat();
        String::from_utf8_lossy(&text).into_owned()
    }
}

/// The hold that an answer names, and how it says that this stands.
fn named(answer: &Answer) -> (String, String) {
    let cause = &answer.json()["details"]["causes"][0];
    assert_eq!(cause["field"], "hold", "{}", answer.text());
    let text = |field: &str| cause[field].as_str().expect("a text").to_owned();
    (text("message"), text("reason"))
}

fn own(id: &str) -> String {
    format!("/.well-known/agent-shield/holds/{id}")
}

#[test]
fn a_client_whose_time_ends_is_told_what_it_waits_for() {
    let asking = Asking::new("asking", &[]);
    let target = format!("{}?timeout=2s", asking.has("web"));
    let answer = asking.asks("DELETE", &target);
    let (id, reason) = named(&answer);
    assert_eq!((answer.status, reason.as_str()), (403, "HoldPending"), "{}", answer.text());
    assert_eq!(answer.header("retry-after"), None, "a client would sleep past its own deadline");
    let message = answer.json()["message"].as_str().expect("a message").to_owned();
    let said = ["not executed", "a person must decide", &id, "until 20", "Do not try another way"];
    assert!(said.iter().all(|it| message.contains(it)), "{message}");

    // As a person or a model reads it.
    let scene = &asking.scene;
    let kubectl = scene
        .cluster
        .kubectl_as(&scene.shield.kubeconfig(&scene.agent))
        .args(["-n", &scene.prod, "--request-timeout=3s", "delete", "deployment", "web"])
        .output()
        .expect("kubectl");
    let told = String::from_utf8_lossy(&kubectl.stderr).into_owned();
    assert!(told.contains("not executed; a person must decide"), "{told}");

    scene.decide("approve", &id, "");
    assert_eq!(asking.asks("DELETE", &target).status, 200, "the same again runs");
    // Who reads of the first call later is not told that it waits still.
    let told = asking.says(&["timeline", "--hold", &id]);
    assert!(told.contains("hold (asked again: done)"), "{told}");
    assert!(!told.contains("pending"), "{told}");
}

#[test]
fn what_expired_is_told_to_who_comes_again() {
    let asking = Asking::new("expired", &["--hold-deadline", "2s"]);
    let target = format!("{}?timeout=1s", asking.has("web"));
    let (first, _) = named(&asking.asks("DELETE", &target));
    wait_until(TIME_MAX, "it has expired", || {
        let shown = asking.scene.shield.cli_json(&asking.scene.reviewer, &["show", &first]);
        (shown["state"] == "expired").then_some(())
    });
    let told = asking.asks("DELETE", &target);
    assert_eq!(named(&told), (first.clone(), "HoldExpired".into()), "{}", told.text());
    let (second, reason) = named(&asking.asks("DELETE", &target));
    assert_ne!(second, first, "asked again, it is asked anew");
    assert_eq!(reason, "HoldPending");
}

#[test]
fn an_approval_that_nobody_used_is_told_as_one() {
    let asking = Asking::new("lapsed", &["--grant-time", "2s"]);
    let target = format!("{}?timeout=1s", asking.has("web"));
    let (id, _) = named(&asking.asks("DELETE", &target));
    asking.scene.decide("approve", &id, "");
    wait_until(TIME_MAX, "its approval has ended", || {
        let shown = asking.scene.shield.cli_json(&asking.scene.reviewer, &["show", &id]);
        (shown["state"] == "expired").then_some(())
    });
    let told = asking.asks("DELETE", &target);
    assert_eq!(named(&told), (id, "HoldExpired".into()), "{}", told.text());
    let text = told.text();
    assert!(text.contains("was approved, but its approval was not used before 20"), "{text}");
}

#[test]
fn an_agent_gives_up_what_it_no_longer_wants() {
    let asking = Asking::new("give-up", &[]);
    let scene = &asking.scene;
    let target = asking.has("web");
    let stranger = scene.cluster.cluster_agent(&scene.dev, "stranger", &cluster::all_rights());
    let stranger = stranger.expect("an agent");
    thread::scope(|threads| {
        let waits = threads.spawn(|| asking.asks("DELETE", &target));
        let hold = scene.pending(&scene.prod, "web");
        let id = hold["id"].as_str().expect("an id").to_owned();
        let seen = asking.asks("GET", &own(&id)).json();
        assert_eq!((&seen["kind"], &seen["state"]), (&json!("AgentHold"), &json!("pending")));
        assert_eq!(seen["missing"], "1 approval", "{seen}");

        for method in ["GET", "DELETE"] {
            let answer = asking.asks_as(&stranger, method, &own(&id));
            assert_eq!(answer.status, 404, "another's: {}", answer.text());
        }
        for wrong in ["nope", ""] {
            assert_eq!(asking.asks("DELETE", &own(wrong)).status, 404, "{wrong}");
        }
        let tried = asking.asks("DELETE", &format!("{}?dryRun=All", own(&id)));
        assert_eq!((tried.status, &tried.json()["state"]), (200, &json!("pending")));
        let given_up = asking.asks("DELETE", &own(&id));
        assert_eq!((given_up.status, &given_up.json()["state"]), (200, &json!("cancelled")));
        let ended = waits.join().expect("an answer");
        assert_eq!(named(&ended), (id.clone(), "HoldCancelled".into()), "{}", ended.text());
        assert_eq!(asking.asks("DELETE", &own(&id)).status, 409, "it is given up once");

        let approved = scene.shield.decide(&scene.reviewer, "approve", &id, "");
        assert!(approved.is_err(), "nobody approves it any more");
        assert!(asking.says(&["show", &id]).contains("Its agent gave it up"));
        assert!(scene.cluster.get(&target).is_some());
    });
    let calls =
        scene.shield.cli_json(&scene.reviewer, &["timeline", "--writes", "--verb", "delete"]);
    let is_it = |call: &Value| {
        call["request"]["requestURI"].as_str().is_some_and(|it| it.contains("/holds/"))
    };
    assert!(calls["items"].as_array().expect("calls").iter().any(is_it), "{calls}");
}

#[test]
fn a_dry_run_says_that_the_call_itself_would_wait() {
    let asking = Asking::new("dry-run", &[]);
    let scene = &asking.scene;
    let target = asking.has("web");
    let tried = asking.asks("DELETE", &format!("{target}?dryRun=All"));
    let warning = tried.header("warning").unwrap_or_default().to_owned();
    assert_eq!(tried.status, 200, "{}", tried.text());
    assert!(
        warning.contains("without dryRun, this waits for a person's approval (delete-workload)"),
        "{warning}"
    );
    let scales = |body: &[u8]| {
        let dry_run = format!("{target}?dryRun=All");
        scene.shield.request(&scene.agent, "PATCH", &dry_run, MERGE, body)
    };
    let scaled = scales(br#"{"spec":{"replicas":0}}"#);
    let warning = scaled.header("warning").unwrap_or_default().to_owned();
    assert!(warning.contains("scale-down-drastic"), "{warning}");
    let harmless = scales(br#"{"spec":{"replicas":5}}"#);
    assert_eq!((harmless.status, harmless.header("warning")), (200, None));
    let holds = scene.shield.cli_json(&scene.reviewer, &["holds", "--state", "all"]);
    assert_eq!(holds["items"], json!([]), "a dry run is never held");
}

#[test]
fn an_agents_reason_is_shown_as_its_own_word() {
    let asking = Asking::new("reason", &[]);
    let scene = &asking.scene;
    let target = asking.has("web");
    let authorization = format!("Bearer {}", scene.agent.token);
    let headers = [
        ("Authorization", authorization.as_str()),
        ("Agent-Shield-Reason", "CHG-42: p\u{430}ds leak"),
    ];
    let timed = format!("{target}?timeout=1s");
    let url = &scene.shield.agent_url;
    let answer = http::request(url, &scene.shield.ca(), "DELETE", &timed, &headers, b"");
    let (id, _) = named(&answer.expect("an answer"));
    let shown = asking.says(&["show", &id]);
    assert!(shown.contains("Says why   CHG-42: p\\u{430}ds leak"), "{shown}");

    let body = json!({
        "spec": {"replicas": 0},
        "metadata": {"annotations": {"agent-shield.io/reason": "CHG-43"}},
    });
    let body = body.to_string();
    let answer = scene.shield.request(&scene.agent, "PATCH", &timed, MERGE, body.as_bytes());
    let (id, _) = named(&answer);
    let shown = asking.says(&["show", &id]);
    assert!(shown.contains("Says why   CHG-43"), "{shown}");

    // To say why makes no more of a call than it is.
    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "web", "annotations": {"agent-shield.io/reason": "CHG-44"}},
        "spec": {"selector": {"app": "none"}, "ports": [{"port": 80}]},
    });
    let services = format!("/api/v1/namespaces/{}/services?timeout=1s", scene.dev);
    let body = service.to_string();
    let made = scene.shield.request(&scene.agent, "POST", &services, JSON, body.as_bytes());
    assert_eq!(made.status, 201, "{}", made.text());
}

#[test]
fn a_dry_run_is_one_where_the_api_server_takes_it_for_one() {
    let asking = Asking::new("pretended", &[]);
    let scene = &asking.scene;
    let token = format!("/api/v1/namespaces/{}/serviceaccounts/default/token", scene.dev);
    let body = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": {"audiences": ["elsewhere"], "expirationSeconds": 600},
    });
    let body = body.to_string();
    let pretended = format!("{token}?dryRun=All&timeout=1s");
    let asks = || scene.shield.request(&scene.agent, "POST", &pretended, JSON, body.as_bytes());
    let (id, _) = named(&asks());
    scene.decide("approve", &id, "");
    let minted = asks();
    assert_eq!(minted.status, 201, "{}", minted.text());
    assert!(minted.json()["status"]["token"].is_string(), "a token that is real");

    let config_maps = format!("/api/v1/namespaces/{}/configmaps?dryRun=All", scene.dev);
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "tried"}});
    let object = object.to_string();
    let tried = scene.shield.request(&scene.agent, "POST", &config_maps, JSON, object.as_bytes());
    assert_eq!(tried.status, 201, "{}", tried.text());

    let calls = scene.shield.cli_json(&scene.reviewer, &["timeline", "--verb", "create"]);
    let dry_run_of = |resource: &str| {
        let calls = calls["items"].as_array().expect("a list").iter();
        let mut requests = calls.map(|it| &it["request"]);
        let found = requests.rfind(|it| it["resource"] == resource);
        found.unwrap_or_else(|| panic!("no {resource}"))["dryRun"] == true
    };
    assert!(!dry_run_of("serviceaccounts"));
    assert!(dry_run_of("configmaps"));
}

#[test]
fn who_looks_sees_what_it_would_do_now() {
    let asking = Asking::new("look-again", &[]);
    let scene = &asking.scene;
    let target = asking.has("web");
    let body = br#"{"spec":{"replicas":0}}"#;
    thread::scope(|threads| {
        let waits =
            threads.spawn(|| scene.shield.request(&scene.agent, "PATCH", &target, MERGE, body));
        let hold = scene.pending(&scene.prod, "web");
        let id = hold["id"].as_str().expect("an id");
        let scale = ["-n", &scene.prod, "scale", "deployment", "web", "--replicas=6"];
        scene.cluster.kubectl_says(&scale).expect("scaled");
        let shown = scene.shield.cli_json(&scene.reviewer, &["show", id]);
        let change = &shown["preview"]["changes"][0];
        assert_eq!((&change["old"], &change["new"]), (&json!("6"), &json!("0")), "{shown}");
        assert!(shown["look"]["at"].is_string(), "{shown}");
        let list = asking.says(&["holds"]);
        assert!(list.contains("drifted"), "{list}");

        let scale = ["-n", &scene.prod, "scale", "deployment", "web", "--replicas=0"];
        scene.cluster.kubectl_says(&scale).expect("scaled");
        wait_until(TIME_MAX, "a look finds it done", || {
            let shown = scene.shield.cli_json(&scene.reviewer, &["show", id]);
            (shown["look"]["notHeld"] == true).then_some(())
        });
        assert!(asking.says(&["show", id]).contains("No rule would hold it now"));

        let delete = ["-n", &scene.prod, "delete", "deployment", "web"];
        scene.cluster.kubectl_says(&delete).expect("gone");
        wait_until(TIME_MAX, "a look finds nothing to change", || {
            let shown = scene.shield.cli_json(&scene.reviewer, &["show", id]);
            (shown["look"]["refused"] == 404).then_some(())
        });
        assert!(asking.says(&["show", id]).contains("The API server would refuse it now: 404."));
        scene.decide("deny", id, "it is gone");
        assert_eq!(waits.join().expect("an answer").status, 403);
    });

    // Whoever has left cannot be asked what it would do now.
    let left = format!("{}?timeout=1s", asking.has("left"));
    let (id, _) = named(&asking.asks("DELETE", &left));
    let shown = asking.says(&["show", &id]);
    assert!(shown.contains("Seen when it was last asked for"), "{shown}");
}
