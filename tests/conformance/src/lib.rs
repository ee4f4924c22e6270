//! Request lines, generated and mutated from a seed, and our reading of one in the form in which
//! Go's `RequestInfo` is printed by `testbed/requestinfo`.

mod lines;

use attributes::Attributes;
use http::{HeaderMap, Method};
use serde_json::{Map, Value, json};

pub use lines::Lines;

/// One request line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Line {
    /// GET, DELETE, …
    pub method: &'static str,
    /// Path and query, or what looks like it.
    pub target: String,
}

/// What we read; `None` where we refuse.
pub fn ours(method: &str, target: &str) -> Option<Attributes> {
    let method = Method::from_bytes(method.as_bytes()).ok()?;
    attributes::read(&method, target, &HeaderMap::new()).ok()
}

/// Our reading as Go prints its own.
pub fn as_go_says(a: &Attributes) -> Value {
    json!({
        "isResourceRequest": a.is_resource_request, "path": a.path, "verb": a.verb,
        "apiPrefix": a.api_prefix, "apiGroup": a.api_group, "apiVersion": a.api_version,
        "namespace": a.namespace, "resource": a.resource, "subresource": a.subresource,
        "name": a.name, "parts": a.parts,
    })
}

/// Leaves out what is empty or false, as in the committed vectors: Go's `null` is no parts.
pub fn brief(go: Value) -> Value {
    let Value::Object(fields) = go else { return go };
    let is_empty = |it: &Value| match it {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    };
    let full: Map<String, Value> = fields.into_iter().filter(|(_, it)| !is_empty(it)).collect();
    Value::Object(full)
}
