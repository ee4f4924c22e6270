//! URLs, as Go's `url.ParseRequestURI` takes them: absolute, or an absolute path.

use std::rc::Rc;

use percent_encoding::percent_decode_str;

use super::{Answer, Function, G, T, function, method, unfit};
use crate::{
    eval::Fault,
    value::{Map, Value},
};

/// A URL in parts.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Url {
    pub(crate) text: String,
    scheme: String,
    host: String,
    path: String,
    query: String,
}

const TEXT: G = G::Is(T::Text);

#[rustfmt::skip] // A table, read down its columns.
pub(super) const FUNCTIONS: &[Function] = &[
    function("url", &[T::Text], G::Is(T::Url), |call, v| {
        let text = text(v)?;
        call.budget.spend_bytes(text.len() * 4)?;
        let no = || Fault::error(format!("`{text}` is no URL"));
        Url::parse(text).map(|it| Value::Url(Rc::new(it))).ok_or_else(no)
    }),
    function("isURL", &[T::Text], G::Is(T::Bool), |call, v| {
        let text = text(v)?;
        call.budget.spend_bytes(text.len() * 4)?;
        Ok(Value::Bool(Url::parse(text).is_some()))
    }),
    method("getScheme", &[T::Url], TEXT, |_, v| part(v, |it| it.scheme.clone())),
    method("getHost", &[T::Url], TEXT, |_, v| part(v, |it| it.host.clone())),
    method("getHostname", &[T::Url], TEXT, |_, v| part(v, |it| it.host_and_port().0.to_owned())),
    method("getPort", &[T::Url], TEXT, |_, v| part(v, |it| it.host_and_port().1.to_owned())),
    method("getEscapedPath", &[T::Url], TEXT, |_, v| part(v, |it| it.path.clone())),
    method("getQuery", &[T::Url], G::Is(T::Map), |call, v| {
        let [Value::Url(url)] = v else { return Err(unfit()) };
        call.budget.spend_bytes(url.query.len() * 4)?;
        Ok(url.query_map())
    }),
];

fn text<'v>(values: &'v [Value<'_>]) -> Result<&'v str, Fault> {
    match values {
        [Value::Text(text)] => Ok(text.as_str()),
        _ => Err(unfit()),
    }
}

fn part<'a>(values: &[Value<'a>], of: impl Fn(&Url) -> String) -> Answer<'a> {
    match values {
        [Value::Url(url)] => Ok(Value::made(of(url))),
        _ => Err(unfit()),
    }
}

impl Url {
    pub(super) fn parse(text: &str) -> Option<Self> {
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

    fn host_and_port(&self) -> (&str, &str) {
        let host = self.host.as_str();
        if let Some(rest) = host.strip_prefix('[') {
            let (name, after) = rest.split_once(']').unwrap_or((rest, ""));
            return (name, after.strip_prefix(':').unwrap_or_default());
        }
        host.split_once(':').unwrap_or((host, ""))
    }

    /// Each key with its values in order.
    fn query_map<'a>(&self) -> Value<'a> {
        let decoded =
            |it: &str| percent_decode_str(&it.replace('+', " ")).decode_utf8_lossy().into_owned();
        let mut entries: Vec<(String, Vec<Value<'a>>)> = Vec::new();
        for pair in self.query.split('&').filter(|it| !it.is_empty() && !it.contains(';')) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (key, value) = (decoded(key), Value::made(decoded(value)));
            match entries.iter_mut().find(|(it, _)| *it == key) {
                Some((_, values)) => values.push(value),
                None => entries.push((key, vec![value])),
            }
        }
        let made = entries.into_iter().map(|(key, values)| (Value::made(key), Value::list(values)));
        Value::Map(Map::Made(Rc::new(made.collect())))
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
