//! How agent-shield stands, and what one agent did: each told by the process that knows, or by nobody.

use std::{fs, path::Path, thread};

use cluster::{Scene, deployment};
use serde_json::{Value, json};
use testkit::{Credential, Shield, http, wait_until};

const TIME_MAX: std::time::Duration = std::time::Duration::from_secs(30);
const JSON: Option<&str> = Some("application/json");

fn says(shield: &Shield, person: &Path, args: &[&str]) -> (Option<i32>, String) {
    let output = shield.cli(person).args(args).output().expect("a CLI");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

/// The status as JSON, whatever its exit code says.
fn status(shield: &Shield, person: &Path) -> (Option<i32>, Value) {
    let output = shield.cli(person).args(["status", "-o", "json"]).output().expect("a CLI");
    let status = serde_json::from_slice(&output.stdout);
    (output.status.code(), status.unwrap_or_else(|error| panic!("{error}: {output:?}")))
}

const RULE: &str = "apiVersion: agent-shield.io/v1alpha1
kind: Policy
metadata: {name: mine}
spec:
  rules:
  - {name: scale, effects: [ScaleDown], action: hold, severity: high, reason: scales down}
  - name: maps
    when: request.resource.resource == 'configmaps'
    mode: shadow
    action: deny
    severity: low
    reason: writes a map
";

#[test]
fn the_status_is_what_is_so() {
    let mut scene = Scene::new("status");
    let policy = scene.cluster.dir().join(scene.cluster.unique("status.yaml"));
    fs::write(&policy, RULE).expect("a file");
    scene.shield = Shield::start(scene.cluster, &["--policy", &policy.display().to_string()]);
    let reviewer = scene.reviewer.clone();

    // All is well: who may list is told so.
    let (code, now) = status(&scene.shield, &reviewer);
    assert_eq!((code, &now["attention"]), (Some(0), &json!([])), "{now:#}");
    assert_eq!(now["mode"], "enforcing");
    assert_eq!(now["policy"]["shadowRules"], 1);
    let files = now["policy"]["files"].to_string();
    assert!(files.contains("status"), "{files}");
    assert_eq!(now["rights"], json!({"missing": [], "excess": []}));
    for ends in ["certificate", "credential"] {
        let at = now[ends]["at"].as_str().unwrap_or_default();
        assert!(at > now["now"].as_str().expect("a time"), "{ends}: {now:#}");
    }

    // What was counted, held and refused since.
    let maps = format!("/api/v1/namespaces/{}/configmaps", scene.dev);
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}});
    let body = map.to_string();
    let made = scene.shield.request(&scene.agent, "POST", &maps, JSON, body.as_bytes());
    assert_eq!(made.status, 201, "{}", made.text());
    scene.cluster.apply(&deployment(&scene.prod, "web", 4)).expect("a deployment");
    let web = format!("/apis/apps/v1/namespaces/{}/deployments/web?timeout=1s", scene.prod);
    assert_eq!(scene.shield.request(&scene.agent, "DELETE", &web, None, b"").held_or_status(), 429);
    let digest = now["policy"]["digest"].clone();
    fs::write(&policy, RULE.replace("action: hold", "action: hodl")).expect("a file");
    wait_until(TIME_MAX, "the set is refused", || {
        scene.shield.policy_status()["refused"].is_object().then_some(())
    });
    let (code, then) = status(&scene.shield, &reviewer);
    assert_eq!(code, Some(11), "{then:#}");
    assert_eq!(then["policy"]["digest"], digest, "the old set is in force");
    assert_eq!(then["policy"]["shadowVerdicts"], 1, "{then:#}");
    assert_eq!((&then["holds"]["open"], &then["holds"]["pending"]), (&json!(1), &json!(1)));
    let (code, page) = says(&scene.shield, &reviewer, &["status"]);
    assert_eq!(code, Some(11), "{page}");
    let name = policy.file_name().expect("a name").to_string_lossy().into_owned();
    // The place of the mistake, and which set is in force in its stead.
    for part in [&format!("{name}:6:"), digest.as_str().expect("a digest"), "needs attention"] {
        assert!(page.contains(part), "{part}: {page}");
    }

    // Nobody who may not list is told, and no agent.
    let url = &scene.shield.review_url;
    let nobody = http::request(url, &scene.shield.ca(), "GET", "/v1/status", &[], b"");
    assert_eq!(nobody.expect("an answer").status, 401);
    let bearer = format!("Bearer {}", scene.agent.token);
    let headers = [("Authorization", bearer.as_str())];
    let agent = http::request(url, &scene.shield.ca(), "GET", "/v1/status", &headers, b"");
    assert_eq!(agent.expect("an answer").status, 403);
    let blind = scene.cluster.reviewer_with("status-blind", &["get", "approve"]);
    assert_eq!(says(&scene.shield, &blind, &["status"]).0, Some(4));

    // The process is gone: nobody answers for it.
    scene.shield.terminate();
    let (code, text) = says(&scene.shield, &reviewer, &["status"]);
    assert!(code == Some(5) && text.contains("cannot reach"), "{code:?}: {text}");
}

#[test]
fn rights_that_are_too_many_or_missing_need_somebody() {
    let scene = Scene::new("status-rights");
    let rule = |group: &str, resource: &str, verbs: &[&str]| json!({"apiGroups": [group], "resources": [resource], "verbs": verbs});
    let few = json!([
        rule("authentication.k8s.io", "tokenreviews", &["create"]),
        rule("authorization.k8s.io", "subjectaccessreviews", &["create"]),
        rule("", "namespaces", &["get", "list", "watch"]),
        rule("", "configmaps", &["get"]),
        rule("", "secrets", &["get"]),
    ]);
    // What may do everything is told of once.
    let table = [
        (cluster::all_rights(), ["it may * *.*, and does not need to", "1 too many"]),
        (few, ["it lacks the right to list nodes", "it may get secrets, and does not need to"]),
    ];
    for (n, (rules, parts)) in table.into_iter().enumerate() {
        let name = format!("status-own-{n}");
        let own = scene.cluster.cluster_agent(&scene.dev, &name, &rules).expect("an account");
        let shield = Shield::start_as(scene.cluster, Credential::Kubeconfig(own.kubeconfig), &[]);
        let (code, text) = says(&shield, &scene.reviewer, &["status"]);
        assert_eq!(code, Some(11), "{text}");
        for part in parts {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}

#[test]
fn an_agents_report_tells_what_ran_on_whose_word_and_where_it_was_stopped() {
    let scene = Scene::new("report");
    for name in ["gone", "kept"] {
        scene.cluster.apply(&deployment(&scene.prod, name, 2)).expect("a deployment");
    }
    let chief = scene.cluster.reviewer_with("report-chief", &["get", "list", "freeze"]);
    let at = |name: &str| format!("/apis/apps/v1/namespaces/{}/deployments/{name}", scene.prod);
    let maps = format!("/api/v1/namespaces/{}/configmaps", scene.dev);
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "m-"}});
    let body = map.to_string();
    scene.shield.request(&scene.agent, "POST", &maps, JSON, body.as_bytes());
    scene.shield.request(&scene.agent, "GET", &maps, None, b"");
    for (name, verb, reason, code) in
        [("gone", "approve", "CHG-7", 200), ("kept", "deny", "not this one", 403)]
    {
        thread::scope(|threads| {
            let delete = || scene.shield.request(&scene.agent, "DELETE", &at(name), None, b"");
            let waiting = threads.spawn(delete);
            let hold = scene.pending(&scene.prod, name);
            scene.decide(verb, hold["id"].as_str().unwrap_or_default(), reason);
            assert_eq!(waiting.join().expect("an answer").status, code);
        });
    }
    let agent = scene.agent.username.as_str();
    let freeze = ["freeze", agent, "--reason", "runs wild"];
    assert_eq!(says(&scene.shield, &chief, &freeze).0, Some(0));

    let args = ["report", "--agent", "agent", "--since", "1h"];
    let report = wait_until(TIME_MAX, "the read is recorded", || {
        let report = scene.shield.cli_json(&chief, &args);
        (report["reads"] == 1).then_some(report)
    });
    assert_eq!(report["agent"], agent);
    assert_eq!(report["isFrozen"], true);
    assert_eq!(report["calls"], 4);
    assert_eq!(
        report["fates"],
        json!({"act": 1, "denied": 1, "ranApproved": 1, "ranUnasked": 1}),
        "{report:#}"
    );
    let (code, page) = says(&scene.shield, &chief, &args);
    assert_eq!(code, Some(0), "{page}");
    for part in [
        "frozen: all its writes are refused",
        "freeze by report-chief: runs wild",
        "/kept, denied by report-reviewer: not this one",
        "/gone, 200, approved by report-reviewer: CHG-7",
        "create configmaps",
        "configmaps in",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert!(page.find("Stopped") < page.find("Ran as people approved"), "{page}");
    // Nobody reads of an agent that there is not that it did nothing.
    let (code, text) = says(&scene.shield, &chief, &["report", "--agent", "agen"]);
    assert_eq!(code, Some(3), "{text}");
    let future = ["report", "--agent", "agent", "--since", "2999-01-01"];
    let (code, text) = says(&scene.shield, &chief, &future);
    assert_eq!((code, text.contains("--since is in the future")), (Some(2), true), "{text}");
}
