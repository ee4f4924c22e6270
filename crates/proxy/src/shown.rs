//! What a reviewer is shown of the request itself.

use judge::Write;
use payload::Redactor;

const PAYLOAD_CHARS_MAX: usize = 32 << 10;

/// The body for people, parsed where it can be, secrets taken out, bounded in size; and what of it is
/// not shown.
pub(crate) fn payload(write: &Write, redactor: &Redactor) -> (String, Option<String>) {
    let text = whole(write, redactor);
    let mut short: String = text.chars().take(PAYLOAD_CHARS_MAX).collect();
    if short.len() == text.len() {
        return (text, None);
    }
    short.push_str("\n… (cut)");
    let all = text.chars().count();
    (
        short,
        Some(format!("the payload is {all} characters long, and cut after {PAYLOAD_CHARS_MAX}")),
    )
}

fn whole(write: &Write, redactor: &Redactor) -> String {
    if write.body.is_empty() {
        let is_connect = write.attributes().is_connect();
        return if is_connect { session(write, redactor) } else { String::new() };
    }
    match payload::read(write.media, &write.body) {
        Ok(mut document) => {
            redactor.redact_object(&write.attributes().resource, &mut document);
            serde_json::to_string_pretty(&document).unwrap_or_default()
        }
        Err(why) => format!(
            "({} bytes that are not shown: {why}; digest {})",
            write.body.len(),
            redactor.digest(&write.body)
        ),
    }
}

/// What a session would run: its options are its payload.
fn session(write: &Write, redactor: &Redactor) -> String {
    let mut options = serde_json::Map::new();
    for (key, value) in &write.attributes().query.0 {
        match key.as_str() {
            "command" | "ports" => {
                let words = options.entry(key).or_insert_with(|| serde_json::json!([]));
                if let Some(words) = words.as_array_mut() {
                    words.push(serde_json::json!(value));
                }
            }
            _ => {
                options.entry(key).or_insert_with(|| serde_json::json!(value));
            }
        }
    }
    let mut options = serde_json::Value::Object(options);
    redactor.redact_object(&write.attributes().resource, &mut options);
    serde_json::to_string_pretty(&options).unwrap_or_default()
}
