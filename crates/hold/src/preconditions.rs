//! Pinning an approved request to the object that was seen.
//!
//! This is the only change ever made to a payload, and only after an approval: if the object
//! changes between the last look and the send, the API server answers 409 and nothing happens.

use bytes::Bytes;
use payload::MediaType;
use serde_json::{Value, json};

use crate::request::Request;

/// What is sent for an approved hold.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pinned {
    /// The body that leaves.
    pub body: Bytes,
    /// Set where the body has another type than the agent's (a delete without a body gets one).
    pub content_type: Option<&'static str>,
    /// Whether a 409 (or 422 for a JSON patch) means that the object has changed.
    pub is_pinned: bool,
}

/// Adds uid and resourceVersion where the format has a place for them; otherwise the agent's own
/// bytes, marked as not pinned. A delete without a version is of whatever the object has become.
pub(crate) fn add(request: &Request<'_>, uid: &str, resource_version: &str) -> Pinned {
    let version = Some(resource_version).filter(|it| !it.is_empty());
    let pinned = match (request.attributes.verb.as_str(), version) {
        _ if uid.is_empty() => None,
        ("delete", version) => pinned_delete(request, uid, version),
        ("patch" | "update", Some(version)) => pinned_change(request, version),
        _ => None,
    };
    pinned.unwrap_or_else(|| Pinned {
        body: request.body.clone(),
        content_type: None,
        is_pinned: false,
    })
}

fn pinned_delete(request: &Request<'_>, uid: &str, version: Option<&str>) -> Option<Pinned> {
    let options = request.delete_options()?;
    let body = options.pinned(uid, version).ok()?;
    Some(Pinned {
        body: Bytes::from(body),
        content_type: Some("application/json"),
        is_pinned: true,
    })
}

fn pinned_change(request: &Request<'_>, resource_version: &str) -> Option<Pinned> {
    let mut document = payload::read(request.media, request.body).ok()?;
    // A number that would be written differently than it was read leaves the body as it is.
    let rereads = |media: MediaType| {
        matches!(
            media,
            MediaType::Json
                | MediaType::JsonPatch
                | MediaType::MergePatch
                | MediaType::StrategicMergePatch
                | MediaType::ApplyYaml
        ) && serde_json::from_slice::<Value>(request.body).is_ok()
    };
    if !rereads(request.media) || !only_integers(&document) {
        return None;
    }
    match &mut document {
        Value::Array(operations) if request.media == MediaType::JsonPatch => {
            let test = json!({
                "op": "test", "path": "/metadata/resourceVersion", "value": resource_version,
            });
            operations.insert(0, test);
        }
        Value::Object(object) if request.media != MediaType::JsonPatch => {
            let metadata = object.entry("metadata").or_insert_with(|| json!({}));
            let metadata = metadata.as_object_mut()?;
            // An agent's own resourceVersion stays: the API server checks it.
            metadata.entry("resourceVersion").or_insert_with(|| json!(resource_version));
        }
        _ => return None,
    }
    Some(Pinned { body: Bytes::from(document.to_string()), content_type: None, is_pinned: true })
}

fn only_integers(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_i64() || number.is_u64(),
        Value::Array(items) => items.iter().all(only_integers),
        Value::Object(fields) => fields.values().all(only_integers),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_no_number_that_could_change() {
        let table = [
            (json!({"a": [1, -2, {"b": 3}]}), true),
            (json!({"a": "1.5", "b": null, "c": true}), true),
            (json!({"a": 1.5}), false),
            (json!([{"b": [2.0]}]), false),
        ];
        for (value, want) in table {
            assert_eq!(only_integers(&value), want, "{value}");
        }
    }
}
