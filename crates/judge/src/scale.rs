//! The count that a write to a `/scale` says, by its own words: for custom resources, which have no dry
//! run that is safe to ask for.

use payload::MediaType;
use serde_json::Value;

/// The count of a `Scale`; what is left out is 0.
pub(crate) fn count(scale: &Value) -> i64 {
    scale.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(0)
}

/// The count that the body asks for; `None` where that cannot be told.
pub(crate) fn said(media: MediaType, is_update: bool, body: &[u8], old: i64) -> Option<i64> {
    let body = payload::read(media, body).ok()?;
    if is_update {
        return by_merge(&body, 0);
    }
    match media {
        MediaType::MergePatch | MediaType::ApplyYaml => by_merge(&body, old),
        MediaType::JsonPatch => {
            body.as_array()?.iter().try_fold(old, |count, operation| by_operation(operation, count))
        }
        _ => None,
    }
}

/// RFC 7386: null takes away.
fn by_merge(body: &Value, absent: i64) -> Option<i64> {
    match body.get("spec") {
        None => Some(absent),
        Some(Value::Null) => Some(0),
        Some(Value::Object(spec)) => match spec.get("replicas") {
            None => Some(absent),
            Some(Value::Null) => Some(0),
            Some(count) => count.as_i64(),
        },
        Some(_) => None,
    }
}

/// RFC 6902.
fn by_operation(operation: &Value, count: i64) -> Option<i64> {
    let text = |key| operation.get(key).and_then(Value::as_str);
    let value = operation.get("value");
    match (text("op")?, text("path")?) {
        ("test", _) => Some(count),
        ("add" | "replace", "/spec/replicas") => value?.as_i64(),
        ("remove", "/spec/replicas" | "/spec") => Some(0),
        ("add" | "replace", "/spec") => value?.get("replicas").map_or(Some(0), Value::as_i64),
        ("add" | "replace" | "remove", path)
            if path.starts_with("/metadata/") || path.starts_with("/status/") =>
        {
            Some(count)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_count_that_is_asked_for() {
        use MediaType::{Cbor, Json, JsonPatch, MergePatch};
        let table: [(MediaType, bool, &str, Option<i64>); 14] = [
            (MergePatch, false, r#"{"spec":{"replicas":2}}"#, Some(2)),
            (MergePatch, false, r#"{"spec":{"replicas":null}}"#, Some(0)),
            (MergePatch, false, r#"{"spec":null}"#, Some(0)),
            (MergePatch, false, r#"{"metadata":{}}"#, Some(7)),
            (MergePatch, false, r#"{"spec":{"replicas":2,"replicas":7}}"#, None),
            (MergePatch, false, r#"{"spec":{"replicas":"2"}}"#, None),
            (Json, true, r#"{"spec":{"replicas":2}}"#, Some(2)),
            (Json, true, r#"{"spec":{}}"#, Some(0)),
            (JsonPatch, false, r#"[{"op":"replace","path":"/spec/replicas","value":1}]"#, Some(1)),
            (JsonPatch, false, r#"[{"op":"remove","path":"/spec"}]"#, Some(0)),
            (JsonPatch, false, r#"[{"op":"copy","from":"/a","path":"/spec/replicas"}]"#, None),
            (JsonPatch, false, r#"[{"op":"replace","path":"/spec~1replicas","value":1}]"#, None),
            (JsonPatch, false, r#"[{"op":"test","path":"/spec/replicas","value":7}]"#, Some(7)),
            (Cbor, false, "x", None),
        ];
        for (media, is_update, body, want) in table {
            assert_eq!(said(media, is_update, body.as_bytes(), 7), want, "{media:?} {body}");
        }
    }
}
