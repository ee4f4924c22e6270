//! Nobody is told that nothing happened because of how they spelled it: what is found by every spelling, what is
//! whole in a row, and what is said of a word that nobody knows.

use std::{fs, path::Path, thread, time::Duration};

use cluster::{Scene, deployment};
use serde_json::{Value, json};
use testkit::{Shield, wait_until};

const JSON: Option<&str> = Some("application/json");
const MERGE: Option<&str> = Some("application/merge-patch+json");

const TIME_MAX: Duration = Duration::from_secs(60);

/// How a command ends, and all that it prints.
fn says(scene: &Scene, person: &Path, args: &[&str]) -> (Option<i32>, String) {
    let output = scene.shield.cli(person).args(args).output().expect("a CLI");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

fn items(answer: &Value) -> Vec<Value> {
    answer["items"].as_array().cloned().expect("items")
}

/// An agent makes two objects, asks to delete a third, is denied by a person, frozen and thawed.
fn incident(scene: &Scene, chief: &Path) -> String {
    let maps = format!("/api/v1/namespaces/{}/configmaps", scene.dev);
    let make = |metadata: Value| {
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata});
        let body = map.to_string();
        let answer = scene.shield.request(&scene.agent, "POST", &maps, JSON, body.as_bytes());
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()["metadata"]["name"].as_str().expect("a name").to_owned()
    };
    let generated = make(json!({"generateName": "run-"}));
    make(json!({"name": "named"}));
    let web = format!("/apis/apps/v1/namespaces/{}/deployments/web", scene.prod);
    thread::scope(|threads| {
        let delete = || scene.shield.request(&scene.agent, "DELETE", &web, None, b"").status;
        let waiting = threads.spawn(delete);
        let hold = scene.pending(&scene.prod, "web");
        scene.decide("deny", hold["id"].as_str().unwrap_or_default(), "not today");
        assert_eq!(waiting.join().expect("an answer"), 403);
    });
    let agent = scene.agent.username.as_str();
    for args in [["freeze", agent, "--reason", "runs wild"], ["thaw", agent, "--reason", "tamed"]] {
        let (code, text) = says(scene, chief, &args);
        assert_eq!(code, Some(0), "{text}");
    }
    generated
}

#[test]
fn every_spelling_finds_what_happened() {
    let scene = Scene::new("spelled");
    scene.cluster.apply(&deployment(&scene.prod, "web", 2)).expect("a deployment");
    let chief = scene.cluster.reviewer_with("spelled-chief", &["get", "list", "freeze"]);
    let generated = incident(&scene, &chief);
    let found = |args: &[&str]| {
        items(&scene.shield.cli_json(&chief, &[&["timeline"], args].concat())).len()
    };

    // An agent, as tables, commands and the cluster print it, and by its name alone.
    let (dev, whole) = (scene.dev.as_str(), scene.agent.username.as_str());
    let name = whole.rsplit(':').next().expect("a name");
    let spellings =
        [whole.to_owned(), format!("{dev}/{name}"), format!("{dev}:{name}"), name.into()];
    for agent in &spellings {
        assert_eq!(found(&["--agent", agent]), 5, "{agent}");
        let all = ["holds", "--state", "all", "--agent", agent];
        assert_eq!(items(&scene.shield.cli_json(&chief, &all)).len(), 1, "{agent}");
        let denials = scene.shield.cli_json(&chief, &["denials", "--agent", agent]);
        assert_eq!(items(&denials).len(), 1, "{agent}");
        let (code, text) = says(&scene, &chief, &["thaw", agent]);
        assert_eq!((code, text.trim()), (Some(0), &*format!("{whole} was not frozen")));
    }
    let maps = ["configmaps", "cm", "ConfigMap", "configmap", "configmaps.v1"];
    for resource in maps {
        assert_eq!(found(&["--resource", resource]), 2, "{resource}");
    }
    for resource in ["deployments", "deploy", "Deployment", "deployments.apps", "deploy.v1.apps"] {
        assert_eq!(found(&["--resource", resource, "--verb", "DELETE"]), 1, "{resource}");
    }
    assert_eq!(found(&["--resource", "deployments/scale"]), 0);
    // What was made has a name, whoever gave it.
    for object in [generated.as_str(), "named"] {
        assert_eq!(
            found(&["--object", object, "--agent", whole, "--resource", "cm"]),
            1,
            "{object}"
        );
    }
    assert_eq!(found(&["--decision", "deny"]), 1);
    assert_eq!(found(&["--reviewer", "spelled-reviewer"]), 1);
    assert_eq!(found(&["--reviewer", "spelled-chief"]), 2);

    ids_may_be_cut(&scene, &chief);
    rows_are_whole(&scene, &chief, &generated);
    unknown_words_are_errors(&scene, &chief);
}

fn ids_may_be_cut(scene: &Scene, chief: &Path) {
    let calls = scene.shield.cli_json(chief, &["timeline", "--decision", "deny"]);
    let text = |key: &str| calls["items"][0][key].as_str().expect("an id").to_owned();
    let (hold, audit_id) = (text("hold"), text("auditID"));
    for (flag, typed) in [
        ("--hold", hold.as_str()),
        ("--hold", &hold[..4]),
        ("--audit-id", &audit_id),
        ("--audit-id", &audit_id[..30]),
    ] {
        let found = items(&scene.shield.cli_json(chief, &["timeline", flag, typed]));
        assert_eq!(found.len(), 1, "{flag} {typed}");
        assert_eq!(found[0]["auditID"], audit_id, "{flag} {typed}");
    }
    let table: [(&[&str], i32, &str); 5] = [
        (&["timeline", "--hold", "11111111"], 3, "nothing is recorded of a hold"),
        (&["timeline", "--hold", "1"], 1, "too little of the id"),
        (&["timeline", "--audit-id", "01000000"], 3, "nothing is recorded of a call"),
        (&["timeline", "--audit-id", &audit_id[..8]], 1, "more than one call begins"),
        (&["timeline", "--limit", "0"], 2, "--limit"),
    ];
    for (args, code, part) in table {
        let (got, text) = says(scene, chief, args);
        assert_eq!(got, Some(code), "{args:?}: {text}");
        assert!(text.contains(part), "{args:?}: {text}");
    }
}

fn rows_are_whole(scene: &Scene, chief: &Path, generated: &str) {
    let (_, table) = says(scene, chief, &["timeline"]);
    let short = scene.agent.username.replace("system:serviceaccount:", "").replace(':', "/");
    let row = |of: &str| {
        let row =
            table.lines().find(|it| it.contains(of)).unwrap_or_else(|| panic!("{of}: {table}"));
        row.to_owned()
    };
    for (of, parts) in [
        ("spelled-chief: runs wild", ["freeze", "done"]),
        ("spelled-chief: tamed", ["thaw", "done"]),
        ("spelled-reviewer: not today", ["hold (denied)", "refused 403"]),
        (generated, ["create configmaps", "201"]),
    ] {
        let row = row(of);
        assert!(row.contains(&short) && !table.contains("(unknown)"), "{row}");
        assert!(parts.iter().all(|it| row.contains(it)), "{row}");
    }
    let denied = scene.shield.cli_json(chief, &["timeline", "--decision", "deny"]);
    let call = &denied["items"][0];
    let decided = call["decidedAt"].as_str().expect("a time");
    assert!(decided > call["time"].as_str().expect("a time"), "{call:#}");
}

fn unknown_words_are_errors(scene: &Scene, chief: &Path) {
    let seen = format!("agents seen: {}", scene.agent.username);
    let near = format!("did you mean `{}`?", scene.agent.username);
    let typo = format!("{}t", scene.agent.username);
    let many = format!("{}x", scene.prod);
    // What is about every namespace is about one that nobody knows, too.
    let nodes = scene.shield.request(&scene.agent, "GET", "/api/v1/nodes", None, b"");
    assert!(nodes.status == 200 || nodes.status == 403, "{}", nodes.text());
    wait_until(Duration::from_secs(10), "the read is recorded", || {
        let calls = scene.shield.cli_json(chief, &["timeline", "--resource", "nodes"]);
        (!items(&calls).is_empty()).then_some(())
    });
    let table: [(&[&str], i32, &str); 12] = [
        (&["holds", "--state", "expired"], 0, "No hold is expired."),
        (&["timeline", "--verb", "delet"], 1, "no verb `delet`: did you mean `delete`?"),
        (&["timeline", "--decision", "denied"], 1, "no decision `denied`: did you mean `deny`?"),
        (&["timeline", "--resource", "deploymnts"], 1, "no resource `deploymnts`: did you mean"),
        (&["timeline", "--resource", "pods.apps"], 1, "the cluster has no resource `pods.apps`"),
        (&["timeline", "--agent", "quite-another"], 3, &seen),
        (&["timeline", "--agent", &typo], 3, &near),
        (&["holds", "--agent", "quite-another"], 3, &seen),
        (&["denials", "--agent", "quite-another"], 3, "no call of an agent `quite-another`"),
        (&["timeline", "--namespace", &many], 1, "has no namespace"),
        (&["holds", "--state", "pendin"], 1, "no state `pendin`: did you mean `pending`?"),
        (&["timeline", "--reviewer", "nobody"], 3, "no decision of a reviewer `nobody`"),
    ];
    for (args, code, part) in table {
        let (got, text) = says(scene, chief, args);
        assert_eq!(got, Some(code), "{args:?}: {text}");
        assert!(text.contains(part), "{args:?}: {text}");
    }
    let args = ["timeline", "--agent", &scene.agent.username, "--verb", "patch"];
    let (code, text) = says(scene, chief, &args);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.starts_with("Nothing was recorded that matches: user system:"), "{text}");
    // Who may see one namespace learns no names of what else there is.
    let (code, text) = says(scene, &narrow(scene), &["timeline", "--agent", "quite-another"]);
    assert!(code == Some(4) && !text.contains(&scene.agent.username), "{text}");
    // And is told what to ask instead, and that there may be more than is shown.
    let narrow = narrow(scene);
    let (code, text) = says(scene, &narrow, &["holds", "--state", "all"]);
    assert!(code == Some(4) && text.contains("-n NAMESPACE"), "{text}");
    let (code, text) = says(scene, &narrow, &["timeline"]);
    assert!(code == Some(0) && text.contains("Only namespaces are listed"), "{text}");
    let (code, text) = says(scene, &narrow, &["timeline", "-n", &scene.dev]);
    assert!(code == Some(0) && !text.contains("Only namespaces are listed"), "{text}");
    // They know the agents of what they may see, and nothing is no answer to a word that nobody knows.
    let of_dev =
        |more: [&str; 2]| says(scene, &narrow, &["timeline", "-n", &scene.dev, more[0], more[1]]);
    let (code, text) = of_dev(["--agent", "agent"]);
    assert!(code == Some(0) && text.contains("configmaps"), "{text}");
    for (flag, said) in [("--agent", "no call of an agent `nosuch`"), ("--reviewer", "`nosuch`")] {
        let (code, text) = of_dev([flag, "nosuch"]);
        assert!(code == Some(3) && text.contains(said), "{text}");
    }
    // A limit counts what they may see: it does not tell how much else there is.
    let pods = format!("/api/v1/namespaces/{}/pods", scene.prod);
    assert_eq!(scene.shield.request(&scene.agent, "GET", &pods, None, b"").status, 200);
    wait_until(TIME_MAX, "it is recorded", || {
        let args = ["timeline", "-n", &scene.prod, "--resource", "pods"];
        (!items(&scene.shield.cli_json(chief, &args)).is_empty()).then_some(())
    });
    let (code, text) = says(scene, &narrow, &["timeline", "--limit", "1"]);
    assert!(code == Some(0) && text.contains(&scene.dev), "{text}");
}

/// Somebody who may list holds in one namespace.
fn narrow(scene: &Scene) -> std::path::PathBuf {
    let person = scene.cluster.person("spelled-narrow", &[]).expect("a person");
    let named = |kind: &str| {
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind,
            "metadata": {"name": "narrow", "namespace": scene.dev}})
    };
    let (mut role, mut binding) = (named("Role"), named("RoleBinding"));
    role["rules"] =
        json!([{"apiGroups": ["agent-shield.io"], "resources": ["holds"], "verbs": ["list"]}]);
    let api_group = "rbac.authorization.k8s.io";
    binding["roleRef"] = json!({"apiGroup": api_group, "kind": "Role", "name": "narrow"});
    binding["subjects"] =
        json!([{"apiGroup": api_group, "kind": "User", "name": "spelled-narrow"}]);
    scene.cluster.apply(&cluster::list(&[role, binding])).expect("a role");
    person
}

const RULES: &str = "apiVersion: agent-shield.io/v1alpha1
kind: Policy
metadata: {name: two}
spec:
  rules:
  - {name: any, effects: [ScaleDown], action: hold, severity: high, reason: scales down}
  - name: large
    effects: [ScaleDown]
    when: effect.old > 6
    action: hold
    severity: critical
    reason: takes much away
---
apiVersion: agent-shield.io/v1alpha1
kind: PolicySettings
metadata: {name: settings}
spec: {packs: []}
";

#[test]
fn rules_that_joined_when_it_drifted_are_told() {
    let mut scene = Scene::new("drifted");
    let policy = scene.cluster.dir().join(scene.cluster.unique("drifted.yaml"));
    fs::write(&policy, RULES).expect("a file");
    scene.shield = Shield::start(scene.cluster, &["--policy", &policy.display().to_string()]);
    let web = |replicas| deployment(&scene.prod, "web", replicas);
    scene.cluster.apply(&web(4)).expect("a deployment");
    let target = format!("/apis/apps/v1/namespaces/{}/deployments/web?timeout=1s", scene.prod);
    let cut = || {
        let body = br#"{"spec":{"replicas":1}}"#;
        scene.shield.request(&scene.agent, "PATCH", &target, MERGE, body).held_or_status()
    };
    assert_eq!(cut(), 429);
    let id = scene.pending(&scene.prod, "web")["id"].as_str().expect("an id").to_owned();
    scene.cluster.apply(&web(9)).expect("a deployment");
    assert_eq!(cut(), 429);
    let calls = scene.shield.cli_json(&scene.reviewer, &["timeline", "--hold", &id]);
    let first = items(&calls).pop().expect("a call");
    assert_eq!(first["rules"], json!(["two/any", "two/large"]), "{first:#}");
    let (_, table) = says(&scene, &scene.reviewer, &["timeline", "--hold", &id]);
    assert!(
        table.contains("it would do something else now; held by") && table.contains("large"),
        "{table}"
    );
}
