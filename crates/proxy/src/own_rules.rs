//! The page where agents read their own rules; the API server has nothing there.

use attributes::Attributes;
use http::{HeaderValue, Response, header};
use judge::{Call, RULES_PATH};
use upstream::{Body, RunAs};

use crate::{Proxy, body, error::ProxyError};

/// Whether a read asks for the agent's own rules.
pub(crate) fn is_for_rules(attributes: &Attributes) -> bool {
    attributes.path == RULES_PATH && matches!(attributes.method.as_str(), "GET" | "HEAD")
}

impl Proxy {
    /// The rules that are about whoever asks.
    pub(crate) async fn own_rules(&self, call: &Call) -> Result<Response<Body>, ProxyError> {
        if matches!(call.run_as, RunAs::Nobody) {
            return Err(ProxyError::Unauthenticated);
        }
        let user = self.user_of(call).await?;
        let mut told = self.judge.policies().told_to(&user, jiff::Timestamp::now());
        if let Some(told) = told.as_object_mut() {
            told.insert("apiVersion".to_owned(), "agent-shield.io/v1alpha1".into());
            told.insert("kind".to_owned(), "AgentRules".into());
            told.insert("username".to_owned(), user.username.clone().into());
            told.insert("frozen".to_owned(), self.queue.frozen(&user.username).is_some().into());
        }
        let mut bytes = told.to_string().into_bytes();
        if call.attributes.method == "HEAD" {
            bytes.clear();
        }
        let mut response = Response::new(body::full(bytes));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    }
}
