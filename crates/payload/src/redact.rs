//! Taking secrets out of what is stored and shown, with a keyed digest in place of each value, so
//! that a change shows and the value does not.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Words in the name of a variable, flag or query option whose value is a secret.
const SECRET_WORDS: [&str; 12] = [
    "password",
    "passwd",
    "passphrase",
    "token",
    "secret",
    "apikey",
    "api_key",
    "api-key",
    "credential",
    "private",
    "access_key",
    "authorization",
];

/// How every mark begins that stands for a secret.
pub const REDACTED: &str = "[redacted ";

/// Replaces secrets by keyed digests.
#[derive(Clone)]
pub struct Redactor {
    key: Hmac<Sha256>,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redactor([redacted])")
    }
}

impl Redactor {
    /// A redactor whose digests can only be compared by who has the key.
    pub fn new(key: &[u8]) -> Self {
        // HMAC takes a key of any length; its constructor can only fail for fixed-size keys.
        let key = Hmac::new_from_slice(key)
            .unwrap_or_else(|_| Hmac::new(&hmac::digest::Key::<Hmac<Sha256>>::default()));
        Self { key }
    }

    /// Keyed digest of some bytes, in hexadecimal.
    pub fn digest(&self, bytes: &[u8]) -> String {
        let mut mac = self.key.clone();
        mac.update(bytes);
        hex::encode(mac.finalize().into_bytes())
    }

    /// Takes secrets out of an object, a list, or any patch of one.
    pub fn redact_object(&self, resource: &str, value: &mut Value) {
        self.tree(resource == "secrets", value);
    }

    /// Takes secrets out of a request target: values of telling query options, and words of
    /// commands.
    pub fn redact_target(&self, target: &str) -> String {
        let Some((path, query)) = target.split_once('?') else { return target.to_owned() };
        let pairs: Vec<String> = query
            .split('&')
            .map(|pair| match pair.split_once('=') {
                Some((key, value)) if key == "command" => format!("{key}={}", self.word(value)),
                Some((key, value)) if is_telling(key) => format!("{key}={}", self.mark(value)),
                _ => pair.to_owned(),
            })
            .collect();
        format!("{path}?{}", pairs.join("&"))
    }

    fn tree(&self, in_secret: bool, value: &mut Value) {
        match value {
            Value::Object(fields) => {
                let is_secret =
                    in_secret || fields.get("kind").and_then(Value::as_str) == Some("Secret");
                // A JSON patch names what it writes in `path`.
                let telling_path = fields.get("path").and_then(Value::as_str).is_some_and(|path| {
                    let writes_data = ["/data", "/stringData"]
                        .iter()
                        .any(|data| path == *data || path.starts_with(&format!("{data}/")));
                    (is_secret && (writes_data || path.is_empty() || path.contains("last-applied")))
                        || path.rsplit('/').next().is_some_and(is_telling)
                });
                let telling_name =
                    fields.get("name").and_then(Value::as_str).is_some_and(is_telling);
                for (key, value) in fields.iter_mut() {
                    match key.as_str() {
                        "data" | "stringData" if is_secret => self.whole(value),
                        "value" if telling_path => {
                            self.tree(is_secret, value);
                            self.whole(value);
                        }
                        "value" if telling_name => self.whole(value),
                        LAST_APPLIED if is_secret => self.whole(value),
                        "token" if value.is_string() => self.whole(value),
                        "command" | "args" => self.command_line(value),
                        key if is_telling(key) && value.is_string() => self.whole(value),
                        _ => self.tree(is_secret, value),
                    }
                }
            }
            Value::Array(items) => {
                for item in items {
                    self.tree(in_secret, item);
                }
            }
            Value::String(text) => {
                if let Some(redacted) = self.embedded(in_secret, text) {
                    *text = redacted;
                }
            }
            _ => {}
        }
    }

    /// Text that is itself a document (last-applied), or that shows a credential by its form.
    fn embedded(&self, in_secret: bool, text: &str) -> Option<String> {
        if text.trim_start().starts_with('{')
            && let Ok(mut inner) = serde_json::from_str::<Value>(text)
        {
            self.tree(in_secret, &mut inner);
            return Some(inner.to_string());
        }
        let redacted = self.word(text);
        (redacted != text).then_some(redacted)
    }

    /// Every value below, whatever it is.
    fn whole(&self, value: &mut Value) {
        match value {
            Value::Null => {}
            Value::Object(fields) => fields.values_mut().for_each(|value| self.whole(value)),
            Value::Array(items) => items.iter_mut().for_each(|item| self.whole(item)),
            Value::String(text) => *text = self.mark(text),
            scalar => *scalar = Value::String(self.mark(&scalar.to_string())),
        }
    }

    /// A command line: what follows a telling flag, or stands behind its `=`.
    fn command_line(&self, value: &mut Value) {
        let Value::Array(words) = value else { return self.tree(false, value) };
        let mut follows = false;
        for word in words {
            let Value::String(text) = word else { continue };
            let is_flag = text.starts_with('-');
            let telling = is_flag && is_telling(text) && !text.contains('=');
            *text = if follows && !is_flag { self.mark(text) } else { self.word(text) };
            follows = telling;
        }
    }

    /// One word: `--password=x`, `PASSWORD=x`, `Bearer x`, `https://user:pass@host`, a JWT, a PEM key.
    fn word(&self, text: &str) -> String {
        if text.contains("PRIVATE KEY-----") || text.starts_with("eyJ") && text.len() > 40 {
            return self.mark(text);
        }
        let lower = text.to_ascii_lowercase();
        if let Some(at) = lower.find("bearer ").or_else(|| lower.find("bearer%20")) {
            let (before, rest) = text.split_at_checked(at).unwrap_or((text, ""));
            return format!("{before}{}", self.mark(rest));
        }
        for separator in ["=", "%3D", "%3d", ": ", "%3A"] {
            if let Some((name, value)) = text.split_once(separator)
                && is_telling(name)
                && !value.is_empty()
            {
                return format!("{name}{separator}{}", self.mark(value));
            }
        }
        if let Some((scheme, rest)) = text.split_once("://")
            && let Some((user, host)) = rest.split_once('@')
            && user.contains(':')
            && !user.contains('/')
        {
            return format!("{scheme}://{}@{host}", self.mark(user));
        }
        text.to_owned()
    }

    fn mark(&self, secret: &str) -> String {
        let digest = self.digest(secret.as_bytes());
        format!("{REDACTED}{}]", digest.get(..12).unwrap_or_default())
    }
}

fn is_telling(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| lower.contains(word))
        || lower.ends_with("_key")
        || lower.ends_with("pwd")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn redacted(resource: &str, mut value: Value) -> String {
        Redactor::new(b"key").redact_object(resource, &mut value);
        value.to_string()
    }

    #[test]
    fn takes_planted_secrets_out() {
        let s = "hunter2hunter2";
        let applied = json!({"kind": "Secret", "data": {"p": s}}).to_string();
        let table = [
            ("secrets", json!({"data": {"p": s}})),
            ("secrets", json!({"stringData": {"p": s}})),
            ("secrets", json!([{"op": "add", "path": "/data/p", "value": s}])),
            ("secrets", json!([{"op": "replace", "path": "/data", "value": {"p": s}}])),
            ("secrets", json!([{"op": "replace", "path": "", "value": {"data": {"p": s}}}])),
            ("secrets", json!({"metadata": {"annotations": {LAST_APPLIED: applied}}})),
            ("lists", json!({"items": [{"kind": "Secret", "data": {"p": s}}]})),
            ("configmaps", json!({"metadata": {"annotations": {LAST_APPLIED: applied}}})),
            (
                "pods",
                json!({"spec": {"containers": [{"env": [{"name": "DB_PASSWORD", "value": s}]}]}}),
            ),
            ("pods", json!({"spec": {"containers": [{"command": ["x", "--password", s]}]}})),
            ("pods", json!({"spec": {"containers": [{"args": [format!("--token={s}")]}]}})),
            ("pods", json!({"x": format!("postgres://u:{s}@db/x")})),
            ("pods", json!({"x": format!("Authorization: Bearer {s}")})),
            ("serviceaccounts", json!({"status": {"token": s}})),
            ("tokenreviews", json!({"spec": {"token": s}})),
        ];
        for (resource, value) in table {
            let shown = redacted(resource, value.clone());
            assert!(!shown.contains(s), "{value} -> {shown}");
            assert!(shown.contains("[redacted "), "{value} -> {shown}");
        }
        let target = Redactor::new(b"key").redact_target(&format!(
            "/api/v1/namespaces/d/pods/p/exec?command=mysql&command=--password%3D{s}&container=c"
        ));
        assert!(!target.contains(s) && target.contains("container=c"), "{target}");
    }

    #[test]
    fn shows_that_a_value_changed() {
        let one = redacted("secrets", json!({"data": {"p": "one"}}));
        assert_eq!(one, redacted("secrets", json!({"data": {"p": "one"}})));
        assert_ne!(one, redacted("secrets", json!({"data": {"p": "two"}})));
        assert_eq!(
            redacted("deployments", json!({"spec": {"replicas": 3, "image": "nginx:1.25"}})),
            r#"{"spec":{"replicas":3,"image":"nginx:1.25"}}"#
        );
    }

    proptest! {
        #[test]
        fn no_value_of_a_secret_survives(secret in "[a-zA-Z0-9+/]{12,40}", key in "[a-z.]{1,12}") {
            let shown = redacted("secrets", json!({
                "kind": "Secret",
                "data": {&key: &secret},
                "metadata": {"annotations": {
                    LAST_APPLIED: json!({"kind": "Secret", "data": {&key: &secret}}).to_string()
                }},
            }));
            prop_assert!(!shown.contains(&secret), "{}", shown);
        }
    }
}
