//! What was called, decided and done.

use std::collections::BTreeMap;

use api::body::{ApprovalBody, CallBody, HoldEventBody, Timeline};

use super::cells::{describe_request, e, head, short_user, table, when};

/// What happened.
pub(crate) fn timeline(timeline: &Timeline, wide: bool) -> String {
    if timeline.items.is_empty() {
        return format!("Nothing was recorded that matches{}.", asked(&timeline.filter));
    }
    let time = head("TIME");
    let mut header =
        vec![time.as_str(), "AGENT", "WHAT", "DECISION", "DECIDED", "REVIEWER", "OUTCOME"];
    if wide {
        header.extend(["RULES", "WHY HELD", "HOLD", "LATENCY", "AUDIT ID"]);
    }
    let mut table = table(&header);
    for call in &timeline.items {
        table.add_row(row(call, wide));
        for text in beneath(call) {
            table.add_row(vec![String::new(), String::new(), e(&text)]);
        }
    }
    table.trim_fmt()
}

fn row(call: &CallBody, wide: bool) -> Vec<String> {
    let mut row = vec![
        when(call.time),
        e(&short_user(call.agent().unwrap_or("(unknown)"))),
        e(&what(call)),
        e(&decision(call)),
        call.decided_at.map(when).unwrap_or_default(),
        e(&by(call)),
        e(&outcome(call)),
    ];
    if wide {
        let milliseconds = call.latency_micros.div_ceil(1000);
        row.extend([
            e(&call.rules.join(", ")),
            e(&call.reason),
            e(call.hold.as_deref().unwrap_or_default()),
            format!("{milliseconds} ms"),
            e(&call.audit_id),
        ]);
    }
    row
}

/// What was asked, or what a reviewer did to the agent beside it.
pub(crate) fn what(call: &CallBody) -> String {
    let Some(request) = &call.request else { return String::new() };
    if call.is_act() {
        return request.verb.clone();
    }
    let probe = if call.probe_of.is_some() { "(probe) " } else { "" };
    let dry_run = if request.dry_run { " (dry run)" } else { "" };
    format!("{probe}{}{dry_run}", describe_request(request))
}

/// What policy said, and where it asked, what came of that.
pub(super) fn decision(call: &CallBody) -> String {
    match call.hold_events.last() {
        _ if call.is_frozen => format!("{} (frozen)", call.decision),
        Some(last) if call.decision == "hold" => match &call.hold_state {
            Some(state) => format!("hold (asked again: {})", e(state)),
            None => format!("hold ({})", word(&last.event)),
        },
        _ => call.decision.clone(),
    }
}

/// How a hold stands after an event, in the words of `holds`; what has no state of its own is as it is called.
fn word(event: &str) -> &str {
    match event {
        "created" | "joined" | "left" | "refreshed" => "pending",
        "partlyApproved" => "pending, partly approved",
        "withdrawn" => "pending, approval withdrawn",
        "lifted" => "denied, lifted",
        "extended" => "denied",
        event => event,
    }
}

/// Everybody whose approval it took, or who decided alone, each with their reason.
pub(super) fn by(call: &CallBody) -> String {
    if call.reviewer.is_some() && call.approvals.len() > 1 && !call.is_frozen {
        return approvers(&call.approvals);
    }
    match (&call.reviewer, call.verdict_reason.as_str()) {
        (None, _) => String::new(),
        (Some(reviewer), "") => reviewer.clone(),
        (Some(reviewer), reason) => format!("{reviewer}: {reason}"),
    }
}

/// Several people's approvals in one line.
pub(super) fn approvers(approvals: &[ApprovalBody]) -> String {
    let one = |it: &ApprovalBody| match it.reason.as_str() {
        "" => it.reviewer.clone(),
        reason => format!("{}: {reason}", it.reviewer),
    };
    approvals.iter().map(one).collect::<Vec<_>>().join("; ")
}

pub(super) fn outcome(call: &CallBody) -> String {
    match (call.outcome.as_str(), call.code) {
        ("answered", code) => code.to_string(),
        (outcome, 0) => outcome.to_owned(),
        // An agent's own rules: agent-shield's answer, and no refusal.
        ("refused", code @ ..400) => format!("here {code}"),
        (outcome, code) => format!("{outcome} {code}"),
    }
}

/// What stands under a row: what changed on the way, and what a reader must know.
pub(super) fn beneath(call: &CallBody) -> Vec<String> {
    let step = |event: &HoldEventBody| match event.event.as_str() {
        // Approvals of which it takes more than one, and those that were taken back.
        "partlyApproved" | "withdrawn" => {
            let by = event.reviewer.as_deref().unwrap_or_default();
            let did = if event.event == "withdrawn" { "approval withdrawn" } else { "approved" };
            let said = if event.reason.is_empty() { "" } else { ": " };
            Some(format!("  {did} by {by}{said}{}", event.reason))
        }
        "drifted" if event.rules.is_empty() => None,
        "drifted" => Some(format!(
            "  drifted: it would do something else now; held by {}",
            event.rules.join(", ")
        )),
        _ => None,
    };
    let notes = call.notes.iter().filter(|note| !note.is_empty());
    call.hold_events
        .iter()
        .filter_map(step)
        .chain(notes.map(|it| format!("  note: {it}")))
        .collect()
}

/// What was asked for, as it was understood: an empty list says of what it is empty.
fn asked(filter: &BTreeMap<String, String>) -> String {
    let words = filter.iter().filter(|(key, _)| *key != "limit");
    let words: Vec<String> = words.map(|(key, value)| format!("{key} {}", e(value))).collect();
    if words.is_empty() { String::new() } else { format!(": {}", words.join(", ")) }
}
