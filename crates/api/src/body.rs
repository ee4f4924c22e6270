//! What goes over the wire, field by field. Names are camelCase and stay.

use std::collections::BTreeMap;

use hold::{
    Approval as HoldApproval, CommandRecord, DecidedBy, Freeze, GoesWith, Hold, Shown, Target,
};
use jiff::Timestamp;
use ledger::{Call, Identity, RequestRecord, ShadowRecord};
use serde::{Deserialize, Serialize};
use upstream::Namespaces;

pub use crate::effect::EffectBody;

/// A list of anything.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct List<T> {
    /// In the order that people read them: newest first.
    pub items: Vec<T>,
    /// Whether there are more that match, and are left out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub left_out: bool,
    /// Whether only namespaces were looked at that the asker may list.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub restricted: bool,
}

impl<T> From<Vec<T>> for List<T> {
    fn from(items: Vec<T>) -> Self {
        Self { items, left_out: false, restricted: false }
    }
}

/// Calls of the timeline, newest first.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Timeline {
    /// The latest of those that match.
    pub items: Vec<CallBody>,
    /// Whether older ones match and are left out, as there were more than was asked for.
    #[serde(default)]
    pub left_out: bool,
    /// Whether only namespaces were looked at that the asker may list.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub restricted: bool,
    /// What was asked for, with each word as it was understood: `deploy` as `resource` and `apiGroup`.
    #[serde(default)]
    pub filter: BTreeMap<String, String>,
}

/// A hold in the queue.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HoldSummary {
    /// Its name.
    pub id: String,
    /// `pending`, `approved`, `denied`, `expired`, `cancelled`, `running`, `done` or `unknown`.
    pub state: String,
    /// When it was first held.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub changed_at: Timestamp,
    /// Undecided at this moment, it is denied as expired.
    pub deadline: Timestamp,
    /// How many connections of the agent wait on it now.
    pub waiting: usize,
    /// The agent.
    pub user: Identity,
    /// What it asked.
    pub request: RequestRecord,
    /// The rules that hold it.
    pub rules: Vec<String>,
    /// Why, in plain words.
    pub reason: String,
    /// `low`, `medium`, `high` or `critical`.
    pub severity: String,
    /// Whose approvals it needs: each of these.
    #[serde(default)]
    pub reviewers: Vec<ReviewersBody>,
    /// Whether an approval must say why.
    #[serde(default)]
    pub reason_required: bool,
    /// Who approved what is shown.
    #[serde(default)]
    pub approvals: Vec<VerdictBody>,
    /// While it is pending, which approvals are missing, in plain words.
    #[serde(default)]
    pub missing: String,
    /// What it would do; in a list, a few of its effects.
    pub effects: Vec<EffectBody>,
    /// How many more there are of each kind, where not all are here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub more_effects: BTreeMap<String, usize>,
    /// How often it came back because it would do something else than what was approved.
    pub drifts: u32,
    /// The call that made it.
    #[serde(rename = "auditID")]
    pub audit_id: String,
    /// What decided it: a denial, or the last approval that was missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<VerdictBody>,
    /// The API server's answer, once it was run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<u16>,
    /// Of a denial: until when the same is not asked again; missing once it was lifted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binds_until: Option<Timestamp>,
    /// Of a denial that is the last of too many: until when nobody is asked about its object at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub barred_until: Option<Timestamp>,
    /// The freeze that its agent is under, of a hold that is open: nothing of it runs before a thaw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen: Option<FreezeBody>,
}

/// So many different people of some groups.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ReviewersBody {
    /// An approval counts where its reviewer is in one of these; empty, whoever may approve.
    pub groups: Vec<String>,
    /// How many.
    pub count: u32,
    /// How many of them are missing.
    pub missing: u32,
}

/// A decision of a person.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VerdictBody {
    /// Who.
    pub reviewer: Identity,
    /// Why, as they wrote it.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// A hold with all that a reviewer decides on.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HoldDetail {
    /// As in the queue.
    #[serde(flatten)]
    pub summary: HoldSummary,
    /// Media type of the body.
    pub content_type: String,
    /// The body, secrets taken out.
    pub payload: String,
    /// What was seen of the cluster.
    pub preview: PreviewBody,
    /// Other holds of the same object that are open or were changed within a day, newest first; the first
    /// of them. Only in the answer to `GET`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<HoldSummary>,
    /// When this was looked at again for whoever asks; missing where it shows what was seen when its request
    /// came, or came again. Only in the answer to `GET`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub look: Option<LookBody>,
}

/// A look at what a held request would do now.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LookBody {
    /// When.
    pub at: Timestamp,
    /// The API server's answer, where it would refuse the request now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<u16>,
    /// Whether no rule would hold it now; what is shown is older.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub not_held: bool,
}

impl From<review::Look> for LookBody {
    fn from(look: review::Look) -> Self {
        let refused = match look.saw {
            review::Saw::Refused(code) => Some(code),
            review::Saw::Shown | review::Saw::NotHeld => None,
        };
        Self { at: look.at, refused, not_held: look.saw == review::Saw::NotHeld }
    }
}

/// A hold that was denied.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Denied {
    /// The hold.
    #[serde(flatten)]
    pub hold: HoldDetail,
    /// Holds of the same agent that asked for the same, and are denied with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub twins: Vec<String>,
}

/// What was seen of the cluster; an approval is of its digest.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PreviewBody {
    /// To be sent back with an approval.
    pub digest: String,
    /// Of the live object.
    pub uid: String,
    /// What it would run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<CommandBody>,
    /// What would differ.
    pub changes: Vec<ChangeBody>,
    /// For a collection: each object that would go.
    pub targets: Vec<TargetBody>,
    /// What goes with a deleted object.
    pub goes_with: Vec<GoesWithBody>,
    /// What is missing or incomplete, and why.
    pub notes: Vec<String>,
    /// What is known and not shown, as there is too much of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cut: Vec<String>,
    /// What is hidden as secret in what is shown.
    #[serde(default)]
    pub hidden: HiddenBody,
}

/// What is hidden as secret in what is shown of a hold.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HiddenBody {
    /// Different secrets.
    pub secrets: usize,
    /// Characters of all of them.
    pub characters: u64,
    /// Those that are a part of a longer text: of a command, a script, a document.
    pub in_text: usize,
}

/// A command that would be run, or that containers, probes or hooks would run from then on.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct CommandBody {
    /// RFC 6901 pointer to what runs it, with an item's name for its index; missing for a session.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub at: String,
    /// Its words.
    pub words: Vec<String>,
}

/// One differing path.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangeBody {
    /// RFC 6901 pointer, with an item's name for its index.
    pub path: String,
    /// JSON text before, cut where it is long; missing where the path did not exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<String>,
    /// JSON text after, cut where it is long; missing where the path goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<String>,
    /// A unified diff of both, where they are long or have lines: of a text its lines, of anything else those
    /// of its JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff: Option<String>,
    /// What it is, in words of agent-shield, where its value alone does not say it. With neither side, it says the
    /// same as the other differences.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// One object of a collection that would be deleted.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct TargetBody {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

/// Objects of one kind that go with what is deleted.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct GoesWithBody {
    /// Plural resource: `pods`.
    pub resource: String,
    /// How many; missing where nobody who was asked may see them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// The first few names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
}

impl From<Target> for TargetBody {
    fn from(target: Target) -> Self {
        let Target { name, uid } = target;
        Self { name, uid }
    }
}

impl From<GoesWithBody> for GoesWith {
    fn from(body: GoesWithBody) -> Self {
        let GoesWithBody { resource, count, names } = body;
        Self { resource, count, names }
    }
}

impl From<GoesWith> for GoesWithBody {
    fn from(found: GoesWith) -> Self {
        let GoesWith { resource, count, names } = found;
        Self { resource, count, names }
    }
}

/// The body of an approval.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Approval {
    /// Why; shown to the agent and recorded.
    #[serde(default)]
    pub reason: String,
    /// `preview.digest` of what the reviewer saw.
    pub digest: String,
}

/// The body of an extension.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Extension {
    /// Why; recorded.
    #[serde(default)]
    pub reason: String,
    /// For how long from now on, in seconds.
    pub seconds: u64,
}

/// The body of a denial, a withdrawal, a lift, a freeze and a thaw.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Reason {
    /// Why; shown to the agent and recorded.
    #[serde(default)]
    pub reason: String,
}

/// An agent whose writes are refused.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FreezeBody {
    /// Its username.
    pub user: String,
    /// Who froze it.
    pub reviewer: Identity,
    /// Why, as they wrote it.
    pub reason: String,
    /// When.
    pub at: Timestamp,
    /// Whether a request of it was ever seen; only in the answer to a freeze.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_known: Option<bool>,
    /// Whether it was frozen already; only in the answer to a freeze.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was_frozen: Option<bool>,
}

/// Whom to freeze is in the path; this is why.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FreezeAsked {
    /// Shown to the agent and recorded; empty keeps that of a freeze that is in force.
    #[serde(default)]
    pub reason: String,
    /// Whether to freeze somebody, too, of whom no request was ever seen.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unseen: bool,
}

impl From<Freeze> for FreezeBody {
    fn from(freeze: Freeze) -> Self {
        let Freeze { username: user, by: reviewer, reason, at } = freeze;
        Self { user, reviewer, reason, at, is_known: None, was_frozen: None }
    }
}

/// Somebody who was seen as an agent.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentBody {
    /// The username.
    pub user: String,
    /// The last call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_call: Option<CallBody>,
}

/// What clearing somebody came to.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cleared {
    /// Whether they counted as an agent.
    pub was_agent: bool,
}

/// What lifting a freeze came to.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Thawed {
    /// Whether there was one.
    pub was_frozen: bool,
}

/// Calls by their audit ids.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Lookup {
    /// At most a thousand.
    #[serde(rename = "auditIDs")]
    pub audit_ids: Vec<String>,
}

/// Calls of the cluster's audit log whose tags are to be checked.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Tags {
    /// At most a thousand.
    pub items: Vec<TaggedCall>,
}

/// A call of the cluster's audit log, and the tag of its audit id.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TaggedCall {
    /// Without the tag.
    #[serde(rename = "auditID")]
    pub audit_id: String,
    /// What followed the id.
    pub tag: String,
    /// The HTTP method.
    pub method: String,
    /// Path and query.
    #[serde(rename = "requestURI")]
    pub request_uri: String,
    /// In whose name it ran.
    pub username: String,
    /// Whether it only read.
    pub is_read: bool,
}

/// One line of the timeline.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CallBody {
    /// When it came.
    pub time: Timestamp,
    /// As in the cluster's own audit log.
    #[serde(rename = "auditID")]
    pub audit_id: String,
    /// Who asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Identity>,
    /// What was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestRecord>,
    /// `allow`, `hold`, `deny` or `refuse`; empty for what has no decision.
    pub decision: String,
    /// The rules that decided.
    pub rules: Vec<String>,
    /// Why, in plain words.
    pub reason: String,
    /// Digest of the policy set that said so; empty where none was asked.
    #[serde(default)]
    pub policy: String,
    /// Rules in shadow mode that would have asked, and those that an exception took back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shadow: Vec<ShadowRecord>,
    /// What it would do.
    pub effects: Vec<EffectBody>,
    /// Its hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<String>,
    /// What happened to the hold, in order.
    pub hold_events: Vec<HoldEventBody>,
    /// Who approved, of those that count, in order: several people where a rule asks for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<ApprovalBody>,
    /// Who decided, the last of them; who froze its agent, where that is why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reviewer: Option<String>,
    /// When they did: the denial, or the last approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<Timestamp>,
    /// What they said.
    pub verdict_reason: String,
    /// Whether it was refused because its agent was frozen, by `reviewer`, at `decidedAt`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_frozen: bool,
    /// `answered`, `refused`, `unsent`, `unknown`, `clientGone`; `done` of what a reviewer did to an agent;
    /// `open` while there is none.
    pub outcome: String,
    /// HTTP status; 0 while there is none.
    pub code: u16,
    /// From its arrival to its answer.
    pub latency_micros: u64,
    /// Bytes of the answer.
    pub bytes: u64,
    /// For a probe: the call it was made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe_of: Option<String>,
    /// What a reader must know.
    pub notes: Vec<String>,
    /// How its hold stands now, where this call does not tell it: another one asked for the same later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_state: Option<String>,
}

/// One person's approval.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ApprovalBody {
    /// Whose.
    pub reviewer: String,
    /// What they said.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

impl ApprovalBody {
    /// The approvals that count after these steps: those that nobody took back, and that were not void by what
    /// came later.
    pub fn all<'e>(events: impl IntoIterator<Item = &'e HoldEventBody>) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for event in events {
            let reviewer = event.reviewer.clone().unwrap_or_default();
            match event.event.as_str() {
                "partlyApproved" | "approved" => {
                    all.retain(|it| it.reviewer != reviewer);
                    all.push(Self { reviewer, reason: event.reason.clone(), at: event.time });
                }
                "withdrawn" => all.retain(|it| it.reviewer != reviewer),
                "drifted" | "denied" | "expired" | "cancelled" => all.clear(),
                _ => {}
            }
        }
        all
    }
}

/// A step in the life of a hold.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HoldEventBody {
    /// When.
    pub time: Timestamp,
    /// `created`, `partlyApproved`, `approved`, `running`, …
    pub event: String,
    /// In whose name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reviewer: Option<String>,
    /// What they said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Of `drifted`: the rules that ask since then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
}

/// How agent-shield stands.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusBody {
    /// Of the program that serves.
    pub version: String,
    /// Since when it runs.
    pub started_at: Timestamp,
    /// By its own clock.
    pub now: Timestamp,
    /// `enforcing`, or `observing` where no rule counts.
    pub mode: String,
    /// Its rules.
    pub policy: PolicyBody,
    /// What its own credential may do; missing where the API server does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rights: Option<RightsBody>,
    /// The certificate that it shows; missing where its end is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<ExpiryBody>,
    /// Its own credential; missing where its end cannot be known here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<ExpiryBody>,
    /// What waits.
    pub holds: HoldsBody,
    /// Usernames of agents that are frozen.
    pub frozen: Vec<String>,
    /// What needs somebody, a sentence each; empty where nothing does.
    pub attention: Vec<String>,
}

/// The rules that are in force.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyBody {
    /// Digest of the set.
    pub digest: String,
    /// How many there are.
    pub rules: usize,
    /// Those of them that are only recorded.
    pub shadow_rules: usize,
    /// Rules that settings disable.
    pub disabled: Vec<String>,
    /// The files and objects that they are from.
    pub files: Vec<String>,
    /// Since when they are in force; missing where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// A later set, which is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<RefusedBody>,
    /// Calls of the last 24 hours of which rules that do not count would have asked.
    pub shadow_verdicts: usize,
    /// Whether there are more of them than were counted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more_shadow_verdicts: bool,
}

/// A set of rules that is not in force.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct RefusedBody {
    /// When it was refused.
    pub at: Timestamp,
    /// What is wrong, each with its place.
    pub issues: Vec<String>,
}

/// What the proxy's own credential may do.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct RightsBody {
    /// What it lacks.
    pub missing: Vec<RightBody>,
    /// What it has and never needs, as far as it was looked for.
    pub excess: Vec<RightBody>,
}

/// A right.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct RightBody {
    /// `get namespaces`.
    pub right: String,
    /// What does not work without it, or why it is not needed.
    pub without: String,
}

/// Something that ends.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ExpiryBody {
    /// What.
    pub of: String,
    /// When.
    pub at: Timestamp,
}

/// The holds that are open.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HoldsBody {
    /// How many.
    pub open: usize,
    /// Those of them that wait for a reviewer.
    pub pending: usize,
    /// When the first of these is denied as expired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_deadline: Option<Timestamp>,
}

/// What answers.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VersionBody {
    /// Version of the server.
    pub version: String,
}

/// A namespace and how it is seen.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceBody {
    /// Its name.
    pub name: String,
    /// Any write in it is held.
    pub protected: bool,
    /// True unless it is declared non-production.
    pub production: bool,
    /// Each sign that was seen, and what it means.
    pub signs: Vec<String>,
    /// The command that declares it otherwise; empty where none does.
    pub declare: String,
    /// Why no command does; empty where one does.
    #[serde(default)]
    pub fixed: String,
}

impl HoldSummary {
    /// A hold as it stands, and how many connections wait on it.
    pub fn of(hold: &Hold, waiting: usize) -> Self {
        let (of, state) = (hold.summary().clone(), hold.state());
        let code = match state {
            hold::State::Done { code, .. } => Some(*code),
            _ => None,
        };
        Self {
            id: of.id.to_string(),
            state: state.name().to_string(),
            created_at: of.created_at,
            changed_at: hold.changed_at(),
            deadline: of.deadline,
            waiting,
            user: of.user,
            request: of.request,
            rules: of.rules,
            reason: of.reason,
            severity: of.severity.as_str().to_owned(),
            reviewers: reviewers(hold),
            reason_required: of.quorum.reason_required(),
            approvals: state.approvals().iter().map(VerdictBody::from).collect(),
            missing: hold.missing(),
            effects: of.effects.iter().map(Into::into).collect(),
            more_effects: of.more_effects,
            drifts: of.drifts,
            audit_id: of.audit_id,
            verdict: hold.decided_by().map(VerdictBody::from),
            code,
            binds_until: hold.denial().and_then(hold::Denial::until),
            barred_until: None,
            frozen: None,
        }
    }

    /// The same, with the freeze that its agent is under, where it is open.
    #[must_use]
    pub fn under(mut self, freeze: Option<Freeze>) -> Self {
        let is_open = matches!(self.state.as_str(), "pending" | "approved" | "running");
        self.frozen = freeze.filter(|_| is_open).map(FreezeBody::from);
        self
    }
}

fn reviewers(hold: &Hold) -> Vec<ReviewersBody> {
    let (approvals, of) = (hold.state().approvals(), hold.summary());
    let body = |demand: &hold::Demand| ReviewersBody {
        groups: demand.groups.clone(),
        count: demand.count,
        missing: demand.missing(approvals, &of.digest),
    };
    of.quorum.demands().iter().map(body).collect()
}

impl From<DecidedBy<'_>> for VerdictBody {
    fn from(by: DecidedBy<'_>) -> Self {
        Self { reviewer: by.reviewer.clone(), reason: by.reason.to_owned(), at: by.at }
    }
}

impl From<&HoldApproval> for VerdictBody {
    fn from(approval: &HoldApproval) -> Self {
        DecidedBy::from(approval).into()
    }
}

impl HoldDetail {
    /// A hold with all that is known of it.
    pub fn of(hold: &Hold, shown: Shown, waiting: usize, others: &[Hold]) -> Self {
        let mut summary = HoldSummary::of(hold, waiting);
        summary.effects =
            hold::all_effects(hold, Some(&shown.preview)).iter().map(Into::into).collect();
        summary.more_effects.clear();
        let (hidden, preview) = (HiddenBody::in_what_is(&shown), shown.preview);
        let changes = preview.changes.into_iter().map(|change| ChangeBody {
            path: change.path,
            old: change.old,
            new: change.new,
            diff: change.diff,
            note: change.note,
        });
        let command = |it: CommandRecord| CommandBody { at: it.at, words: it.words };
        Self {
            summary,
            content_type: shown.content_type,
            payload: shown.payload,
            preview: PreviewBody {
                digest: preview.digest,
                uid: preview.uid,
                commands: preview.commands.into_iter().map(command).collect(),
                changes: changes.collect(),
                targets: preview.targets.into_iter().map(Into::into).collect(),
                goes_with: preview.goes_with.into_iter().map(Into::into).collect(),
                notes: preview.notes,
                cut: preview.cut,
                hidden,
            },
            others: others.iter().map(|it| HoldSummary::of(it, 0)).collect(),
            look: None,
        }
    }
}

impl From<&Call> for CallBody {
    fn from(call: &Call) -> Self {
        let verdict = call.verdict();
        let decision = call.decision.as_ref();
        let response = call.response.as_ref();
        let act = call.act.as_ref();
        let is_act = call.request.as_ref().is_some_and(RequestRecord::is_act);
        let open = if is_act { "done" } else { "open" };
        // What a freeze ended was decided by who froze, whatever was said of its hold before.
        let freeze = decision.and_then(|it| it.frozen.as_ref());
        let verdict = verdict.filter(|_| freeze.is_none());
        let by = verdict.and_then(|it| it.reviewer.as_ref()).or(act.map(|it| &it.reviewer));
        let by = by.or(freeze.map(|it| &it.reviewer));
        let reason = verdict.map(|it| &it.reason).or(act.map(|it| &it.reason));
        let reason = reason.or(freeze.map(|it| &it.reason));
        let decided_at = freeze.map(|it| it.at).or_else(|| call.decided_at());
        let hold_events: Vec<HoldEventBody> = call
            .holds
            .iter()
            .map(|(time, hold)| HoldEventBody {
                time: *time,
                event: word(&hold.event),
                reviewer: hold.reviewer.as_ref().map(|it| it.username.clone()),
                reason: hold.reason.clone(),
                rules: hold.rules.clone(),
            })
            .collect();
        Self {
            time: call.time,
            audit_id: call.audit_id.clone(),
            user: call.user.clone(),
            request: call.request.clone().map(|request| named(request, call.made.as_ref())),
            decision: decision.map(|it| it.action.as_str().to_owned()).unwrap_or_default(),
            rules: call.rules(),
            reason: decision.map(|it| it.reason.clone()).unwrap_or_default(),
            policy: decision.map(|it| it.policy.clone()).unwrap_or_default(),
            shadow: decision.map(|it| it.shadow.clone()).unwrap_or_default(),
            effects: call.effects.iter().map(Into::into).collect(),
            hold: call.hold_id().map(str::to_owned),
            approvals: ApprovalBody::all(&hold_events),
            hold_events,
            is_frozen: freeze.is_some(),
            reviewer: by.map(|reviewer| reviewer.username.clone()),
            decided_at: decided_at.or(Some(call.time).filter(|_| is_act)),
            verdict_reason: reason.cloned().unwrap_or_default(),
            outcome: response.map_or_else(|| open.to_owned(), |it| word(&it.outcome)),
            code: response.map_or(0, |it| it.code),
            latency_micros: response.map_or(0, |it| it.latency_micros),
            bytes: response.map_or(0, |it| it.bytes),
            probe_of: call.probe_of.clone(),
            notes: call.notes.clone(),
            hold_state: None,
        }
    }
}

/// A request with the name of what it made, where it names nothing itself.
fn named(mut request: RequestRecord, made: Option<&String>) -> RequestRecord {
    if request.name.is_empty() {
        request.name = made.cloned().unwrap_or_default();
    }
    request
}

impl CallBody {
    /// Whether it is no call, but what a reviewer did to an agent.
    pub fn is_act(&self) -> bool {
        self.request.as_ref().is_some_and(RequestRecord::is_act)
    }

    /// Whose call it is, or to whom it was done.
    pub fn agent(&self) -> Option<&str> {
        let done_to = self.request.as_ref().filter(|it| it.is_act()).map(|it| it.name.as_str());
        self.user.as_ref().map(|it| it.username.as_str()).or(done_to)
    }
}

impl NamespaceBody {
    /// Every namespace that is known, by name.
    pub fn all(namespaces: &Namespaces) -> Vec<Self> {
        let body = |(name, class): (String, effects::NamespaceClass)| {
            let declare = class.declare_command(&name);
            Self {
                fixed: declare.as_ref().err().map(|it| (*it).to_owned()).unwrap_or_default(),
                declare: declare.unwrap_or_default(),
                signs: class.signs.iter().map(|it| format!("{} ({})", it.seen, it.means)).collect(),
                protected: class.protected,
                production: class.production,
                name,
            }
        };
        namespaces.all().into_iter().map(body).collect()
    }
}

/// The name of a unit variant as it is serialised.
fn word(value: &impl Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}
