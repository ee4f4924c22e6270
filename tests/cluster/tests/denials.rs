//! What a denial binds: what was asked, by whatever way, for a time that a reviewer can end or prolong.

use std::{fs, time::Duration};

use cluster::{Scene, deployment, list};
use serde_json::{Value, json};
use testkit::{Shield, http::Answer, wait_until};

const MERGE: &str = "application/merge-patch+json";
const HELD: u16 = 429;

/// Asks as the agent, for a moment.
fn ask(
    scene: &Scene,
    shield: &Shield,
    method: &str,
    target: &str,
    media: &str,
    body: &Value,
) -> Answer {
    let target = format!("{target}{}timeout=1s", if target.contains('?') { '&' } else { '?' });
    shield.request(&scene.agent, method, &target, Some(media), body.to_string().as_bytes())
}

fn patch(scene: &Scene, target: &str, body: &Value) -> Answer {
    ask(scene, &scene.shield, "PATCH", target, MERGE, body)
}

/// The id of the newest pending hold of an object.
fn pending(scene: &Scene, name: &str) -> String {
    scene.pending(&scene.prod, name)["id"].as_str().expect("an id").to_owned()
}

/// Has it held, and denies it.
fn denied(scene: &Scene, target: &str, name: &str, body: &Value, reason: &str) -> String {
    let asked = patch(scene, target, body);
    assert_eq!(asked.held_or_status(), HELD, "{body}: {}", asked.text());
    let id = pending(scene, name);
    scene.decide("deny", &id, reason);
    id
}

fn said(scene: &Scene, args: &[&str]) -> (Option<i32>, String) {
    let output = scene.shield.cli(&scene.reviewer).args(args).output().expect("a CLI");
    let text = [output.stdout.as_slice(), &output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

fn image(image: &str) -> Value {
    json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}})
}

#[test]
fn a_denial_is_of_what_was_asked() {
    let scene = Scene::new("denials");
    let names = ["web", "api", "twin"];
    let objects = names.map(|name| deployment(&scene.prod, name, 4));
    scene.cluster.apply(&list(&objects)).expect("Deployments");
    let apps = format!("/apis/apps/v1/namespaces/{}/deployments", scene.prod);
    let [web, api, twin] = names.map(|name| format!("{apps}/{name}"));

    // Another image is another question, and whoever answers it sees what was said before.
    let first = denied(&scene, &web, "web", &image("nginx:1.28"), "use 1.27.3 instead");
    let again = patch(&scene, &web, &image("nginx:1.28"));
    assert_eq!(again.status, 403, "{}", again.text());
    assert!(again.text().contains("denied the same at"), "{}", again.text());
    assert!(again.text().contains("use 1.27.3 instead"), "{}", again.text());
    let by_another_way = json!([
        {"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "nginx:1.28"},
    ]);
    let media = "application/json-patch+json";
    let again = ask(&scene, &scene.shield, "PATCH", &web, media, &by_another_way);
    assert_eq!(again.status, 403, "{}", again.text());
    let with_more =
        json!({"spec": {"replicas": 1, "template": image("nginx:1.28")["spec"]["template"]}});
    let again = patch(&scene, &web, &with_more);
    assert_eq!(again.status, 403, "{}", again.text());
    let other = patch(&scene, &web, &image("nginx:1.27.3"));
    assert_eq!(other.held_or_status(), HELD, "{}", other.text());
    let second = pending(&scene, "web");
    let (_, text) = said(&scene, &["show", &second]);
    let section = text.split("Of the same object").nth(1).expect("what else was asked of it");
    assert!(section.contains(&first) && section.contains("use 1.27.3 instead"), "{text}");
    let shown = scene.shield.cli_json(&scene.reviewer, &["show", &second]);
    assert_eq!(shown["others"][0]["id"], json!(first), "{shown}");

    // Nor does what no rule holds pass, where it is what was denied: a pod that is to stay.
    let pod = wait_until(Duration::from_secs(60), "a pod is ready", || {
        let pods = scene
            .cluster
            .get(&format!("/api/v1/namespaces/{}/pods?labelSelector=app%3Dtwin", scene.prod))?;
        let items = pods["items"].as_array().cloned().unwrap_or_default();
        let is_ready = |it: &Value| it["status"]["phase"] == "Running";
        let ready = items.iter().filter(|it| is_ready(it)).count() == 4;
        ready.then(|| items[0]["metadata"]["name"].as_str().expect("a name").to_owned())
    });
    let path = format!("/api/v1/namespaces/{}/pods/{pod}", scene.prod);
    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction",
        "metadata": {"name": pod, "namespace": scene.prod}});
    let json = "application/json";
    let evict = || ask(&scene, &scene.shield, "POST", &format!("{path}/eviction"), json, &eviction);
    assert_eq!(evict().held_or_status(), HELD);
    let id = pending(&scene, &pod);
    scene.decide("deny", &id, "this pod must stay");
    assert_eq!(evict().status, 403);
    for grace in ["", "?gracePeriodSeconds=1"] {
        let answer =
            ask(&scene, &scene.shield, "DELETE", &format!("{path}{grace}"), json, &json!({}));
        assert_eq!(answer.status, 403, "{}", answer.text());
        assert!(answer.text().contains("this pod must stay"), "{}", answer.text());
    }
    let args = ["timeline", "-n", &scene.prod, "--decision", "deny"];
    let told = scene.shield.cli_json(&scene.reviewer, &args).to_string();
    let bound = format!("(hold {id}): this pod must stay; it stays denied until");
    assert_eq!(told.matches(&bound).count(), 3, "{told}");

    // A number, a key.
    let replicas = |count: u8| json!({"spec": {"replicas": count}});
    denied(&scene, &api, "api", &replicas(0), "not to nothing");
    let other = patch(&scene, &api, &replicas(1));
    assert_eq!(other.held_or_status(), HELD, "{}", other.text());
    scene.decide("deny", &pending(&scene, "api"), "two at least");
    // And whoever changes a detail each time is not asked about for ever.
    let third = denied(&scene, &api, "api", &image("nginx:9"), "leave it");
    let barred = patch(&scene, &api, &image("nginx:10"));
    assert_eq!(barred.status, 403, "{}", barred.text());
    assert!(barred.text().contains("three requests of yours"), "{}", barred.text());
    assert!(barred.text().contains(&third), "{}", barred.text());
    let (_, text) = said(&scene, &["denials"]);
    assert!(text.lines().any(|it| it.contains(&third) && it.contains("all of it: ")), "{text}");
    let elsewhere = patch(&scene, &web, &image("nginx:10"));
    assert_eq!(elsewhere.held_or_status(), HELD, "{}", elsewhere.text());

    // A reviewer can end it, and prolong it.
    let (code, text) = said(&scene, &["lift", &third, "--reason", "agreed with the team"]);
    assert_eq!(code, Some(0), "{text}");
    let again = patch(&scene, &api, &image("nginx:9"));
    assert_eq!(again.held_or_status(), HELD, "{}", again.text());
    let (code, text) = said(&scene, &["lift", &third]);
    assert!(code == Some(6) && text.contains("was lifted already"), "{text}");
    let (code, text) = said(&scene, &["extend", &first, "--for", "8h"]);
    assert_eq!(code, Some(0), "{text}");
    let (code, text) = said(&scene, &["extend", &first, "--for", "25h"]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("must be from 1s to 1d"), "{text}");
    for typed in [second.as_str(), &second[..4]] {
        let (code, text) = said(&scene, &["lift", typed]);
        assert_eq!(code, Some(6), "{typed}: {text}");
        assert!(text.contains("only a denial can be lifted"), "{text}");
    }
    let (code, text) = said(&scene, &["extend", &first, "--for", "8"]);
    assert!(code == Some(2) && text.contains("`8` has no unit: 8s, 8m, 8h or 8d"), "{text}");
    let (_, text) = said(&scene, &["denials", "-n", &scene.prod]);
    assert!(text.contains(&first) && text.contains("7h"), "{text}");
    assert!(!text.contains(&third), "it was lifted: {text}");
    let (_, text) = said(&scene, &["show", &third]);
    assert!(text.contains("The denial was lifted."), "{text}");
    let mut agents = scene.shield.cli(&scene.agent.kubeconfig);
    let output = agents.args(["lift", &first]).output().expect("a CLI");
    assert_eq!(output.status.code(), Some(4));
    let calls = scene.shield.cli_json(&scene.reviewer, &["timeline", "--namespace", &scene.prod]);
    for event in ["lifted", "extended"] {
        assert!(calls.to_string().contains(&format!("\"event\":\"{event}\"")), "{calls}");
    }

    // The same by two clients, whose bodies differ, is one question, which is answered once.
    let delete =
        |body: Value| ask(&scene, &scene.shield, "DELETE", &twin, "application/json", &body);
    assert_eq!(delete(json!({})).held_or_status(), HELD);
    let one = pending(&scene, "twin");
    assert_eq!(delete(json!({"propagationPolicy": "Background"})).held_or_status(), HELD);
    let holds = scene.shield.cli_json(&scene.reviewer, &["holds", "-n", &scene.prod]);
    let items = holds["items"].as_array().expect("holds");
    let ids = items.iter().filter(|it| it["request"]["name"] == "twin").map(|it| it["id"].clone());
    let other = ids.into_iter().find(|id| *id != json!(one)).expect("a hold for each body");
    let other = other.as_str().expect("an id");
    let (code, text) = said(&scene, &["deny", &one, "--reason", "keep it"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains(other), "it says what is denied with it: {text}");
    let shown = scene.shield.cli_json(&scene.reviewer, &["show", other]);
    assert_eq!(
        (&shown["state"], &shown["verdict"]["reason"]),
        (&json!("denied"), &json!("keep it"))
    );
}

#[test]
fn how_long_a_denial_stands_is_set_by_flag_and_by_rule() {
    let scene = Scene::new("denial-times");
    let objects = ["flag", "rule"].map(|name| deployment(&scene.prod, name, 4));
    scene.cluster.apply(&list(&objects)).expect("Deployments");
    let dir = scene.cluster.dir().join(scene.cluster.unique("denial-times"));
    fs::create_dir_all(&dir).expect("a directory");
    let policy = "
apiVersion: agent-shield.io/v1alpha1
kind: Policy
metadata: {name: own}
spec:
  rules:
  - {name: images, effects: [ChangeImage], where: production, action: hold, denialTime: 2h}
";
    fs::write(dir.join("p.yaml"), policy).expect("a file");
    let dir = dir.display().to_string();
    let shield = Shield::start(scene.cluster, &["--policy", &dir, "--denial-time", "2s"]);
    let apps = format!("/apis/apps/v1/namespaces/{}/deployments", scene.prod);
    let asks = |name: &str, body: &Value| {
        ask(&scene, &shield, "PATCH", &format!("{apps}/{name}"), MERGE, body)
    };
    let stands = |name: &str, body: &Value| {
        assert_eq!(asks(name, body).held_or_status(), HELD);
        let hold = shield.hold(&scene.reviewer, name, |hold| {
            hold["state"] == "pending" && hold["request"]["name"] == name
        });
        let id = hold["id"].as_str().expect("an id");
        shield.decide(&scene.reviewer, "deny", id, "no").expect("a denial");
        let shown = shield.cli_json(&scene.reviewer, &["show", id]);
        let time = |it: &Value| {
            it.as_str().and_then(|it| it.parse::<jiff::Timestamp>().ok()).expect("a time")
        };
        time(&shown["bindsUntil"]).duration_since(time(&shown["verdict"]["at"])).as_secs()
    };
    let none = json!({"spec": {"replicas": 0}});
    assert_eq!(stands("flag", &none), 2);
    assert_eq!(stands("rule", &image("nginx:1.28")), 2 * 60 * 60);
    wait_until(Duration::from_secs(30), "the same is asked again", || {
        (asks("flag", &none).held_or_status() == HELD).then_some(())
    });
    assert_eq!(asks("rule", &image("nginx:1.28")).status, 403);
}

#[test]
fn each_decision_is_a_line_of_the_log() {
    let scene = Scene::new("logged");
    let shield = Shield::start(scene.cluster, &["--hold-open", "1s"]);
    let forged = "agreed\n2026-01-01T00:00:00Z  INFO forged \u{1b}[31m\u{202e}";
    let delete = |name: &str| {
        scene.cluster.apply(&deployment(&scene.prod, name, 1)).expect("a Deployment");
        let target = format!("/apis/apps/v1/namespaces/{}/deployments/{name}", scene.prod);
        assert_eq!(shield.request(&scene.agent, "DELETE", &target, None, b"").status, 429);
        let hold = shield.hold(&scene.reviewer, name, |hold| hold["request"]["name"] == name);
        hold["id"].as_str().unwrap_or_default().to_owned()
    };
    let (approved, denied) = (delete("approved"), delete("denied"));
    let user = scene.agent.username.as_str();
    let decide = |args: &[&str]| {
        let output = shield.cli(&scene.reviewer).args(args).output().expect("a CLI");
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    shield.decide(&scene.reviewer, "approve", &approved, forged).expect("an approval");
    decide(&["withdraw", &approved, "--reason", forged]);
    shield.decide(&scene.reviewer, "deny", &denied, forged).expect("a denial");
    decide(&["extend", &denied, "--for", "20m", "--reason", forged]);
    decide(&["lift", &denied, "--reason", forged]);
    let log = shield.log();
    let table = [
        ("an approval was withdrawn", &approved),
        ("queue: approved ", &approved),
        ("queue: denied ", &denied),
        ("a denial was extended", &denied),
        ("a denial was lifted", &denied),
    ];
    for (what, id) in table {
        let lines = log.lines().filter(|line| line.contains(what) && line.contains(id.as_str()));
        let lines: Vec<&str> = lines.collect();
        assert_eq!(lines.len(), 1, "{what}: {log}");
        let line = lines.concat();
        for part in ["logged-reviewer", user, r"agreed\n2026", "delete", "deployments", &scene.prod]
        {
            assert!(line.contains(part), "{what}: no {part} in {line}");
        }
    }
    let is_forged =
        |line: &str| line.starts_with("2026-01-01T00:00:00Z") || line.contains('\u{1b}');
    assert!(!log.lines().any(is_forged) && !log.contains('\u{202e}'), "{log}");
}
