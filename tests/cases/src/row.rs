//! One line of `cases.jsonl`.

use serde::Deserialize;
use serde_json::Value;

/// What became, or should become, of a request.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Queued for a person; nothing reaches the API server but probes.
    Hold,
    /// Refused by policy.
    Deny,
    /// Malformed or ambiguous: 4xx, and nothing ran.
    Reject,
    /// Forwarded, answered by upstream.
    Allow,
}

/// A request with what it needs and what it must get.
#[derive(Clone, Debug, Deserialize)]
pub struct Row {
    /// `A01`.
    pub id: String,
    /// A heading of the catalogue.
    pub group: String,
    /// What it is about.
    pub title: String,
    /// An HTTP method, or `RAW`, `STEPS`, `H2`.
    pub method: String,
    /// The request target.
    pub path: String,
    pub(crate) content_type: Option<String>,
    pub(crate) body: Option<Value>,
    pub(crate) body_b64: Option<String>,
    pub(crate) headers: Vec<(String, String)>,
    #[serde(default)]
    pub(crate) steps: Vec<Value>,
    /// The verdict that it must get.
    pub expect: Verdict,
    /// Others that will do.
    #[serde(default)]
    pub also_ok: Vec<Verdict>,
    pub(crate) needs: Vec<String>,
    #[serde(default)]
    pub(crate) pre: Vec<Operation>,
    #[serde(default)]
    pub(crate) cleanup: Vec<Operation>,
    #[serde(default)]
    pub(crate) oracle: Option<Vec<Value>>,
    pub(crate) wait: Option<u64>,
    #[serde(default)]
    pub(crate) note: String,
    /// How it is known: `live`, `source`, `docs`, `probe`, `design`.
    pub basis: String,
}

/// Something that an administrator does directly.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Operation {
    #[serde(default)]
    pub(crate) method: String,
    #[serde(default)]
    pub(crate) path: String,
    pub(crate) body: Option<Value>,
    pub(crate) content_type: Option<String>,
    /// Seconds for controllers to follow; what a fixture waits for is not named.
    pub(crate) sleep: Option<f64>,
    #[serde(default)]
    pub(crate) ignore: bool,
}

impl Row {
    /// Whether its request is one request that the harness can send as it stands.
    pub fn is_single(&self) -> bool {
        !matches!(self.method.as_str(), "RAW" | "STEPS" | "H2")
    }

    /// A sequence of one request is that request.
    fn unwrapped(mut self) -> Self {
        if let ("STEPS", [step]) = (self.method.as_str(), self.steps.as_slice())
            && let Ok(step) = serde_json::from_value::<Operation>(step.clone())
            && !step.method.is_empty()
        {
            self.method = step.method;
            self.path = step.path;
            self.body = step.body;
            self.content_type = step.content_type;
        }
        self
    }
}

/// Every row.
///
/// # Panics
/// Where a line is no row.
pub fn rows() -> Vec<Row> {
    let parse =
        |line| serde_json::from_str::<Row>(line).unwrap_or_else(|it| panic!("{line}: {it}"));
    include_str!("../cases.jsonl").lines().map(|line| parse(line).unwrapped()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_row() {
        let rows = rows();
        assert_eq!(rows.len(), 343);
        let a29 = rows.iter().find(|row| row.id == "A29").expect("A29");
        assert_eq!((a29.method.as_str(), a29.is_single()), ("DELETE", true));
    }
}
