//! Taking secrets out of what is stored and shown, with a keyed digest in place of each value, so
//! that a change shows and the value does not.

mod names;
mod parts;
mod value;

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use serde_json::Value;
use sha2::Sha256;

use self::{
    names::is_telling,
    parts::{Part, parts},
};

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// How every mark begins that stands for a secret.
pub const REDACTED: &str = "[redacted ";

/// What is not written as it is in a query.
const NOT_IN_URI: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'&')
    .add(b'+')
    .add(b';')
    .add(b'<')
    .add(b'>')
    .add(b'=')
    .add(b'?')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// A body with more secrets is not quoted at all.
const SECRETS_SAID_MAX: usize = 1_000;
/// Stands for a secret while others are looked for.
const FOUND: char = '\u{fffc}';
/// Longest request target that is kept whole, in bytes.
const TARGET_BYTES_MAX: usize = 2 << 10;
/// Stands where a kept target was cut. No target has it: they have neither blanks nor such characters.
const CUT: &str = " [… cut: ";

/// Whether [`Redactor::redact_target`] left out the end of a target.
pub fn is_cut(target: &str) -> bool {
    target.contains(CUT)
}

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

    /// A request target as it is kept: without secrets, and of a long one its beginning, its length and
    /// a digest of the whole.
    pub fn redact_target(&self, target: &str) -> String {
        let redacted = self.without_secrets(target);
        if redacted.len() <= TARGET_BYTES_MAX {
            return redacted;
        }
        // After the redaction: the part of a secret that a cut leaves is a secret.
        let kept = redacted.floor_char_boundary(TARGET_BYTES_MAX);
        let (kept, _) = redacted.split_at(kept);
        let digest = self.digest(target.as_bytes());
        format!("{kept}{CUT}{} bytes, digest {digest}]", target.len())
    }

    /// Takes secrets out of a request target, whether or not it can be read: what is refused is recorded
    /// too. Values of telling query options, words of commands, and a user in a URL go.
    fn without_secrets(&self, target: &str) -> String {
        let (path, query) = target.split_once('?').map_or((target, None), |(p, q)| (p, Some(q)));
        let mut redacted = self.escaped(path);
        let Some(query) = query else { return redacted };
        redacted.push('?');
        let mut follows = false;
        // Some read `;` between options as others read `&`.
        for pair in query.split_inclusive(['&', ';']) {
            let end = pair.trim_end_matches(['&', ';']).len();
            let (pair, between) = pair.split_at_checked(end).unwrap_or((pair, ""));
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let [name, word] = [key, value].map(|it| percent_decode_str(it).decode_utf8_lossy());
            // The words of a command, one option each: what follows a telling flag is a secret.
            let is_word = name == "command";
            match is_word && follows && !word.starts_with('-') {
                true => redacted.push_str(&format!("{key}={}", self.mark(&word))),
                false => redacted.push_str(&self.query_pair(pair)),
            }
            redacted.push_str(between);
            follows = if is_word { asks_for_secret(&word) } else { follows };
        }
        redacted
    }

    fn query_pair(&self, pair: &str) -> String {
        let Some((key, value)) = pair.split_once('=') else { return self.escaped(pair) };
        match is_telling(&percent_decode_str(key).decode_utf8_lossy()) {
            true if !value.is_empty() => format!("{key}={}", self.mark(value)),
            _ => format!("{key}={}", self.escaped(value)),
        }
    }

    /// Percent-encoded text, as it was where it hides nothing.
    fn escaped(&self, text: &str) -> String {
        let Ok(plain) = percent_decode_str(text).decode_utf8() else { return self.text(text) };
        let parts = parts(&plain);
        if parts.iter().all(|it| matches!(it, Part::Plain(_))) {
            return text.to_owned();
        }
        let part = |part: &Part<'_>| match part {
            Part::Plain(plain) => utf8_percent_encode(plain, NOT_IN_URI).to_string(),
            Part::Hidden(secret) => self.mark(secret),
        };
        parts.iter().map(part).collect()
    }

    /// Takes secrets out of what somebody says of a body, such as the API server of one that it refuses:
    /// what is hidden of the body is hidden there too. `None` for a body that cannot be read, of which
    /// nobody knows what in it is a secret.
    pub fn redact_said(&self, resource: &str, body: Option<&Value>, said: &str) -> String {
        // Of a Secret, a part of a value or its decoded form would be one too.
        let Some(body) = body.filter(|_| resource != "secrets") else { return String::new() };
        let mut redacted = body.clone();
        self.redact_object(resource, &mut redacted);
        let mut secrets = Vec::new();
        self.differing(body, &redacted, &mut secrets);
        // The longest first: one may stand in another.
        secrets.sort_by(|a, b| (b.len(), b).cmp(&(a.len(), a)));
        secrets.dedup();
        if secrets.len() > SECRETS_SAID_MAX {
            return String::new();
        }
        // A mark may hold what looks like the next secret: they are written once all are found.
        let found = |said: String, secret: &String| said.replace(secret, &FOUND.to_string());
        let said = secrets.iter().fold(said.replace(FOUND, ""), found);
        self.text(&said).replace(FOUND, &format!("{REDACTED}by its body]"))
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
        let redacted = self.text(text);
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
            let telling = asks_for_secret(text);
            *text = match (follows && !is_flag, whole_flag(text)) {
                (true, _) => self.mark(text),
                (false, Some((flag, secret))) => format!("{flag}={}", self.mark(secret)),
                (false, None) => self.text(text),
            };
            follows = telling;
        }
    }

    /// Any text, without the secrets in it.
    fn text(&self, text: &str) -> String {
        let part = |part: Part<'_>| match part {
            Part::Plain(plain) => plain.to_owned(),
            Part::Hidden(secret) => self.mark(secret),
        };
        parts(text).into_iter().map(part).collect()
    }

    /// Secrets of a body that are others in what was made of it.
    fn differing(&self, body: &Value, redacted: &Value, secrets: &mut Vec<String>) {
        match (body, redacted) {
            (Value::Object(body), Value::Object(redacted)) => {
                for (key, value) in body {
                    self.differing(value, redacted.get(key).unwrap_or(&Value::Null), secrets);
                }
            }
            (Value::Array(body), Value::Array(redacted)) => {
                for (value, redacted) in body.iter().zip(redacted) {
                    self.differing(value, redacted, secrets);
                }
            }
            (Value::String(text), Value::String(redacted)) if text != redacted => {
                let found = parts(text).into_iter().filter_map(|part| match part {
                    Part::Hidden(secret) => Some(secret.to_owned()),
                    Part::Plain(_) => None,
                });
                match *redacted == self.text(text) {
                    true => secrets.extend(found),
                    false => secrets.push(text.clone()),
                }
            }
            _ => {}
        }
    }

    /// What stands for a secret: the same for the same one, and how long it is, as a secret is short and
    /// a hidden script is not.
    fn mark(&self, secret: &str) -> String {
        let digest = self.digest(secret.as_bytes());
        let length = secret.chars().count();
        format!("{REDACTED}{}, {length} characters]", digest.get(..12).unwrap_or_default())
    }
}

/// Whether a word of a command is a flag whose value, the next word, is a secret.
fn asks_for_secret(word: &str) -> bool {
    word.starts_with('-') && is_telling(word) && !word.contains('=')
}

/// `--password=x y` is one word to whoever is given it, unless that is a shell that could run a part.
fn whole_flag(text: &str) -> Option<(&str, &str)> {
    let (flag, secret) = text.split_once('=')?;
    let is_word = |it: char| !";&|`<>()\n".contains(it);
    let is_flag =
        flag.starts_with('-') && is_telling(flag) && flag.chars().all(|it| !it.is_whitespace());
    (is_flag && !secret.is_empty() && text.chars().all(is_word)).then_some((flag, secret))
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
    fn a_long_target_is_cut_after_its_secrets_were_taken_out() {
        let redactor = Redactor::new(b"key");
        let short = "/api/v1/namespaces/d/pods?limit=1";
        assert_eq!(redactor.redact_target(short), short);
        let secret = "hunter2hunter2";
        let long = |end: &str| {
            let commands = format!("command=--password%3D{secret}&").repeat(200);
            format!("/api/v1/namespaces/d/pods/p/exec?{commands}{}{end}", "é".repeat(30_000))
        };
        let kept = redactor.redact_target(&long("a"));
        assert!(kept.len() < TARGET_BYTES_MAX + 200 && is_cut(&kept), "{kept}");
        assert!(!kept.contains("hunter"), "{kept}");
        assert!(kept.contains(&format!("{} bytes", long("a").len())), "{kept}");
        assert_eq!(kept, redactor.redact_target(&long("a")));
        assert_ne!(kept, redactor.redact_target(&long("b")), "the end differs");
        assert!(!is_cut(short));
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

    #[test]
    fn shows_which_secret_is_meant_and_not_what_it_is() {
        let shown = [
            (
                "ingresses",
                json!({"spec": {"tls": [{"hosts": ["shop.example.com"], "secretName": "shop-tls"}]}}),
            ),
            (
                "pods",
                json!({"spec": {"volumes": [{"name": "v", "secret": {"secretName": "db-password"}}],
                "imagePullSecrets": [{"name": "registry-token"}]}}),
            ),
            (
                "pods",
                json!({"spec": {"containers": [{"name": "c", "env": [{"name": "DB_PASSWORD",
                "valueFrom": {"secretKeyRef": {"name": "db-credentials", "key": "password"}}}]}]}}),
            ),
            (
                "pods",
                json!({"spec": {"containers": [{"env": [{"name": "DB_PASSWORD_FILE", "value": "/run/db"}],
                "args": ["--token-file", "/run/token", "--password-path=/run/p"]}]}}),
            ),
            (
                "persistentvolumes",
                json!({"spec": {"azureFile": {"secretName": "share", "secretNamespace": "shop"}}}),
            ),
            (
                "ingresses",
                json!([{"op": "replace", "path": "/spec/tls/0/secretName", "value": "other-tls"}]),
            ),
        ];
        for (resource, object) in shown {
            assert_eq!(redacted(resource, object.clone()), object.to_string());
        }
        for hidden in [
            json!({"spec": {"secretKey": "hunter2"}}),
            json!({"spec": {"password": "hunter2"}}),
            json!({"spec": {"args": ["--token", "hunter2", "--token-file=/run/token"]}}),
            json!([{"op": "add", "path": "/spec/password", "value": "hunter2"}]),
        ] {
            assert!(!redacted("widgets", hidden.clone()).contains("hunter2"), "{hidden}");
        }
    }

    fn read_by_a_person(text: &str) -> String {
        let mut value = json!({"spec": {"command": ["sh", "-c", text]}});
        Redactor::new(b"key").redact_object("pods", &mut value);
        let text = value.pointer("/spec/command/2").and_then(Value::as_str).unwrap_or_default();
        // Without the digest of what is hidden.
        let mut parts = text.split(REDACTED);
        let mut plain = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (mark, rest) = part.split_once(']').unwrap_or_default();
            let length = mark.split_once(", ").unwrap_or_default().1;
            plain.push_str(&format!("<{}>{rest}", length.trim_end_matches(" characters")));
        }
        plain
    }

    #[test]
    fn hides_one_word_and_nothing_that_would_run() {
        let table = [
            (
                "# that the api token has not expired, exit=0\nrm -rf /",
                "# that the api token has not expired, exit=0\nrm -rf /",
            ),
            ("# the api token: expired\nrm -rf /", "# the api token: <7>\nrm -rf /"),
            ("TOKEN=abc rm -rf /", "TOKEN=<3> rm -rf /"),
            ("TOKEN=abc;rm -rf /", "TOKEN=<3>;rm -rf /"),
            ("TOKEN=abc&&rm -rf /", "TOKEN=<3>&&rm -rf /"),
            ("TOKEN=abc|rm -rf /", "TOKEN=<3>|rm -rf /"),
            ("TOKEN=abc>/etc/passwd", "TOKEN=<3>>/etc/passwd"),
            ("TOKEN= rm -rf /", "TOKEN= rm -rf /"),
            ("PASSWORD='a b; c' run", "PASSWORD=<8> run"),
            ("PASSWORD=\"a b\"c run", "PASSWORD=<6> run"),
            ("PASSWORD=\"a \\\" b\" run", "PASSWORD=<8> run"),
            ("mysql --password hunter2 -e 'drop'", "mysql --password <7> -e 'drop'"),
            ("password = hunter2\nuser = me", "password = <7>\nuser = me"),
            ("{\"password\": \"a b\", \"x\": 1}", "{\"password\": <5>, \"x\": 1}"),
            ("curl -H 'Authorization: Bearer abc' x", "curl -H 'Authorization: Bearer <3>' x"),
            ("curl -H \"X-Token: abc\" x; rm y", "curl -H \"X-Token: <3>\" x; rm y"),
            ("the bearer of rm -rf /", "the bearer <2> rm -rf /"),
            ("psql postgres://u:p@h/db; rm y", "psql postgres://<3>@h/db; rm y"),
            // What a shell puts there is not the secret, and may do more.
            ("TOKEN=$(rm -rf /)", "TOKEN=$(rm -rf /)"),
            ("TOKEN=\"a$(rm -rf /)\"", "TOKEN=<2>$(rm -rf /)\""),
            ("TOKEN=`rm -rf /`", "TOKEN=`rm -rf /`"),
            ("x --token=$TOKEN --password \"${P}\"", "x --token=$TOKEN --password \"${P}\""),
            // Quotes that are none, or open elsewhere than it looks.
            ("echo \"token='\"; rm -rf /; echo \"'\"", "echo \"token=<1>\"; rm -rf /; echo \"'\""),
            ("echo token=\\'; rm -rf /; echo \\'", "echo token=<2>; rm -rf /; echo \\'"),
            ("# token='\nrm -rf /\n# '", "# token=<1>\nrm -rf /\n# '"),
            (
                "# it's\necho 'token='; rm -rf /; echo ''",
                "# it's\necho 'token='; rm -rf /; echo ''",
            ),
            ("echo 'it\\'s token='; rm -rf /; echo '", "echo 'it\\'s token=<1>; rm -rf /; echo '"),
            (
                "echo $'it\\'s token='; rm -rf /; echo ''",
                "echo $'it\\'s token='; rm -rf /; echo ''",
            ),
            (
                "cat <<E\nit's\nE\necho 'x token='; rm -rf /; echo ''",
                "cat <<E\nit's\nE\necho 'x token=<1>; rm -rf /; echo ''",
            ),
            (
                "sh -c 'echo \"token=\"; rm -rf /; echo \"x\"'",
                "sh -c 'echo \"token=<1>; rm -rf /; echo \"x\"'",
            ),
            (
                "echo \"$(echo \"token='\"; rm -rf /; echo \"'\")\"",
                "echo \"$(echo \"token=<2>; rm -rf /; echo \"'\")\"",
            ),
            (
                "echo \"\ntoken=\" ; rm -rf / ; echo \"\n\"",
                "echo \"\ntoken=\" ; rm -rf / ; echo \"\n\"",
            ),
            // A key is what looks like one, line by line.
            (
                "-----BEGIN PRIVATE KEY-----\nMIIabc\n-----END PRIVATE KEY-----",
                "-----BEGIN PRIVATE KEY-----<8>-----END PRIVATE KEY-----",
            ),
            (
                "-----BEGIN PRIVATE KEY-----\nrm -rf /\n-----END PRIVATE KEY-----",
                "-----BEGIN PRIVATE KEY-----<1>rm -rf /\n-----END PRIVATE KEY-----",
            ),
        ];
        for (text, want) in table {
            assert_eq!(read_by_a_person(text), want, "{text}");
        }
        let jwt = format!("curl x/eyJ{} y", "a".repeat(50));
        assert_eq!(read_by_a_person(&jwt), "curl x/<53> y");
    }

    #[test]
    fn a_target_is_shown_without_its_secrets_even_where_it_is_refused() {
        let s = "hunter2hunter2";
        let table = [
            format!("/x?a=1;token={s}"),
            format!("/x?tok%65n={s}"),
            format!("/x?a=%7B%22password%22%3A%22{s}%22%7D"),
            format!("https://me:{s}@host/x"),
            format!("/x/token={s}"),
            format!("/x?command=sh&command=-c&command=PASSWORD%3D%22{s}%20{s}%22%20run"),
            format!("/x?a=%ff&password={s}"),
            format!(
                "/x?command=psql&stdin=true&command=--password&tty=true&command={s}&container=c"
            ),
            format!("/x?command=--tok%65n;command={s}"),
        ];
        for target in table {
            let shown = Redactor::new(b"key").redact_target(&target);
            assert!(!shown.contains(s) && shown.contains(REDACTED), "{target} -> {shown}");
        }
        let plain = "/x?a=%2Fb;c&command=ls%20-l&limit=1&&x=&y";
        assert_eq!(Redactor::new(b"key").redact_target(plain), plain);
    }

    #[test]
    fn hides_in_what_is_said_of_a_body_what_is_hidden_in_it() {
        let redactor = Redactor::new(b"key");
        let body = json!({"spec": {"env": [{"name": "DB_PASSWORD", "value": "hunter2 x"}], "replicas": "many"}});
        let said = redactor.redact_said("pods", Some(&body), "cannot take `hunter2 x` nor `many`");
        assert!(!said.contains("hunter2") && said.contains("many"), "{said}");
        // Short ones, and many of them, cost no more.
        let many = json!({"token": vec![json!({"token": "a"}); 500], "x": [{"password": "e"}]});
        let said = redactor.redact_said("pods", Some(&many), &"aec".repeat(300));
        assert!(!said.replace("[redacted by its body]", "").contains(['a', 'e']), "{said}");
        assert_eq!(redactor.redact_said("secrets", Some(&body), "hunter2"), "");
        assert_eq!(redactor.redact_said("pods", None, "hunter2"), "");
    }

    proptest! {
        #[test]
        fn is_the_text_where_nothing_is_hidden(text in "(token|=|'|\"| |\\$\\(|:|\\\\|#|;|\n|a|é|bearer|://|@){0,40}") {
            let parts = parts(&text);
            let whole: String = parts.iter().map(|it| match it { Part::Plain(it) | Part::Hidden(it) => *it }).collect();
            prop_assert_eq!(whole, text);
        }

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
