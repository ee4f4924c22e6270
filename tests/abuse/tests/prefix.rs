//! An API server that is below a path, as behind a front for many clusters: nothing goes to its root.

use std::thread;

use abuse::{Middle, PATIENCE};
use cluster::{Scene, deployment};
use serde_json::json;
use testkit::{Credential, Shield, wait_until};

const PREFIX: &str = "/k8s/clusters/c-1";

/// As `rbac own` of the tests lets the proxy name it.
const BOT: &str = "certificate-bot";
const BOTS: &str = "certificate-bots";

#[test]
fn every_request_goes_below_the_path_of_the_api_server() {
    let scene = Scene::new("prefix");
    let front = Middle::below(scene.cluster, PREFIX);
    let own = front.kubeconfig(scene.cluster, "agent-shield");
    let shield = Shield::start_as(scene.cluster, Credential::Kubeconfig(own), &[]);
    scene.cluster.apply(&deployment(&scene.dev, "web", 1)).expect("a Deployment");
    let web = format!("/apis/apps/v1/namespaces/{}/deployments/web", scene.dev);
    let merge = Some("application/merge-patch+json");

    // A read, a stream, a write with its preview, one that is held, an upgrade, and a client certificate.
    let read = shield.request(&scene.agent, "GET", &web, None, b"");
    assert_eq!(read.status, 200, "{}", read.text());
    let watch = format!("/api/v1/namespaces/{}/configmaps?watch=1&timeoutSeconds=1", scene.dev);
    let watched = shield.request(&scene.agent, "GET", &watch, None, b"");
    assert_eq!(watched.status, 200, "{}", watched.text());
    let body = json!({"spec": {"template": {"metadata": {"annotations": {"n": "1"}}}}}).to_string();
    let written = shield.request(&scene.agent, "PATCH", &web, merge, body.as_bytes());
    assert_eq!(written.status, 200, "{}", written.text());
    thread::scope(|scope| {
        let asked = scope.spawn(|| shield.request(&scene.agent, "DELETE", &web, None, b""));
        let hold = shield.hold(&scene.reviewer, "the delete", |hold| hold["state"] == "pending");
        let id = hold["id"].as_str().unwrap_or_default();
        shield.decide(&scene.reviewer, "approve", id, "x").expect("an approval");
        let deleted = asked.join().expect("an answer");
        assert_eq!(deleted.status, 200, "{}", deleted.text());
    });
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "shell", "namespace": scene.dev},
        "spec": {
            "nodeName": "n1", "automountServiceAccountToken": false,
            "containers": [{"name": "c", "image": "nginx:1.25"}],
        },
    });
    scene.cluster.apply(&pod).expect("a pod");
    let path = format!("/api/v1/namespaces/{}/pods/shell", scene.dev);
    wait_until(PATIENCE, "the pod runs", || {
        (scene.cluster.get(&path)?["status"]["phase"] == "Running").then_some(())
    });
    let kubeconfig = shield.kubeconfig(&scene.agent);
    let exec = ["-n", &scene.dev, "exec", "shell", "--", "echo", "reached"];
    let exec = scene.cluster.kubectl_as(&kubeconfig).args(exec).output().expect("kubectl");
    assert!(String::from_utf8_lossy(&exec.stdout).contains("reached"), "{exec:?}");
    let certified = scene.certified(&shield, BOT, &[BOTS]);
    let whoami = ["auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"];
    let whoami = scene.cluster.kubectl_as(&certified).args(whoami).output().expect("kubectl");
    assert_eq!(String::from_utf8_lossy(&whoami.stdout), BOT);

    let all = front.requests();
    let astray = |it: &&String| !it.contains(&format!(" {PREFIX}/"));
    let astray: Vec<&String> = all.iter().filter(astray).collect();
    assert!(astray.is_empty(), "{astray:?}");
    for part in ["watch=1", "dryRun=All", "/exec", "DELETE ", "selfsubjectreviews", "tokenreviews"]
    {
        assert!(all.iter().any(|it| it.contains(part)), "{part} did not come this way: {all:#?}");
    }
    // Twice below it is nowhere.
    assert!(!all.iter().any(|it| it.contains(&format!("{PREFIX}{PREFIX}"))), "{all:#?}");
}
