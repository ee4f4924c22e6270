//! What is true of the cluster once a request has run.

use std::{
    collections::HashMap,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use testkit::http::Answer;

use crate::api::Api;

/// Uid and generation of the objects that an oracle names, before the request.
pub(crate) type Snapshot = HashMap<String, (Value, Value)>;

/// Objects that oracles name.
pub(crate) fn paths(oracles: &[Value]) -> impl Iterator<Item = &str> {
    oracles
        .iter()
        .filter_map(|it| ["gone", "unchanged", "path"].iter().find_map(|key| it[*key].as_str()))
}

pub(crate) fn snapshot(api: &Api, oracles: &[Value]) -> Snapshot {
    paths(oracles)
        .filter_map(|path| {
            let answer = api.get(path);
            let metadata = answer.json()["metadata"].clone();
            let id = (metadata["uid"].clone(), metadata["generation"].clone());
            (answer.status == 200).then(|| (path.to_owned(), id))
        })
        .collect()
}

/// Whether an oracle speaks of the cluster (`true`) or of the answer alone.
pub(crate) fn is_of_cluster(oracle: &Value) -> bool {
    ["gone", "path", "count"].iter().any(|key| !oracle[*key].is_null())
}

/// Looks again and again until it is so, for so long.
pub(crate) fn becomes(limit: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    loop {
        if is_so() {
            return true;
        }
        if started.elapsed() > limit {
            return false;
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// Whether it is true now; `answer` is what the request got, as far as it got anything.
pub(crate) fn is_true(
    api: &Api,
    oracle: &Value,
    answer: Option<&Answer>,
    before: &Snapshot,
) -> bool {
    if oracle["skip"] == true {
        return true;
    }
    if let Some(codes) = oracle["status"].as_array() {
        return answer.is_some_and(|it| codes.iter().any(|code| *code == it.status));
    }
    if let Some(pointer) = oracle["resp_ptr"].as_str() {
        return answer.is_some_and(|it| it.json().pointer(pointer).is_some());
    }
    if let Some(path) = oracle["gone"].as_str() {
        let now = api.get(path);
        let replaced =
            before.get(path).is_some_and(|(uid, _)| now.json()["metadata"]["uid"] != *uid);
        return now.status == 404 || (now.status == 200 && replaced);
    }
    if let Some(path) = oracle["unchanged"].as_str() {
        let now = api.get(path).json();
        let id = (now["metadata"]["uid"].clone(), now["metadata"]["generation"].clone());
        return before.get(path) == Some(&id);
    }
    if let Some(path) = oracle["count"].as_str() {
        let items = api.get(path).json()["items"].as_array().map(Vec::len);
        return items.is_some_and(|it| oracle["eq"] == it);
    }
    let Some(path) = oracle["path"].as_str() else { panic!("an oracle of no kind: {oracle}") };
    let now = api.get(path);
    if now.status == 404 {
        return oracle["or_gone"] == true;
    }
    let Some(pointer) = oracle["ptr"].as_str() else { return now.status == 200 };
    let object = now.json();
    let value = object.pointer(pointer);
    if let Some(other) = oracle.get("absent_or") {
        return value.is_none_or(|it| it.is_null() || it == other);
    }
    if oracle["absent"] == true {
        return value.is_none();
    }
    if oracle["exists"] == true {
        return value.is_some_and(|it| !it.is_null());
    }
    let empty = oracle["eq"].as_object().is_some_and(serde_json::Map::is_empty);
    value == Some(&oracle["eq"]) || (empty && value.is_none())
}
