//! A frozen agent writes nothing: not what comes, not what waits, not in a session that runs.

use std::{process::Stdio, thread, time::Duration};

use cluster::{Scene, SlowWebhook, deployment};
use serde_json::json;
use testkit::{Shield, wait_until};

const TIME_MAX: Duration = Duration::from_secs(60);

#[test]
fn a_frozen_agent_writes_nothing_until_it_is_thawed() {
    let mut scene = Scene::new("freeze");
    scene.cluster.apply(&deployment(&scene.prod, "web", 3)).expect("a deployment");
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "shell", "namespace": scene.prod},
        "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "nginx:1.25"}]},
    });
    scene.cluster.apply(&pod).expect("a pod");
    let chief = scene.cluster.reviewer_with("freeze-chief", &["get", "list", "freeze"]);
    let said = |shield: &Shield, kubeconfig: &std::path::Path, args: &[&str]| {
        let output = shield.cli(kubeconfig).args(args).output().expect("a CLI");
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&text).into_owned())
    };

    // A session that runs, and a request that waits.
    let path = format!("/api/v1/namespaces/{}/pods/shell", scene.prod);
    wait_until(TIME_MAX, "the pod runs", || {
        (scene.cluster.get(&path)?["status"]["phase"] == "Running").then_some(())
    });
    let kubeconfig = scene.shield.kubeconfig(&scene.agent);
    let mut session = scene
        .cluster
        .kubectl_as(&kubeconfig)
        .args(["-n", &scene.prod, "exec", "shell", "--", "sleep", "600"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("kubectl");
    let hold = scene.pending(&scene.prod, "shell");
    scene.decide("approve", hold["id"].as_str().unwrap_or_default(), "");
    wait_until(TIME_MAX, "the session runs", || {
        let calls = scene.shield.cli_json(&scene.reviewer, &["timeline", "--writes"]);
        calls["items"].as_array()?.iter().any(|call| call["code"] == 101).then_some(())
    });
    let web = format!("/apis/apps/v1/namespaces/{}/deployments/web", scene.prod);
    let waiting = thread::scope(|threads| {
        let request = || scene.shield.request(&scene.agent, "DELETE", &web, None, b"");
        let waiting = threads.spawn(request);
        scene.pending(&scene.prod, "web");

        // Who may approve may not freeze by that.
        let (code, text) = said(&scene.shield, &scene.reviewer, &["freeze", &scene.agent.username]);
        assert_eq!(code, Some(4), "{text}");
        let short = scene.agent.username.replace("system:serviceaccount:", "").replace(':', "/");
        let reason = ["freeze", &short, "--reason", "runs wild"];
        let (code, text) = said(&scene.shield, &chief, &reason);
        assert_eq!(code, Some(0), "{text}");
        assert!(text.contains("is frozen") && !text.contains("warning"), "{text}");
        waiting.join().expect("an answer")
    });
    assert_eq!(waiting.status, 403, "{}", waiting.text());
    assert!(waiting.text().contains("freeze-chief froze this agent: runs wild"));
    wait_until(TIME_MAX, "the session is cut", || session.try_wait().expect("kubectl"));

    // Nothing new either, not in a sandbox, not after a restart; reads go on.
    scene.shield.terminate();
    scene.shield.restart();
    let maps = format!("/api/v1/namespaces/{}/configmaps", scene.dev);
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}});
    let create = |scene: &Scene| {
        let body = map.to_string();
        scene.shield.request(&scene.agent, "POST", &maps, Some("application/json"), body.as_bytes())
    };
    assert_eq!(create(&scene).status, 403);
    assert_eq!(scene.shield.request(&scene.agent, "GET", &maps, None, b"").status, 200);
    assert!(scene.cluster.get(&web).is_some(), "the deployment");
    let frozen = scene.shield.cli_json(&chief, &["frozen"]);
    assert_eq!(frozen["items"][0]["user"], scene.agent.username.as_str());
    // What waited before cannot be approved, and says why.
    let held = scene.pending(&scene.prod, "web");
    assert_eq!(held["frozen"]["reason"], "runs wild", "{held}");
    let id = held["id"].as_str().unwrap_or_default();
    let digest = scene.shield.cli_json(&scene.reviewer, &["show", id])["preview"]["digest"].clone();
    let approve = ["approve", id, "--digest", digest.as_str().unwrap_or_default()];
    let (code, text) = said(&scene.shield, &scene.reviewer, &approve);
    assert_eq!(code, Some(6), "{text}");
    assert!(text.contains("freeze-chief froze") && text.contains("thaw"), "{text}");
    let (_, text) = said(&scene.shield, &scene.reviewer, &["holds"]);
    assert!(text.contains("agent frozen"), "{text}");
    let (_, text) = said(&scene.shield, &scene.reviewer, &["show", id]);
    assert!(text.contains("Its agent is frozen since") && text.contains("runs wild"), "{text}");
    assert_eq!(scene.shield.request(&scene.agent, "DELETE", &web, None, b"").status, 403);
    assert!(scene.cluster.get(&web).is_some(), "the deployment");
    // A second freeze keeps the reason, or gives another.
    let (code, text) = said(&scene.shield, &chief, &["freeze", &scene.agent.username]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("is frozen already, since"), "{text}");
    assert!(text.contains("by freeze-chief: runs wild"), "{text}");
    let (_, text) = said(&scene.shield, &chief, &["frozen"]);
    assert!(text.contains("runs wild"), "{text}");
    // What it stopped is denied in one word, by who froze it: what waited, and what came later.
    let denied = ["timeline", "--decision", "deny", "--agent", &scene.agent.username];
    let denied = scene.shield.cli_json(&chief, &denied);
    let denied: Vec<_> = denied["items"].as_array().expect("calls").iter().collect();
    assert!(denied.len() >= 3, "{denied:?}");
    for call in denied {
        assert_eq!(call["decision"], "deny", "{call}");
        assert_eq!(call["reviewer"], "freeze-chief", "{call}");
        assert_eq!(call["verdictReason"], "runs wild", "{call}");
    }
    let (_, text) = said(&scene.shield, &chief, &["report", "--agent", &scene.agent.username]);
    assert!(text.contains("refused: frozen by freeze-chief at"), "{text}");
    let again = ["freeze", &scene.agent.username, "--reason", "still wild"];
    let (_, text) = said(&scene.shield, &chief, &again);
    assert!(text.contains("the reason is now: still wild"), "{text}");

    let (code, text) = said(&scene.shield, &chief, &["thaw", &scene.agent.username]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(create(&scene).status, 201);
    let timeline = scene.shield.cli_json(&chief, &["timeline", "--object", &scene.agent.username]);
    let verbs: Vec<_> = timeline["items"]
        .as_array()
        .expect("calls")
        .iter()
        .map(|it| &it["request"]["verb"])
        .collect();
    assert_eq!(verbs, ["thaw", "freeze", "freeze"]);
    // A slip of the pen freezes nobody.
    let slip = format!("{}x", scene.agent.username);
    let (code, text) = said(&scene.shield, &chief, &["freeze", &slip]);
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains(&format!("did you mean `{}`?", scene.agent.username)), "{text}");
    assert_eq!(scene.shield.cli_json(&chief, &["frozen"])["items"], json!([]));
    // A reviewer who is frozen by mistake is no agent for it.
    let (code, text) = said(&scene.shield, &chief, &["freeze", "freeze-reviewer", "--unseen"]);
    assert_eq!(code, Some(0), "{text}");
    scene.shield.cli_json(&scene.reviewer, &["holds"]);
}

#[test]
fn a_write_that_is_judged_while_its_agent_is_frozen_is_not_sent() {
    let scene = Scene::new("freeze-judged");
    scene.cluster.apply(&deployment(&scene.dev, "web", 1)).expect("a deployment");
    let chief = scene.cluster.reviewer_with("freeze-judged-chief", &["get", "list", "freeze"]);
    let webhook = SlowWebhook::of_previews(scene.cluster, &scene.dev);
    let web = format!("/apis/apps/v1/namespaces/{}/deployments/web", scene.dev);
    let image = |n: u32| format!("nginx:2.{n}");
    let write = |n: u32| {
        let container = json!({"name": "c", "image": image(n)});
        let patch = json!({"spec": {"template": {"spec": {"containers": [container]}}}});
        let kind = Some("application/strategic-merge-patch+json");
        scene.shield.request(&scene.agent, "PATCH", &web, kind, patch.to_string().as_bytes())
    };
    let (mut n, mut answer) = (0, None);
    while answer.is_none() {
        n += 1;
        answer = thread::scope(|threads| {
            let writing = threads.spawn(|| write(n));
            wait_until(TIME_MAX, "its preview waits, or it has passed", || {
                (webhook.is_reached() || writing.is_finished()).then_some(())
            });
            // The first may come before the API server knows of the webhook.
            if !webhook.is_reached() {
                assert_eq!(writing.join().expect("an answer").status, 200);
                return None;
            }
            // Its first call is judged and not recorded yet.
            let freeze = ["freeze", &scene.agent.username, "--reason", "runs wild", "--unseen"];
            let frozen = scene.shield.cli(&chief).args(freeze).output().expect("a CLI");
            assert!(frozen.status.success(), "{frozen:?}");
            webhook.let_go();
            Some(writing.join().expect("an answer"))
        });
    }
    let answer = answer.expect("an answer");
    assert_eq!(answer.status, 403, "{}", answer.text());
    assert!(answer.text().contains("froze this agent: runs wild"), "{}", answer.text());
    let now = scene.cluster.get(&web).expect("a deployment");
    assert_ne!(now["spec"]["template"]["spec"]["containers"][0]["image"], image(n));
}
