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

/// One request as it stands in a row or a step.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Request {
    /// An HTTP method, or `RAW`, `STEPS`, `H2`.
    #[serde(default)]
    pub(crate) method: String,
    #[serde(default)]
    pub(crate) path: String,
    pub(crate) content_type: Option<String>,
    pub(crate) body: Option<Value>,
    pub(crate) body_b64: Option<String>,
    #[serde(default)]
    pub(crate) headers: Vec<(String, String)>,
    /// The whole request, for `RAW`.
    pub(crate) raw: Option<String>,
    #[serde(default)]
    pub(crate) note: String,
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
    /// What it would do: `delete.workload`, `scale.zero`, …
    pub effect: String,
    #[serde(flatten)]
    pub(crate) request: Request,
    #[serde(default)]
    pub(crate) steps: Vec<Step>,
    /// The verdict that it must get.
    pub expect: Verdict,
    /// Others that will do.
    #[serde(default)]
    pub also_ok: Vec<Verdict>,
    #[serde(default)]
    pub(crate) needs: Vec<String>,
    #[serde(default)]
    pub(crate) pre: Vec<Operation>,
    #[serde(default)]
    pub(crate) cleanup: Vec<Operation>,
    #[serde(default)]
    pub(crate) oracle: Option<Vec<Value>>,
    /// Seconds within which the oracle becomes true.
    pub(crate) wait: Option<u64>,
    /// `live` where the effect was seen on Kubernetes 1.37.2.
    pub(crate) basis: String,
}

/// What an administrator does before or after.
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

/// One step of a `STEPS` row: a request, or what somebody else does in between.
#[derive(Clone, Debug, Default, Deserialize)]
pub(crate) struct Step {
    #[serde(flatten)]
    pub(crate) request: Request,
    /// `hold`, `deny`, `reject`, `hold-or-503`, `re-hold`.
    pub(crate) expect: Option<String>,
    /// What the hold must say.
    pub(crate) shows: Option<String>,
    /// The name by which later steps know this request.
    pub(crate) save: Option<String>,
    /// Which agent sends it.
    #[serde(rename = "as")]
    pub(crate) agent: Option<String>,
    /// A reviewer approves the hold of this name.
    pub(crate) approve: Option<String>,
    /// A reviewer denies it.
    pub(crate) deny: Option<String>,
    /// The request of this name is sent again.
    pub(crate) replay: Option<String>,
    /// The request is an administrator's, at the API server itself.
    #[serde(default)]
    pub(crate) admin: bool,
    /// A fixture that an administrator makes anew.
    pub(crate) recreate: Option<String>,
    /// Requests that race.
    #[serde(default)]
    pub(crate) parallel: Vec<Step>,
    #[serde(default)]
    pub(crate) restart_proxy: bool,
    /// What is true of the holds now, in words.
    pub(crate) expect_state: Option<String>,
    #[serde(default)]
    pub(crate) block_upstream_reads: bool,
}

impl Row {
    /// A sequence of one request is that request.
    fn unwrapped(mut self) -> Self {
        if let ("STEPS", [step]) = (self.request.method.as_str(), self.steps.as_slice())
            && !step.request.method.is_empty()
        {
            self.request = Request { note: self.request.note, ..step.request.clone() };
            self.steps.clear();
        }
        self
    }

    /// Whether this verdict will do.
    pub fn takes(&self, verdict: Verdict) -> bool {
        self.expect == verdict || self.also_ok.contains(&verdict)
    }

    /// Whether it breaks a cluster for the rows after it: those get one of their own.
    pub fn breaks_cluster(&self) -> bool {
        BREAKS_CLUSTER.contains(&self.id.as_str())
    }
}

/// Rows after whose effect a control plane is not itself any more: the way to the API server, a group
/// that it serves, and what it admits or how it queues everybody's requests.
const BREAKS_CLUSTER: [&str; 3] = ["N10", "O22", "O23"];

/// In a row, an address at which a connection is refused at once and by nobody else's doing, and the range
/// of it alone.
const THIS_MACHINE: &str = "<this-machine>";
const THIS_MACHINE_ALONE: &str = "<this-machine-alone>";

/// Every row: those that came with the project, and those that were found since.
///
/// # Panics
/// Where a line is no row.
pub fn rows() -> Vec<Row> {
    let parse =
        |line: &str| serde_json::from_str::<Row>(line).unwrap_or_else(|it| panic!("{line}: {it}"));
    let files = [include_str!("../cases.jsonl"), include_str!("../found.jsonl")];
    let lines = files.into_iter().flat_map(str::lines).filter(|line| !line.is_empty());
    let (here, alone) = (testkit::own_address().to_string(), testkit::own_range());
    let placed = |line: &str| line.replace(THIS_MACHINE_ALONE, &alone).replace(THIS_MACHINE, &here);
    lines.map(|line| parse(&placed(line)).unwrapped()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn reads_every_row() {
        let rows = rows();
        assert!(rows.len() >= 343, "{} rows", rows.len());
        let ids: BTreeSet<&str> = rows.iter().map(|row| row.id.as_str()).collect();
        assert_eq!(ids.len(), rows.len(), "ids are unique");
        let a29 = rows.iter().find(|row| row.id == "A29").expect("A29");
        assert_eq!((a29.request.method.as_str(), a29.steps.len()), ("DELETE", 0));
    }
}
