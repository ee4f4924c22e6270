//! One change in six encodings is one change: the same effects, and the same difference for people.

use std::time::Duration;

use cases::{Harness, Held};
use serde_json::{Value, json};
use testkit::wait_until;

const WEB: &str = "/apis/apps/v1/namespaces/prod/deployments/web";
const JSON: &str = "application/json";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// A change of `prod/web`, as each kind of patch says it.
struct Change {
    what: &'static str,
    json_patch: Value,
    /// A merge patch names a list as a whole; a strategic one and an apply by its items.
    merge: fn(&Value) -> Value,
    strategic: Value,
    edit: fn(&mut Value),
}

fn container(object: &Value) -> Value {
    object["spec"]["template"]["spec"]["containers"][0].clone()
}

fn with_container(container: &Value) -> Value {
    json!({"spec": {"template": {"spec": {"containers": [container]}}}})
}

fn changes() -> Vec<Change> {
    let image = "evil:1";
    let label = "app.kubernetes.io~1managed-by";
    vec![
        Change {
            what: "image",
            json_patch: json!([{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": image}]),
            merge: |object| {
                let mut it = container(object);
                it["image"] = json!("evil:1");
                with_container(&it)
            },
            strategic: with_container(&json!({"name": "c", "image": image})),
            edit: |object| {
                object["spec"]["template"]["spec"]["containers"][0]["image"] = json!("evil:1")
            },
        },
        Change {
            what: "replicas",
            json_patch: json!([{"op": "replace", "path": "/spec/replicas", "value": 0}]),
            merge: |_| json!({"spec": {"replicas": 0}}),
            strategic: json!({"spec": {"replicas": 0}}),
            edit: |object| object["spec"]["replicas"] = json!(0),
        },
        Change {
            what: "limits",
            json_patch: json!([{"op": "replace", "path": "/spec/template/spec/containers/0/resources/limits/cpu", "value": "900m"}]),
            merge: |object| {
                let mut it = container(object);
                it["resources"]["limits"]["cpu"] = json!("900m");
                with_container(&it)
            },
            strategic: with_container(
                &json!({"name": "c", "resources": {"limits": {"cpu": "900m"}}}),
            ),
            edit: |object| {
                object["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["cpu"] =
                    json!("900m");
            },
        },
        Change {
            what: "labels",
            json_patch: json!([{"op": "add", "path": format!("/metadata/labels/{label}"), "value": "x"}]),
            merge: |_| json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": "x"}}}),
            strategic: json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": "x"}}}),
            edit: |object| {
                object["metadata"]["labels"]["app.kubernetes.io/managed-by"] = json!("x")
            },
        },
    ]
}

/// Kinds and details of the effects, and every differing path with both sides. That an apply owns what it
/// names is an effect of its own: no other encoding has it.
fn seen(held: &Held) -> Value {
    let effects = held.0["effects"].as_array().expect("effects");
    let of_change: Vec<_> = effects.iter().filter(|it| it["kind"] != "TakeFields").collect();
    json!({"effects": of_change, "changes": held.0["preview"]["changes"]})
}

fn owns(held: &Held) -> bool {
    held.0["effects"].as_array().is_some_and(|all| all.iter().any(|it| it["kind"] == "TakeFields"))
}

#[test]
fn six_encodings_of_a_change_are_one_change() {
    let mut harness = Harness::start();
    harness.fixture("deploy:prod/web");
    // Protobuf bytes name the version that they are of: controllers must be done with it.
    wait_until(Duration::from_secs(60), "its status is written", || {
        (harness.get(WEB)["status"]["replicas"] == 10).then_some(())
    });
    let mut wrong = Vec::new();
    for change in changes() {
        let live = harness.get(WEB);
        let mut put = live.clone();
        (change.edit)(&mut put);
        // A PUT names the version that it is of, and controllers write the status meanwhile.
        put["metadata"].as_object_mut().expect("metadata").remove("resourceVersion");
        let protobuf = harness.dry_run("PUT", WEB, &put, PROTOBUF);
        let mut apply = change.strategic.clone();
        apply["apiVersion"] = json!("apps/v1");
        apply["kind"] = json!("Deployment");
        let text = |value: &Value| value.to_string().into_bytes();
        let forced = format!("{WEB}?fieldManager=x&force=true");
        let encodings: [(&str, &str, &str, &str, Vec<u8>); 6] = [
            ("JSON patch", "PATCH", WEB, "application/json-patch+json", text(&change.json_patch)),
            (
                "merge patch",
                "PATCH",
                WEB,
                "application/merge-patch+json",
                text(&(change.merge)(&live)),
            ),
            (
                "strategic merge patch",
                "PATCH",
                WEB,
                "application/strategic-merge-patch+json",
                text(&change.strategic),
            ),
            ("apply", "PATCH", &forced, "application/apply-patch+yaml", text(&apply)),
            ("PUT in JSON", "PUT", WEB, JSON, text(&put)),
            ("PUT in protobuf", "PUT", WEB, PROTOBUF, protobuf),
        ];
        let mut first = None;
        for (encoding, method, target, content_type, body) in encodings {
            let held = harness.held_for(method, target, content_type, &body);
            assert_eq!(owns(&held), encoding == "apply", "{} as {encoding}", change.what);
            let now = seen(&held);
            let want = first.get_or_insert_with(|| now.clone());
            if *want != now {
                wrong.push(format!("{} as {encoding}: {now}\nand not {want}", change.what));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    harness.stop().expect("an orderly end");
}
