//! Holds and freezes as they are stored: JSON whose field names stay, converted by hand.
//!
//! Older forms are read here and nowhere else: a hold of one approval had a `verdict`, and before
//! schema 6 the whole hold was one document.

use std::collections::{BTreeMap, BTreeSet};

use hold::{
    Approval, ChangeRecord, CommandRecord, Demand, Denial, Freeze, GoesWith, Hold, HoldId, Preview,
    Quorum, Shown, State, Summary, Target,
};
use jiff::{SignedDuration, Timestamp};
use ledger::{EffectRecord, Identity, RequestRecord, StoreError};
use policy::Severity;
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};

/// A row as JSON text.
pub(crate) fn to_json(row: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(row).map_err(|error| StoreError::Corrupt(error.to_string()))
}

/// A row of JSON text.
pub(crate) fn parse<T: DeserializeOwned>(json: &str) -> Result<T, StoreError> {
    serde_json::from_str(json).map_err(|error| StoreError::Corrupt(error.to_string()))
}

/// Who asked what, and why it waits.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SummaryRow {
    id: String,
    created_at: Timestamp,
    deadline: Timestamp,
    user: Identity,
    request_digest: String,
    #[serde(rename = "auditID")]
    audit_id: String,
    request: RequestRecord,
    rules: Vec<String>,
    reason: String,
    severity: String,
    effects: Vec<EffectRecord>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    more_effects: BTreeMap<String, usize>,
    #[serde(default)]
    digest: String,
    #[serde(default)]
    uid: String,
    #[serde(default)]
    quorum: QuorumRow,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    denial_seconds: Option<u64>,
    #[serde(default)]
    drifts: u32,
}

/// Whose approvals are needed.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct QuorumRow {
    reviewers: Vec<DemandRow>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    reason_required: bool,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct DemandRow {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    groups: Vec<String>,
    count: u32,
}

/// Where a hold stands.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "name", rename_all = "camelCase")]
pub(crate) enum StateRow {
    Pending {
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        approvals: Vec<ApprovalRow>,
    },
    Approved {
        #[serde(alias = "verdict", deserialize_with = "one_or_more")]
        approvals: Vec<ApprovalRow>,
        until: Timestamp,
    },
    Denied {
        #[serde(alias = "verdict")]
        denial: DenialRow,
    },
    Expired {
        at: Timestamp,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        approvals: Vec<ApprovalRow>,
    },
    Cancelled {
        at: Timestamp,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        approvals: Vec<ApprovalRow>,
    },
    Running {
        #[serde(alias = "verdict", deserialize_with = "one_or_more")]
        approvals: Vec<ApprovalRow>,
        #[serde(rename = "auditID")]
        audit_id: String,
        since: Timestamp,
    },
    Done {
        #[serde(alias = "verdict", deserialize_with = "one_or_more")]
        approvals: Vec<ApprovalRow>,
        #[serde(rename = "auditID")]
        audit_id: String,
        code: u16,
        at: Timestamp,
    },
    Unknown {
        #[serde(alias = "verdict", deserialize_with = "one_or_more")]
        approvals: Vec<ApprovalRow>,
        #[serde(rename = "auditID")]
        audit_id: String,
        why: String,
        at: Timestamp,
    },
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct ApprovalRow {
    reviewer: Identity,
    #[serde(default)]
    reason: String,
    at: Timestamp,
    digest: String,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct DenialRow {
    reviewer: Identity,
    #[serde(default)]
    reason: String,
    at: Timestamp,
    /// Missing in older rows, whose denials bound for ten minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    lifted: bool,
}

/// How long a denial bound before that was stored.
const OLDER_DENIAL_TIME: SignedDuration = SignedDuration::from_mins(10);

/// As it is stored now, or as it was when one approval was always enough.
fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<ApprovalRow>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMore {
        One(ApprovalRow),
        More(Vec<ApprovalRow>),
    }
    Ok(match OneOrMore::deserialize(deserializer)? {
        OneOrMore::One(approval) => vec![approval],
        OneOrMore::More(approvals) => approvals,
    })
}

/// What was seen of the cluster.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PreviewRow {
    digest: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    uid: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    resource_version: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    effects: Vec<EffectRecord>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    asked: BTreeSet<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    commands: Vec<CommandRow>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    changes: Vec<ChangeRow>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    targets: Vec<TargetRow>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    goes_with: Vec<GoesWithRow>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    cut: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    bound: Vec<String>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct CommandRow {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    at: String,
    words: Vec<String>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct ChangeRow {
    path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    old: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    new: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    diff: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    note: String,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct TargetRow {
    name: String,
    uid: String,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct GoesWithRow {
    resource: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    names: Vec<String>,
}

/// Who is frozen.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct FreezeRow {
    username: String,
    by: Identity,
    reason: String,
    at: Timestamp,
}

/// A whole hold in one document, as schemas before 6 had it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DocumentRow {
    revision: u64,
    changed_at: Timestamp,
    #[serde(default)]
    content_type: String,
    #[serde(default)]
    payload: String,
    preview: PreviewRow,
    state: StateRow,
    #[serde(flatten)]
    summary: SummaryRow,
}

impl DocumentRow {
    /// The hold, and what it shows.
    pub(crate) fn split(self) -> Result<(Hold, Shown), StoreError> {
        let preview = Preview::from(self.preview);
        let summary =
            SummaryRow { digest: preview.digest.clone(), uid: preview.uid.clone(), ..self.summary };
        let shown = Shown { content_type: self.content_type, payload: self.payload, preview };
        let (summary, state) = (summary.try_into()?, self.state.into());
        Ok((Hold::restore(summary, self.revision, self.changed_at, state), shown))
    }
}

impl From<&Summary> for SummaryRow {
    fn from(summary: &Summary) -> Self {
        let of = summary.clone();
        Self {
            id: of.id.to_string(),
            created_at: of.created_at,
            deadline: of.deadline,
            user: of.user,
            request_digest: of.request_digest,
            audit_id: of.audit_id,
            request: of.request,
            rules: of.rules,
            reason: of.reason,
            severity: of.severity.as_str().to_owned(),
            effects: of.effects,
            more_effects: of.more_effects,
            digest: of.digest,
            uid: of.uid,
            quorum: QuorumRow::from(&of.quorum),
            denial_seconds: of.denial_seconds,
            drifts: of.drifts,
        }
    }
}

impl TryFrom<SummaryRow> for Summary {
    type Error = StoreError;

    fn try_from(row: SummaryRow) -> Result<Self, StoreError> {
        let severity = Severity::parse(&row.severity)
            .ok_or_else(|| StoreError::Corrupt(format!("no severity is `{}`", row.severity)))?;
        Ok(Self {
            id: HoldId::parse(&row.id),
            created_at: row.created_at,
            deadline: row.deadline,
            user: row.user,
            request_digest: row.request_digest,
            audit_id: row.audit_id,
            request: row.request,
            rules: row.rules,
            reason: row.reason,
            severity,
            effects: row.effects,
            more_effects: row.more_effects,
            digest: row.digest,
            uid: row.uid,
            quorum: row.quorum.into(),
            denial_seconds: row.denial_seconds,
            drifts: row.drifts,
        })
    }
}

impl Default for QuorumRow {
    fn default() -> Self {
        Self::from(&Quorum::default())
    }
}

impl From<&Quorum> for QuorumRow {
    fn from(quorum: &Quorum) -> Self {
        let row = |it: &Demand| DemandRow { groups: it.groups.clone(), count: it.count };
        let reviewers = quorum.demands().iter().map(row).collect();
        Self { reviewers, reason_required: quorum.reason_required() }
    }
}

impl From<QuorumRow> for Quorum {
    fn from(row: QuorumRow) -> Self {
        let demand = |it: DemandRow| Demand { groups: it.groups, count: it.count };
        Self::restore(row.reviewers.into_iter().map(demand).collect(), row.reason_required)
    }
}

fn approval_rows(approvals: &[Approval]) -> Vec<ApprovalRow> {
    let row = |it: &Approval| ApprovalRow {
        reviewer: it.reviewer().clone(),
        reason: it.reason().to_owned(),
        at: it.at(),
        digest: it.digest().to_owned(),
    };
    approvals.iter().map(row).collect()
}

fn approvals(rows: Vec<ApprovalRow>) -> Vec<Approval> {
    let approval = |it: ApprovalRow| Approval::new(it.reviewer, it.reason, it.at, it.digest);
    rows.into_iter().map(approval).collect()
}

impl From<&State> for StateRow {
    fn from(state: &State) -> Self {
        let approvals = approval_rows(state.approvals());
        match state.clone() {
            State::Pending { .. } => Self::Pending { approvals },
            State::Approved { until, .. } => Self::Approved { approvals, until },
            State::Denied { denial } => Self::Denied {
                denial: DenialRow {
                    reviewer: denial.reviewer().clone(),
                    reason: denial.reason().to_owned(),
                    at: denial.at(),
                    until: denial.until(),
                    lifted: denial.until().is_none(),
                },
            },
            State::Expired { at, .. } => Self::Expired { at, approvals },
            State::Cancelled { at, .. } => Self::Cancelled { at, approvals },
            State::Running { audit_id, since, .. } => Self::Running { approvals, audit_id, since },
            State::Done { audit_id, code, at, .. } => Self::Done { approvals, audit_id, code, at },
            State::Unknown { audit_id, why, at, .. } => {
                Self::Unknown { approvals, audit_id, why, at }
            }
        }
    }
}

impl From<StateRow> for State {
    fn from(row: StateRow) -> Self {
        match row {
            StateRow::Pending { approvals: rows } => Self::Pending { approvals: approvals(rows) },
            StateRow::Approved { approvals: rows, until } => {
                Self::Approved { approvals: approvals(rows), until }
            }
            StateRow::Denied { denial: it } => {
                let then = || it.at.saturating_add(OLDER_DENIAL_TIME).unwrap_or(Timestamp::MAX);
                let until = it.until.unwrap_or_else(then);
                let denial = Denial::new(it.reviewer, it.reason, it.at, until);
                Self::Denied { denial: if it.lifted { denial.binding(None) } else { denial } }
            }
            StateRow::Cancelled { at, approvals: rows } => {
                Self::Cancelled { at, approvals: approvals(rows) }
            }
            StateRow::Expired { at, approvals: rows } => {
                Self::Expired { at, approvals: approvals(rows) }
            }
            StateRow::Running { approvals: rows, audit_id, since } => {
                Self::Running { approvals: approvals(rows), audit_id, since }
            }
            StateRow::Done { approvals: rows, audit_id, code, at } => {
                Self::Done { approvals: approvals(rows), audit_id, code, at }
            }
            StateRow::Unknown { approvals: rows, audit_id, why, at } => {
                Self::Unknown { approvals: approvals(rows), audit_id, why, at }
            }
        }
    }
}

impl From<&Preview> for PreviewRow {
    fn from(preview: &Preview) -> Self {
        let of = preview.clone();
        let command = |it: CommandRecord| CommandRow { at: it.at, words: it.words };
        let change = |it: ChangeRecord| {
            let ChangeRecord { path, old, new, diff, note } = it;
            ChangeRow { path, old, new, diff, note }
        };
        let target = |it: Target| TargetRow { name: it.name, uid: it.uid };
        let goes_with =
            |it: GoesWith| GoesWithRow { resource: it.resource, count: it.count, names: it.names };
        Self {
            digest: of.digest,
            uid: of.uid,
            resource_version: of.resource_version,
            effects: of.effects,
            asked: of.asked,
            commands: of.commands.into_iter().map(command).collect(),
            changes: of.changes.into_iter().map(change).collect(),
            targets: of.targets.into_iter().map(target).collect(),
            goes_with: of.goes_with.into_iter().map(goes_with).collect(),
            notes: of.notes,
            cut: of.cut,
            bound: of.bound,
        }
    }
}

impl From<PreviewRow> for Preview {
    fn from(row: PreviewRow) -> Self {
        let command = |it: CommandRow| CommandRecord { at: it.at, words: it.words };
        let change = |it: ChangeRow| {
            let ChangeRow { path, old, new, diff, note } = it;
            ChangeRecord { path, old, new, diff, note }
        };
        let target = |it: TargetRow| Target { name: it.name, uid: it.uid };
        let goes_with =
            |it: GoesWithRow| GoesWith { resource: it.resource, count: it.count, names: it.names };
        Self {
            digest: row.digest,
            uid: row.uid,
            resource_version: row.resource_version,
            effects: row.effects,
            asked: row.asked,
            commands: row.commands.into_iter().map(command).collect(),
            changes: row.changes.into_iter().map(change).collect(),
            targets: row.targets.into_iter().map(target).collect(),
            goes_with: row.goes_with.into_iter().map(goes_with).collect(),
            notes: row.notes,
            cut: row.cut,
            bound: row.bound,
            core: String::new(),
        }
    }
}

impl From<&Freeze> for FreezeRow {
    fn from(freeze: &Freeze) -> Self {
        let Freeze { username, by, reason, at } = freeze.clone();
        Self { username, by, reason, at }
    }
}

impl From<FreezeRow> for Freeze {
    fn from(row: FreezeRow) -> Self {
        let FreezeRow { username, by, reason, at } = row;
        Self { username, by, reason, at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states() -> Vec<State> {
        let at = Timestamp::UNIX_EPOCH;
        let by = |name: &str| Identity { username: name.into(), ..Identity::default() };
        let approval = |name: &str| Approval::new(by(name), "ok".into(), at, "d".into());
        let (one, two) = (vec![approval("a")], vec![approval("a"), approval("b")]);
        let (audit_id, why) = ("id".to_owned(), "cut".to_owned());
        vec![
            State::PENDING,
            State::Pending { approvals: one.clone() },
            State::Approved { approvals: two.clone(), until: at },
            State::Denied { denial: Denial::new(by("c"), "no".into(), at, at) },
            State::Denied { denial: Denial::new(by("c"), "no".into(), at, at).binding(None) },
            State::Expired { at, approvals: one.clone() },
            State::Cancelled { at, approvals: one.clone() },
            State::Running { approvals: two.clone(), audit_id: audit_id.clone(), since: at },
            State::Done { approvals: one.clone(), audit_id: audit_id.clone(), code: 200, at },
            State::Unknown { approvals: one, audit_id, why, at },
        ]
    }

    #[test]
    fn every_state_is_stored_and_read_back() {
        for state in states() {
            let text = to_json(&StateRow::from(&state)).expect("JSON");
            let name = state.name();
            assert!(text.starts_with(&format!(r#"{{"name":"{name}""#)), "{text}");
            let row: StateRow = parse(&text).expect("a state");
            assert_eq!(State::from(row), state);
        }
    }

    #[test]
    fn reads_the_states_of_older_files() {
        let mut read = 0;
        for state in states() {
            let mut row = serde_json::to_value(StateRow::from(&state)).expect("JSON");
            let fields = row.as_object_mut().expect("an object");
            // As holds of one approval were stored, and every denial.
            let verdict = match (fields.remove("denial"), fields.get("approvals")) {
                (Some(denial), _) => denial,
                (None, Some(approvals)) if state.approvals().len() == 1 => approvals[0].clone(),
                _ => continue,
            };
            if matches!(
                state,
                State::Pending { .. } | State::Expired { .. } | State::Cancelled { .. }
            ) {
                continue;
            }
            fields.remove("approvals");
            fields.insert("verdict".into(), verdict);
            let row: StateRow = serde_json::from_value(row).expect("a state");
            assert_eq!(State::from(row), state);
            read += 1;
        }
        assert_eq!(read, 4);
    }
}
