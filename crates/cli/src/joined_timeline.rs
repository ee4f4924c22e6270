//! Our record of each call beside the API server's own, for `timeline --audit-log`.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    path::PathBuf,
    time::Duration,
};

use anyhow::Result;
use api::body::{CallBody, List, Lookup, TaggedCall, Tags, Timeline};
use audit::{AuditLog, CallKey, Event, EventFilter, OwnRecord, join};
use jiff::Timestamp;
use ledger::RequestRecord;
use serde::Serialize;

use crate::client::Client;

/// What [`api`] takes in one question.
const LOOKUP_MAX: usize = 1_000;

/// Bytes of the targets in one question, whose body is bounded; what else it says of each call takes less.
const TAGS_BYTES_MAX: usize = 40 << 10;
const TAGGED_BYTES: usize = 512;

/// The clocks of the two sides may differ by so much.
const CLOCKS_APART: Duration = Duration::from_secs(1);

/// Both sides of each call.
pub(crate) type JoinedTimeline = audit::JoinedTimeline<OwnCall>;

/// A call as the review API tells of it.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct OwnCall(pub(crate) CallBody);

impl OwnRecord for OwnCall {
    fn audit_id(&self) -> &str {
        &self.0.audit_id
    }

    fn time(&self) -> Timestamp {
        self.0.time
    }

    fn username(&self) -> Option<&str> {
        self.0.user.as_ref().map(|user| user.username.as_str())
    }

    fn is_probe(&self) -> bool {
        self.0.probe_of.is_some()
    }

    fn was_sent(&self) -> bool {
        match self.0.outcome.as_str() {
            "answered" | "unknown" => true,
            // A write whose client leaves is not sent; one that was on its way has its own outcome.
            "clientGone" => self.0.request.as_ref().is_some_and(|it| {
                matches!(it.verb.as_str(), "get" | "list" | "watch") // Of reads.
            }),
            _ => false,
        }
    }

    fn was_allowed(&self) -> bool {
        self.0.decision == "allow"
    }

    fn was_approved(&self) -> bool {
        let granted = ["approved", "running", "done"];
        self.0.hold_events.iter().any(|it| granted.contains(&it.event.as_str()))
    }

    fn code(&self) -> u16 {
        self.0.code
    }

    fn is_about(&self, event: &Event) -> bool {
        let Some(request) = &self.0.request else { return true };
        match (self.is_probe(), request.dry_run) {
            // Of a question beside the call, the record says only that it reads.
            (true, false) => event.is_read(),
            (true, true) => event.verb == request.verb,
            (false, _) => event.verb == request.verb && is_to(request, event),
        }
    }

    fn has_piece(&self, event: &Event) -> bool {
        // No longer than until its id was told.
        let end = Duration::from_micros(self.0.latency_micros).saturating_add(CLOCKS_APART);
        let within = event.time.duration_since(self.0.time);
        let is_then = !within.is_negative() && within.unsigned_abs() <= end;
        let is_of = |it: &RequestRecord| it.verb == "deletecollection" && is_to(it, event);
        let deletes = matches!(event.verb.as_str(), "delete" | "deletecollection");
        is_then && deletes && self.0.request.as_ref().is_some_and(is_of)
    }
}

/// Whether both are to the same object, or to objects in the same place.
fn is_to(request: &RequestRecord, event: &Event) -> bool {
    let object = &event.object_ref;
    // The API server's log gives an object that is created the name that it gets.
    let names = [&object.name, &request.name];
    let is_named = event.verb == "create" || names.iter().any(|it| it.is_empty());
    object.resource == request.resource
        && object.api_group == request.api_group
        && object.subresource == request.subresource
        // A Namespace is in itself, and in some logs in none.
        && (object.resource == "namespaces" || object.namespace == request.namespace)
        && (is_named || object.name == request.name)
}

/// Reads the logs and asks agent-shield about every call of an agent in them.
pub(crate) async fn read(
    client: &Client,
    files: &[PathBuf],
    ours: Timeline,
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
    log.tagged = sent_by_others(client, &log).await?;
    let ours = ours.items.into_iter().map(OwnCall).collect();
    Ok(join(log, ours, calls, agents.into_iter().collect(), filter))
}

async fn looked_up(client: &Client, log: &AuditLog) -> Result<HashMap<String, OwnCall>> {
    let ids: Vec<String> = log.events.keys().cloned().collect();
    let mut calls = HashMap::new();
    for part in ids.chunks(LOOKUP_MAX) {
        let question = Lookup { audit_ids: part.to_vec() };
        let found: List<CallBody> = client.post("/v1/timeline/lookup", &question).await?;
        let found = found.items.into_iter().map(|call| (call.audit_id.clone(), OwnCall(call)));
        calls.extend(found);
    }
    Ok(calls)
}

/// The calls that another agent-shield sent, by what the server says of their tags.
async fn sent_by_others(client: &Client, log: &AuditLog) -> Result<HashSet<CallKey>> {
    let tagged: Vec<(&Event, &String)> =
        log.all().filter_map(|event| Some((event, event.tag.as_ref()?))).collect();
    let mut sent = HashSet::new();
    let mut left = tagged.as_slice();
    while !left.is_empty() {
        let room = left.iter().scan(0_usize, |bytes, (event, _)| {
            *bytes = bytes.saturating_add(event.request_uri.len()).saturating_add(TAGGED_BYTES);
            Some(*bytes)
        });
        let count = room.take_while(|bytes| *bytes <= TAGS_BYTES_MAX).count();
        let (part, rest) = left.split_at(count.min(LOOKUP_MAX));
        if part.is_empty() {
            // Too long to be asked about: it stays a call that went around.
            left = left.get(1..).unwrap_or_default();
            continue;
        }
        left = rest;
        let items = part.iter().map(|(event, tag)| TaggedCall {
            audit_id: event.audit_id.clone(),
            tag: (*tag).clone(),
            method: event.method().to_owned(),
            request_uri: event.request_uri.clone(),
            username: event.username().to_owned(),
            is_read: event.is_read(),
        });
        let question = Tags { items: items.collect() };
        let known: List<bool> = client.post("/v1/timeline/tags", &question).await?;
        let good = part.iter().zip(known.items).filter(|(_, is_known)| *is_known);
        sent.extend(good.map(|((event, _), _)| event.key()));
    }
    Ok(sent)
}

#[cfg(test)]
mod tests {
    use audit::Finding;
    use serde_json::json;

    use super::*;

    fn call(id: &str, decision: &str, events: &[&str], outcome: &str) -> Result<OwnCall> {
        let events: Vec<_> = events
            .iter()
            .map(|event| json!({"time": "2026-01-01T00:00:00Z", "event": event}))
            .collect();
        Ok(OwnCall(serde_json::from_value(json!({
            "time": "2026-01-01T00:00:00Z", "auditID": id, "user": {"username": "agent"},
            "decision": decision, "rules": [], "reason": "", "effects": [],
            "holdEvents": events, "verdictReason": "", "outcome": outcome, "code": 200,
            "latencyMicros": 0, "bytes": 0, "notes": [],
        }))?))
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
        let got = join(log, ours, HashMap::new(), vec!["agent".into()], &EventFilter::default());
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
}
