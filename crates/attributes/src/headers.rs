//! Which headers are refused, which are read, and which go on.
//!
//! Upstream headers are an allow-list: hop-by-hop ones, identities (`Impersonate-*`,
//! `X-Remote-*`), addresses (`X-Forwarded-*`) and the agent's own `Audit-ID` never pass, whatever
//! they are called next year. The caller sets identity last, on what is left.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use crate::error::AttributesError;

/// What an agent's request may take along; everything a Kubernetes client sends that the API server
/// reads, besides who it is, and why the agent asks.
const UPSTREAM: [&str; 14] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "cache-control",
    "content-type",
    "user-agent",
    "kubectl-command",
    "kubectl-session",
    "agent-shield-reason",
    "if-none-match",
    "if-modified-since",
    "range",
    "traceparent",
    "tracestate",
];

/// `Trailer` is not among them: it names what follows the body, which passes too.
const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
];

const CONNECTION_OPTIONS: [&str; 5] = ["close", "keep-alive", "upgrade", "te", "http2-settings"];

/// Beginnings of names that carry an identity, with `_` for `-`.
const LOOK_ALIKES: [&str; 5] =
    ["impersonate", "x_remote", "x_forwarded", "audit_id", "authorization"];

/// What exec, attach, port-forward and proxied connections are upgraded to.
const UPGRADES: [(&str, Upgrade); 2] =
    [("websocket", Upgrade::WebSocket), ("SPDY/3.1", Upgrade::Spdy)];

/// The API server takes no WebSocket for a watch without an `Origin` (golang.org/x/net/websocket,
/// `checkOrigin`).
const UPGRADE_HEADERS: [&str; 7] = [
    "upgrade",
    "origin",
    "sec-websocket-key",
    "sec-websocket-version",
    "sec-websocket-protocol",
    "sec-websocket-extensions",
    "x-stream-protocol-version",
];

/// Begins a WebSocket subprotocol that is a token (k8s.io/apiserver,
/// pkg/authentication/request/websocket).
const SUBPROTOCOL_TOKEN: &[u8] = b"base64url.bearer.authorization.k8s.io.";

/// What a connection may become.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Upgrade {
    /// RFC 6455.
    WebSocket,
    /// SPDY/3.1.
    Spdy,
}

/// What an agent shows of itself.
#[derive(Clone, Eq, PartialEq)]
pub enum Credential {
    /// No bearer token; nothing goes upstream.
    None,
    /// `Authorization: Bearer`, and the token alone.
    Bearer(String),
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Bearer(_) => "Bearer([redacted])",
        })
    }
}

/// Refuses headers that two readers could read in two ways, and identities asked for.
///
/// # Errors
/// [`AttributesError`]; all but `Impersonates` are 400s.
pub fn check(method: &Method, headers: &HeaderMap) -> Result<(), AttributesError> {
    for single in ["authorization", "content-type", "host", "content-length"] {
        if headers.get_all(single).iter().count() > 1 {
            return Err(AttributesError::TwoHeaders(single));
        }
    }
    for name in headers.keys().map(HeaderName::as_str) {
        if name.starts_with("impersonate-") {
            return Err(AttributesError::Impersonates(name.to_owned()));
        }
        // A CGI-like reader folds `-` and `_` into one: only names with a `_` are ambiguous.
        if name.contains('_') {
            let folded = name.replace('-', "_");
            if LOOK_ALIKES.iter().any(|it| folded.starts_with(it)) {
                return Err(AttributesError::LookAlike(name.to_owned()));
            }
        }
    }
    for value in headers.get_all(header::CONNECTION) {
        // What `Connection` names, the next hop drops: one of our own headers, if it were named.
        for option in String::from_utf8_lossy(value.as_bytes()).split(',') {
            let option = option.trim().to_ascii_lowercase();
            if !option.is_empty() && !CONNECTION_OPTIONS.contains(&option.as_str()) {
                return Err(AttributesError::Connection(option));
            }
        }
    }
    framing(headers)?;
    let reads = [Method::GET, Method::HEAD, Method::OPTIONS].contains(method);
    if let Some(coding) = headers.get(header::CONTENT_ENCODING).filter(|_| !reads)
        && !coding.as_bytes().eq_ignore_ascii_case(b"identity")
    {
        let coding = String::from_utf8_lossy(coding.as_bytes()).into_owned();
        return Err(AttributesError::ContentEncoding(coding));
    }
    Ok(())
}

/// Bodies whose length two readers could see in two places. What the HTTP parser let through is
/// framed anew upstream, so nothing hides behind it; no client sends it.
fn framing(headers: &HeaderMap) -> Result<(), AttributesError> {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let coding = codings.next();
    let plain = coding.is_none_or(|it| it.as_bytes().eq_ignore_ascii_case(b"chunked"));
    if !plain || codings.next().is_some() {
        return Err(AttributesError::TransferEncoding);
    }
    let length = headers.get(header::CONTENT_LENGTH).map(HeaderValue::as_bytes);
    let has_body = coding.is_some() || length.is_some_and(|it| it != b"0");
    if has_body && !upgrade_headers(headers).is_empty() {
        return Err(AttributesError::UpgradeBody);
    }
    Ok(())
}

/// The agent's bearer token, by the API server's own rule (k8s.io/apiserver,
/// pkg/authentication/request/bearertoken): any other scheme, and an empty token, is no credential.
/// A token that rides in `Sec-WebSocket-Protocol` authenticates any request there, a DELETE too, if
/// `Authorization` names nobody; here it is always refused, so that nobody is taken for anonymous or
/// for somebody else.
///
/// # Errors
/// [`AttributesError::Authorization`] where more words follow the token, and
/// [`AttributesError::Subprotocol`].
pub fn credential(headers: &HeaderMap) -> Result<Credential, AttributesError> {
    let mut protocols = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    if protocols.any(|it| holds(it.as_bytes(), SUBPROTOCOL_TOKEN)) {
        return Err(AttributesError::Subprotocol);
    }
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(Credential::None) };
    // Go compares bytes; a token outside ASCII is one that it does not know either.
    let Ok(value) = value.to_str() else { return Ok(Credential::None) };
    let (scheme, rest) = value.trim().split_once(' ').unwrap_or_default();
    let token = rest.split_once(' ').map_or(rest, |(token, _)| token);
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
        return Ok(Credential::None);
    }
    // A space too is no part of it: more words follow then.
    if rest.bytes().any(|byte| !byte.is_ascii_graphic()) {
        return Err(AttributesError::Authorization);
    }
    Ok(Credential::Bearer(token.to_owned()))
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|it| it.eq_ignore_ascii_case(part))
}

/// What of an agent's headers goes upstream.
pub fn upstream_headers(headers: &HeaderMap) -> HeaderMap {
    let mut passed = HeaderMap::with_capacity(UPSTREAM.len());
    for (name, value) in headers {
        if UPSTREAM.contains(&name.as_str()) {
            passed.append(name.clone(), value.clone());
        }
    }
    passed
}

/// What a request asks its connection to become; `None` where that is nothing that the API server knows.
pub fn upgrade_of(headers: &HeaderMap) -> Option<Upgrade> {
    let wanted = headers.get(header::UPGRADE)?.as_bytes();
    let known = UPGRADES.iter().find(|(name, _)| wanted.eq_ignore_ascii_case(name.as_bytes()));
    known.map(|(_, upgrade)| *upgrade)
}

/// What of the headers of an upgrade goes upstream besides [`upstream_headers`]; empty where the
/// request asks for none that the API server knows (WebSocket, SPDY/3.1).
pub fn upgrade_headers(headers: &HeaderMap) -> HeaderMap {
    let mut passed = HeaderMap::new();
    if upgrade_of(headers).is_none() {
        return passed;
    }
    for (name, value) in headers {
        if UPGRADE_HEADERS.contains(&name.as_str()) {
            passed.append(name.clone(), value.clone());
        }
    }
    passed.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    passed
}

/// What of an answer's headers goes downstream: all but hop-by-hop ones, in order. What `Connection`
/// names is of the hop too.
pub fn downstream_headers(headers: HeaderMap) -> HeaderMap {
    let passes = |name: &HeaderName| !HOP_BY_HOP.contains(&name.as_str());
    // Most answers have none of them, and go on without a copy.
    if headers.keys().all(passes) {
        return headers;
    }
    let mut passed = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers.iter().filter(|(name, _)| passes(name)) {
        passed.append(name.clone(), value.clone());
    }
    for value in headers.get_all(header::CONNECTION) {
        for named in value.as_bytes().split(|byte| *byte == b',') {
            if let Ok(named) = HeaderName::from_bytes(named.trim_ascii()) {
                passed.remove(named);
            }
        }
    }
    passed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn refuses_what_is_read_in_two_ways() {
        type Row = (&'static [(&'static str, &'static str)], Option<&'static str>);
        let table: [Row; 19] = [
            (&[("transfer-encoding", "Chunked")], None),
            (&[("transfer-encoding", "gzip, chunked")], Some("chunked")),
            (
                &[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")],
                Some("chunked"),
            ),
            (&[("upgrade", "SPDY/3.1"), ("content-length", "0")], None),
            (&[("upgrade", "websocket"), ("content-length", "5")], Some("body of its own")),
            (
                &[("upgrade", "websocket"), ("transfer-encoding", "chunked")],
                Some("body of its own"),
            ),
            (&[("authorization", "Bearer a")], None),
            (&[("authorization", "Bearer a"), ("authorization", "Bearer b")], Some("twice")),
            (&[("content-type", "a"), ("content-type", "b")], Some("twice")),
            (&[("connection", "keep-alive, Upgrade")], None),
            (&[("connection", "close, Impersonate-User")], Some("may not name")),
            (&[("connection", "close"), ("connection", "authorization")], Some("may not name")),
            (&[("impersonate-user", "x")], Some("impersonate")),
            (&[("impersonate-extra-scopes", "x")], Some("impersonate")),
            (&[("impersonate-uid", "x")], Some("impersonate")),
            (&[("impersonate_user", "x")], Some("looks like")),
            (&[("x_remote_user", "x")], Some("looks like")),
            (&[("x-remote_user", "x")], Some("looks like")),
            (&[("content-encoding", "gzip")], Some("does not decode")),
        ];
        for (pairs, want) in table {
            let got = check(&Method::POST, &headers(pairs)).err().map(|it| it.to_string());
            match want {
                None => assert_eq!(got, None, "{pairs:?}"),
                Some(want) => assert!(got.is_some_and(|it| it.contains(want)), "{pairs:?}"),
            }
        }
    }

    #[test]
    fn takes_credentials_as_the_api_server_does() {
        let table = [
            ("Bearer abc", Ok(Credential::Bearer("abc".into()))),
            ("bEaReR abc", Ok(Credential::Bearer("abc".into()))),
            ("Bearer ", Ok(Credential::None)),
            ("Bearer", Ok(Credential::None)),
            ("Basic abc", Ok(Credential::None)),
            ("abc", Ok(Credential::None)),
            ("Bearer a b", Err(AttributesError::Authorization)),
        ];
        for (value, want) in table {
            assert_eq!(credential(&headers(&[("authorization", value)])), want, "{value}");
        }
        // The API server tries it where `Authorization` names nobody, an expired token too.
        let subprotocol =
            ("sec-websocket-protocol", "v4, base64url.bearer.authorization.k8s.io.eA");
        for others in [&[][..], &[("authorization", "Basic x")], &[("authorization", "Bearer x")]] {
            let shown = headers(&[others, &[subprotocol]].concat());
            assert_eq!(credential(&shown), Err(AttributesError::Subprotocol), "{others:?}");
        }
        let printed = format!("{:?}", Credential::Bearer("hunter2".into()));
        assert!(!printed.contains("hunter2"));
    }

    #[test]
    fn upgrades_only_to_what_the_api_server_knows() {
        let asked = |to: &'static str| {
            upgrade_headers(&headers(&[
                ("connection", "Upgrade"),
                ("upgrade", to),
                ("sec-websocket-key", "k"),
                ("x-stream-protocol-version", "v4.channel.k8s.io"),
                ("x-stream-protocol-version", "v3.channel.k8s.io"),
                ("impersonate-user", "admin"),
                ("cookie", "a=b"),
            ]))
        };
        for to in ["websocket", "WebSocket", "SPDY/3.1"] {
            let passed = asked(to);
            assert_eq!(passed.len(), 5, "{passed:?}");
            assert_eq!(passed["connection"], "Upgrade");
        }
        assert!(asked("h2c").is_empty());
        assert!(upgrade_headers(&headers(&[("sec-websocket-key", "k")])).is_empty());
    }

    #[test]
    fn keeps_the_words_of_one_hop_on_it() {
        let passed = downstream_headers(headers(&[
            ("audit-id", "1"),
            ("connection", "close, X-Of-The-Hop"),
            ("keep-alive", "timeout=5"),
            ("x-of-the-hop", "a"),
            ("warning", "299 - x"),
            ("warning", "299 - y"),
        ]));
        let names: Vec<_> = passed.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["audit-id", "warning", "warning"]);
    }

    #[test]
    fn passes_only_what_is_listed() {
        let passed = upstream_headers(&headers(&[
            ("accept", "application/json"),
            ("authorization", "Bearer x"),
            ("audit-id", "1"),
            ("x-remote-user", "admin"),
            ("x-forwarded-for", "1.2.3.4"),
            ("connection", "upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-protocol", "base64url.bearer.authorization.k8s.io.x"),
            ("cookie", "a=b"),
        ]));
        assert_eq!(passed.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["accept"]);
    }
}
