//! What several judgements ask of a live pod.

use serde_json::Value;

/// The owner reference of the controller that keeps it up, where there is one.
pub(crate) fn controller(pod: &Value) -> Option<&Value> {
    let owners = pod.pointer("/metadata/ownerReferences")?.as_array()?;
    owners.iter().find(|owner| owner.get("controller") == Some(&Value::Bool(true)))
}

/// Whether none of it runs any more, nor will again.
pub(crate) fn has_ended(pod: &Value) -> bool {
    let phase = pod.pointer("/status/phase").and_then(Value::as_str);
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// Whether it serves, and will go on.
pub(crate) fn stays_ready(pod: &Value) -> bool {
    pod.pointer("/metadata/deletionTimestamp").is_none() && is_ready(pod)
}

/// Whether it takes requests, by its own condition.
pub(crate) fn is_ready(pod: &Value) -> bool {
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
    let is = |condition: &Value| {
        let text = |field| condition.get(field).and_then(Value::as_str);
        text("type") == Some("Ready") && text("status") == Some("True")
    };
    conditions.into_iter().flatten().any(is)
}
