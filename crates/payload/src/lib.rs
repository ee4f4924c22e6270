//! What is sent: body bytes and media type -> a JSON tree, and the same tree without its secrets.
//!
//! The API server reads bytes that no parser of ours may read as it does (YAML 1.1, the last of
//! duplicate keys, protobuf), so a tree made here is for showing and for `DeleteOptions` only; what
//! cannot be read in exactly one way is an error, and the caller turns that into a hold. Pure.

mod delete_options;
mod protobuf;
mod redact;
mod strict;

pub use delete_options::{DeleteOptions, delete_options, eviction_options, is_dry_run};
pub use redact::{REDACTED, Redactor};
use serde_json::Value;

/// How a body is encoded, as the API server reads its `Content-Type`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MediaType {
    /// `application/json`.
    Json,
    /// `application/yaml`.
    Yaml,
    /// `application/vnd.kubernetes.protobuf`.
    Protobuf,
    /// `application/cbor`.
    Cbor,
    /// `application/json-patch+json`.
    JsonPatch,
    /// `application/merge-patch+json`.
    MergePatch,
    /// `application/strategic-merge-patch+json`.
    StrategicMergePatch,
    /// `application/apply-patch+yaml`.
    ApplyYaml,
    /// `application/apply-patch+cbor`.
    ApplyCbor,
    /// No `Content-Type`: JSON to the API server.
    Missing,
    /// Anything else.
    Other,
}

/// Why a body is not a tree.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PayloadError {
    /// An encoding that is not read here.
    #[error("{0:?} is not read here")]
    Opaque(MediaType),
    /// Neither JSON nor YAML, or read by two readers in two ways.
    #[error("it is not {format}: {why}")]
    Malformed {
        /// `JSON`, `YAML` or `Kubernetes protobuf`.
        format: &'static str,
        /// What the parser says.
        why: String,
    },
    /// A tree, but not the one that was expected.
    #[error("{0}")]
    Unexpected(String),
}

/// Reads a `Content-Type`. Parameters are left out; upper case counts as lower case, as for MIME.
pub fn media_type(content_type: Option<&str>) -> MediaType {
    let Some(content_type) = content_type else { return MediaType::Missing };
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "" => MediaType::Missing,
        "application/json" => MediaType::Json,
        "application/yaml" => MediaType::Yaml,
        "application/vnd.kubernetes.protobuf" => MediaType::Protobuf,
        "application/cbor" => MediaType::Cbor,
        "application/json-patch+json" => MediaType::JsonPatch,
        "application/merge-patch+json" => MediaType::MergePatch,
        "application/strategic-merge-patch+json" => MediaType::StrategicMergePatch,
        "application/apply-patch+yaml" => MediaType::ApplyYaml,
        "application/apply-patch+cbor" => MediaType::ApplyCbor,
        _ => MediaType::Other,
    }
}

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

    #[test]
    fn knows_media_types_by_their_essence() {
        let table = [
            (None, MediaType::Missing),
            (Some("application/json; charset=utf-8"), MediaType::Json),
            (
                Some("application/merge-patch+json;x=application/json-patch+json"),
                MediaType::MergePatch,
            ),
            (Some("text/plain"), MediaType::Other),
        ];
        for (content_type, want) in table {
            assert_eq!(media_type(content_type), want, "{content_type:?}");
        }
    }
}
