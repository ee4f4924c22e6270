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
    let malformed = |why, at| PayloadError::Malformed { format: "YAML", why, at };
    let text = std::str::from_utf8(body).map_err(|_| malformed("it is not UTF-8", None))?;
    serde_saphyr::from_str(text).map_err(|error| {
        // The parser's own words quote the lines around the mistake.
        let why = match error.without_snippet() {
            serde_saphyr::Error::DuplicateMappingKey { .. } => "a key appears twice",
            serde_saphyr::Error::MultipleDocuments { .. } => "there is more than one document",
            serde_saphyr::Error::Eof { .. } => "it ends too early",
            _ => "it cannot be read",
        };
        let at = error.location().map(|it| (it.line(), it.column())).filter(|(line, _)| *line > 0);
        malformed(why, at)
    })
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
    fn says_what_is_wrong_and_nothing_of_what_stands_there() {
        let s = "hunter2";
        let table = [
            (MediaType::Yaml, format!("data:\n  password: {s}\n  password: {s}\n")),
            (MediaType::ApplyYaml, format!("{s}: 1\n{s}: 2\n")),
            (MediaType::Yaml, format!("a: 1\n---\nb: {s}\n")),
            (MediaType::Yaml, format!("password: [{s}\n")),
            (MediaType::Yaml, format!("password: *{s}\n")),
            (MediaType::Yaml, format!("password: !{s} x\n? - {s}\n")),
            (MediaType::Yaml, format!("\tpassword: \"{s}\n")),
            (MediaType::Json, format!(r#"{{"{s}":1,"{s}":2}}"#)),
            (MediaType::Json, format!(r#"{{"password":"{s}"}} {s}"#)),
            (MediaType::Json, format!(r#"{{"password":{s}}}"#)),
            (MediaType::MergePatch, format!(r#"{{"password":"{s}\u00"}}"#)),
            (MediaType::Protobuf, format!("k8s\0{s}")),
            (MediaType::Cbor, s.to_owned()),
        ];
        for (media, body) in table {
            let error = read(media, body.as_bytes()).expect_err(&body);
            assert!(!format!("{error} {error:?}").contains(s), "{error:?}");
        }
        let body = b"data:\n  a: 1\n  a: 2\n";
        let error = read(MediaType::Yaml, body).expect_err("a key appears twice").to_string();
        assert!(error.starts_with("it is not YAML: a key appears twice at line 3"), "{error}");
    }
}
