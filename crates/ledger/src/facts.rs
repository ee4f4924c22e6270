//! What a decision was made from, as far as the entry itself does not say it: so that other rules can
//! be asked about the same call later.
//!
//! Bounded in size by who makes it. Values of Secrets, ConfigMaps and environment variables are
//! never in it, nor what redaction takes out.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The form that this version writes. A reader that meets a later one does not guess.
pub const FACTS_VERSION: u32 = 1;

/// What stands beside an entry of what its decision was made from.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Facts {
    /// Nothing: nothing was judged by more than the entry tells, an earlier version wrote it, or they
    /// are no longer kept.
    #[default]
    None,
    /// The facts.
    Recorded(Box<FactsRecord>),
    /// The store did not take them in time.
    Lost,
    /// Something that this version cannot read.
    Unreadable,
}

/// The facts of one judgement.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FactsRecord {
    /// [`FACTS_VERSION`] when it was written.
    pub version: u32,
    /// The `now` of its rules.
    pub at: Timestamp,
    /// Labels of its namespace; missing for what is in none, and where they were not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// Whether it has labels that were too large to be recorded.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub labels_left_out: bool,
    /// Whether it is to a custom resource that the API server was known to store itself: it was planned as
    /// what Kubernetes serves.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stored: bool,
    /// Whether anybody looked at what it would do: a request that no rule asks about is not
    /// previewed, nor one that is denied by its attributes alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub looked: bool,
    /// Each object before and after.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<PairRecord>,
    /// Why the objects were not known to the rules either; empty where they were.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub unknown: String,
    /// The call whose facts have the same objects, where this one's are not repeated.
    #[serde(rename = "objectsOf", default, skip_serializing_if = "Option::is_none")]
    pub objects_of: Option<String>,
    /// How much of the objects is here.
    #[serde(default, skip_serializing_if = "Extent::is_whole")]
    pub extent: Extent,
    /// Whether more of them would be here, had their agent not used up what is kept for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub over_budget: bool,
    /// Whether rules saw how the two differ.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub compared: bool,
    /// What its agent had done before; missing where that was nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<WindowRecord>,
}

/// How much of the objects is recorded.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Extent {
    /// All but single values, in whose place a mark stands.
    #[default]
    Whole,
    /// What tells which objects they are; the rest was too large.
    Outline,
    /// None: there were too many.
    None,
}

impl Extent {
    fn is_whole(&self) -> bool {
        *self == Self::Whole
    }
}

/// One object before and after.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PairRecord {
    /// Before; missing where it is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<Value>,
    /// After; missing where it goes, and where `patch` tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<Value>,
    /// After, as a merge patch (RFC 7386) of `old`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch: Option<Value>,
}

/// What an agent's earlier calls did, as rules saw it: the effects themselves are in the entries of
/// those calls.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WindowRecord {
    /// How many effects.
    pub count: usize,
    /// When the first of them was sent.
    pub oldest: Timestamp,
    /// When the last of them was sent.
    pub newest: Timestamp,
}
