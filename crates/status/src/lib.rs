//! What a client is told when agent-shield itself answers: `metav1.Status`.
//!
//! Every Kubernetes client prints `message` and acts on `code`, `reason` and
//! `details.retryAfterSeconds` (k8s.io/apimachinery, pkg/apis/meta/v1/types.go), so an agent sees
//! our refusals as it sees the API server's own. Pure; knows nothing of sockets.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::{fmt::Display, time::Duration};

use serde_json::{Map, Value, json};

/// A failure as the API server would report it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Status {
    code: u16,
    reason: &'static str,
    message: String,
    retry_after: Option<Duration>,
    causes: Vec<Cause>,
}

/// One of the reasons of a failure, for programs: `metav1.StatusCause`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cause {
    /// What kind of cause it is, in CamelCase: `metav1.CauseType`.
    pub reason: &'static str,
    /// The value that it is about.
    pub message: String,
    /// The field that has this value.
    pub field: &'static str,
}

impl Status {
    /// A failure with an HTTP status code and a `metav1.StatusReason`.
    pub fn failure(code: u16, reason: &'static str) -> Self {
        Self { code, reason, message: String::new(), retry_after: None, causes: Vec::new() }
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

    /// Says what led to it, so that no program has to read the message.
    #[must_use]
    pub fn causes(mut self, causes: Vec<Cause>) -> Self {
        self.causes = causes;
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
        let details = self.details();
        if !details.is_empty() {
            set("details", Value::Object(details));
        }
        set("code", self.code.into());
        Value::Object(document)
    }

    fn details(&self) -> Map<String, Value> {
        let mut details = Map::new();
        if !self.causes.is_empty() {
            let causes = self.causes.iter().map(|Cause { reason, message, field }| {
                json!({ "reason": reason, "message": message, "field": field })
            });
            details.insert("causes".to_owned(), causes.collect());
        }
        if let Some(seconds) = self.retry_after_seconds() {
            details.insert("retryAfterSeconds".to_owned(), seconds.into());
        }
        details
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
            (
                Status::failure(403, "Forbidden").causes(vec![Cause {
                    reason: "MissingVerb",
                    message: "approve".to_owned(),
                    field: "verb",
                }]),
                r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"","reason":"Forbidden","details":{"causes":[{"reason":"MissingVerb","message":"approve","field":"verb"}]},"code":403}"#,
            ),
        ];
        for (status, want) in table {
            assert_eq!(status.to_json().to_string(), want);
        }
    }
}
