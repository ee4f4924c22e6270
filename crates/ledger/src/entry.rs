//! One entry, as it is stored and exported. Field names are Kubernetes' own where it has them.

use attributes::{Attributes, User};
use effects::{Builtin, NamespaceClass};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{effect::EffectRecord, facts::Facts};

/// One fact about one call, appended once.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// When it was written down.
    pub time: Timestamp,
    /// The call it is about.
    #[serde(rename = "auditID")]
    pub audit_id: String,
    /// Which moment of the call.
    pub stage: Stage,
    /// Who asked; missing where nobody could be authenticated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Identity>,
    /// What was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestRecord>,
    /// What it would do, or did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub effects: Vec<EffectRecord>,
    /// What policy said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<DecisionRecord>,
    /// What happened to the hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<HoldRecord>,
    /// What the API server, or we, answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<ResponseRecord>,
    /// The name of the object that it made, where its request names none: in a POST, the body or the API
    /// server names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<String>,
    /// What a reviewer did to an agent, where that is what the entry tells of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<ActRecord>,
    /// For a probe of ours: the call that it was made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe_of: Option<String>,
    /// How its namespace was classed; missing where nobody knew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<ClassRecord>,
    /// What its decision was made from besides: kept beside the entry, and read by nobody but who
    /// judges it again.
    #[serde(skip)]
    pub facts: Facts,
    /// Anything a reader must know: `answer differs from the preview`, `3 read entries were lost`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Entry {
    /// Who sends requests as an agent, by this entry: whoever authenticated and was let through, held or
    /// denied by policy. What was refused for want of a credential or of rights did nothing: a reviewer may
    /// have sent it to the wrong address.
    pub fn agent(&self) -> Option<&str> {
        let user = self.user.as_ref().filter(|_| self.request.is_some())?;
        let is_decided = self
            .decision
            .as_ref()
            .is_some_and(|it| matches!(it.action, Action::Hold | Action::Deny));
        let is_refused = self.response.as_ref().is_some_and(|it| matches!(it.code, 401 | 403));
        (is_decided || !is_refused).then_some(user.username.as_str())
    }

    /// An entry that says nothing yet.
    pub fn new(time: Timestamp, audit_id: impl Into<String>, stage: Stage) -> Self {
        Self {
            time,
            audit_id: audit_id.into(),
            stage,
            user: None,
            request: None,
            effects: Vec::new(),
            decision: None,
            hold: None,
            response: None,
            made: None,
            act: None,
            probe_of: None,
            class: None,
            facts: Facts::None,
            note: None,
        }
    }

    /// What it takes of memory, and roughly of disk, in bytes. It counts what a client has a say in.
    pub fn weight(&self) -> usize {
        let user = self.user.as_ref().map_or(0, |user| {
            let groups: usize = user.groups.iter().map(String::len).sum();
            user.username.len().saturating_add(groups)
        });
        let decision = self.decision.as_ref().map_or(0, |it| {
            let rules: usize = it.rules.iter().map(String::len).sum();
            let shadow: usize = it.shadow.iter().map(|it| it.rule.len() + it.reason.len()).sum();
            it.reason.len().saturating_add(rules).saturating_add(shadow)
        });
        // Only writes have them.
        let effects = if self.effects.is_empty() { 0 } else { json_bytes(&self.effects) };
        let facts = match &self.facts {
            Facts::Recorded(facts) => json_bytes(facts),
            Facts::None | Facts::Lost | Facts::Unreadable => 0,
        };
        let parts = [
            size_of::<Self>(),
            self.audit_id.len(),
            self.request.as_ref().map_or(0, RequestRecord::weight),
            self.note.as_ref().map_or(0, String::len),
            self.made.as_ref().map_or(0, String::len),
            user,
            decision,
            effects,
            facts,
        ];
        parts.iter().fold(0, |sum: usize, it| sum.saturating_add(*it))
    }
}

/// The length of something as JSON, which is written nowhere.
fn json_bytes(value: &impl Serialize) -> usize {
    struct Length(usize);
    impl std::io::Write for Length {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 = self.0.saturating_add(bytes.len());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut length = Length(0);
    // What cannot be JSON is refused by the store.
    let _ = serde_json::to_writer(&mut length, value);
    length.0
}

/// The moment of a call that an entry tells of; names as in `audit.k8s.io/v1` where it has one.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub enum Stage {
    /// Judged, not yet forwarded.
    RequestReceived,
    /// Something happened to its hold.
    Held,
    /// A stream began to answer (watch, follow).
    ResponseStarted,
    /// Answered, by the API server or by us.
    ResponseComplete,
    /// Entries are missing here; `note` says how many.
    Gap,
}

/// How a namespace was classed when something was asked of it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ClassRecord {
    /// Production, and not protected.
    Production,
    /// Declared non-production, and not protected.
    NonProduction,
    /// Both.
    ProtectedProduction,
    /// Declared non-production, and protected all the same.
    ProtectedNonProduction,
}

impl ClassRecord {
    /// Whether any write in it is held.
    pub fn is_protected(self) -> bool {
        matches!(self, Self::ProtectedProduction | Self::ProtectedNonProduction)
    }

    /// Whether it is not declared non-production.
    pub fn is_production(self) -> bool {
        matches!(self, Self::Production | Self::ProtectedProduction)
    }
}

impl From<&NamespaceClass> for ClassRecord {
    fn from(class: &NamespaceClass) -> Self {
        match (class.protected, class.production) {
            (false, true) => Self::Production,
            (false, false) => Self::NonProduction,
            (true, true) => Self::ProtectedProduction,
            (true, false) => Self::ProtectedNonProduction,
        }
    }
}

/// The user as it is recorded. `extra` is left out: it names credentials.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// As authenticated.
    pub username: String,
    /// Empty where the authenticator gives none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// In the authenticator's order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
}

impl From<&User> for Identity {
    fn from(user: &User) -> Self {
        Self { username: user.username.clone(), uid: user.uid.clone(), groups: user.groups.clone() }
    }
}

/// What was asked, as kube-apiserver's RequestInfo names it.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestRecord {
    /// `delete`, `patch`, …
    pub verb: String,
    /// The HTTP method.
    pub method: String,
    /// Empty for the core group.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub api_group: String,
    /// `v1`, …
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    /// Plural resource.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub resource: String,
    /// `scale`, …
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subresource: String,
    /// Empty for cluster-scoped requests.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Object name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Path and query with secrets taken out.
    #[serde(rename = "requestURI")]
    pub request_uri: String,
    /// Of the client: its own word.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub user_agent: String,
    /// `Kubectl-Command`: the client's own word.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kubectl_command: String,
    /// `Kubectl-Session`: the client's own word.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kubectl_session: String,
    /// `Agent-Shield-Reason`, or the annotation of this name: the agent's own word.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub agent_reason: String,
    /// The peer's address.
    #[serde(rename = "sourceIP", default, skip_serializing_if = "String::is_empty")]
    pub source_ip: String,
    /// Whether the API server would only pretend.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// Size of the body in bytes.
    #[serde(default)]
    pub body_bytes: u64,
    /// Keyed digest of the body; empty without one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub body_digest: String,
}

impl RequestRecord {
    /// What the attributes say, each cut where it is longer than any that the API server has; the caller
    /// adds headers, address and body.
    pub fn of(attributes: Attributes, redacted_uri: String) -> Self {
        Self {
            verb: short(attributes.verb),
            method: short(attributes.method),
            api_group: short(attributes.api_group),
            api_version: short(attributes.api_version),
            resource: short(attributes.resource),
            subresource: short(attributes.subresource),
            namespace: short(attributes.namespace),
            name: short(attributes.name),
            request_uri: redacted_uri,
            ..Self::default()
        }
    }

    /// What its texts take of memory, in bytes.
    fn weight(&self) -> usize {
        let texts = [
            &self.verb,
            &self.method,
            &self.api_group,
            &self.api_version,
            &self.resource,
            &self.subresource,
            &self.namespace,
            &self.name,
            &self.request_uri,
            &self.user_agent,
            &self.kubectl_command,
            &self.kubectl_session,
            &self.agent_reason,
            &self.source_ip,
            &self.body_digest,
        ];
        texts.iter().map(|it| it.len()).sum()
    }

    /// Whether it is no request, but what a reviewer did to an agent: only such a one has no method.
    pub fn is_act(&self) -> bool {
        self.method.is_empty() && self.api_group == ACTS.0 && self.resource == ACTS.1
    }

    /// As [`spans_namespaces`].
    pub fn spans_namespaces(&self) -> bool {
        spans_namespaces(&self.verb, &self.api_group, &self.resource, [&self.namespace, &self.name])
    }
}

/// Group and resource of what reviewers do to agents, as entries name it.
pub const ACTS: (&str, &str) = ("agent-shield.io", "agents");

/// Whether a request is about the objects of every namespace at once; `place` is its namespace and name.
/// What is known to be in no namespace is not; what is not known may be.
pub fn spans_namespaces(verb: &str, api_group: &str, resource: &str, place: [&str; 2]) -> bool {
    matches!(verb, "list" | "watch" | "deletecollection")
        && place == ["", ""]
        && !resource.is_empty()
        && Builtin::find(api_group, resource).is_none_or(|it| it.is_namespaced)
}

/// Longest part of a path that is recorded, in bytes: names have at most 253, and those of proxied
/// services and pods a scheme and a port besides.
const PART_BYTES_MAX: usize = 320;

/// A part of a path as it is recorded; the target tells how it went on.
fn short(mut part: String) -> String {
    if part.len() > PART_BYTES_MAX {
        part.truncate(part.floor_char_boundary(PART_BYTES_MAX));
        part.push('…');
    }
    part
}

/// What was decided, mildest first.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Forwarded at once.
    Allow,
    /// A person was asked.
    Hold,
    /// Policy, or an earlier denial, refused it.
    Deny,
    /// Not a request that can be judged: malformed, unauthenticated, too large.
    Refuse,
}

impl Action {
    /// As in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Hold => "hold",
            Self::Deny => "deny",
            Self::Refuse => "refuse",
        }
    }
}

/// A decision and the rules that made it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DecisionRecord {
    /// What was decided.
    pub action: Action,
    /// Every rule that asked for it, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
    /// In plain words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Digest of the policy set that said so; empty where none was asked.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub policy: String,
    /// What did not count: rules in shadow mode, and those that an exception took back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shadow: Vec<ShadowRecord>,
    /// The freeze that its agent was under, where that is why it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen: Option<FreezeRecord>,
}

/// Who froze an agent, why and when.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct FreezeRecord {
    /// The reviewer.
    pub reviewer: Identity,
    /// Why, as they wrote it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Since when.
    pub at: Timestamp,
}

/// What a rule would have asked for.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShadowRecord {
    /// The rule.
    pub rule: String,
    /// `hold`, `deny`.
    pub action: Action,
    /// In plain words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// The exception that took it back; empty for a rule in shadow mode.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub exception: String,
}

impl DecisionRecord {
    /// A decision of the proxy itself, which no policy was asked about.
    pub fn of(action: Action, reason: impl Into<String>) -> Self {
        let (rules, shadow, policy) = (Vec::new(), Vec::new(), String::new());
        Self { action, rules, reason: reason.into(), policy, shadow, frozen: None }
    }
}

/// What a reviewer did to an agent as a whole: froze, thawed or cleared it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ActRecord {
    /// Who did it.
    pub reviewer: Identity,
    /// Why, as they wrote it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// A step in the life of a hold.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HoldRecord {
    /// The hold.
    pub id: String,
    /// What happened to it.
    pub event: HoldEvent,
    /// Who did it, for what reviewers do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reviewer: Option<Identity>,
    /// Their reason, as they wrote it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Digest of the preview that a reviewer decided on.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub digest: String,
    /// Of what drifted, the rules that ask since then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
}

impl HoldRecord {
    /// A step that nobody's name stands behind.
    pub fn step(id: &str, event: HoldEvent) -> Self {
        let (reason, digest, rules) = (String::new(), String::new(), Vec::new());
        Self { id: id.to_owned(), event, reviewer: None, reason, digest, rules }
    }
}

/// What can happen to a hold.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum HoldEvent {
    /// The request waits for a person.
    Created,
    /// The same request came again and waits on the same hold.
    Joined,
    /// The agent's connection ended while the hold was open.
    Left,
    /// A reviewer approved, and others must too: nothing runs by it.
    PartlyApproved,
    /// A reviewer took an approval back.
    Withdrawn,
    /// A reviewer approved, and no other approval is missing.
    Approved,
    /// A reviewer denied.
    Denied,
    /// A reviewer said until when a denial binds.
    Extended,
    /// A reviewer lifted a denial: what it was about may be asked again.
    Lifted,
    /// Nobody decided before the deadline, or an approval was not used in time.
    Expired,
    /// Its agent gave it up.
    Cancelled,
    /// What it would do changed since it was approved; it is pending again.
    Drifted,
    /// The approved request is being sent.
    Running,
    /// Nothing ran, because the object had changed or the API server was out of reach: the approval
    /// is whole again.
    Refreshed,
    /// It was answered.
    Done,
    /// It was sent and no answer came.
    Unknown,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// The API server answered.
    Answered,
    /// We answered, most often with a refusal; nothing was sent, but probes.
    Refused,
    /// It never left: the API server could not be reached.
    Unsent,
    /// It left and no answer came.
    Unknown,
    /// The client went away before the answer was complete.
    ClientGone,
}

/// How a call was answered.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ResponseRecord {
    /// HTTP status code; 0 where there was none.
    pub code: u16,
    /// How it ended.
    pub outcome: Outcome,
    /// From the request's arrival to this moment, in microseconds.
    pub latency_micros: u64,
    /// Bytes of the answer's body that the client got.
    #[serde(default)]
    pub bytes: u64,
    /// The object as a write left it, where the answer shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectRecord>,
}

/// An object as the API server's answer to a write shows it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectRecord {
    /// Its uid.
    pub uid: String,
    /// As the write left it.
    #[serde(flatten)]
    pub left: ObjectState,
    /// As the write found it, where it was looked at and was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<ObjectState>,
}

/// A state of an object.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectState {
    /// Its resourceVersion.
    pub resource_version: String,
    /// A keyed digest of all that those who write it decide, and of nothing that only controllers do;
    /// missing where it was not read.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub digest: String,
    /// One of who they are, and of how often what is wanted has changed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub writers: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_says_is_cut_or_counts() {
        let long = "é".repeat(30_000);
        let attributes =
            Attributes { namespace: long.clone(), name: long.clone(), ..Attributes::default() };
        let request = RequestRecord::of(attributes, "/x".to_owned());
        assert!(request.name.len() < 400 && request.namespace.ends_with('…'), "{}", request.name);
        let entry = |note: &str| Entry {
            request: Some(request.clone()),
            note: Some(note.to_owned()),
            ..Entry::new(Timestamp::UNIX_EPOCH, "a", Stage::ResponseComplete)
        };
        assert_eq!(entry(&long).weight() - entry("").weight(), long.len());
        let bytes = serde_json::to_vec(&entry("")).expect("JSON").len();
        assert!(entry("").weight() > bytes / 2, "{bytes}");
    }
}
