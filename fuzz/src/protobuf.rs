//! Laws of reading Kubernetes protobuf, by a reader that knows the wire format and nothing of kinds.

use payload::MediaType;
use serde_json::Value;

use crate::wire;

/// `KIND` on a line, `-` for none, then the bytes of an object: what is read tells every field that is
/// on the wire; a field more, a field twice or a byte less is read differently or not at all.
pub fn protobuf(data: &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (kind, object) = (&data[..end], data.get(end + 1..).unwrap_or_default());
    let kind = if kind == b"-" { &[] } else { kind };
    let read = |object: &[u8]| payload::read(MediaType::Protobuf, &enveloped(kind, object)).ok();
    let Some(tree) = read(object) else { return };
    let fields = wire::fields(object).expect("read, and not protobuf");
    let told: usize = tree
        .as_object()
        .expect("an object")
        .iter()
        .filter(|(name, _)| !["apiVersion", "kind"].contains(&name.as_str()))
        .map(|(_, value)| value.as_array().map_or(1, Vec::len))
        .sum();
    assert_eq!(fields.len(), told, "fields that are not told, or not there");
    texts(&tree, &enveloped(kind, object));
    for cut in 0..object.len() {
        assert_ne!(read(&object[..cut]).as_ref(), Some(&tree), "what follows {cut} does not count");
    }
    let with = |more: &[u8]| read(&[object, more].concat());
    assert_eq!(with(&wire::field(99, b"x")), None, "a field that is not known is skipped");
    for field in fields {
        let again = with(field);
        assert_ne!(again.as_ref(), Some(&tree), "the second of two does not count");
        let names_more = again.is_none_or(|it| it.to_string().len() > tree.to_string().len());
        assert!(names_more, "the second of two replaces the first");
    }
}

/// `k8s\0` and a `runtime.Unknown` around an object of `v1`, as client-go writes it.
fn enveloped(kind: &[u8], object: &[u8]) -> Vec<u8> {
    let type_meta = [wire::field(1, b"v1"), wire::field(2, kind)].concat();
    let parts = [
        wire::field(1, &type_meta),
        wire::field(2, object),
        wire::field(3, b""),
        wire::field(4, b""),
    ];
    [b"k8s\0", parts.concat().as_slice()].concat()
}

/// No text is told that is not on the wire.
fn texts(tree: &Value, wire: &[u8]) {
    let stands =
        |text: &str| text.is_empty() || wire.windows(text.len()).any(|it| it == text.as_bytes());
    match tree {
        Value::String(text) => assert!(stands(text), "{text} is made up"),
        Value::Array(items) => items.iter().for_each(|it| texts(it, wire)),
        Value::Object(fields) => fields.values().for_each(|it| texts(it, wire)),
        _ => {}
    }
}
