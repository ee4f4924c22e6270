//! The `Warning` header, which Kubernetes clients show to whoever runs them.

use http::HeaderValue;

const CHARS_MAX: usize = 500;

/// `299 agent-shield "TEXT"`: whatever cannot stand in quotes becomes `?`, or is left out.
pub(crate) fn of(text: &str) -> HeaderValue {
    let text: String = text
        .chars()
        .map(|char| if char.is_ascii_graphic() || char == ' ' { char } else { '?' })
        .filter(|char| !matches!(char, '"' | '\\'))
        .take(CHARS_MAX)
        .collect();
    HeaderValue::from_str(&format!("299 agent-shield \"{text}\""))
        .unwrap_or_else(|_| HeaderValue::from_static("299 agent-shield \"see its log\""))
}
