//! What was called, decided and done.

use api::body::CallBody;

use super::cells::{describe_request, e, short_user, table};

/// What happened.
pub(crate) fn timeline(calls: &[CallBody], wide: bool) -> String {
    if calls.is_empty() {
        return "Nothing was recorded that matches.".to_owned();
    }
    let mut header = vec!["TIME", "AGENT", "WHAT", "DECISION", "BY", "OUTCOME"];
    if wide {
        header.extend(["RULES", "REASON", "HOLD", "LATENCY", "AUDIT ID"]);
    }
    let mut table = table(&header);
    for call in calls {
        let user = call.user.as_ref().map_or("(unknown)", |it| it.username.as_str());
        let mut asked = call.request.as_ref().map(describe_request).unwrap_or_default();
        if call.probe_of.is_some() {
            asked = format!("(probe) {asked}");
        }
        if call.request.as_ref().is_some_and(|it| it.dry_run) {
            asked.push_str(" (dry run)");
        }
        let outcome = match (call.outcome.as_str(), call.code) {
            ("answered", code) => code.to_string(),
            (outcome, 0) => outcome.to_owned(),
            // An agent's own rules: agent-shield's answer, and no refusal.
            ("refused", code @ ..400) => format!("here {code}"),
            (outcome, code) => format!("{outcome} {code}"),
        };
        let decision = match call.hold_events.last() {
            Some(last) if call.decision == "hold" => format!("hold ({})", last.event),
            _ => call.decision.clone(),
        };
        let by = match (&call.reviewer, call.verdict_reason.as_str()) {
            (None, _) => String::new(),
            (Some(reviewer), "") => reviewer.clone(),
            (Some(reviewer), reason) => format!("{reviewer}: {reason}"),
        };
        let time = call.time.strftime("%F %T").to_string();
        let mut row = vec![time, e(short_user(user)), e(&asked), e(&decision), e(&by), e(&outcome)];
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
        table.add_row(row);
        for event in call.hold_events.iter().filter(|it| decides_nothing_alone(&it.event)) {
            let by = event.reviewer.as_deref().unwrap_or_default();
            let text = format!("  {}: {by}: {}", event.event, event.reason);
            table.add_row(vec![String::new(), String::new(), e(&text)]);
        }
        for note in call.notes.iter().filter(|note| !note.is_empty()) {
            table.add_row(vec![String::new(), String::new(), format!("  note: {}", e(note))]);
        }
    }
    table.trim_fmt()
}

/// Approvals of which it takes more than one, and those that were taken back.
fn decides_nothing_alone(event: &str) -> bool {
    matches!(event, "partlyApproved" | "withdrawn")
}
