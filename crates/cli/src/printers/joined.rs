//! The timeline with both sides of each call.

use api::body::CallBody;
use audit::{Event, Finding, Joined};

use super::{
    cells::{RED, describe_request, e, head, short_user, table, when},
    timeline::{beneath, by, decision, what},
};
use crate::joined_timeline::{JoinedTimeline, OwnCall};

/// Both sides of each call, and in the end what they say of each other.
pub(crate) fn joined(timeline: &JoinedTimeline, wide: bool) -> String {
    let time = head("TIME");
    let mut header = vec![
        time.as_str(),
        "AGENT",
        "WHAT",
        "DECISION",
        "RULES",
        "DECIDED",
        "BY",
        "AT THE API SERVER",
    ];
    if wide {
        header.extend(["FROM", "CLIENT", "AUDIT ID"]);
    }
    let mut table = table(&header);
    for item in &timeline.items {
        table.add_row(row(item, wide));
        for text in item.call.iter().flat_map(|call| beneath(&call.0)) {
            table.add_row(vec![String::new(), String::new(), e(&text)]);
        }
    }
    let mut text = match timeline.items.is_empty() {
        true => "Nothing that matches is in either record.".to_owned(),
        false => table.trim_fmt(),
    };
    text.push_str("\n\n");
    text.push_str(&sum(timeline));
    text
}

fn row(item: &Joined<OwnCall>, wide: bool) -> Vec<String> {
    let event = item.cluster.as_ref();
    let call = item.call.as_ref().map(|call| &call.0);
    let user = call.and_then(CallBody::agent).map(str::to_owned).or(event.map(Event::who));
    let user = user.unwrap_or_else(|| "(unknown)".to_owned());
    let asked = call.filter(|it| it.request.is_some()).map(what);
    let asked = asked.or(event.map(describe_event)).unwrap_or_default();
    let decision = match (item.finding, call) {
        (Finding::ThroughAnother, _) => "through another agent-shield".to_owned(),
        (Finding::Around, _) | (_, None) => format!("{RED}AROUND agent-shield{RED:#}"),
        (Finding::Unapproved, Some(call)) => format!("{RED}{}, AND RAN{RED:#}", e(&call.decision)),
        (_, Some(call)) => e(&decision(call)),
    };
    let rules = call.map(|call| call.rules.join(", ")).unwrap_or_default();
    let at = match (item.finding, event) {
        (_, Some(event)) => event.code().to_string(),
        _ if call.is_some_and(CallBody::is_act) => String::new(),
        (Finding::Stopped, None) => "never arrived".to_owned(),
        (_, None) => "not in the log".to_owned(),
    };
    let mut row = vec![
        when(item.time),
        e(&short_user(&user)),
        e(&asked),
        decision,
        e(&rules),
        call.and_then(|it| it.decided_at).map(when).unwrap_or_default(),
        call.map(|it| e(&by(it))).unwrap_or_default(),
        at,
    ];
    if wide {
        row.extend([
            e(&event.map(|it| it.source_ips.join(", ")).unwrap_or_default()),
            e(event.map_or("", |it| it.user_agent.as_str())),
            e(&item.audit_id),
        ]);
    }
    row
}

/// As [`describe_request`], in the API server's words.
fn describe_event(event: &Event) -> String {
    let object = &event.object_ref;
    describe_request(&ledger::RequestRecord {
        verb: event.verb.clone(),
        request_uri: event.request_uri.clone(),
        api_group: object.api_group.clone(),
        resource: object.resource.clone(),
        subresource: object.subresource.clone(),
        namespace: object.namespace.clone(),
        name: object.name.clone(),
        ..ledger::RequestRecord::default()
    })
}

fn sum(timeline: &JoinedTimeline) -> String {
    let span = match (timeline.from, timeline.until) {
        (Some(from), Some(until)) => {
            format!("The audit log spans {} to {}.", when(from), when(until))
        }
        _ => "The audit log is empty.".to_owned(),
    };
    let agents = match timeline.agents.len() {
        0 => {
            "No agent is known: nobody has ever come through agent-shield (--agent NAME looks for \
              somebody all the same)."
                .to_owned()
        }
        1 => format!("It contains {} calls of 1 agent.", timeline.calls),
        count => format!("It contains {} calls of {count} agents.", timeline.calls),
    };
    let around = match timeline.around {
        0 => "None of them went around agent-shield.".to_owned(),
        1 => format!("{RED}1 went around agent-shield.{RED:#}"),
        count => format!("{RED}{count} went around agent-shield.{RED:#}"),
    };
    let mut text = format!("{span} {agents} {around}");
    if timeline.through_another > 0 {
        let count = timeline.through_another;
        text.push_str(&format!(
            " {count} went through another agent-shield, which has their record."
        ));
    }
    if timeline.unapproved > 0 {
        let count = timeline.unapproved;
        text.push_str(&format!(" {RED}{count} ran without an approval.{RED:#}"));
    }
    if timeline.listed < timeline.around + timeline.unapproved {
        text.push_str(" Not all of these match your filters: ask again without them.");
    }
    text
}
