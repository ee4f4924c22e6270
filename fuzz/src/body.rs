//! Laws of reading a body.

use std::fmt;

use payload::{MediaType, Redactor};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Value, json};

use crate::wire;

/// `METHOD SUBRESOURCE DRYRUN CONTENT-TYPE`, `-` for none, then the body from the second line on:
/// what is called a dry run carries exactly `All`, what is read is read alike by another reader, and
/// no value of a Secret is left after redaction.
pub fn body(data: &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (line, body) = (&data[..end], data.get(end + 1..).unwrap_or_default());
    let Ok(line) = std::str::from_utf8(line) else { return };
    let mut words = line.splitn(4, ' ').map(|word| Some(word).filter(|it| *it != "-"));
    let mut word = || words.next().flatten();
    let (method, subresource, dry_run, content_type) = (word(), word(), word(), word());
    let (method, subresource) = (method.unwrap_or_default(), subresource.unwrap_or_default());
    let media = payload::media_type(content_type);
    if payload::is_dry_run(method, subresource, media, body, dry_run) {
        let pretends = match (media, method) {
            (MediaType::Protobuf, "DELETE") if !body.is_empty() => protobuf_dry_run(body),
            _ => pretends(method, subresource, body, dry_run),
        };
        assert!(pretends, "not a dry run to the server");
    }
    delete_options(media, body);
    let Ok(tree) = payload::read(media, body) else { return };
    assert!(!matches!(media, MediaType::Cbor | MediaType::ApplyCbor), "nobody here reads CBOR");
    if media == MediaType::Protobuf {
        assert!(body.starts_with(b"k8s\0"), "not what Kubernetes calls protobuf");
    } else if !matches!(media, MediaType::Yaml | MediaType::ApplyYaml) {
        let other = serde_json::from_slice::<Value>(body).ok();
        assert_eq!(other.as_ref(), Some(&tree), "another reader reads something else");
    }
    redacted(&tree);
}

/// Whether `DeleteOptions` in protobuf say `dryRun: ["All"]` and nothing else of it, by a reader of the
/// wire format that knows two fields: `raw` of the envelope, and `dryRun` of what lies in it.
fn protobuf_dry_run(body: &[u8]) -> bool {
    let Some(envelope) = body.strip_prefix(b"k8s\0") else { return false };
    let all = |message: &[u8], field: u64| -> Option<Vec<Vec<u8>>> {
        let mut found = Vec::new();
        let mut rest = message;
        while !rest.is_empty() {
            let (key, value) = wire::field_of(&mut rest)?;
            found.extend(Some(value).filter(|_| key == field));
        }
        Some(found)
    };
    // Of a field that is told twice, the last counts.
    let raw = all(envelope, 2).and_then(|it| it.last().cloned()).unwrap_or_default();
    all(&raw, 5).is_some_and(|said| said == [b"All".to_vec()])
}

/// Whether the API server would only pretend, whichever of duplicate keys it takes.
fn pretends(method: &str, subresource: &str, body: &[u8], dry_run: Option<&str>) -> bool {
    let by_query = dry_run == Some("All");
    let by_body = |body: &[u8]| {
        let Ok(Pairs(pairs)) = serde_json::from_slice(body) else { return false };
        let mut said = pairs.iter().filter(|(key, _)| key.eq_ignore_ascii_case("dryRun"));
        said.next().is_some_and(|(_, value)| *value == json!(["All"])) && said.next().is_none()
    };
    match method {
        "DELETE" if body.is_empty() => by_query,
        "DELETE" => by_body(body),
        "POST" if subresource == "eviction" && !by_query => {
            // Whatever text it is: the word stands in it, and only inside of deleteOptions counts.
            let text = String::from_utf8_lossy(body);
            text.contains("All") || text.contains("\\u")
        }
        "POST" | "PUT" | "PATCH" => by_query,
        _ => false,
    }
}

/// All pairs of the outermost object, duplicates too.
struct Pairs(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = fields.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

/// What is made of an agent's delete options is what they were, and one thing more.
fn delete_options(media: MediaType, body: &[u8]) {
    let Ok(Some(options)) = payload::delete_options(media, body) else { return };
    let again = |bytes: &[u8]| {
        let read = payload::delete_options(MediaType::Json, bytes);
        read.expect("options that can be read again").expect("a body")
    };
    let dry = options.with_dry_run();
    assert!(again(&dry).is_dry_run(), "a probe that would run");
    assert!(pretends("DELETE", "", &dry, None), "a probe that would run");
    if let Ok(pinned) = options.pinned("uid-1", Some("7")) {
        assert_eq!(again(&pinned).is_dry_run(), options.is_dry_run());
        let pinned: Value = serde_json::from_slice(&pinned).expect("JSON");
        assert_eq!(pinned["preconditions"]["uid"], "uid-1");
        assert_eq!(pinned["preconditions"]["resourceVersion"], "7");
    }
}

/// After redaction nothing is left of what a Secret holds.
fn redacted(tree: &Value) {
    let redactor = Redactor::new(b"key");
    let mut shown = tree.clone();
    redactor.redact_object("secrets", &mut shown);
    for field in ["data", "stringData"] {
        shown.get(field).into_iter().for_each(all_marked);
    }
    if let Some(items) = shown.as_array() {
        for item in items {
            let path = item.get("path").and_then(Value::as_str).unwrap_or_default();
            if path.starts_with("/data/") || path.starts_with("/stringData/") {
                item.get("value").into_iter().for_each(all_marked);
            }
        }
    }
    let mut elsewhere = tree.clone();
    redactor.redact_object("pods", &mut elsewhere);
    if tree.get("kind") == Some(&json!("Secret")) {
        elsewhere.get("data").into_iter().for_each(all_marked);
    }
}

fn all_marked(value: &Value) {
    match value {
        Value::Null => {}
        Value::Object(fields) => fields.values().for_each(all_marked),
        Value::Array(items) => items.iter().for_each(all_marked),
        Value::String(text) => assert!(text.starts_with("[redacted "), "{text} is left"),
        scalar => panic!("{scalar} is left"),
    }
}
