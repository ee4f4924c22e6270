//! One hold, whole: what is decided on first, then who asked and how.

use api::body::{HoldDetail, HoldSummary};
use jiff::Timestamp;
use text::Escaped;

use super::{
    cells::{BOLD, GREEN, RED, age, e, section},
    queue::takes_one,
};
use crate::{program, sentences::sentence};

/// Everything that is known of one hold: what is decided on first, who and how after it.
pub(crate) fn hold(hold: &HoldDetail, now: Timestamp) -> String {
    let s = &hold.summary;
    let sentence = sentence(s, Some(&hold.preview));
    let mut text = format!("{BOLD}{sentence}{BOLD:#}\n{}", standing(s, now));
    if !s.reason.is_empty() {
        text.push_str(&format!("\nHeld because: {}.", e(&s.reason)));
    }
    text.push_str(&approvals(s));
    section(&mut text, "What it would do");
    for effect in &s.effects {
        text.push_str(&format!("\n  {:<16} {}", e(&effect.kind), e(&effect.detail)));
    }
    if s.effects.is_empty() {
        text.push_str("\n  nothing that was recognised");
    }
    push_impact(&mut text, hold);
    push_differences(&mut text, hold);
    if !hold.preview.notes.is_empty() {
        section(&mut text, "Note");
        for note in &hold.preview.notes {
            text.push_str(&format!("\n  {}", e(note)));
        }
    }
    push_request(&mut text, s);
    push_payload(&mut text, hold);
    if s.state == "pending" {
        let (program, id) = (program::name(), e(&s.id));
        text.push_str(&format!(
            "\n\n  {program} approve {id} --reason '…'\n  {program} deny {id} --reason '…'"
        ));
    }
    text
}

/// Where it stands and what becomes of it, in one line.
fn standing(hold: &HoldSummary, now: Timestamp) -> String {
    let by = hold.verdict.as_ref().map(|verdict| match verdict.reason.as_str() {
        "" => format!(" by {}", e(&verdict.reviewer.username)),
        reason => format!(" by {}: {}", e(&verdict.reviewer.username), e(reason)),
    });
    let by = by.unwrap_or_default();
    let severity = e(&hold.severity);
    match hold.state.as_str() {
        "pending" => format!(
            "Severity {severity}. Held for {}; undecided, it is denied in {} ({}).",
            age(hold.created_at, now),
            age(now, hold.deadline),
            hold.deadline
        ),
        "approved" => format!("Approved{by}. It runs when its agent asks again."),
        "running" => format!("Running now; approved{by}."),
        "denied" => format!("Denied{by}."),
        "expired" => "Expired: it does not run.".to_owned(),
        "done" => format!("Approved{by}. It ran: {}.", hold.code.unwrap_or_default()),
        "unknown" => format!("Approved{by}. It was sent, and whether it ran is not known."),
        state => format!("It is {}.", e(state)),
    }
}

/// Who has approved it and who still must, where it takes more than one approval of anybody.
fn approvals(hold: &HoldSummary) -> String {
    if takes_one(hold) {
        return String::new();
    }
    let mut text = String::new();
    for approval in &hold.approvals {
        let (by, reason) = (e(&approval.reviewer.username), e(&approval.reason));
        let said = if reason.is_empty() { reason } else { format!(": {reason}") };
        let at = approval.at.strftime("%F %T");
        text.push_str(&format!("\nApproved by {by} at {at}{said}."));
    }
    if !hold.missing.is_empty() {
        let with = if hold.reason_required { ", with a reason" } else { "" };
        text.push_str(&format!("\n{BOLD}Still needed: {}{with}.{BOLD:#}", e(&hold.missing)));
    }
    text
}

/// Who asked, and how: what the cluster knows first, then the client's own word.
fn push_request(text: &mut String, hold: &HoldSummary) {
    section(text, "Who asks, and how");
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            text.push_str(&format!("\n  {name:<10} {}", e(value)));
        }
    };
    line("Hold", &format!("{} ({})", hold.id, hold.state));
    line("Agent", &hold.user.username);
    line("Request", &format!("{} {}", hold.request.method, hold.request.request_uri));
    line("From", &hold.request.source_ip);
    line("Client", &hold.request.user_agent);
    line("Says it is", &hold.request.kubectl_command);
    line("Rules", &hold.rules.join(", "));
    line("Audit id", &hold.audit_id);
    let waits = match hold.waiting {
        0 => "no connection: an approval waits for its next identical request".to_owned(),
        n => format!("{n} open connection{}", if n == 1 { "" } else { "s" }),
    };
    line("Waiting", &waits);
    if hold.drifts > 0 {
        line("Drifted", &format!("{} times: what is shown is what it would do now", hold.drifts));
    }
}

fn push_payload(text: &mut String, hold: &HoldDetail) {
    if hold.payload.is_empty() {
        return;
    }
    let content_type = match hold.content_type.as_str() {
        "" => "no content type".to_owned(),
        content_type => e(content_type),
    };
    section(text, &format!("Payload ({content_type})"));
    for line in Escaped::lines(&hold.payload).as_str().lines() {
        text.push_str(&format!("\n  {line}"));
    }
}

fn push_impact(text: &mut String, hold: &HoldDetail) {
    let preview = &hold.preview;
    if preview.goes_with.is_empty() && preview.targets.is_empty() {
        return;
    }
    section(text, "What goes with it");
    for found in &preview.goes_with {
        let count = found.count.map_or_else(|| "not visible".to_owned(), |it| it.to_string());
        let names = match found.names.as_slice() {
            [] => String::new(),
            names => {
                let more = if found.count > Some(names.len() as u64) { ", …" } else { "" };
                format!(" ({}{more})", names.join(", "))
            }
        };
        text.push_str(&format!("\n  {:>11} {}{}", count, e(&found.resource), e(&names)));
    }
    for target in &preview.targets {
        text.push_str(&format!("\n  {} (uid {})", e(&target.name), e(&target.uid)));
    }
}

fn push_differences(text: &mut String, hold: &HoldDetail) {
    if hold.preview.changes.is_empty() {
        return;
    }
    section(text, "What would change");
    for change in &hold.preview.changes {
        let path = if change.path.is_empty() { "the whole object" } else { &change.path };
        text.push_str(&format!("\n  {}", e(path)));
        // The whole object is the payload of a create and the victim of a delete: one line will do.
        let short = |value: &str| {
            let cut: String = value.chars().take(300).collect();
            if cut.len() < value.len() { format!("{cut} …") } else { cut }
        };
        if let Some(old) = &change.old {
            text.push_str(&format!("\n    {RED}- {}{RED:#}", e(&short(old))));
        }
        if let Some(new) = &change.new {
            text.push_str(&format!("\n    {GREEN}+ {}{GREEN:#}", e(&short(new))));
        }
    }
}
