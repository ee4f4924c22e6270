//! Our record of each call beside the API server's own, and what only one of them knows.

use std::{
    collections::{BTreeSet, HashMap},
    path::PathBuf,
};

use anyhow::Result;
use api::body::{CallBody, List, Lookup};
use jiff::Timestamp;
use serde::Serialize;

use crate::{
    audit_log::{AuditLog, Event},
    client::Client,
};

/// What [`api`] takes in one question.
const LOOKUP_MAX: usize = 1_000;

/// What the two records say of each other.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Finding {
    /// It came through agent-shield, and both tell the same.
    Through,
    /// Agent-shield ended it: the API server has never seen it.
    Stopped,
    /// The audit log does not have it: it begins later, ends earlier, or its policy leaves it out.
    NotInLog,
    /// An agent did it without agent-shield.
    Around,
    /// It ran, and agent-shield has no approval for it, or has it under another name.
    Unapproved,
}

/// One call, from both sides.
#[derive(Debug, Serialize)]
pub(crate) struct Joined {
    pub(crate) time: Timestamp,
    #[serde(rename = "auditID")]
    pub(crate) audit_id: String,
    pub(crate) finding: Finding,
    /// Our side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) call: Option<CallBody>,
    /// The API server's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cluster: Option<Event>,
}

/// The joined timeline.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JoinedTimeline {
    /// Newest first.
    pub(crate) items: Vec<Joined>,
    /// Whose calls were looked for in the audit log.
    pub(crate) agents: Vec<String>,
    /// The time that the audit log spans.
    pub(crate) from: Option<Timestamp>,
    /// Its end.
    pub(crate) until: Option<Timestamp>,
    /// Calls of agents in the audit log, less our probes; whether a filter lists them or not.
    pub(crate) calls: usize,
    /// Those of them that went around agent-shield.
    pub(crate) around: usize,
    /// Those that ran without an approval.
    pub(crate) unapproved: usize,
    /// How many of these two are among `items`.
    #[serde(skip)]
    pub(crate) listed: usize,
}

/// Which of the API server's events are listed; our side is filtered by the server.
#[derive(Clone, Debug, Default)]
pub(crate) struct EventFilter {
    pub(crate) namespace: Option<String>,
    pub(crate) resource: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) agent: Option<String>,
    pub(crate) verb: Option<String>,
    pub(crate) since: Option<Timestamp>,
    pub(crate) until: Option<Timestamp>,
    pub(crate) writes: bool,
    /// Whether something is asked for that only our side has: a decision, a hold.
    pub(crate) ours_alone: bool,
}

impl EventFilter {
    fn takes(&self, event: &Event) -> bool {
        let is = |want: &Option<String>, got: &str| want.as_ref().is_none_or(|it| it == got);
        let object = &event.object_ref;
        // As in RequestInfo, a Namespace is in itself.
        let namespace = match object.resource.as_str() {
            "namespaces" if object.namespace.is_empty() => &object.name,
            _ => &object.namespace,
        };
        !self.ours_alone
            && is(&self.namespace, namespace)
            && is(&self.resource, &object.resource)
            && is(&self.name, &object.name)
            && is(&self.agent, event.username())
            && is(&self.verb, &event.verb)
            && self.since.is_none_or(|since| event.time >= since)
            && self.until.is_none_or(|until| event.time <= until)
            && !(self.writes && event.is_read())
    }
}

/// Reads the logs and asks agent-shield about every call of an agent in them.
pub(crate) async fn join(
    client: &Client,
    files: &[PathBuf],
    ours: List<CallBody>,
    filter: &EventFilter,
) -> Result<JoinedTimeline> {
    let known: List<String> = client.get("/v1/agents").await?;
    let agents: BTreeSet<String> = known.items.into_iter().chain(filter.agent.clone()).collect();
    let listed: BTreeSet<&str> = ours.items.iter().map(|call| call.audit_id.as_str()).collect();
    let mut log = AuditLog::default();
    for file in files {
        log.read(file, |event| {
            agents.contains(event.username()) || listed.contains(event.audit_id.as_str())
        })?;
    }
    let calls = looked_up(client, &log).await?;
    Ok(joined(log, ours.items, calls, agents.into_iter().collect(), filter))
}

async fn looked_up(client: &Client, log: &AuditLog) -> Result<HashMap<String, CallBody>> {
    let ids: Vec<String> = log.events.keys().cloned().collect();
    let mut calls = HashMap::new();
    for part in ids.chunks(LOOKUP_MAX) {
        let question = Lookup { audit_ids: part.to_vec() };
        let found: List<CallBody> = client.post("/v1/timeline/lookup", &question).await?;
        calls.extend(found.items.into_iter().map(|call| (call.audit_id.clone(), call)));
    }
    Ok(calls)
}

/// Joins what was read of the log with what agent-shield knows of it (`calls`) and with what was
/// asked for of our side (`ours`).
fn joined(
    mut log: AuditLog,
    ours: Vec<CallBody>,
    mut calls: HashMap<String, CallBody>,
    agents: Vec<String>,
    filter: &EventFilter,
) -> JoinedTimeline {
    let probes = calls.values().filter(|call| call.probe_of.is_some());
    let count = log.events.len().saturating_sub(probes.count());
    let mut items = Vec::new();
    for call in ours {
        calls.remove(&call.audit_id);
        let event = log.events.remove(&call.audit_id);
        items.push(joined_call(call, event));
    }
    let found = |items: &[Joined], finding| items.iter().filter(|it| it.finding == finding).count();
    let mut unapproved = found(&items, Finding::Unapproved);
    let mut around = 0;
    // What is left of the log: calls that our side's filter or limit left out, which are of interest
    // only where the two sides differ, and calls that our side does not know.
    for (id, event) in log.events {
        let item = match calls.remove(&id) {
            Some(call) => joined_call(call, Some(event)),
            None => Joined {
                time: event.time,
                audit_id: id,
                finding: Finding::Around,
                call: None,
                cluster: Some(event),
            },
        };
        match item.finding {
            Finding::Around => around += 1,
            Finding::Unapproved => unapproved += 1,
            _ => continue,
        }
        if item.cluster.as_ref().is_some_and(|event| filter.takes(event)) {
            items.push(item);
        }
    }
    items.sort_by(|a, b| b.time.cmp(&a.time).then_with(|| a.audit_id.cmp(&b.audit_id)));
    JoinedTimeline {
        listed: found(&items, Finding::Around) + found(&items, Finding::Unapproved),
        around,
        unapproved,
        items,
        agents,
        from: log.from,
        until: log.until,
        calls: count,
    }
}

fn joined_call(call: CallBody, event: Option<Event>) -> Joined {
    let finding = match &event {
        None if matches!(call.outcome.as_str(), "answered" | "unknown" | "clientGone") => {
            Finding::NotInLog
        }
        None => Finding::Stopped,
        Some(event) if is_unapproved(&call, event) => Finding::Unapproved,
        Some(_) => Finding::Through,
    };
    Joined {
        time: call.time,
        audit_id: call.audit_id.clone(),
        finding,
        call: Some(call),
        cluster: event,
    }
}

/// Whether the API server did for real what agent-shield had not let go, or did it for another.
fn is_unapproved(call: &CallBody, event: &Event) -> bool {
    let other = call
        .user
        .as_ref()
        .is_some_and(|user| user.username != event.username() && event.code() < 400);
    let granted = ["approved", "running", "done"];
    let approved = || call.hold_events.iter().any(|it| granted.contains(&it.event.as_str()));
    match call.decision.as_str() {
        _ if other => true,
        // Only where the body of a probe is logged can it be told from what it is a probe of.
        _ if call.probe_of.is_some() => event.is_real_write() && event.shows_body(),
        "allow" => false,
        // Neither a denied nor an undecided call is ever sent under its audit id.
        _ => !approved(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn call(id: &str, decision: &str, events: &[&str], outcome: &str) -> Result<CallBody> {
        let events: Vec<_> = events
            .iter()
            .map(|event| json!({"time": "2026-01-01T00:00:00Z", "event": event}))
            .collect();
        Ok(serde_json::from_value(json!({
            "time": "2026-01-01T00:00:00Z", "auditID": id, "user": {"username": "agent"},
            "decision": decision, "rules": [], "reason": "", "effects": [],
            "holdEvents": events, "verdictReason": "", "outcome": outcome, "code": 200,
            "latencyMicros": 0, "bytes": 0, "notes": [],
        }))?)
    }

    fn event(id: &str, user: &str, verb: &str) -> Result<Event> {
        Ok(serde_json::from_value(json!({
            "auditID": id, "stage": "ResponseComplete", "user": {"username": user}, "verb": verb,
            "requestReceivedTimestamp": "2026-01-01T00:00:00Z", "requestURI": "/x",
            "objectRef": {"resource": "pods", "namespace": "prod", "name": "p"},
            "responseStatus": {"code": 200},
        }))?)
    }

    #[test]
    fn finds_what_the_two_records_disagree_on() -> Result<()> {
        let ours = vec![
            call("allowed", "allow", &[], "answered")?,
            call("approved", "hold", &["created", "approved", "running"], "answered")?,
            call("denied", "hold", &["created", "denied"], "refused")?,
            call("denied-and-ran", "hold", &["created", "denied"], "refused")?,
            call("refused-and-ran", "refuse", &[], "refused")?,
            call("other", "allow", &[], "answered")?,
            call("lost", "allow", &[], "answered")?,
        ];
        let mut log = AuditLog::default();
        for (id, user) in [
            ("allowed", "agent"),
            ("approved", "agent"),
            ("denied-and-ran", "agent"),
            ("refused-and-ran", "agent"),
            ("other", "admin"),
            ("around", "agent"),
        ] {
            log.events.insert(id.to_owned(), event(id, user, "delete")?);
        }
        let got = joined(log, ours, HashMap::new(), vec!["agent".into()], &EventFilter::default());
        let found: HashMap<&str, Finding> =
            got.items.iter().map(|item| (item.audit_id.as_str(), item.finding)).collect();
        for (id, want) in [
            ("allowed", Finding::Through),
            ("approved", Finding::Through),
            ("denied", Finding::Stopped),
            ("denied-and-ran", Finding::Unapproved),
            ("refused-and-ran", Finding::Unapproved),
            ("other", Finding::Unapproved),
            ("lost", Finding::NotInLog),
            ("around", Finding::Around),
        ] {
            assert_eq!(found.get(id), Some(&want), "{id}");
        }
        assert_eq!((got.around, got.unapproved, got.calls), (1, 3, 6));
        Ok(())
    }

    #[test]
    fn lists_what_went_around_by_the_same_filters() -> Result<()> {
        let event = event("1", "agent", "delete")?;
        let some = |text: &str| Some(text.to_owned());
        let all = EventFilter::default;
        let table = [
            (all(), true),
            (EventFilter { namespace: some("prod"), ..all() }, true),
            (EventFilter { namespace: some("dev"), ..all() }, false),
            (EventFilter { name: some("q"), ..all() }, false),
            (EventFilter { agent: some("other"), ..all() }, false),
            (EventFilter { ours_alone: true, ..all() }, false),
            (EventFilter { since: Some("2026-01-02T00:00:00Z".parse()?), ..all() }, false),
        ];
        for (filter, want) in table {
            assert_eq!(filter.takes(&event), want, "{filter:?}");
        }
        Ok(())
    }
}
