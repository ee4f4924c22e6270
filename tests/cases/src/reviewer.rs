//! A person's side of the harness: what is held, and deciding on it.

use std::path::PathBuf;

use serde_json::{Value, json};
use testkit::{
    Shield,
    http::{self, Answer},
};

/// Somebody who may review everything.
pub(crate) struct Reviewer {
    url: String,
    ca: PathBuf,
    authorization: String,
}

impl Reviewer {
    pub(crate) fn new(shield: &Shield, token: &str) -> Self {
        let authorization = format!("Bearer {token}");
        Self { url: shield.review_url.clone(), ca: shield.ca(), authorization }
    }

    /// Every hold that waits for a person.
    pub(crate) fn pending(&self) -> Vec<Value> {
        let open = self.ask("GET", "/v1/holds", "").json();
        let mut items = open["items"].as_array().cloned().unwrap_or_default();
        items.retain(|hold| hold["state"] == "pending");
        items
    }

    /// One hold with its preview.
    pub(crate) fn show(&self, id: &str) -> Value {
        self.ask("GET", &format!("/v1/holds/{id}"), "").json()
    }

    /// Approves what is shown now.
    pub(crate) fn approve(&self, id: &str) -> Result<(), String> {
        let digest = self.show(id)["preview"]["digest"].clone();
        self.approve_as_shown(id, &digest)
    }

    /// Approves what was shown before, whatever is shown by now.
    pub(crate) fn approve_as_shown(&self, id: &str, digest: &Value) -> Result<(), String> {
        self.decide(id, "approve", &json!({"reason": "test", "digest": digest}))
    }

    pub(crate) fn deny(&self, id: &str) -> Result<(), String> {
        self.decide(id, "deny", &json!({"reason": "test"}))
    }

    fn decide(&self, id: &str, how: &str, body: &Value) -> Result<(), String> {
        let answer = self.ask("POST", &format!("/v1/holds/{id}/{how}"), &body.to_string());
        match answer.status {
            200 => Ok(()),
            code => Err(format!("{how}: {code} {}", answer.text())),
        }
    }

    fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        let headers = [
            ("Authorization", self.authorization.as_str()),
            ("Content-Type", "application/json"),
            ("Connection", "close"),
        ];
        http::request(&self.url, &self.ca, method, path, &headers, body.as_bytes())
            .unwrap_or_default()
    }
}
