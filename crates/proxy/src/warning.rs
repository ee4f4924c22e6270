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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_within_its_quotes() {
        let long = "x".repeat(CHARS_MAX + 1);
        let table = [
            ("held by rule a", "held by rule a"),
            ("say \"yes\" \\ no", "say yes  no"),
            ("é\r\nWarning: 199", "???Warning: 199"),
            (long.as_str(), long.get(1..).unwrap_or_default()),
        ];
        for (text, want) in table {
            assert_eq!(of(text), format!("299 agent-shield \"{want}\""), "{text}");
        }
    }
}
