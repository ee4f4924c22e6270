//! A body -> a tree, where there is exactly one reading of it.

use serde_json::Value;

use crate::{error::PayloadError, media_type::MediaType, protobuf, strict};

/// Reads a body strictly: JSON without duplicate keys, one YAML document without them, or Kubernetes
/// protobuf of the few kinds that are judged by their own bytes.
///
/// # Errors
/// [`PayloadError`] for everything else.
pub fn read(media: MediaType, body: &[u8]) -> Result<Value, PayloadError> {
    match media {
        MediaType::Json
        | MediaType::JsonPatch
        | MediaType::MergePatch
        | MediaType::StrategicMergePatch
        | MediaType::Missing => strict::json(body),
        // kubectl applies JSON under this name; JSON is read as JSON, so that numbers stay exact.
        MediaType::ApplyYaml | MediaType::Yaml => strict::json(body).or_else(|_| yaml(body)),
        MediaType::Protobuf => protobuf::read(body, None),
        MediaType::Cbor | MediaType::ApplyCbor | MediaType::Other => {
            Err(PayloadError::Opaque(media))
        }
    }
}

fn yaml(body: &[u8]) -> Result<Value, PayloadError> {
    let malformed = |why: String| PayloadError::Malformed { format: "YAML", why };
    let text = std::str::from_utf8(body).map_err(|error| malformed(error.to_string()))?;
    serde_saphyr::from_str(text).map_err(|error| malformed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_only_what_is_read_in_one_way() {
        let table: [(MediaType, &[u8], Option<Value>); 10] = [
            (MediaType::Json, br#"{"a":1}"#, Some(json!({"a": 1}))),
            (MediaType::Missing, br#"{"a":1}"#, Some(json!({"a": 1}))),
            (MediaType::Json, br#"{"a":1,"a":2}"#, None),
            (MediaType::Json, br#"{"b":{"a":1,"\u0061":2}}"#, None),
            (MediaType::Json, br#"{"a":1} x"#, None),
            (MediaType::Json, b"\xef\xbb\xbf{}", None),
            (MediaType::ApplyYaml, b"a: {b: [1, x]}", Some(json!({"a": {"b": [1, "x"]}}))),
            (MediaType::ApplyYaml, b"a: 1\na: 2\n", None),
            (MediaType::Yaml, b"a: 1\n---\nb: 2\n", None),
            (MediaType::Protobuf, b"k8s\0", None),
        ];
        for (media, body, want) in table {
            assert_eq!(read(media, body).ok(), want, "{media:?} {body:?}");
        }
    }
}
