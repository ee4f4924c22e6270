//! What went around agent-shield is found, however it is dressed up.

use std::thread;

use cluster::{Scene, deployment, list};
use serde_json::{Value, json};
use testkit::{Shield, http};

const MERGE: &str = "application/merge-patch+json";

/// Straight to the API server, under this audit id.
fn directly(scene: &Scene, audit_id: &str, method: &str, target: &str, body: &Value) -> u16 {
    let authorization = format!("Bearer {}", scene.agent.token);
    let mut headers = vec![("Authorization", authorization.as_str()), ("Audit-ID", audit_id)];
    let text = match body {
        Value::Null => String::new(),
        body => {
            headers.push(("Content-Type", MERGE));
            body.to_string()
        }
    };
    let (server, ca) = (scene.cluster.server(), scene.cluster.ca());
    http::request(server, &ca, method, target, &headers, text.as_bytes()).expect("an answer").status
}

/// Through agent-shield; the audit id that the API server tells.
fn through(scene: &Scene, method: &str, target: &str, body: &str) -> String {
    let media = (!body.is_empty()).then_some(MERGE);
    let answer = scene.shield.request(&scene.agent, method, target, media, body.as_bytes());
    assert_eq!(answer.status, 200, "{method} {target}: {}", answer.text());
    answer.header("audit-id").expect("an id").to_owned()
}

#[test]
fn an_id_that_is_used_again_and_a_body_of_any_kind_hide_nothing() {
    let scene = Scene::new("around");
    let map = |name: &str| {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {
            "name": name, "namespace": scene.prod, "labels": {"of": "many"}}})
    };
    let items = [deployment(&scene.prod, "web", 4), map("a"), map("b")];
    scene.cluster.apply(&list(&items)).expect("objects");
    let scale = format!("/apis/apps/v1/namespaces/{}/deployments/web/scale", scene.prod);
    let maps = format!("/api/v1/namespaces/{}/configmaps", scene.prod);

    // Each of these two runs once more than it was asked for.
    let id = through(&scene, "GET", &scale, "");
    let cut = json!({"spec": {"replicas": 0}});
    assert_eq!(directly(&scene, &id, "PATCH", &scale, &cut), 200);
    let id = through(&scene, "PATCH", &scale, r#"{"spec":{"replicas":5}}"#);
    assert_eq!(directly(&scene, &id, "PATCH", &scale, &cut), 200);
    // No reader of the log chokes on it.
    let deep = format!("{}1{}", r#"{"a":"#.repeat(200), "}".repeat(200));
    let odd = format!(r#"{{"metadata":{{"labels":{{"x":"y"}}}},"zz":{deep}}}"#);
    through(&scene, "PATCH", &format!("{maps}/a?dryRun=All"), &odd);
    // The objects of an approved collection are deleted one by one, under its id.
    let collection = format!("{maps}?labelSelector=of%3Dmany");
    thread::scope(|scope| {
        let delete = || scene.shield.request(&scene.agent, "DELETE", &collection, None, b"").status;
        let deleted = scope.spawn(delete);
        let hold = scene.pending(&scene.prod, "");
        scene.decide("approve", hold["id"].as_str().expect("an id"), "known");
        assert_eq!(deleted.join().expect("an answer"), 200);
    });

    let log = scene.cluster.dir().join("audit.log").display().to_string();
    let agent = scene.agent.username.as_str();
    for more in [&[][..], &["--writes"]] {
        let args = [&["timeline", "--audit-log", &log, "--agent", agent], more].concat();
        let all = scene.shield.cli_json(&scene.reviewer, &args);
        let around: Vec<&Value> = all["items"]
            .as_array()
            .expect("calls")
            .iter()
            .filter(|it| it["finding"] == "around")
            .collect();
        let asked = |it: &&&Value| it["cluster"]["requestURI"] == json!(scale);
        assert_eq!(around.iter().filter(asked).count(), 2, "{around:#?}");
        assert_eq!(around.len(), 2, "{around:#?}");
    }
}

/// The calls of an agent that another agent-shield sent, and those that went around, by their targets.
fn told(scene: &Scene, shield: &Shield) -> (Vec<String>, Vec<String>) {
    let log = scene.cluster.dir().join("audit.log").display().to_string();
    let args = ["timeline", "--audit-log", &log, "--agent", &scene.agent.username];
    let all = shield.cli_json(&scene.reviewer, &args);
    let of = |finding: &str| {
        let items = all["items"].as_array().expect("calls").iter();
        let found = items.filter(|it| it["finding"] == finding);
        let asked = |it: &Value| {
            format!("{} {}", it["cluster"]["verb"], it["cluster"]["requestURI"]).replace('"', "")
        };
        let mut asked: Vec<String> = found.map(asked).collect();
        asked.sort();
        asked
    };
    assert_eq!(all["throughAnother"], json!(of("throughAnother").len()));
    (of("throughAnother"), of("around"))
}

#[test]
fn agent_shields_that_share_a_key_know_each_others_calls_and_nobody_elses() {
    let scene = Scene::new("tags");
    scene.cluster.apply(&deployment(&scene.prod, "web", 4)).expect("an object");
    let key = scene.shield.data_dir().join("digest.key").display().to_string();
    let friend = Shield::start(scene.cluster, &["--digest-key", &key]);
    let stranger = Shield::start(scene.cluster, &[]);
    let web = format!("/apis/apps/v1/namespaces/{}/deployments/web", scene.prod);
    let scale = format!("{web}/scale");

    let read = through(&scene, "GET", &scale, "");
    let written = through(&scene, "PATCH", &scale, r#"{"spec":{"replicas":5}}"#);
    let held = thread::scope(|scope| {
        let asked = scope.spawn(|| scene.shield.request(&scene.agent, "DELETE", &web, None, b""));
        let hold = scene.pending(&scene.prod, "web");
        scene.decide("deny", hold["id"].as_str().expect("an id"), "not now");
        let answer = asked.join().expect("an answer");
        assert_eq!(answer.status, 403);
        answer.header("audit-id").unwrap_or_default().to_owned()
    });
    assert!(![&read, &written, &held].iter().any(|id| id.contains('.')), "no agent sees a tag");

    let (known, around) = told(&scene, &friend);
    for want in [format!("get {scale}"), format!("patch {scale}")] {
        assert!(known.contains(&want), "{want}: {known:?}");
    }
    assert_eq!(around, Vec::<String>::new());
    let (known, around) = told(&scene, &stranger);
    assert_eq!(known, Vec::<String>::new());
    assert!(around.contains(&format!("patch {scale}")), "{around:?}");

    // Under ids of its own calls, also of one that was denied; with a tag that it makes up, and with one that it
    // reads in the log: each time it goes around, and is seen.
    let seen = scene.cluster.raw_audit_id(&written).expect("an id with its tag");
    assert!(seen.contains('.'), "{seen}");
    let made_up = format!("{held}.AAAAAAAAAAAAAAAAAAAAAA");
    let cut = json!({"spec": {"replicas": 0}});
    for id in [&read, &written, &held, &made_up, &seen] {
        assert_eq!(directly(&scene, id, "PATCH", &scale, &cut), 200);
    }
    let (_, around) = told(&scene, &friend);
    assert_eq!(around, vec![format!("patch {scale}"); 5]);
}
