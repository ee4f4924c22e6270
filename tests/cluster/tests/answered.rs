//! What the API server refuses is its answer to the agent, in its own words; nobody is asked to approve what
//! cannot run.

use std::time::Duration;

use cluster::{Scene, deployment, list};
use serde_json::{Value, json};
use testkit::{http, http::Answer, wait_until};

const JSON: &str = "application/json";
const MERGE: &str = "application/merge-patch+json";

fn directly(scene: &Scene, request: &(&str, String, &str, String)) -> Answer {
    let (method, target, content_type, body) = request;
    let token = format!("Bearer {}", scene.agent.token);
    let headers = [("Authorization", token.as_str()), ("Content-Type", content_type)];
    let cluster = scene.cluster;
    http::request(cluster.server(), &cluster.ca(), method, target, &headers, body.as_bytes())
        .expect("an answer")
}

/// Both answers, which must say the same, and that nothing is held of it.
fn is_answered(scene: &Scene, request: &(&str, String, &str, String), want: u16) {
    let (method, target, content_type, body) = request;
    let direct = directly(scene, request);
    assert_eq!(direct.status, want, "directly: {method} {target}: {}", direct.text());
    let answer =
        scene.shield.request(&scene.agent, method, target, Some(content_type), body.as_bytes());
    assert_eq!(answer.status, want, "{method} {target}: {}", answer.text());
    let said = |answer: &Answer| ["message", "reason"].map(|it| answer.json()[it].clone());
    assert_eq!(said(&answer), said(&direct), "{method} {target}");
}

fn nothing_was_held(scene: &Scene) {
    let holds = scene.shield.cli_json(&scene.reviewer, &["holds", "--state", "all"]);
    assert_eq!(holds["items"], json!([]));
}

#[test]
fn what_the_api_server_refuses_is_answered() {
    let scene = Scene::new("answered");
    let (prod, dev) = (scene.prod.as_str(), scene.dev.as_str());
    let objects = [deployment(prod, "web", 2), deployment(dev, "web", 2)];
    scene.cluster.apply(&list(&objects)).expect("deployments");
    for namespace in [prod, dev] {
        let apps = |version: &str, rest: &str| {
            format!("/apis/apps/{version}/namespaces/{namespace}/{rest}")
        };
        let core = |rest: &str| format!("/api/v1/namespaces/{namespace}/{rest}");
        let web = deployment(namespace, "web", 0).to_string();
        let none = r#"{"spec":{"replicas":0}}"#.to_owned();
        let token = r#"{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{}}"#;
        let token = token.to_owned();
        let table = [
            (("DELETE", apps("v1", "deployments/none"), JSON, String::new()), 404),
            (("PATCH", apps("v1", "deployments/none"), MERGE, none.clone()), 404),
            (("PATCH", apps("v1", "deployments/none/scale"), MERGE, none.clone()), 404),
            (("PUT", apps("v1", "deployments/none"), JSON, web.clone()), 400),
            (("POST", apps("v1", "deployments"), JSON, web), 409),
            (
                (
                    "PATCH",
                    apps("v1", "deployments/web"),
                    MERGE,
                    r#"{"spec":{"replicas":-1}}"#.into(),
                ),
                422,
            ),
            (("PATCH", apps("v1", "deployments/web"), "text/plain", none.clone()), 415),
            (("POST", apps("v1", "deployments"), "text/plain", none.clone()), 415),
            (("DELETE", apps("v1beta9", "deployments/web"), JSON, String::new()), 404),
            (("DELETE", apps("v1", "deploymentz/web"), JSON, String::new()), 404),
            (("PATCH", apps("v1", "deployments/web/dial"), MERGE, none.clone()), 404),
            (("DELETE", apps("v1", "deployments/web/scale"), JSON, String::new()), 405),
            (("POST", core("pods/none/exec?command=ls&stdout=true"), JSON, String::new()), 404),
            (("POST", core("serviceaccounts/none/token"), JSON, token.clone()), 404),
        ];
        for (request, want) in table {
            is_answered(&scene, &request, want);
        }
    }
    nothing_was_held(&scene);
}

#[test]
fn what_is_in_no_namespace_is_answered() {
    let scene = Scene::new("nowhere");
    let none = scene.cluster.unique("none");
    let own = format!("/api/v1/namespaces/{none}");
    let apps = format!("/apis/apps/v1/namespaces/{none}/deployments");
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}});
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": none}});
    let scaled = r#"{"spec":{"replicas":0}}"#.to_owned();
    let nothing = String::new;
    for (method, target, media, body) in [
        ("POST", format!("{own}/configmaps"), JSON, map.to_string()),
        ("POST", apps.clone(), JSON, deployment(&none, "web", 1).to_string()),
        ("DELETE", format!("{apps}/web"), JSON, nothing()),
        ("PATCH", format!("{apps}/web/scale"), MERGE, scaled),
        ("DELETE", format!("{own}/persistentvolumeclaims/data"), JSON, nothing()),
        ("POST", format!("{own}/pods/web/exec?command=ls&stdout=true"), JSON, nothing()),
        ("DELETE", own.clone(), JSON, nothing()),
        ("PUT", own.clone(), JSON, namespace.to_string()),
        ("PATCH", own.clone(), MERGE, r#"{"metadata":{"labels":{"a":"b"}}}"#.to_owned()),
    ] {
        is_answered(&scene, &(method, target, media, body), 404);
    }
    nothing_was_held(&scene);
}

#[test]
fn what_a_webhook_that_is_down_refuses_is_answered() {
    let scene = Scene::new("webhook-down");
    let objects = [deployment(&scene.prod, "web", 2), deployment(&scene.dev, "web", 2)];
    scene.cluster.apply(&list(&objects)).expect("deployments");
    let [port] = testkit::free_ports().expect("a port");
    let name = scene.cluster.unique("down.example");
    let hook = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [{
            "name": "down.agent-shield.example",
            "clientConfig": {"url": format!("https://127.0.0.1:{port}/")},
            "rules": [{
                "apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["deployments"],
                "operations": ["*"],
            }],
            "namespaceSelector": {"matchExpressions": [{
                "key": "kubernetes.io/metadata.name", "operator": "In",
                "values": [&scene.prod, &scene.dev],
            }]},
            "admissionReviewVersions": ["v1"], "sideEffects": "None", "timeoutSeconds": 5,
            "failurePolicy": "Fail",
        }],
    });
    scene.cluster.apply(&hook).expect("a webhook");
    let patch = |namespace: &str| {
        let target = format!("/apis/apps/v1/namespaces/{namespace}/deployments/web");
        ("PATCH", target, MERGE, r#"{"spec":{"replicas":0}}"#.to_owned())
    };
    let dry = |(method, target, media, body)| (method, format!("{target}?dryRun=All"), media, body);
    wait_until(Duration::from_secs(60), "the webhook is in force", || {
        (directly(&scene, &dry(patch(&scene.dev))).status == 500).then_some(())
    });
    for namespace in [&scene.prod, &scene.dev] {
        let delete = ("DELETE", patch(namespace).1, JSON, String::new());
        for request in [patch(namespace), dry(patch(namespace)), delete] {
            is_answered(&scene, &request, 500);
        }
        let web: Value = scene.cluster.get(&patch(namespace).1).expect("web");
        assert_eq!(web["spec"]["replicas"], 2);
    }
    nothing_was_held(&scene);
}
