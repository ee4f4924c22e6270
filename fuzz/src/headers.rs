//! Laws of what goes upstream of an agent's headers.

use attributes::headers::{self, Credential};
use http::HeaderMap;

use crate::head;

/// `METHOD TARGET` and headers: nothing that carries an identity, an address or a hop's own words
/// ever passes, and a request that is accepted shows one credential at most.
pub fn headers(data: &[u8]) {
    let Some(head) = head::read(data) else { return };
    let asked = &head.headers;
    let accepted = headers::check(&head.method, asked).is_ok();
    let credential = headers::credential(asked);
    let passed = headers::upstream_headers(asked);
    let upgraded = headers::upgrade_headers(asked);
    for name in passed.keys().map(http::HeaderName::as_str) {
        assert!(!is_identity(name) && !is_of_the_hop(name), "{name} passed");
        assert_eq!(passed.get_all(name).iter().count(), asked.get_all(name).iter().count());
    }
    for (name, value) in &upgraded {
        let name = name.as_str();
        assert!(!is_identity(name) && !is_body(name), "{name} passed on an upgrade");
        assert!(name != "connection" || value == "Upgrade");
        assert!(name == "connection" || asked.get_all(name).iter().any(|it| it == value));
    }
    let to = asked.get("upgrade").map(|it| it.as_bytes().to_ascii_lowercase());
    let known = to.is_some_and(|it| it == b"websocket" || it == b"spdy/3.1");
    assert_eq!(known, !upgraded.is_empty(), "upgraded to something else");
    if accepted {
        one_reading(asked);
    }
    if accepted && credential.is_ok() {
        let protocols = upgraded.get_all("sec-websocket-protocol").iter();
        let hidden = protocols.filter(|it| has_token(it.as_bytes())).count();
        assert_eq!(hidden, 0, "a second credential rides upstream in the subprotocol");
    }
    if let Ok(Credential::Bearer(token)) = credential {
        assert!(!token.is_empty() && token.bytes().all(|it| it.is_ascii_graphic()));
    }
    for name in headers::downstream_headers(asked.clone()).keys() {
        // `Trailer` names what follows an answer's body, which passes too.
        assert!(name == "trailer" || !is_of_the_hop(name.as_str()), "{name} passed downstream");
        let named = asked.get_all("connection").iter().any(|it| {
            let text = String::from_utf8_lossy(it.as_bytes()).to_ascii_lowercase();
            text.split(',').any(|it| it.trim() == name.as_str())
        });
        assert!(!named, "{name} passed downstream, and Connection names it");
    }
}

fn one_reading(asked: &HeaderMap) {
    for single in ["authorization", "content-type", "content-length", "host"] {
        assert!(asked.get_all(single).iter().count() <= 1, "two of {single} accepted");
    }
    for name in asked.keys().map(http::HeaderName::as_str) {
        assert!(!folded(name).starts_with("impersonate_"), "{name} accepted");
        let look_alike = name.contains('_') && is_identity(&name.replace('_', "-"));
        assert!(!look_alike, "{name} accepted");
    }
    for value in asked.get_all("connection") {
        let text = String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase();
        for option in text.split(',').map(str::trim).filter(|it| !it.is_empty()) {
            let known = ["close", "keep-alive", "upgrade", "te", "http2-settings"];
            assert!(known.contains(&option), "Connection: {option} accepted");
        }
    }
}

fn folded(name: &str) -> String {
    name.to_ascii_lowercase().replace('-', "_")
}

/// By the beginnings and names that the API server, its front proxies or others believe.
fn is_identity(name: &str) -> bool {
    let name = folded(name);
    let begins = ["impersonate_", "x_remote_", "x_forwarded_", "x_real_", "x_client_"];
    let is = [
        "authorization",
        "audit_id",
        "forwarded",
        "cookie",
        "x_http_method",
        "x_http_method_override",
        "x_method_override",
        "proxy_authorization",
        "via",
        "host",
        "expect",
    ];
    begins.iter().any(|it| name.starts_with(it)) || is.contains(&name.as_str())
}

fn is_body(name: &str) -> bool {
    ["content-length", "content-encoding", "transfer-encoding"].contains(&name)
}

fn is_of_the_hop(name: &str) -> bool {
    let hop = [
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    hop.contains(&name)
}

fn has_token(protocols: &[u8]) -> bool {
    let text = String::from_utf8_lossy(protocols).to_ascii_lowercase();
    text.contains("base64url.bearer.authorization.k8s.io.")
}
