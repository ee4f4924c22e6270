//! The API server as an administrator reaches it.

use std::{path::PathBuf, process::Command, thread, time::Duration};

use serde_json::Value;
use testkit::{
    Agent,
    http::{self, Answer},
};

use crate::row::Operation;

pub(crate) const MERGE: &str = "application/merge-patch+json";
pub(crate) const JSON: &str = "application/json";

/// An administrator's connection.
pub(crate) struct Api {
    pub(crate) server: String,
    pub(crate) ca: PathBuf,
    pub(crate) username: String,
    pub(crate) token: String,
    csr: String,
}

impl Api {
    pub(crate) fn new(server: &str, ca: PathBuf, administrator: &Agent) -> Self {
        let csr = Command::new("openssl")
            .args(["req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", "/dev/null"])
            .args(["-subj", "/CN=x/O=ops"])
            .output()
            .expect("openssl");
        assert!(csr.status.success(), "openssl req");
        let csr = testkit::base64(&csr.stdout);
        let (username, token) = (administrator.username.clone(), administrator.token.clone());
        Self { server: server.to_owned(), ca, username, token, csr }
    }

    /// One request; status 0 where the connection broke.
    pub(crate) fn ask(
        &self,
        method: &str,
        path: &str,
        content_type: Option<&str>,
        body: &str,
    ) -> Answer {
        let authorization = format!("Bearer {}", self.token);
        let mut headers = vec![
            ("Authorization", authorization.as_str()),
            ("Accept", JSON),
            ("Connection", "close"),
        ];
        headers.extend(content_type.map(|it| ("Content-Type", it)));
        http::request(&self.server, &self.ca, method, path, &headers, body.as_bytes())
            .unwrap_or_default()
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, None, "")
    }

    /// Fills in what a body can only know now.
    pub(crate) fn fill(&self, text: &str) -> String {
        let now = format!("{:.6}", jiff::Timestamp::now());
        let mut text = text.replace("@CSR@", &self.csr).replace("@now@", &now);
        while let Some((before, rest)) = text.split_once("@uid:") {
            let (key, after) = rest.split_once('@').expect("an end of @uid:…@");
            let object = self.get(&crate::fixtures::path_of(key)).json();
            let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
            text = format!("{before}{uid}{after}");
        }
        match text.strip_prefix("@get:").and_then(|it| it.strip_suffix('@')) {
            Some(path) => self.get(path).text(),
            None => text,
        }
    }

    /// Does what a row or a fixture asks of an administrator.
    pub(crate) fn run(&self, operation: &Operation) {
        if let Some(seconds) = operation.sleep {
            // What is waited for is not named in the row; the verdict does not hang on it.
            thread::sleep(Duration::from_secs_f64(seconds));
            return;
        }
        let (body, json) = match &operation.body {
            None => (String::new(), None),
            Some(Value::String(text)) => (self.fill(text), None),
            Some(value) => (self.fill(&value.to_string()), Some(JSON)),
        };
        let content_type = operation.content_type.as_deref().or(json);
        let answer = self.ask(&operation.method, &operation.path, content_type, &body);
        if answer.status >= 400 && !operation.ignore {
            eprintln!(
                "{} {}: {} {}",
                operation.method,
                operation.path,
                answer.status,
                answer.text()
            );
        }
    }
}
