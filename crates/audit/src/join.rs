//! Our record of each call beside the API server's own, and what only one of them knows.

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::log::{AuditLog, Event};

/// A call may be received so long before the API server gets it, where no person is asked.
const BEGINS_BEFORE_MAX: SignedDuration = SignedDuration::from_mins(1);

/// Our record of one call, as far as it is compared.
pub trait OwnRecord {
    /// By which the two sides are joined.
    fn audit_id(&self) -> &str;
    /// When it came.
    fn time(&self) -> Timestamp;
    /// Whose it is, where that is known.
    fn username(&self) -> Option<&str>;
    /// Whether it is a question of our own about another call.
    fn is_probe(&self) -> bool;
    /// Whether it went to the API server, or may have.
    fn was_sent(&self) -> bool;
    /// Whether policy let it pass without asking anybody.
    fn was_allowed(&self) -> bool;
    /// Whether reviewers did.
    fn was_approved(&self) -> bool;
    /// The API server's answer to it; 0 while there is none.
    fn code(&self) -> u16;
    /// Whether it asked for what the API server says that it was asked: an id alone proves nothing, as
    /// whoever goes around agent-shield may use one again.
    fn is_about(&self, event: &Event) -> bool;
    /// Whether it is a collection of which this is one object's delete.
    fn has_piece(&self, event: &Event) -> bool;
}

/// What the two records say of each other.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Finding {
    /// It came through agent-shield, and both tell the same.
    Through,
    /// Agent-shield ended it: the API server has never seen it.
    Stopped,
    /// The audit log does not have it: it begins later, ends earlier, or its policy leaves it out.
    NotInLog,
    /// It came through another agent-shield, which shares its secret with this one and has the record.
    ThroughAnother,
    /// An agent did it without agent-shield.
    Around,
    /// It ran, and agent-shield has no approval for it, or has it under another name.
    Unapproved,
}

/// One call, from both sides.
#[derive(Debug, Serialize)]
pub struct Joined<C> {
    /// When it came.
    pub time: Timestamp,
    /// Its audit id.
    #[serde(rename = "auditID")]
    pub audit_id: String,
    /// What the two sides say of each other.
    pub finding: Finding,
    /// Our side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<C>,
    /// The API server's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<Event>,
}

/// The joined timeline.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JoinedTimeline<C> {
    /// Newest first.
    pub items: Vec<Joined<C>>,
    /// Whose calls were looked for in the audit log.
    pub agents: Vec<String>,
    /// The time that the audit log spans.
    pub from: Option<Timestamp>,
    /// Its end.
    pub until: Option<Timestamp>,
    /// Calls of agents in the audit log, less our probes; whether a filter lists them or not.
    pub calls: usize,
    /// Those of them that went through another agent-shield.
    pub through_another: usize,
    /// Those of them that went around agent-shield.
    pub around: usize,
    /// Those that ran without an approval.
    pub unapproved: usize,
    /// How many of these two are among `items`.
    #[serde(skip)]
    pub listed: usize,
}

/// Which of the API server's events are listed; our side is filtered by the server.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// Only in this namespace.
    pub namespace: Option<String>,
    /// Only this resource, in the plural.
    pub resource: Option<String>,
    /// Only this API group; empty for the core group.
    pub api_group: Option<String>,
    /// Only this subresource; empty for the object itself.
    pub subresource: Option<String>,
    /// Only objects of this name.
    pub name: Option<String>,
    /// Only by this user.
    pub agent: Option<String>,
    /// Only with this verb.
    pub verb: Option<String>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Not after.
    pub until: Option<Timestamp>,
    /// Neither reads nor what only asks.
    pub writes: bool,
    /// Whether something is asked for that only our side has: a decision, a hold.
    pub ours_alone: bool,
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
            && (is(&self.namespace, namespace) || event.spans_namespaces())
            && is(&self.resource, &object.resource)
            && is(&self.api_group, &object.api_group)
            && is(&self.subresource, &object.subresource)
            && is(&self.name, &object.name)
            && is(&self.agent, event.username())
            && is(&self.verb, &event.verb)
            && self.since.is_none_or(|since| event.time >= since)
            && self.until.is_none_or(|until| event.time <= until)
            && !(self.writes && (event.is_read() || event.asks()))
    }
}

/// Joins what was read of the log with what agent-shield knows of it (`calls`) and with what was
/// asked for of our side (`ours`).
pub fn join<C: OwnRecord>(
    log: AuditLog,
    ours: Vec<C>,
    mut calls: HashMap<String, C>,
    agents: Vec<String>,
    filter: &EventFilter,
) -> JoinedTimeline<C> {
    let probes = calls.values().filter(|call| call.is_probe());
    let count = log.events.len().saturating_add(log.again.len());
    let count = count.saturating_sub(probes.count());
    let mut events: HashMap<String, Vec<Event>> = HashMap::new();
    for event in log.events.into_values().chain(log.again.into_values()) {
        events.entry(event.audit_id.clone()).or_default().push(event);
    }
    let mut items = Vec::new();
    let own: HashSet<String> =
        ours.iter().map(|it| it.audit_id().to_owned()).chain(calls.keys().cloned()).collect();
    for call in ours {
        calls.remove(call.audit_id());
        let event = events.get_mut(call.audit_id()).and_then(|events| take(&call, events));
        items.push(joined_call(call, event));
    }
    let found =
        |items: &[Joined<C>], finding| items.iter().filter(|it| it.finding == finding).count();
    let mut unapproved = found(&items, Finding::Unapproved);
    let (mut around, mut through_another) = (0, 0);
    // What is left of the log: calls that our side's filter or limit left out, which are of interest
    // only where the two sides differ, and calls that our side does not know.
    let mut left = Vec::new();
    for (id, mut events) in events {
        if let Some(call) = calls.remove(&id)
            && let Some(event) = take(&call, &mut events)
        {
            left.push(joined_call(call, Some(event)));
        }
        // What another one sent has an id that is not known here, made since the log begins.
        let is_of_another = !own.contains(&id) && is_within(&id, log.from);
        left.extend(not_ours(events, |event| is_of_another && log.tagged.contains(&event.key())));
    }
    for item in left {
        match item.finding {
            Finding::Around => around += 1,
            Finding::ThroughAnother => through_another += 1,
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
        through_another,
        around,
        unapproved,
        items,
        agents,
        from: log.from,
        until: log.until,
        calls: count,
    }
}

/// The API server's side of a call, taken out of all that it did under one id; so is what only belongs to it.
fn take(call: &impl OwnRecord, events: &mut Vec<Event>) -> Option<Event> {
    let is_of = |event: &Event| call.is_about(event) || call.has_piece(event);
    let about = events.iter().enumerate().filter(|(_, event)| is_of(event));
    let distance = |event: &Event| {
        (event.code() != call.code(), event.time.duration_since(call.time()).unsigned_abs())
    };
    let (at, _) = about.min_by_key(|(_, event)| distance(event))?;
    let event = events.swap_remove(at);
    events.retain(|other| !(belongs(other, &event) || call.has_piece(other)));
    Some(event)
}

/// Whether an event is another try of what was sent: a read on a connection that had died, or a write that
/// was refused because its object had changed.
fn belongs(event: &Event, to: &Event) -> bool {
    event.request_uri == to.request_uri
        && event.verb == to.verb
        && event.username() == to.username()
        && (event.is_read() || matches!(event.code(), 409 | 422))
}

/// Whether an id was made since a log begins, or just before: of an older one the first use may not be in it.
fn is_within(audit_id: &str, from: Option<Timestamp>) -> bool {
    let (Some(began), Some(from)) = (ledger::began(audit_id), from) else { return false };
    from.duration_since(began) <= BEGINS_BEFORE_MAX
}

/// Calls under one id that this agent-shield has not sent. A tag is good once: whoever reads one in the audit
/// log has it for a call that ran before.
fn not_ours<C>(mut events: Vec<Event>, is_tagged: impl Fn(&Event) -> bool) -> Vec<Joined<C>> {
    events.sort_by_key(|event| event.time);
    let mut sent: Vec<Event> = Vec::new();
    let joined = events.into_iter().map(|event| {
        let spent = sent.iter().find(|it| it.tag == event.tag);
        let is_good = spent.is_none_or(|first| belongs(&event, first));
        let finding = match is_tagged(&event) && is_good {
            true => Finding::ThroughAnother,
            false => Finding::Around,
        };
        if finding == Finding::ThroughAnother {
            sent.push(event.clone());
        }
        Joined {
            time: event.time,
            audit_id: event.audit_id.clone(),
            finding,
            call: None,
            cluster: Some(event),
        }
    });
    joined.collect()
}

fn joined_call<C: OwnRecord>(call: C, event: Option<Event>) -> Joined<C> {
    let finding = match &event {
        None if call.was_sent() => Finding::NotInLog,
        None => Finding::Stopped,
        Some(event) if is_unapproved(&call, event) => Finding::Unapproved,
        Some(_) => Finding::Through,
    };
    Joined {
        time: call.time(),
        audit_id: call.audit_id().to_owned(),
        finding,
        call: Some(call),
        cluster: event,
    }
}

/// Whether the API server did for real what agent-shield had not let go, or did it for another.
fn is_unapproved(call: &impl OwnRecord, event: &Event) -> bool {
    let is_other = |username| username != event.username() && event.code() < 400;
    if call.username().is_some_and(is_other) {
        return true;
    }
    if call.is_probe() {
        // Only where the body of a probe is logged can it be told from what it is a probe of.
        return event.is_real_write() && event.shows_body();
    }
    // Neither a denied nor an undecided call is ever sent under its audit id.
    !call.was_allowed() && !call.was_approved()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

    /// A record that says what it is asked.
    struct Record {
        id: &'static str,
        verb: &'static str,
        was_sent: bool,
        was_allowed: bool,
        was_approved: bool,
        is_probe: bool,
    }

    impl OwnRecord for Record {
        fn audit_id(&self) -> &str {
            self.id
        }
        fn time(&self) -> Timestamp {
            Timestamp::UNIX_EPOCH
        }
        fn username(&self) -> Option<&str> {
            Some("agent")
        }
        fn is_probe(&self) -> bool {
            self.is_probe
        }
        fn was_sent(&self) -> bool {
            self.was_sent
        }
        fn was_allowed(&self) -> bool {
            self.was_allowed
        }
        fn was_approved(&self) -> bool {
            self.was_approved
        }

        fn code(&self) -> u16 {
            200
        }

        fn is_about(&self, event: &Event) -> bool {
            event.verb == self.verb
        }

        fn has_piece(&self, event: &Event) -> bool {
            self.verb == "deletecollection" && event.verb == "delete"
        }
    }

    fn record(id: &'static str, is: &str) -> Record {
        Record {
            id,
            verb: "delete",
            was_sent: is.contains("sent"),
            was_allowed: is.contains("allowed"),
            was_approved: is.contains("approved"),
            is_probe: is.contains("probe"),
        }
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
            record("allowed", "allowed, sent"),
            record("approved", "approved, sent"),
            record("denied", ""),
            record("denied-and-ran", ""),
            record("refused-and-ran", ""),
            record("other", "allowed, sent"),
            record("lost", "allowed, sent"),
            record("probe", "allowed, sent, probe"),
        ];
        let mut log = AuditLog::default();
        for (id, user) in [
            ("allowed", "agent"),
            ("approved", "agent"),
            ("denied-and-ran", "agent"),
            ("refused-and-ran", "agent"),
            ("other", "admin"),
            ("around", "agent"),
            ("probe", "agent"),
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
            // Its body is not in the log: nobody can say that it was no dry run.
            ("probe", Finding::Through),
        ] {
            assert_eq!(found.get(id), Some(&want), "{id}");
        }
        assert_eq!((got.around, got.unapproved, got.calls), (1, 3, 7));
        Ok(())
    }

    #[test]
    fn an_id_that_is_used_again_hides_nothing() -> Result<()> {
        let of = |id, verb| Record { verb, ..record(id, "allowed, sent") };
        let at = |id: &str, verb: &str, second: i64, code: u16| -> Result<Event> {
            let mut event = serde_json::to_value(event(id, "agent", verb)?)?;
            event["requestReceivedTimestamp"] = json!(format!("2026-01-01T00:00:0{second}Z"));
            event["responseStatus"]["code"] = json!(code);
            Ok(serde_json::from_value(event)?)
        };
        // Our calls, what the API server did under the same ids, and how much of that went around.
        let table = [
            (vec![of("1", "get")], vec![at("1", "get", 0, 200)?, at("1", "delete", 1, 200)?], 1),
            (vec![of("1", "get")], vec![at("1", "delete", 1, 200)?], 1),
            (vec![of("1", "patch")], vec![at("1", "patch", 0, 200)?, at("1", "patch", 1, 200)?], 1),
            (
                vec![],
                vec![
                    at("1", "get", 0, 200)?,
                    at("1", "create", 1, 201)?,
                    at("1", "create", 2, 201)?,
                ],
                3,
            ),
            // Tries of one call.
            (vec![of("1", "patch")], vec![at("1", "patch", 0, 409)?, at("1", "patch", 1, 200)?], 0),
            (vec![of("1", "get")], vec![at("1", "get", 0, 200)?, at("1", "get", 1, 200)?], 0),
            (
                vec![of("1", "deletecollection")],
                vec![at("1", "delete", 0, 200)?, at("1", "delete", 1, 200)?],
                0,
            ),
        ];
        for (index, (ours, events, want)) in table.into_iter().enumerate() {
            for listed in [true, false] {
                let mut log = AuditLog::default();
                events.iter().cloned().for_each(|event| log.add(event, |_| true));
                let known = ours.iter().map(|it| (it.id.to_owned(), of(it.id, it.verb))).collect();
                let listed = if listed {
                    ours.iter().map(|it| of(it.id, it.verb)).collect()
                } else {
                    vec![]
                };
                let got = join(log, listed, known, vec!["agent".into()], &EventFilter::default());
                assert_eq!((got.around, got.listed), (want, want), "row {index}");
            }
        }
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

    #[test]
    fn finds_a_namespace_in_lists_of_all_and_no_write_in_a_question() -> Result<()> {
        let event = |verb: &str, uri: &str, resource: &str, namespace: &str| -> Result<Event> {
            Ok(serde_json::from_value(json!({
                "auditID": "1", "stage": "ResponseComplete", "user": {"username": "agent"},
                "verb": verb, "requestReceivedTimestamp": "2026-01-01T00:00:00Z", "requestURI": uri,
                "objectRef": {"resource": resource, "namespace": namespace},
                "responseStatus": {"code": 200},
            }))?)
        };
        let of_prod = EventFilter { namespace: Some("prod".to_owned()), ..EventFilter::default() };
        let writes = EventFilter { writes: true, ..EventFilter::default() };
        let core = "/api/v1/namespaces/prod";
        let of = |name: &str, query: &str| format!("{core}/configmaps{name}{query}");
        let token = format!("{core}/serviceaccounts/default/token?dryRun=All");
        let proxy = format!("{core}/pods/web/proxy/?dryRun=All");
        // The event, whether it is in the timeline of one namespace, and whether it is a write.
        let table = [
            (event("list", "/api/v1/secrets", "secrets", "")?, true, false),
            (event("watch", "/api/v1/pods?watch=1", "pods", "")?, true, false),
            (event("list", "/api/v1/namespaces/dev/pods", "pods", "dev")?, false, false),
            (event("list", "/api/v1/namespaces", "namespaces", "")?, false, false),
            (event("list", "/api/v1/nodes", "nodes", "")?, false, false),
            (event("create", "/x", "configmaps", "prod")?, true, true),
            (event("create", &of("", "?dryRun=All"), "configmaps", "prod")?, true, false),
            (
                event("patch", &of("/x", "?force=true&dryRun=%41ll"), "configmaps", "prod")?,
                true,
                false,
            ),
            (
                event("patch", &of("/x", "?fieldManager=dryRun=All"), "configmaps", "prod")?,
                true,
                true,
            ),
            (event("patch", &of("/x", "?dryRun=All&dryRun="), "configmaps", "prod")?, true, true),
            // A token is made, a connection opened, and nobody knows what another server does.
            (event("create", &token, "serviceaccounts", "prod")?, true, true),
            (event("update", &proxy, "pods", "prod")?, true, true),
            (
                event(
                    "create",
                    "/apis/a.example/v1/namespaces/prod/things?dryRun=All",
                    "things",
                    "prod",
                )?,
                true,
                true,
            ),
            // Its body would win, and is not in the log.
            (event("delete", &of("/x", "?dryRun=All"), "configmaps", "prod")?, true, true),
            (event("create", "/x", "subjectaccessreviews", "")?, false, false),
            (event("create", "/x", "selfsubjectrulesreviews", "")?, false, false),
            (event("create", "/x", "nodes", "")?, false, true),
        ];
        for (event, is_of_prod, is_write) in table {
            let got = (of_prod.takes(&event), writes.takes(&event));
            assert_eq!(got, (is_of_prod, is_write), "{event:?}");
        }
        Ok(())
    }
}
