//! URLs, as Go's `url.ParseRequestURI` takes them: absolute, or an absolute path.

use percent_encoding::percent_decode_str;

/// A URL in parts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Url {
    pub(crate) text: String,
    pub(crate) scheme: String,
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) query: String,
}

impl Url {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        // What stands in a query nobody looks at.
        let asked = text.split('?').next().unwrap_or_default();
        if text.bytes().any(|it| it < b' ' || it == 0x7f) || !escapes_are_whole(asked) {
            return None;
        }
        let (scheme, rest) = match text.starts_with('/') {
            true => ("", text),
            false => {
                let (scheme, rest) = text.split_once(':')?;
                let mut letters = scheme.chars();
                let fits = letters.next().is_some_and(|it| it.is_ascii_alphabetic())
                    && letters.all(|it| it.is_ascii_alphanumeric() || "+-.".contains(it));
                // What has a scheme is absolute: an opaque `mailto:x` is no request URI.
                if !fits || !rest.starts_with('/') {
                    return None;
                }
                (scheme, rest)
            }
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (host, path) = match rest.strip_prefix("//") {
            Some(rest) if !scheme.is_empty() => {
                let end = rest.find('/').unwrap_or(rest.len());
                let (authority, path) = rest.split_at(end);
                let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
                if !is_of(user, ":%@") || !is_of(host, ":%[]<>\"") {
                    return None;
                }
                (host, path)
            }
            _ => ("", rest),
        };
        let url = Self {
            text: text.to_owned(),
            scheme: scheme.to_ascii_lowercase(),
            host: host.to_owned(),
            path: escaped_path(path),
            query: query.to_owned(),
        };
        let port = url.host_and_port().1;
        let whole = !host.starts_with('[') || host.contains(']');
        (whole && port.bytes().all(|it| it.is_ascii_digit())).then_some(url)
    }

    pub(crate) fn host_and_port(&self) -> (&str, &str) {
        let host = self.host.as_str();
        if let Some(rest) = host.strip_prefix('[') {
            let (name, after) = rest.split_once(']').unwrap_or((rest, ""));
            return (name, after.strip_prefix(':').unwrap_or_default());
        }
        host.split_once(':').unwrap_or((host, ""))
    }
}

/// Whether a part of an authority has no letter but those that may stand there.
fn is_of(part: &str, more: &str) -> bool {
    let fits =
        |it: char| !it.is_ascii() || it.is_ascii_alphanumeric() || "-._~!$&'()*+,;=".contains(it);
    part.chars().all(|it| fits(it) || more.contains(it))
}

/// As `EscapedPath` of Go: as it was written where all of that may stand in a path, otherwise
/// escaped anew.
fn escaped_path(path: &str) -> String {
    let plain = |it: u8| it.is_ascii_alphanumeric() || b"-._~$&+,/:;=@".contains(&it);
    if path.bytes().all(|it| plain(it) || b"!'()*[]%".contains(&it)) {
        return path.to_owned();
    }
    let mut escaped = String::new();
    for byte in percent_decode_str(path) {
        match plain(byte) {
            true => escaped.push(char::from(byte)),
            false => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

fn escapes_are_whole(text: &str) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let hex = |it: Option<u8>| it.is_some_and(|it| it.is_ascii_hexdigit());
        if byte == b'%' && !(hex(bytes.next()) && hex(bytes.next())) {
            return false;
        }
    }
    true
}
