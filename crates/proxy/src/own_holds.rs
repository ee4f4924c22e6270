//! Where an agent learns how a held request of its own stands, and gives it up; the API server has nothing there.

use attributes::{Attributes, RULES_PATH};
use hold::{Hold, HoldId, State};
use http::Response;
use ledger::StoreError;
use review::ReviewError;
use serde_json::{Map, Value, json};
use upstream::Body;

use crate::{error::ProxyError, own_rules};

/// The hold that a GET, HEAD or DELETE is about.
pub(crate) fn asked(attributes: &Attributes) -> Option<HoldId> {
    let id = attributes.path.strip_prefix(RULES_PATH)?.strip_prefix("/holds/")?;
    let is_id = !id.is_empty() && !id.contains('/');
    let is_known = matches!(attributes.method.as_str(), "GET" | "HEAD" | "DELETE");
    (is_id && is_known).then(|| HoldId::parse(id))
}

/// What its own agent may know of a hold.
pub(crate) fn page(hold: &Hold, asked: &Attributes) -> Response<Body> {
    let of = hold.summary();
    let state = hold.state();
    let mut page = Map::new();
    let mut set = |key: &str, value: Value| page.insert(key.to_owned(), value);
    set("apiVersion", "agent-shield.io/v1alpha1".into());
    set("kind", "AgentHold".into());
    set("id", of.id.to_string().into());
    set("state", state.name().as_str().into());
    set("createdAt", of.created_at.to_string().into());
    set("deadline", of.deadline.to_string().into());
    set("rules", json!(of.rules));
    set("reason", of.reason.clone().into());
    set("missing", hold.missing().into());
    match state {
        State::Denied { denial } => {
            let until = denial.until().map(|it| it.to_string());
            let by = &denial.reviewer().username;
            set("denied", json!({"by": by, "reason": denial.reason(), "until": until}));
        }
        State::Done { code, .. } => {
            set("code", json!(code));
        }
        _ => {}
    }
    own_rules::json_answer(&Value::Object(page), asked)
}

/// Why an agent is not told.
pub(crate) fn error(error: ReviewError) -> ProxyError {
    match error {
        ReviewError::NotFound { id, .. } => ProxyError::NoSuchHold(id),
        ReviewError::Hold(error) => ProxyError::Settled(error),
        ReviewError::Store(error) => error.into(),
        other => StoreError::Corrupt(other.to_string()).into(),
    }
}
