//! Kubernetes protobuf, as far as a request is judged or shown by its own bytes: delete options,
//! evictions, scales, bindings, token requests, and reviews of one's own access. Everything else is
//! the API server's to read.
//!
//! `k8s\0`, then a `runtime.Unknown` (k8s.io/apimachinery, pkg/runtime/generated.proto) around the
//! object. Go's readers let the last of two fields win, merge messages and skip what they do not
//! know; here each of these is an error, so that there is one reading or none.

use serde_json::{Map, Value, json};

use crate::error::PayloadError;

const MAGIC: &[u8] = b"k8s\0";

/// What a field holds.
enum Of {
    Text,
    Number,
    Flag,
    Texts,
    /// Repeated entries of `key` and `value`.
    Pairs,
    Message(&'static [Field]),
}

/// A field by its number in the `.proto`, and its name in JSON.
struct Field(u64, &'static str, Of);

const TIME: &[Field] = &[Field(1, "seconds", Of::Number), Field(2, "nanos", Of::Number)];
const META: &[Field] = &[
    Field(1, "name", Of::Text),
    Field(2, "generateName", Of::Text),
    Field(3, "namespace", Of::Text),
    Field(4, "selfLink", Of::Text),
    Field(5, "uid", Of::Text),
    Field(6, "resourceVersion", Of::Text),
    Field(7, "generation", Of::Number),
    Field(8, "creationTimestamp", Of::Message(TIME)),
    Field(11, "labels", Of::Pairs),
    Field(12, "annotations", Of::Pairs),
];
const DELETE_OPTIONS: &[Field] = &[
    Field(1, "gracePeriodSeconds", Of::Number),
    Field(
        2,
        "preconditions",
        Of::Message(&[Field(1, "uid", Of::Text), Field(2, "resourceVersion", Of::Text)]),
    ),
    Field(3, "orphanDependents", Of::Flag),
    Field(4, "propagationPolicy", Of::Text),
    Field(5, "dryRun", Of::Texts),
    Field(6, "ignoreStoreReadErrorWithClusterBreakingPotential", Of::Flag),
];
const EVICTION: &[Field] = &[
    Field(1, "metadata", Of::Message(META)),
    Field(2, "deleteOptions", Of::Message(DELETE_OPTIONS)),
];
const SCALE: &[Field] = &[
    Field(1, "metadata", Of::Message(META)),
    Field(2, "spec", Of::Message(&[Field(1, "replicas", Of::Number)])),
    Field(
        3,
        "status",
        Of::Message(&[Field(1, "replicas", Of::Number), Field(2, "selector", Of::Text)]),
    ),
];
const REFERENCE: &[Field] = &[
    Field(1, "kind", Of::Text),
    Field(2, "namespace", Of::Text),
    Field(3, "name", Of::Text),
    Field(4, "uid", Of::Text),
    Field(5, "apiVersion", Of::Text),
    Field(6, "resourceVersion", Of::Text),
    Field(7, "fieldPath", Of::Text),
];
const BINDING: &[Field] =
    &[Field(1, "metadata", Of::Message(META)), Field(2, "target", Of::Message(REFERENCE))];
const TOKEN_REQUEST: &[Field] = &[
    Field(1, "metadata", Of::Message(META)),
    Field(
        2,
        "spec",
        Of::Message(&[
            Field(1, "audiences", Of::Texts),
            Field(
                3,
                "boundObjectRef",
                Of::Message(&[
                    Field(1, "kind", Of::Text),
                    Field(2, "apiVersion", Of::Text),
                    Field(3, "name", Of::Text),
                    Field(4, "uid", Of::Text),
                ]),
            ),
            Field(4, "expirationSeconds", Of::Number),
        ]),
    ),
    Field(
        3,
        "status",
        Of::Message(&[
            Field(1, "token", Of::Text),
            Field(2, "expirationTimestamp", Of::Message(TIME)),
        ]),
    ),
];
const ACCESS_REVIEW: &[Field] = &[
    Field(1, "metadata", Of::Message(META)),
    Field(
        2,
        "spec",
        Of::Message(&[
            Field(
                1,
                "resourceAttributes",
                Of::Message(&[
                    Field(1, "namespace", Of::Text),
                    Field(2, "verb", Of::Text),
                    Field(3, "group", Of::Text),
                    Field(4, "version", Of::Text),
                    Field(5, "resource", Of::Text),
                    Field(6, "subresource", Of::Text),
                    Field(7, "name", Of::Text),
                ]),
            ),
            Field(
                2,
                "nonResourceAttributes",
                Of::Message(&[Field(1, "path", Of::Text), Field(2, "verb", Of::Text)]),
            ),
        ]),
    ),
    Field(
        3,
        "status",
        Of::Message(&[
            Field(1, "allowed", Of::Flag),
            Field(2, "reason", Of::Text),
            Field(3, "evaluationError", Of::Text),
            Field(4, "denied", Of::Flag),
        ]),
    ),
];
const TYPE_META: &[Field] = &[Field(1, "apiVersion", Of::Text), Field(2, "kind", Of::Text)];

/// Reads an object of one of the kinds above; `kind` is the route's, for bytes that name none.
pub(crate) fn read(body: &[u8], kind: Option<&str>) -> Result<Value, PayloadError> {
    let body = body.strip_prefix(MAGIC).ok_or_else(|| malformed("it does not begin with k8s"))?;
    let (mut type_meta, mut raw) = (Map::new(), &[][..]);
    let mut seen = Vec::new();
    let mut bytes = Bytes(body);
    while let Some((number, value)) = bytes.field()? {
        once(&mut seen, number)?;
        match (number, value) {
            (1, Wire::Bytes(inner)) => type_meta = message(inner, TYPE_META)?,
            (2, Wire::Bytes(inner)) => raw = inner,
            // An encoding or another content type inside: nothing that a client of today sends.
            (3 | 4, Wire::Bytes([])) => {}
            _ => return Err(malformed("its envelope has a field that is not known")),
        }
    }
    let named = type_meta.get("kind").and_then(Value::as_str).filter(|it| !it.is_empty());
    let fields = match named.or(kind) {
        Some("DeleteOptions") => DELETE_OPTIONS,
        Some("Eviction") => EVICTION,
        Some("Scale") => SCALE,
        Some("Binding") => BINDING,
        Some("TokenRequest") => TOKEN_REQUEST,
        Some("SelfSubjectAccessReview") => ACCESS_REVIEW,
        _ => return Err(malformed("it is of a kind that is not read here")),
    };
    let mut object = message(raw, fields)?;
    for (key, value) in type_meta {
        if value != "" {
            object.insert(key, value);
        }
    }
    Ok(Value::Object(object))
}

/// What names one version of an object.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ObjectIdentity {
    /// `metadata.name`.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.resourceVersion`.
    pub resource_version: String,
}

/// Which object the API server answers with, of any kind; nothing else of it is read.
pub fn identity(answer: &[u8]) -> Option<ObjectIdentity> {
    let envelope = answer.strip_prefix(MAGIC)?;
    let metadata = inner(inner(envelope, 2)?, 1)?;
    let text = |number| std::str::from_utf8(inner(metadata, number)?).ok().map(str::to_owned);
    Some(ObjectIdentity { name: text(1)?, uid: text(5)?, resource_version: text(6)? })
}

/// A field of a message that is no number.
fn inner(message: &[u8], number: u64) -> Option<&[u8]> {
    let mut bytes = Bytes(message);
    while let Ok(Some((found, value))) = bytes.field() {
        match value {
            Wire::Bytes(inner) if found == number => return Some(inner),
            _ => {}
        }
    }
    None
}

fn message(body: &[u8], fields: &[Field]) -> Result<Map<String, Value>, PayloadError> {
    let (mut object, mut seen) = (Map::new(), Vec::new());
    let mut bytes = Bytes(body);
    while let Some((number, value)) = bytes.field()? {
        let found = fields.iter().find(|Field(it, ..)| *it == number);
        let Some(Field(_, name, of)) = found else {
            return Err(malformed("it has a field that is not known"));
        };
        let name = (*name).to_owned();
        match (of, value) {
            (Of::Texts, Wire::Bytes(inner)) => {
                let list = object.entry(name).or_insert_with(|| json!([]));
                list.as_array_mut().ok_or_else(|| malformed("a list"))?.push(utf8_value(inner)?);
                continue;
            }
            (Of::Pairs, Wire::Bytes(inner)) => {
                let pair =
                    message(inner, &[Field(1, "key", Of::Text), Field(2, "value", Of::Text)])?;
                let part = |part| pair.get(part).and_then(Value::as_str).unwrap_or_default();
                let map = object.entry(name).or_insert_with(|| json!({}));
                let map = map.as_object_mut().ok_or_else(|| malformed("a map"))?;
                if map.insert(part("key").to_owned(), part("value").into()).is_some() {
                    return Err(malformed("a key appears twice"));
                }
                continue;
            }
            (Of::Text, Wire::Bytes(inner)) => object.insert(name, utf8_value(inner)?),
            // Go reads these as two's complement.
            (Of::Number, Wire::Varint(value)) => object.insert(name, value.cast_signed().into()),
            (Of::Flag, Wire::Varint(value)) => object.insert(name, (value != 0).into()),
            (Of::Message(fields), Wire::Bytes(inner)) => {
                object.insert(name, Value::Object(message(inner, fields)?))
            }
            _ => return Err(malformed("a field is of another type than its own")),
        };
        once(&mut seen, number)?;
    }
    Ok(object)
}

fn once(seen: &mut Vec<u64>, number: u64) -> Result<(), PayloadError> {
    if seen.contains(&number) {
        return Err(malformed("a field appears twice"));
    }
    seen.push(number);
    Ok(())
}

fn utf8_value(bytes: &[u8]) -> Result<Value, PayloadError> {
    std::str::from_utf8(bytes).map(Value::from).map_err(|_| malformed("a text is not UTF-8"))
}

fn malformed(why: &'static str) -> PayloadError {
    PayloadError::Malformed { format: "Kubernetes protobuf", why, at: None }
}

/// A value as it stands on the wire; the two fixed-width types occur in none of the kinds above.
enum Wire<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
}

/// What is left to read.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn field(&mut self) -> Result<Option<(u64, Wire<'a>)>, PayloadError> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Wire::Varint(self.varint()?),
            2 => {
                let length = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
                let split = self.0.split_at_checked(length);
                let (inner, rest) = split.ok_or_else(|| malformed("it ends too early"))?;
                self.0 = rest;
                Wire::Bytes(inner)
            }
            _ => return Err(malformed("a type that is not known")),
        };
        Ok(Some((key >> 3, value)))
    }

    fn varint(&mut self) -> Result<u64, PayloadError> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) =
                self.0.split_first().ok_or_else(|| malformed("it ends too early"))?;
            self.0 = rest;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(malformed("a number is too long"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_out_which_object_an_answer_is() {
        let metadata = [part(1, b"web"), part(5, b"u"), part(6, b"7"), part(11, b"x")].concat();
        let answer = |metadata: &[u8]| {
            let raw = [part(1, metadata), part(2, b"spec")].concat();
            [MAGIC.to_vec(), part(1, b"type"), part(2, &raw)].concat()
        };
        let [name, uid, resource_version] = ["web", "u", "7"].map(str::to_owned);
        let want = ObjectIdentity { name, uid, resource_version };
        assert_eq!(identity(&answer(&metadata)), Some(want));
        assert_eq!(identity(&answer(&part(1, b"web"))), None);
        assert_eq!(identity(b"{}"), None);
    }

    /// One length-delimited field.
    fn part(number: u8, inner: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, u8::try_from(inner.len()).unwrap_or(0)], inner].concat()
    }

    fn envelope(kind: &str, raw: &[u8]) -> Vec<u8> {
        let meta = [part(1, b"v1"), part(2, kind.as_bytes())].concat();
        [MAGIC, &part(1, &meta), &part(2, raw), &part(3, b""), &part(4, b"")].concat()
    }

    #[test]
    fn reads_what_clients_send() {
        let minus_one = [8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
        let table = [
            (
                envelope(
                    "DeleteOptions",
                    &[&[8, 0][..], &part(4, b"Background"), &part(5, b"All")].concat(),
                ),
                json!({"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0,
                    "propagationPolicy": "Background", "dryRun": ["All"]}),
            ),
            (
                envelope("DeleteOptions", &minus_one),
                json!({"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": -1}),
            ),
            (
                envelope("Eviction", &part(1, &[part(1, b"p1"), part(8, b"")].concat())),
                json!({"apiVersion": "v1", "kind": "Eviction",
                    "metadata": {"name": "p1", "creationTimestamp": {}}}),
            ),
            (
                envelope("Scale", &part(2, &[8, 3])),
                json!({"apiVersion": "v1", "kind": "Scale", "spec": {"replicas": 3}}),
            ),
            (envelope("", b""), json!({"apiVersion": "v1"})),
        ];
        for (bytes, want) in table {
            assert_eq!(read(&bytes, Some("DeleteOptions")), Ok(want), "{bytes:?}");
        }
    }

    #[test]
    fn refuses_what_has_two_readings() {
        let table: [(&str, Vec<u8>, &str); 9] = [
            ("no magic", b"{}".to_vec(), "it does not begin with k8s"),
            ("another kind", envelope("Pod", b""), "it is of a kind that is not read here"),
            (
                "the last would win",
                envelope("DeleteOptions", &[8, 1, 8, 0]),
                "a field appears twice",
            ),
            (
                "messages would merge",
                envelope("Eviction", &[part(2, &[8, 1]), part(2, b"")].concat()),
                "a field appears twice",
            ),
            (
                "would be skipped",
                envelope("DeleteOptions", &[0x78, 1]),
                "it has a field that is not known",
            ),
            (
                "another wire type",
                envelope("DeleteOptions", &part(1, b"0")),
                "a field is of another type than its own",
            ),
            ("ends in the middle", envelope("DeleteOptions", &[8]), "it ends too early"),
            (
                "a varint without end",
                envelope("DeleteOptions", &[[8].as_slice(), &[0xff; 11]].concat()),
                "a number is too long",
            ),
            (
                "encoded inside",
                [MAGIC, &part(3, b"gzip")].concat(),
                "its envelope has a field that is not known",
            ),
        ];
        for (what, bytes, why) in table {
            assert_eq!(read(&bytes, Some("DeleteOptions")), Err(malformed(why)), "{what}");
        }
    }
}
