//! What a client is told when agent-shield itself answers: `metav1.Status`.
//!
//! Every Kubernetes client prints `message` and acts on `code`, `reason` and
//! `details.retryAfterSeconds` (k8s.io/apimachinery, pkg/apis/meta/v1/types.go), so an agent sees
//! our refusals as it sees the API server's own. Pure; knows nothing of sockets.

use std::{fmt::Display, time::Duration};

use serde_json::{Map, Value, json};

/// A failure as the API server would report it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Status {
    code: u16,
    reason: &'static str,
    message: String,
    retry_after: Option<Duration>,
}

impl Status {
    /// A failure with an HTTP status code and a `metav1.StatusReason`.
    pub fn failure(code: u16, reason: &'static str) -> Self {
        Self { code, reason, message: String::new(), retry_after: None }
    }

    /// What a person reads: kubectl prints it after `Error from server (REASON):`.
    #[must_use]
    pub fn message(mut self, message: impl Display) -> Self {
        self.message = message.to_string();
        self
    }

    /// Asks the client to send the same request again after `wait`, rounded up to whole seconds:
    /// client-go reads only whole seconds of `Retry-After`.
    #[must_use]
    pub fn retry(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// The HTTP status code.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The `metav1.StatusReason`.
    pub fn reason(&self) -> &'static str {
        self.reason
    }

    /// The message set by [`Status::message`].
    pub fn text(&self) -> &str {
        &self.message
    }

    /// Whole seconds for a `Retry-After` header, at least one.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        self.retry_after
            .map(|wait| wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1))
    }

    /// The JSON document, keys in the API server's order.
    pub fn to_json(&self) -> Value {
        let mut document = Map::new();
        let mut set = |key: &str, value: Value| document.insert(key.to_owned(), value);
        set("kind", "Status".into());
        set("apiVersion", "v1".into());
        set("metadata", json!({}));
        set("status", "Failure".into());
        set("message", self.message.as_str().into());
        set("reason", self.reason.into());
        if let Some(seconds) = self.retry_after_seconds() {
            set("details", json!({ "retryAfterSeconds": seconds }));
        }
        set("code", self.code.into());
        Value::Object(document)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_the_api_server_would() {
        let table = [
            (
                Status::failure(401, "Unauthorized").message("Unauthorized"),
                r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"Unauthorized","reason":"Unauthorized","code":401}"#,
            ),
            (
                Status::failure(429, "TooManyRequests").retry(Duration::from_millis(1500)),
                r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"","reason":"TooManyRequests","details":{"retryAfterSeconds":2},"code":429}"#,
            ),
        ];
        for (status, want) in table {
            assert_eq!(status.to_json().to_string(), want);
        }
    }
}
