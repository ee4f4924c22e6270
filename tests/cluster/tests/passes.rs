//! What passes untouched: reads and safe writes, equal to the direct answers.

use cluster::{Scene, deployment, list};
use serde_json::{Value, json};
use testkit::http;

const MERGE: Option<&str> = Some("application/merge-patch+json");
const STRATEGIC: Option<&str> = Some("application/strategic-merge-patch+json");
const JSON: Option<&str> = Some("application/json");

fn direct(scene: &Scene, target: &str, accept: &str) -> http::Answer {
    let authorization = format!("Bearer {}", scene.agent.token);
    let headers = [("Authorization", authorization.as_str()), ("Accept", accept)];
    http::request(scene.cluster.server(), &scene.cluster.ca(), "GET", target, &headers, b"")
        .expect("an answer")
}

fn shielded(scene: &Scene, target: &str, accept: &str) -> http::Answer {
    let authorization = format!("Bearer {}", scene.agent.token);
    let headers = [("Authorization", authorization.as_str()), ("Accept", accept)];
    http::request(&scene.shield.agent_url, &scene.shield.ca(), "GET", target, &headers, b"")
        .expect("an answer")
}

#[test]
fn reads_are_answered_as_they_are_directly() {
    let scene = Scene::new("reads");
    let prod = &scene.prod;
    let items = [
        deployment(prod, "web", 1),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": prod}, "data": {"k": "v"}}),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": prod}, "stringData": {"k": "v"}}),
    ];
    scene.cluster.apply(&list(&items)).expect("objects");
    let json = "application/json";
    let table = [
        (
            "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
            format!("/api/v1/namespaces/{prod}/configmaps?limit=500"),
        ),
        (
            "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
            format!("/api/v1/namespaces/{prod}/secrets"),
        ),
        ("application/vnd.kubernetes.protobuf", format!("/api/v1/namespaces/{prod}/configmaps/c")),
        (json, format!("/api/v1/namespaces/{prod}/configmaps/c")),
        (json, format!("/api/v1/namespaces/{prod}/secrets/s")),
        (json, format!("/api/v1/namespaces/{prod}/configmaps/nope")),
        (json, format!("/api/v1/namespaces/{prod}/configmaps?fieldSelector=metadata.name%3Dc")),
        (json, format!("/api/v1/namespaces/{prod}")),
        (json, "/api".to_owned()),
        (json, "/apis".to_owned()),
        (json, "/apis/apps/v1".to_owned()),
        (json, "/openapi/v3".to_owned()),
        (json, "/version".to_owned()),
        (json, "/readyz".to_owned()),
        (json, "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode".to_owned()),
        (json, "/apis/nope.example/v1/things".to_owned()),
        (
            json,
            "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"
                .to_owned(),
        ),
        (json, format!("/apis/apps/v1/namespaces/{prod}/deployments/nope/scale")),
        (json, format!("/api/v1/namespaces/{prod}/serviceaccounts/default")),
        (json, format!("/apis/coordination.k8s.io/v1/namespaces/{prod}/leases")),
    ];
    for (accept, target) in &table {
        let (ours, theirs) = (shielded(&scene, target, accept), direct(&scene, target, accept));
        assert_eq!(ours.status, theirs.status, "{target}");
        // A list's own resourceVersion moves with every write anywhere.
        let plain = |answer: &http::Answer| match answer.json() {
            Value::Null => answer.body.clone(),
            mut json => {
                if json["metadata"].get("resourceVersion").is_some() && json["items"].is_array() {
                    json["metadata"]["resourceVersion"] = Value::Null;
                }
                if json["rows"].is_array() {
                    json = json["columnDefinitions"].clone();
                }
                json.to_string().into_bytes()
            }
        };
        assert_eq!(plain(&ours), plain(&theirs), "{target}");
        let names = |answer: &http::Answer| {
            let skip = ["date", "audit-id", "content-length", "transfer-encoding"];
            let names = answer.headers.iter().map(|(name, _)| name.clone());
            names.filter(|name| !skip.contains(&name.as_str())).collect::<Vec<_>>()
        };
        assert_eq!(names(&ours), names(&theirs), "{target}");
    }
}

#[test]
fn a_watch_streams_each_event_as_it_comes() {
    let scene = Scene::new("watch");
    let mut connection =
        http::Connection::open(&scene.shield.agent_url, &scene.shield.ca()).expect("a connection");
    let authorization = format!("Bearer {}", scene.agent.token);
    let target = format!("/api/v1/namespaces/{}/configmaps?watch=true", scene.dev);
    connection
        .request("GET", &target, &[("Authorization", &authorization)], b"")
        .expect("a request");
    assert!(connection.head().expect("a head").contains("200"));
    for name in ["one", "two"] {
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": scene.dev},
        });
        scene.cluster.apply(&object).expect("a ConfigMap");
        // Blocks until the event is there: a buffer on the way would keep it.
        let mut events = String::new();
        while !events.contains(&format!("\"name\":\"{name}\"")) {
            let chunk = connection.chunk().expect("a chunk").expect("an open stream");
            events.push_str(&String::from_utf8_lossy(&chunk));
        }
    }
}

#[test]
fn safe_writes_are_not_held() {
    let scene = Scene::new("safe");
    let (prod, dev) = (&scene.prod, &scene.dev);
    let items = [deployment(prod, "web", 5), deployment(dev, "web", 3)];
    scene.cluster.apply(&list(&items)).expect("objects");
    let restart = r#"{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"2026-01-01T00:00:00Z"}}}}}"#;
    let review = r#"{"apiVersion":"authorization.k8s.io/v1","kind":"SelfSubjectAccessReview","spec":{"resourceAttributes":{"verb":"get","resource":"pods"}}}"#;
    let lease = r#"{"apiVersion":"coordination.k8s.io/v1","kind":"Lease","metadata":{"name":"l"}}"#;
    let event = format!(
        r#"{{"apiVersion":"v1","kind":"Event","metadata":{{"generateName":"e-"}},"involvedObject":{{"kind":"Pod","namespace":"{prod}","name":"x"}},"reason":"r","message":"m"}}"#
    );
    let web = format!("/apis/apps/v1/namespaces/{prod}/deployments/web");
    let map = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"generateName":"m-"},"data":{"k":"v"}}"#;
    let table = [
        ("PATCH", web.clone(), STRATEGIC, restart, 200),
        ("PATCH", format!("{web}/scale"), MERGE, r#"{"spec":{"replicas":7}}"#, 200),
        ("PATCH", format!("{web}/scale"), MERGE, r#"{"spec":{"replicas":5}}"#, 200),
        ("PATCH", format!("{web}/scale"), MERGE, r#"{"spec":{"replicas":4}}"#, 200),
        ("PATCH", web.clone(), MERGE, r#"{"metadata":{"labels":{"team":"a"}}}"#, 200),
        ("PATCH", web.clone(), MERGE, r#"{"metadata":{"annotations":{"note":"x"}}}"#, 200),
        (
            "POST",
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews".to_owned(),
            JSON,
            review,
            201,
        ),
        (
            "POST",
            format!("/apis/coordination.k8s.io/v1/namespaces/{prod}/leases"),
            JSON,
            lease,
            201,
        ),
        ("POST", format!("/api/v1/namespaces/{prod}/events"), JSON, event.as_str(), 201),
        ("POST", format!("/api/v1/namespaces/{prod}/configmaps"), JSON, map, 201),
        ("DELETE", web.clone(), JSON, r#"{"dryRun":["All"]}"#, 200),
        ("DELETE", format!("{web}?dryRun=All"), None, "", 200),
        ("PATCH", format!("{web}?dryRun=All"), MERGE, r#"{"spec":{"replicas":0}}"#, 200),
        (
            "PATCH",
            format!("/apis/apps/v1/namespaces/{dev}/deployments/web/scale"),
            MERGE,
            r#"{"spec":{"replicas":0}}"#,
            200,
        ),
        (
            "PATCH",
            format!("/apis/apps/v1/namespaces/{dev}/deployments/web"),
            STRATEGIC,
            r#"{"spec":{"template":{"spec":{"containers":[{"name":"c","image":"nginx:2"}]}}}}"#,
            200,
        ),
        ("POST", format!("/api/v1/namespaces/{dev}/configmaps"), JSON, map, 201),
        // The API server's own refusals are the agent's answer, and nobody is asked.
        ("DELETE", format!("/apis/apps/v1/namespaces/{prod}/deployments/nope"), None, "", 404),
        ("PATCH", web.clone(), MERGE, r#"{"spec":{"replicas":-1}}"#, 422),
        (
            "PUT",
            format!("/api/v1/namespaces/{dev}/configmaps/nope"),
            JSON,
            r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"nope"}}"#,
            404,
        ),
    ];
    for (method, target, content_type, body, want) in &table {
        let answer =
            scene.shield.request(&scene.agent, method, target, *content_type, body.as_bytes());
        assert_eq!(answer.status, *want, "{method} {target} {body}: {}", answer.text());
    }
    let holds = scene.shield.cli_json(&scene.reviewer, &["holds", "--state", "all"]);
    assert_eq!(holds["items"], json!([]));
    let spec = scene.cluster.get(&web).expect("a deployment");
    assert_eq!(spec["spec"]["replicas"], 4, "dry runs changed nothing");
}
