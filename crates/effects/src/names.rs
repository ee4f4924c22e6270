//! Names of fields of custom resources, by their words: however an operator writes them, and what they say.

use serde_json::Value;

/// By these, a name says that something does not happen.
const PROTECTIVE: [&str; 18] = [
    "block",
    "deny",
    "disable",
    "disabled",
    "forbid",
    "ignore",
    "keep",
    "lock",
    "no",
    "orphan",
    "preserve",
    "prevent",
    "prevention",
    "protect",
    "protected",
    "protection",
    "retain",
    "skip",
];

/// Values that order nothing, but where a name is protective.
const OFF: [&str; 12] = [
    "", "disable", "disabled", "false", "keep", "never", "no", "none", "off", "orphan", "preserve",
    "retain",
];

/// A name of a field, taken apart.
pub(crate) struct Name {
    /// Lower case, nothing between the words.
    pub(crate) joined: String,
    pub(crate) words: Vec<String>,
}

impl Name {
    /// `bearerTokenFile`, `bearer_token_file`; of a key with a domain what stands behind it.
    pub(crate) fn of(key: &str) -> Self {
        let key = key.rsplit('/').next().unwrap_or_default();
        let (mut words, mut word) = (Vec::new(), String::new());
        let mut chars = key.chars();
        let mut before = ' ';
        while let Some(it) = chars.next() {
            // `URLPath` is two words, `clusterIPs` are not three.
            let mut ahead = chars.clone();
            let next = ahead.next().filter(|next| next.is_lowercase());
            let is_plural = next == Some('s') && !ahead.next().is_some_and(char::is_lowercase);
            let next_is_lower = next.is_some() && !is_plural;
            let begins = it.is_uppercase()
                && (before.is_lowercase() || before.is_ascii_digit() || next_is_lower);
            if (begins || !it.is_alphanumeric()) && !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
            if it.is_alphanumeric() {
                word.extend(it.to_lowercase());
            }
            before = it;
        }
        if !word.is_empty() {
            words.push(word);
        }
        Self { joined: words.concat(), words }
    }

    /// Whether one of its words is this.
    pub(crate) fn has_word(&self, word: &str) -> bool {
        self.words.iter().any(|it| it == word)
    }

    /// Whether one of its words is one of these.
    pub(crate) fn has_word_of(&self, words: &[&str]) -> bool {
        words.iter().any(|it| self.has_word(it))
    }

    /// Whether it says that something does not happen.
    pub(crate) fn is_protective(&self) -> bool {
        self.words.iter().any(|it| PROTECTIVE.contains(&it.as_str()))
    }
}

/// Whether a value orders nothing.
pub(crate) fn is_off(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => OFF.contains(&text.to_lowercase().as_str()),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_names_apart() {
        let table = [
            ("bearerTokenFile", "bearer token file"),
            ("bearer_token-file", "bearer token file"),
            ("repoURL", "repo url"),
            ("URLPath", "url path"),
            ("clusterIPs", "cluster ips"),
            ("ex.io/hibernate", "hibernate"),
            ("s3Bucket", "s3 bucket"),
        ];
        for (name, want) in table {
            assert_eq!(Name::of(name).words.join(" "), want, "{name}");
        }
    }
}
