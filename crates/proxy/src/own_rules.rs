//! The page where agents read their own rules; the API server has nothing there.

use attributes::{Attributes, RULES_PATH, User};
use http::{HeaderValue, Response, header};
use policy::Pack;
use serde_json::Value;
use upstream::Body;

use crate::body;

/// Whether a read asks for the agent's own rules.
pub(crate) fn is_for_rules(attributes: &Attributes) -> bool {
    attributes.path == RULES_PATH && matches!(attributes.method.as_str(), "GET" | "HEAD")
}

/// The rules that are about a user.
pub(crate) fn page(
    pack: &Pack,
    asked: &Attributes,
    user: &User,
    is_frozen: bool,
) -> Response<Body> {
    let mut rules = pack.told_to(user, jiff::Timestamp::now());
    if let Some(rules) = rules.as_object_mut() {
        rules.insert("apiVersion".to_owned(), "agent-shield.io/v1alpha1".into());
        rules.insert("kind".to_owned(), "AgentRules".into());
        rules.insert("username".to_owned(), user.username.clone().into());
        rules.insert("frozen".to_owned(), is_frozen.into());
    }
    json_answer(&rules, asked)
}

/// An answer of ours to who asks for JSON with a GET, or for its head.
pub(crate) fn json_answer(document: &Value, asked: &Attributes) -> Response<Body> {
    let mut bytes = document.to_string().into_bytes();
    if asked.method == "HEAD" {
        bytes.clear();
    }
    let mut response = Response::new(body::full(bytes));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
