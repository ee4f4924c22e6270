//! What looks like something that is held and is not: kubectl that moves over to server-side apply, and
//! keys that the owner of a cluster says are inert.

use std::{
    fs,
    path::Path,
    process::{Child, Stdio},
};

use cluster::{Scene, deployment};
use serde_json::json;
use testkit::{Shield, http};

const MERGE: Option<&str> = Some("application/merge-patch+json");

/// kubectl as the agent.
fn kubectl(scene: &Scene, kubeconfig: &Path, args: &[&str]) -> Child {
    let mut command = scene.cluster.kubectl_as(kubeconfig);
    command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("kubectl")
}

/// Whether it ended well, and what it said.
fn ended(child: Child) -> (bool, String) {
    let output = child.wait_with_output().expect("kubectl");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

fn managers(scene: &Scene) -> Vec<String> {
    let web = format!("/apis/apps/v1/namespaces/{}/deployments/web", scene.prod);
    let web = scene.cluster.get(&web).expect("a deployment");
    let entries = web["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let text = |it: &serde_json::Value| it.as_str().unwrap_or_default().to_owned();
    entries
        .iter()
        .map(|it| format!("{} {}", text(&it["operation"]), text(&it["manager"])))
        .collect()
}

#[test]
fn kubectl_moves_over_to_server_side_apply_and_nobody_else_does() {
    let scene = Scene::new("moves");
    let file = scene.shield.data_dir().join("web.json");
    fs::write(&file, deployment(&scene.prod, "web", 3).to_string()).expect("a file");
    let file = file.display().to_string();
    scene.cluster.kubectl_says(&["apply", "-f", &file]).expect("an apply on kubectl's side");
    assert!(managers(&scene).contains(&"Update kubectl-client-side-apply".to_owned()));

    let kubeconfig = scene.shield.kubeconfig(&scene.agent);
    let apply = ["apply", "--server-side", "-f", &file];
    // Twice: the second time there is nothing to move.
    for _ in 0..2 {
        let (done, said) = ended(kubectl(&scene, &kubeconfig, &apply));
        assert!(done, "{said}");
    }
    let managers = managers(&scene);
    assert!(managers.contains(&"Apply kubectl".to_owned()), "{managers:?}");
    assert!(!managers.contains(&"Update kubectl-client-side-apply".to_owned()), "{managers:?}");

    let as_tool = [&apply[..], &["--field-manager=flux-client-side-apply"]].concat();
    let tool = kubectl(&scene, &kubeconfig, &as_tool);
    let hold = scene.pending(&scene.prod, "web");
    assert_eq!(hold["effects"][0]["kind"], "TakeFields", "{hold}");
    scene.decide("deny", hold["id"].as_str().unwrap_or_default(), "not in its name");
    let (done, said) = ended(tool);
    assert!(!done && said.contains("not in its name"), "{said}");
}

#[test]
fn a_key_that_settings_call_inert_is_a_note() {
    let scene = Scene::new("inert");
    let dir = scene.cluster.dir().join(scene.cluster.unique("inert"));
    fs::create_dir_all(&dir).expect("a directory");
    let settings = "apiVersion: agent-shield.io/v1alpha1\nkind: PolicySettings\n\
        metadata: {name: settings}\nspec: {inertKeys: [example.com/team]}\n";
    fs::write(dir.join("settings.yaml"), settings).expect("a file");
    let dir = dir.display().to_string();
    let shield = Shield::start(scene.cluster, &["--policy", &dir, "--hold-open", "1s"]);
    scene.cluster.apply(&deployment(&scene.prod, "web", 3)).expect("a deployment");
    let web = format!("/apis/apps/v1/namespaces/{}/deployments/web", scene.prod);
    let table = [
        (json!({"metadata": {"annotations": {"example.com/team": "a"}}}), true),
        (json!({"metadata": {"labels": {"example.com/team": "a"}}}), true),
        (
            json!({"spec": {"template": {"metadata": {"annotations": {"example.com/team": "a"}}}}}),
            true,
        ),
        (json!({"metadata": {"annotations": {"example.com/teams": "a"}}}), false),
    ];
    for (patch, passes) in table {
        let body = patch.to_string();
        let answer = shield.request(&scene.agent, "PATCH", &web, MERGE, body.as_bytes());
        let want = if passes { 200 } else { 429 };
        assert_eq!(answer.status, want, "{patch}: {}", answer.text());
    }
}

#[test]
fn logs_of_a_node_are_read_where_settings_say_so() {
    let scene = Scene::new("node-logs");
    let dir = scene.cluster.dir().join(scene.cluster.unique("node-logs"));
    fs::create_dir_all(&dir).expect("a directory");
    let settings = "apiVersion: agent-shield.io/v1alpha1\nkind: PolicySettings\n\
        metadata: {name: settings}\nspec: {nodeLogs: {reason: agreed}}\n";
    fs::write(dir.join("settings.yaml"), settings).expect("a file");
    let dir = dir.display().to_string();
    let shield = Shield::start(scene.cluster, &["--policy", &dir, "--hold-open", "1s"]);
    let authorization = format!("Bearer {}", scene.agent.token);
    let headers = [("Authorization", authorization.as_str())];
    let denied = |answer: &http::Answer| answer.text().contains("by rule proxy-to-node");
    let table = [("logs/", true), ("logs/?query=kubelet", true), ("run/a/b/c", false)];
    for (path, is_let) in table {
        let target = format!("/api/v1/nodes/n1/proxy/{path}");
        let get = |shield: &Shield| shield.request(&scene.agent, "GET", &target, None, b"");
        assert!(denied(&get(&scene.shield)), "without the setting: {path}");
        let answer = get(&shield);
        assert_eq!(denied(&answer), !is_let, "{path}: {}", answer.text());
        if is_let {
            let (server, ca) = (scene.cluster.server(), scene.cluster.ca());
            let direct = http::request(server, &ca, "GET", &target, &headers, b"");
            assert_eq!(answer.status, direct.expect("an answer").status, "{path}");
        }
    }
}
