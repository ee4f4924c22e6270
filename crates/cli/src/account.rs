//! What one agent's calls come to. Pure.
//!
//! A request that is held is asked again and again; it is told of once, with what became of it in the end.

use std::collections::{BTreeMap, HashMap};

use api::body::{ApprovalBody, CallBody, HoldEventBody};
use jiff::Timestamp;
use serde::Serialize;

/// What became of a write.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Fate {
    /// A reviewer froze, thawed or cleared the agent.
    Act,
    /// Policy or a reviewer said no.
    Denied,
    /// Its agent was frozen.
    Frozen,
    /// Nobody decided in time.
    Expired,
    /// The agent gave it up.
    Cancelled,
    /// It was no request that can be judged, or its client left before it was.
    Refused,
    /// It waits for a reviewer, or for its agent to ask again.
    Waiting,
    /// It was sent, and nobody knows whether it ran.
    Unknown,
    /// The API server refused it, or could not be reached.
    Failed,
    /// It ran on a reviewer's word.
    RanApproved,
    /// Policy let it run.
    RanUnasked,
}

/// One write, or what a reviewer did to the agent.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Deed {
    pub(crate) time: Timestamp,
    #[serde(rename = "auditID")]
    pub(crate) audit_id: String,
    pub(crate) fate: Fate,
    pub(crate) what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hold: Option<String>,
    /// How often it was asked.
    pub(crate) times: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) rules: Vec<String>,
    /// Who approved, several people where a rule asks for them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) approvals: Vec<ApprovalBody>,
    /// Who decided, the last of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reviewer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) decided_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) reason: String,
    pub(crate) code: u16,
}

/// Reads of one resource in one namespace.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Reads {
    pub(crate) resource: String,
    pub(crate) namespace: String,
    pub(crate) calls: usize,
}

/// All of it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Account {
    pub(crate) agent: String,
    pub(crate) since: Timestamp,
    pub(crate) until: Option<Timestamp>,
    /// Missing where the caller is not told.
    pub(crate) is_frozen: Option<bool>,
    pub(crate) first_call: Option<Timestamp>,
    pub(crate) last_call: Option<Timestamp>,
    pub(crate) calls: usize,
    pub(crate) reads: usize,
    /// Dry runs and access reviews that were let through.
    pub(crate) asked_only: usize,
    /// Of each fate, how many.
    pub(crate) fates: BTreeMap<Fate, usize>,
    /// The oldest first.
    pub(crate) deeds: Vec<Deed>,
    /// What ran changed, by kind of effect.
    pub(crate) effects: BTreeMap<String, usize>,
    /// Secrets first, then the most read.
    pub(crate) read: Vec<Reads>,
    pub(crate) left_out: bool,
}

impl Account {
    /// Of calls, the oldest first; `words` says what one asked.
    pub(crate) fn of(
        agent: String,
        (since, until): (Timestamp, Option<Timestamp>),
        calls: &[CallBody],
        is_frozen: Option<bool>,
        left_out: bool,
        words: fn(&CallBody) -> String,
    ) -> Self {
        let own: Vec<&CallBody> =
            calls.iter().filter(|it| !it.is_act() && it.probe_of.is_none()).collect();
        let (reads, writes): (Vec<&CallBody>, Vec<&CallBody>) =
            own.iter().copied().partition(|it| is_read(it));
        let (asked_only, writes): (Vec<&CallBody>, Vec<&CallBody>) =
            writes.into_iter().partition(|it| only_asks(it));
        let acts = calls.iter().filter(|it| it.is_act());
        let groups = questions(writes.into_iter().chain(acts));
        let mut deeds: Vec<Deed> = groups.iter().filter_map(|it| deed(it, words)).collect();
        deeds.sort_by_key(|it| it.time);
        let mut fates = BTreeMap::new();
        for deed in &deeds {
            *fates.entry(deed.fate).or_default() += 1;
        }
        Self {
            agent,
            since,
            until,
            is_frozen,
            first_call: own.first().map(|it| it.time),
            last_call: own.last().map(|it| it.time),
            calls: own.len(),
            reads: reads.len(),
            asked_only: asked_only.len(),
            fates,
            effects: effects(&groups),
            deeds,
            read: read(&reads),
            left_out,
        }
    }
}

fn is_read(call: &CallBody) -> bool {
    call.request.as_ref().is_none_or(|it| {
        let connects = ["exec", "attach", "portforward", "proxy"];
        matches!(it.verb.as_str(), "get" | "list" | "watch" | "head")
            && !connects.contains(&it.subresource.as_str())
    })
}

/// Whether it stored nothing and nobody took it for a write.
fn only_asks(call: &CallBody) -> bool {
    let asks = call.request.as_ref().is_some_and(|it| {
        let reviews = ["authentication.k8s.io", "authorization.k8s.io"];
        it.dry_run || (it.verb == "create" && reviews.contains(&it.api_group.as_str()))
    });
    asks && !matches!(call.decision.as_str(), "hold" | "deny")
}

/// Calls of one hold together, the others each for itself; the oldest first.
fn questions<'c>(calls: impl Iterator<Item = &'c CallBody>) -> Vec<Vec<&'c CallBody>> {
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut all: Vec<Vec<&CallBody>> = Vec::new();
    for call in calls {
        let key = call.hold.as_deref().unwrap_or(&call.audit_id);
        let place = *places.entry(key).or_insert_with(|| {
            all.push(Vec::new());
            all.len().saturating_sub(1)
        });
        if let Some(calls) = all.get_mut(place) {
            calls.push(call);
        }
    }
    all
}

fn deed(calls: &[&CallBody], words: fn(&CallBody) -> String) -> Option<Deed> {
    let fate = fate(calls);
    let last = calls.iter().rev().find(|it| fate_of_one(it) == Some(fate)).or(calls.last())?;
    let decides =
        |it: &&&CallBody| it.reviewer.is_some() && (fate == Fate::Frozen || !it.is_frozen);
    let decided = calls.iter().rev().find(decides).unwrap_or(last);
    let mut rules: Vec<String> = Vec::new();
    for rule in calls.iter().flat_map(|it| &it.rules) {
        if !rules.contains(rule) {
            rules.push(rule.clone());
        }
    }
    let reason = match decided.reviewer {
        Some(_) => decided.verdict_reason.clone(),
        None => last.reason.clone(),
    };
    Some(Deed {
        time: last.time,
        audit_id: last.audit_id.clone(),
        fate,
        what: words(last),
        hold: last.hold.clone(),
        times: calls.len(),
        rules,
        approvals: approvals(calls),
        reviewer: decided.reviewer.clone(),
        decided_at: decided.decided_at,
        reason,
        code: last.code,
    })
}

/// Whose approvals count of all that was done to its hold.
fn approvals(calls: &[&CallBody]) -> Vec<ApprovalBody> {
    let mut events: Vec<&HoldEventBody> = calls.iter().flat_map(|it| &it.hold_events).collect();
    events.sort_by_key(|it| it.time);
    ApprovalBody::all(events)
}

/// What became of a question: what ran in the end is not undone by what was said of it before.
fn fate(calls: &[&CallBody]) -> Fate {
    let ended = |wanted: &[Fate]| {
        calls.iter().filter_map(|it| fate_of_one(it)).find(|fate| wanted.contains(fate))
    };
    let ran = [Fate::Act, Fate::Unknown, Fate::RanApproved, Fate::RanUnasked];
    if let Some(fate) = ended(&ran) {
        return fate;
    }
    if calls.last().is_some_and(|it| it.is_frozen) {
        return Fate::Frozen;
    }
    let has = |event: &str| calls.iter().any(|it| it.hold_events.iter().any(|e| e.event == event));
    if has("denied") || calls.iter().any(|it| it.decision == "deny" && !it.is_frozen) {
        return Fate::Denied;
    }
    if has("expired") {
        return Fate::Expired;
    }
    if has("cancelled") {
        return Fate::Cancelled;
    }
    if let Some(fate) = ended(&[Fate::Failed]) {
        return fate;
    }
    match calls.iter().any(|it| it.hold.is_some()) {
        true => Fate::Waiting,
        false if calls.iter().all(|it| it.outcome == "open") => Fate::Unknown,
        false => Fate::Refused,
    }
}

/// Where one call alone tells it.
fn fate_of_one(call: &CallBody) -> Option<Fate> {
    if call.is_act() {
        return Some(Fate::Act);
    }
    let approved = call.hold_events.iter().any(|it| it.event == "running");
    match (call.outcome.as_str(), call.code) {
        ("unknown", _) => Some(Fate::Unknown),
        ("answered", 400..) | ("unsent", _) => Some(Fate::Failed),
        ("answered", _) if approved => Some(Fate::RanApproved),
        ("answered", _) => Some(Fate::RanUnasked),
        _ => None,
    }
}

fn effects(groups: &[Vec<&CallBody>]) -> BTreeMap<String, usize> {
    let mut counted = BTreeMap::new();
    let ran = groups.iter().flatten().filter(|it| {
        matches!(fate_of_one(it), Some(Fate::RanApproved | Fate::RanUnasked | Fate::Unknown))
    });
    for effect in ran.flat_map(|it| &it.effects) {
        *counted.entry(effect.kind.clone()).or_default() += 1;
    }
    counted
}

fn read(calls: &[&CallBody]) -> Vec<Reads> {
    let mut counted: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for request in calls.iter().filter_map(|it| it.request.as_ref()) {
        if !request.resource.is_empty() {
            let key = (request.resource.as_str(), request.namespace.as_str());
            *counted.entry(key).or_default() += 1;
        }
    }
    let reads = |((resource, namespace), calls): ((&str, &str), usize)| Reads {
        resource: resource.to_owned(),
        namespace: namespace.to_owned(),
        calls,
    };
    let mut all: Vec<Reads> = counted.into_iter().map(reads).collect();
    all.sort_by_key(|it| (it.resource != "secrets", std::cmp::Reverse(it.calls)));
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

    fn call(second: i64, verb: &str, more: serde_json::Value) -> Result<CallBody> {
        let mut call = json!({
            "time": Timestamp::from_second(second)?.to_string(), "auditID": format!("a-{second}"),
            "user": {"username": "bot"}, "decision": "allow", "rules": [], "reason": "", "effects": [],
            "request": {"verb": verb, "method": "X", "resource": "pods", "namespace": "prod",
                "name": "p", "requestURI": "/x"},
            "holdEvents": [], "verdictReason": "", "outcome": "answered", "code": 200,
            "latencyMicros": 0, "bytes": 0, "notes": [],
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            call[key] = value.clone();
        }
        Ok(serde_json::from_value(call)?)
    }

    /// Of a hold `h`: what happened to it, and how this call was answered.
    fn held(
        second: i64,
        hold: &str,
        events: &[&str],
        outcome: &str,
        code: u16,
    ) -> Result<CallBody> {
        let events: Vec<_> = events
            .iter()
            .map(|event| json!({"time": "2026-01-01T00:00:00Z", "event": event}))
            .collect();
        let more = json!({"decision": "hold", "hold": hold, "holdEvents": events, "outcome": outcome,
            "code": code, "rules": [format!("rule-{second}")]});
        call(second, "delete", more)
    }

    fn frozen(second: i64, hold: Option<&str>) -> Result<CallBody> {
        let more = json!({"decision": "deny", "hold": hold, "reviewer": "chief", "isFrozen": true,
            "verdictReason": "wild", "outcome": "refused", "code": 403});
        call(second, "delete", more)
    }

    #[test]
    fn everybody_who_approved_is_named() -> Result<()> {
        let step = |second: i64, event: &str, by: &str| {
            json!({"time": Timestamp::from_second(second).unwrap_or_default().to_string(),
                "event": event, "reviewer": by, "reason": format!("ok {by}")})
        };
        type Row<'a> = (&'a [(&'a str, &'a str)], &'a [&'a str]);
        let table: [Row; 6] = [
            (&[("approved", "dan")], &["dan"]),
            (
                &[("partlyApproved", "alice"), ("approved", "dan"), ("running", "dan")],
                &["alice", "dan"],
            ),
            (
                &[("partlyApproved", "alice"), ("withdrawn", "alice"), ("partlyApproved", "dan")],
                &["dan"],
            ),
            (&[("partlyApproved", "alice"), ("drifted", ""), ("partlyApproved", "dan")], &["dan"]),
            (&[("partlyApproved", "alice"), ("denied", "dan")], &[]),
            (&[("approved", "alice"), ("cancelled", "")], &[]),
        ];
        for (steps, want) in table {
            // Every second step is of another call of the same hold.
            let of = |rest: usize| -> Vec<_> {
                let numbered = steps.iter().zip(1..).enumerate().filter(|(n, _)| n % 2 == rest);
                numbered.map(|(_, ((event, by), second))| step(second, event, by)).collect()
            };
            let held = |second, events: Vec<_>| {
                let more = json!({"decision": "hold", "hold": "h", "holdEvents": events,
                    "reviewer": "dan"});
                call(second, "delete", more)
            };
            let (first, second) = (held(1, of(0))?, held(2, of(1))?);
            let got = deed(&[&first, &second], |_| String::new()).ok_or("a deed")?;
            let names: Vec<_> = got.approvals.iter().map(|it| it.reviewer.as_str()).collect();
            assert_eq!(names, want, "{steps:?}");
            assert!(got.approvals.iter().all(|it| it.reason == format!("ok {}", it.reviewer)));
        }
        Ok(())
    }

    #[test]
    fn each_question_is_told_once_with_what_became_of_it() -> Result<()> {
        let secret = json!({"request": {"verb": "get", "method": "GET", "resource": "secrets",
            "namespace": "prod", "requestURI": "/x"}});
        let act = json!({"user": null, "decision": "", "outcome": "done", "code": 0, "reviewer": "chief",
            "request": {"verb": "freeze", "method": "", "apiGroup": "agent-shield.io",
                "resource": "agents", "name": "bot", "requestURI": ""}});
        let dry_run = json!({"request": {"verb": "patch", "method": "PATCH", "resource": "pods",
            "namespace": "prod", "requestURI": "/x", "dryRun": true}});
        let calls = [
            call(1, "get", json!({}))?,
            call(2, "get", json!({}))?,
            call(3, "get", secret)?,
            call(4, "patch", dry_run)?,
            call(
                5,
                "create",
                json!({"effects": [{"kind": "Create", "resource": "pods", "detail": ""}]}),
            )?,
            // Asked twice, and run at the second time.
            held(6, "h1", &["created", "approved"], "refused", 429)?,
            held(7, "h1", &["joined", "running", "done"], "answered", 200)?,
            held(8, "h2", &["created", "denied"], "refused", 403)?,
            held(9, "h3", &["created", "expired"], "refused", 403)?,
            held(10, "h4", &["created", "left"], "clientGone", 0)?,
            held(16, "h6", &["created", "approved", "cancelled"], "refused", 403)?,
            held(11, "h5", &["created", "approved", "running"], "unknown", 0)?,
            call(12, "delete", json!({"decision": "deny", "outcome": "refused", "code": 403}))?,
            call(13, "delete", json!({"code": 404}))?,
            call(14, "freeze", act)?,
            call(15, "delete", json!({"probeOf": "a-12"}))?,
            held(17, "h7", &["created", "approved"], "refused", 429)?,
            frozen(18, Some("h7"))?,
            frozen(19, None)?,
            // It was asked again after the thaw, and waits.
            frozen(20, Some("h8"))?,
            held(21, "h8", &["created"], "refused", 429)?,
        ];
        let span = (Timestamp::UNIX_EPOCH, None);
        let got = Account::of("bot".into(), span, &calls, Some(true), false, |_| String::new());
        assert_eq!((got.calls, got.reads, got.asked_only), (19, 3, 1));
        let told: Vec<String> =
            got.deeds.iter().map(|it| format!("{:?} {}", it.fate, it.audit_id)).collect();
        let want = [
            "RanUnasked a-5",
            "RanApproved a-7",
            "Denied a-8",
            "Expired a-9",
            "Waiting a-10",
            "Unknown a-11",
            "Denied a-12",
            "Failed a-13",
            "Act a-14",
            "Cancelled a-16",
            "Frozen a-18",
            "Frozen a-19",
            "Waiting a-21",
        ];
        assert_eq!(told, want);
        let ran = got.deeds.iter().find(|it| it.audit_id == "a-7").ok_or("it ran")?;
        assert_eq!((ran.times, ran.rules.len()), (2, 2));
        assert_eq!(got.effects, BTreeMap::from([("Create".to_owned(), 1)]));
        assert_eq!(got.fates.get(&Fate::Denied), Some(&2));
        let read: Vec<_> = got.read.iter().map(|it| (it.resource.as_str(), it.calls)).collect();
        assert_eq!(read, [("secrets", 1), ("pods", 2)]);
        Ok(())
    }
}
