//! Every route to a destructive effect: shown to work directly, then held, denied and approved.

use std::{thread, time::Duration};

use cluster::{Scene, deployment, list, workload};
use serde_json::{Value, json};
use testkit::{http, wait_until};

const MERGE: Option<&str> = Some("application/merge-patch+json");
const STRATEGIC: Option<&str> = Some("application/strategic-merge-patch+json");
const APPLY: Option<&str> = Some("application/apply-patch+yaml");
const JSON_PATCH: Option<&str> = Some("application/json-patch+json");
const JSON: Option<&str> = Some("application/json");
const YAML: Option<&str> = Some("application/yaml");

/// One request and what shows that it ran. `{n}` is the object's name, `{ns}` the namespace.
struct Route {
    what: &'static str,
    method: &'static str,
    target: &'static str,
    content_type: Option<&'static str>,
    body: String,
    object: &'static str,
    done: fn(Option<&Value>) -> bool,
}

const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/{ns}/deployments/{n}";

fn gone(object: Option<&Value>) -> bool {
    object.is_none_or(|it| it["metadata"]["deletionTimestamp"].is_string())
}

fn none(object: Option<&Value>) -> bool {
    object.is_some_and(|it| it["spec"]["replicas"] == 0)
}

fn one(object: Option<&Value>) -> bool {
    object.is_some_and(|it| it["spec"]["replicas"] == 1)
}

fn new_image(object: Option<&Value>) -> bool {
    object.is_some_and(|it| it["spec"]["template"]["spec"]["containers"][0]["image"] == "evil:1")
}

fn no_limits(object: Option<&Value>) -> bool {
    object.is_some_and(|it| {
        it["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["cpu"] != "500m"
    })
}

fn there(object: Option<&Value>) -> bool {
    object.is_some()
}

fn routes() -> Vec<Route> {
    let route = |what, method, target, content_type, body: &str, done| Route {
        what,
        method,
        target,
        content_type,
        body: body.to_owned(),
        object: DEPLOYMENT,
        done,
    };
    let nobody = json!({"metadata": {"ownerReferences": [{
        "apiVersion": "v1", "kind": "ConfigMap", "name": "nope",
        "uid": "00000000-0000-0000-0000-000000000001",
    }]}})
    .to_string();
    let scale = json!({
        "apiVersion": "autoscaling/v1", "kind": "Scale",
        "metadata": {"name": "{n}", "namespace": "{ns}"}, "spec": {},
    })
    .to_string();
    let image = r#"{"spec":{"template":{"spec":{"containers":[{"name":"c","image":"evil:1"}]}}}}"#;
    let apply =
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: '{n}'}\nspec: {replicas: 0x0}\n";
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "{n}"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": "{ns}"}],
    })
    .to_string();
    vec![
        route("delete", "DELETE", DEPLOYMENT, None, "", gone),
        route(
            "delete, trailing slash",
            "DELETE",
            "/apis/apps/v1/namespaces/{ns}/deployments/{n}/",
            None,
            "",
            gone,
        ),
        route(
            "delete with options",
            "DELETE",
            DEPLOYMENT,
            JSON,
            r#"{"propagationPolicy":"Background"}"#,
            gone,
        ),
        route(
            "a dry run that a body undoes",
            "DELETE",
            "/apis/apps/v1/namespaces/{ns}/deployments/{n}?dryRun=All",
            YAML,
            "kind: DeleteOptions\napiVersion: v1\n",
            gone,
        ),
        route(
            "delete a collection",
            "DELETE",
            "/apis/apps/v1/namespaces/{ns}/deployments?labelSelector=app%3D{n}",
            None,
            "",
            gone,
        ),
        route(
            "scale to zero",
            "PATCH",
            "/apis/apps/v1/namespaces/{ns}/deployments/{n}/scale",
            MERGE,
            r#"{"spec":{"replicas":0}}"#,
            none,
        ),
        route(
            "a Scale that leaves the count out",
            "PUT",
            "/apis/apps/v1/namespaces/{ns}/deployments/{n}/scale",
            JSON,
            &scale,
            none,
        ),
        route(
            "a count that is null",
            "PATCH",
            DEPLOYMENT,
            MERGE,
            r#"{"spec":{"replicas":null}}"#,
            one,
        ),
        route(
            "duplicate keys",
            "PATCH",
            DEPLOYMENT,
            STRATEGIC,
            r#"{"spec":{"replicas":10},"spec":{"replicas":0}}"#,
            none,
        ),
        route(
            "apply in YAML 1.1",
            "PATCH",
            "/apis/apps/v1/namespaces/{ns}/deployments/{n}?fieldManager=x&force=true",
            APPLY,
            apply,
            none,
        ),
        route("image, strategic", "PATCH", DEPLOYMENT, STRATEGIC, image, new_image),
        route(
            "image, JSON patch",
            "PATCH",
            DEPLOYMENT,
            JSON_PATCH,
            r#"[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"evil:1"}]"#,
            new_image,
        ),
        route(
            "limits removed",
            "PATCH",
            DEPLOYMENT,
            STRATEGIC,
            r#"{"spec":{"template":{"spec":{"containers":[{"name":"c","resources":{"$patch":"delete"}}]}}}}"#,
            no_limits,
        ),
        route("an owner that is nobody", "PATCH", DEPLOYMENT, MERGE, &nobody, gone),
        route(
            "an owner that is nobody, through status",
            "PATCH",
            "/apis/apps/v1/namespaces/{ns}/deployments/{n}/status",
            MERGE,
            &nobody,
            gone,
        ),
        Route {
            object: "/apis/apps/v1/namespaces/{ns}/statefulsets/{n}",
            ..route(
                "delete a StatefulSet",
                "DELETE",
                "/apis/apps/v1/namespaces/{ns}/statefulsets/{n}",
                None,
                "",
                gone,
            )
        },
        Route {
            object: "/api/v1/namespaces/{ns}/secrets/{n}",
            ..route(
                "delete a Secret",
                "DELETE",
                "/api/v1/namespaces/{ns}/secrets/{n}",
                None,
                "",
                gone,
            )
        },
        Route {
            object: "/api/v1/namespaces/{ns}/persistentvolumeclaims/{n}",
            ..route(
                "delete a claim",
                "DELETE",
                "/api/v1/namespaces/{ns}/persistentvolumeclaims/{n}",
                None,
                "",
                gone,
            )
        },
        Route {
            object: "/apis/rbac.authorization.k8s.io/v1/namespaces/{ns}/rolebindings/{n}",
            ..route(
                "bind a role",
                "POST",
                "/apis/rbac.authorization.k8s.io/v1/namespaces/{ns}/rolebindings",
                JSON,
                &binding,
                there,
            )
        },
    ]
}

/// A route as it is asked for once, and what the reviewer says to it.
struct Asked<'a> {
    route: &'a Route,
    namespace: &'a str,
    name: String,
    verdict: &'static str,
}

impl Asked<'_> {
    /// Its hold: a request is found again by what it asked, its method and path.
    fn hold<'h>(&self, holds: &'h [Value]) -> &'h Value {
        let target = filled(self.route.target, self.namespace, &self.name);
        let path = target.split('?').next().unwrap_or_default();
        let found = holds.iter().find(|hold| {
            let uri = hold["request"]["requestURI"].as_str().unwrap_or_default();
            uri == target
                && hold["request"]["method"] == self.route.method
                && (self.route.method != "POST" || uri.starts_with(path))
        });
        found.unwrap_or_else(|| panic!("{}: no hold of {target}", self.route.what))
    }
}

fn filled(text: &str, namespace: &str, name: &str) -> String {
    text.replace("{ns}", namespace).replace("{n}", name)
}

fn prepare(scene: &Scene, namespace: &str, routes: &[Route]) {
    let objects: Vec<Value> = routes
        .iter()
        .enumerate()
        .filter(|(_, route)| route.what != "bind a role")
        .map(|(n, route)| {
            let name = format!("o{n}");
            let metadata = json!({"name": name, "namespace": namespace});
            if route.object.contains("statefulsets") {
                workload("StatefulSet", namespace, &name, 1)
            } else if route.object.contains("secrets") {
                json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"k": "v"}})
            } else if route.object.contains("claims") {
                json!({
                    "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata,
                    "spec": {
                        "accessModes": ["ReadWriteOnce"],
                        "resources": {"requests": {"storage": "1Gi"}},
                    },
                })
            } else {
                deployment(namespace, &name, 4)
            }
        })
        .collect();
    scene.cluster.apply(&list(&objects)).expect("objects");
}

fn send(
    url: &str,
    ca: &std::path::Path,
    token: &str,
    route: &Route,
    namespace: &str,
    name: &str,
) -> http::Answer {
    let authorization = format!("Bearer {token}");
    let mut headers = vec![("Authorization", authorization.as_str())];
    headers.extend(route.content_type.map(|it| ("Content-Type", it)));
    let target = filled(route.target, namespace, name);
    let body = filled(&route.body, namespace, name);
    http::request(url, ca, route.method, &target, &headers, body.as_bytes())
        .unwrap_or_else(|error| panic!("{}: no answer: {error}", route.what))
}

fn is_done(scene: &Scene, route: &Route, namespace: &str, name: &str) -> bool {
    (route.done)(scene.cluster.get(&filled(route.object, namespace, name)).as_ref())
}

#[test]
fn each_route_works_directly_and_is_held_through_agent_shield() {
    let scene = Scene::new("routes");
    let routes = routes();
    let [control, approved] =
        ["routes-control", "routes-approved"].map(|name| scene.cluster.unique(name));
    for namespace in [&control, &approved] {
        scene.cluster.apply(&cluster::namespace(namespace, "production")).expect("a namespace");
    }
    for namespace in [&control, &approved, &scene.prod] {
        prepare(&scene, namespace, &routes);
    }
    // Each route is denied in the one namespace and approved in the other.
    let asked = |namespace, verdict| -> Vec<Asked> {
        let asked = |(n, route)| Asked { route, namespace, name: format!("o{n}"), verdict };
        routes.iter().enumerate().map(asked).collect()
    };

    // The positive control: the agent's own token, straight to the API server.
    for (n, route) in routes.iter().enumerate() {
        let name = format!("o{n}");
        assert!(
            !is_done(&scene, route, &control, &name),
            "{}: done before it was asked",
            route.what
        );
        let ca = scene.cluster.ca();
        let answer = send(scene.cluster.server(), &ca, &scene.agent.token, route, &control, &name);
        assert!(answer.status < 300, "{}: {}", route.what, answer.text());
    }
    for (n, route) in routes.iter().enumerate() {
        wait_until(Duration::from_secs(30), &format!("{} works directly", route.what), || {
            is_done(&scene, route, &control, &format!("o{n}")).then_some(())
        });
    }

    held_and_decided(&scene, &asked(&scene.prod, "deny"));
    held_and_decided(&scene, &asked(&approved, "approve"));
}

/// All of them wait at once; none has run before its decision, and then those that were approved.
fn held_and_decided(scene: &Scene, all: &[Asked<'_>]) {
    thread::scope(|scope| {
        let waiting: Vec<_> = all
            .iter()
            .map(|asked| {
                scope.spawn(move || {
                    let (shield, token) = (&scene.shield, &scene.agent.token);
                    let Asked { route, namespace, name, .. } = asked;
                    send(&shield.agent_url, &shield.ca(), token, route, namespace, name)
                })
            })
            .collect();
        let holds = wait_until(Duration::from_secs(60), "every route is held", || {
            let holds = scene.shield.cli_json(&scene.reviewer, &["holds"]);
            let holds = holds["items"].as_array()?.clone();
            (holds.len() == all.len()).then_some(holds)
        });
        let holds: Vec<&Value> = all.iter().map(|asked| asked.hold(&holds)).collect();
        let ran =
            scene.cluster.audit_events(|it| holds.iter().any(|h| h["auditID"] == it["auditID"]));
        assert!(ran.is_empty(), "ran while held: {ran:?}");
        for (Asked { verdict, .. }, hold) in all.iter().zip(&holds) {
            scene.decide(verdict, hold["id"].as_str().unwrap_or_default(), "as the test says");
        }
        for ((asked, waiting), hold) in all.iter().zip(waiting).zip(&holds) {
            let Asked { route, namespace, name, verdict } = asked;
            let answer = waiting.join().expect("an answer");
            let ran = scene.ran(hold["auditID"].as_str().unwrap_or_default());
            if *verdict == "deny" {
                assert_eq!(answer.status, 403, "{}: {}", route.what, answer.text());
                let message = answer.json()["message"].as_str().unwrap_or_default().to_owned();
                for part in
                    [hold["id"].as_str().unwrap_or_default(), "routes-reviewer", "as the test says"]
                {
                    assert!(message.contains(part), "{}: {message}", route.what);
                }
                assert!(ran.is_empty(), "{}: denied, and yet {ran:?}", route.what);
                assert!(
                    !is_done(scene, route, namespace, name),
                    "{}: ran though denied",
                    route.what
                );
            } else {
                assert!(answer.status < 300, "{}: {}", route.what, answer.text());
                // The API server may have warned of something too, as of duplicate keys.
                let is_ours = |(name, value): &(String, String)| {
                    name == "warning" && value.contains("approved by")
                };
                let headers = &answer.headers;
                assert!(headers.iter().any(is_ours), "{}: {headers:?}", route.what);
                assert_eq!(ran.len(), 1, "{}: approved, and yet {ran:?}", route.what);
                wait_until(Duration::from_secs(30), &format!("{} has run", route.what), || {
                    is_done(scene, route, namespace, name).then_some(())
                });
            }
        }
    });
}

#[test]
fn what_can_be_no_request_of_a_client_is_denied_or_refused() {
    let scene = Scene::new("refused");
    let prod = &scene.prod;
    let table = [
        ("GET", "/api/v1/nodes/n1/proxy/run/a/b/c".to_owned(), 403),
        (
            "GET",
            "/api/v1/namespaces/default/services/https:kubernetes:443/proxy/api".to_owned(),
            403,
        ),
        ("DELETE", format!("/api/v1/namespaces%2F{prod}"), 400),
        ("DELETE", format!("//api/v1/namespaces/{prod}"), 400),
        ("DELETE", format!("/api/v1/namespaces/{}/../{prod}", scene.dev), 400),
        ("DELETE", format!("/api/v1/namespaces/{prod}?dryRun=All;x=1"), 400),
        ("DELETE", format!("/api/v1/namespaces/{prod}?dryRun=all"), 400),
        ("DELETE", format!("/api/v1/namespaces/{prod}?dryRun=All&dryRun="), 400),
    ];
    for (method, target, want) in table {
        let answer = scene.shield.request(&scene.agent, method, &target, None, b"");
        assert_eq!(answer.status, want, "{method} {target}: {}", answer.text());
        assert_eq!(answer.json()["kind"], "Status");
    }
    let large = vec![b' '; (3 << 20) + 1];
    let target = format!("/api/v1/namespaces/{prod}/configmaps");
    let answer = scene.shield.request(&scene.agent, "POST", &target, JSON, &large);
    assert_eq!(answer.status, 413, "{}", answer.text());
    assert!(
        scene.cluster.get(&format!("/api/v1/namespaces/{prod}")).is_some_and(|it| !gone(Some(&it)))
    );
}
