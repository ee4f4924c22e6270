//! Objects that rows need, made anew for each.

use std::{collections::HashMap, sync::OnceLock, thread, time::Duration};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    api::{Api, JSON, MERGE},
    oracle,
    row::Operation,
};

#[derive(Deserialize)]
struct Fixture {
    collection: String,
    object: Value,
    #[serde(default)]
    post: Vec<Operation>,
    /// What a controller still has to do.
    until: Option<Value>,
}

/// How long a controller may take.
const CONTROLLER_TIME_MAX: Duration = Duration::from_secs(40);

fn fixture(key: &str) -> &'static Fixture {
    static ALL: OnceLock<HashMap<String, Fixture>> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        serde_json::from_str(include_str!("../fixtures.json")).expect("fixtures.json")
    });
    all.get(key).unwrap_or_else(|| panic!("no fixture {key}"))
}

/// Path of a fixture's object.
pub(crate) fn path_of(key: &str) -> String {
    let fixture = fixture(key);
    format!("{}/{}", fixture.collection, fixture.object["metadata"]["name"].as_str().unwrap_or("?"))
}

/// Makes an object as the fixture says, whatever is there now.
pub(crate) fn reset(api: &Api, key: &str) -> Result<(), String> {
    let fixture = fixture(key);
    let path = path_of(key);
    if key.starts_with("ns:") {
        return namespace(api, fixture, &path);
    }
    // Making a definition anew takes seconds, and no row changes these; widgets are the exception.
    if key.starts_with("crd:") && !key.ends_with("widgets.ex.io") {
        let answer = api.get(&path);
        if answer.status == 200 && answer.json()["metadata"]["deletionTimestamp"].is_null() {
            return Ok(());
        }
    }
    remove(api, key, &path);
    let body = api.fill(&fixture.object.to_string());
    let mut said = String::new();
    for _ in 0..40 {
        let answer = api.ask("POST", &fixture.collection, Some(JSON), &body);
        if matches!(answer.status, 200 | 201) {
            for operation in &fixture.post {
                api.run(operation);
            }
            return match &fixture.until {
                Some(until) => wait(api, key, until),
                None => Ok(()),
            };
        }
        said = answer.text();
        thread::sleep(Duration::from_millis(250));
    }
    Err(format!("fixture {key}: {said}"))
}

fn wait(api: &Api, key: &str, until: &Value) -> Result<(), String> {
    let is_so = || oracle::is_true(api, until, None, &oracle::Snapshot::new());
    match oracle::becomes(CONTROLLER_TIME_MAX, is_so) {
        true => Ok(()),
        false => Err(format!("fixture {key}: not yet {until}")),
    }
}

fn remove(api: &Api, key: &str, path: &str) {
    for _ in 0..150 {
        let answer = api.get(path);
        if answer.status == 404 {
            return;
        }
        let object = answer.json();
        if !object["metadata"]["finalizers"].is_null() && !key.starts_with("crd:") {
            api.ask("PATCH", path, Some(MERGE), r#"{"metadata":{"finalizers":null}}"#);
        }
        if object["metadata"]["deletionTimestamp"].is_null() || key.starts_with("pod") {
            let target = format!("{path}?gracePeriodSeconds=0&propagationPolicy=Background");
            api.ask("DELETE", &target, None, "");
        }
        thread::sleep(Duration::from_millis(50));
    }
}

fn namespace(api: &Api, fixture: &Fixture, path: &str) -> Result<(), String> {
    let name = &fixture.object["metadata"]["name"];
    for _ in 0..240 {
        let answer = api.get(path);
        if answer.status == 404 {
            let made =
                api.ask("POST", &fixture.collection, Some(JSON), &fixture.object.to_string());
            return match made.status {
                200 | 201 => Ok(()),
                _ => Err(format!("namespace {name}: {}", made.text())),
            };
        }
        let object = answer.json();
        let unfinished = object["spec"]["finalizers"].as_array().is_some_and(|it| !it.is_empty());
        if object["metadata"]["deletionTimestamp"].is_null() {
            let labels = fixture.object["metadata"]["labels"].clone();
            let labels = if labels.is_null() { json!({}) } else { labels };
            let patch = json!([{"op": "replace", "path": "/metadata/labels", "value": labels}]);
            api.ask("PATCH", path, Some("application/json-patch+json"), &patch.to_string());
            if !unfinished {
                let namespace = json!({
                    "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name},
                    "spec": {"finalizers": ["kubernetes"]},
                });
                api.ask("PUT", &format!("{path}/finalize"), Some(JSON), &namespace.to_string());
            }
            api.ask("PATCH", path, Some(MERGE), r#"{"metadata":{"ownerReferences":null}}"#);
            return Ok(());
        }
        if !unfinished {
            api.ask("DELETE", path, None, "");
        }
        thread::sleep(Duration::from_millis(250));
    }
    Err(format!("namespace {name} does not end"))
}
