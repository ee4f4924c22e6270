//! What an object is called whose request names none: a POST says it in its body, or has the API server
//! make a name up. It is recorded from the answer, so that whoever looks for an object finds its creation.

use serde_json::Value;

use crate::call::Write;

/// Longest name that is recorded, in bytes; the API server has none that is longer than 253.
const NAME_BYTES_MAX: usize = 320;

/// Groups whose objects are questions: to create one stores nothing.
const QUESTIONS: [&str; 2] = ["authentication.k8s.io", "authorization.k8s.io"];

/// Whether it makes an object that its path does not name.
pub fn makes_unnamed(write: &Write) -> bool {
    let a = write.attributes();
    a.verb == "create"
        && a.name.is_empty()
        && !a.resource.is_empty()
        && !QUESTIONS.contains(&a.api_group.as_str())
        && !write.is_dry_run
}

/// The name of the object that a write made, by the API server's answer to it.
pub fn name_made(write: &Write, code: u16, answer: &[u8]) -> Option<String> {
    if !makes_unnamed(write) || !(200..300).contains(&code) {
        return None;
    }
    name_in(answer)
}

fn name_in(answer: &[u8]) -> Option<String> {
    let name = match serde_json::from_slice::<Value>(answer) {
        Ok(object) => object.pointer("/metadata/name")?.as_str()?.to_owned(),
        Err(_) => payload::protobuf_identity(answer)?.name,
    };
    (1..=NAME_BYTES_MAX).contains(&name.len()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_name_in_an_answer() {
        let long = format!(r#"{{"metadata":{{"name":"{}"}}}}"#, "a".repeat(400));
        let table = [
            (r#"{"kind":"Pod","metadata":{"name":"web-x7k2p"}}"#, Some("web-x7k2p")),
            (r#"{"kind":"Status","metadata":{}}"#, None),
            (r#"{"metadata":{"name":""}}"#, None),
            (r#"{"metadata":{"name":7}}"#, None),
            (long.as_str(), None),
            ("", None),
            ("k8s", None),
        ];
        for (answer, want) in table {
            assert_eq!(name_in(answer.as_bytes()).as_deref(), want, "{answer}");
        }
    }
}
