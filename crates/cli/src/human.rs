//! What people read: one sentence first, then what they decide on. All of it escaped.

use anstyle::{AnsiColor, Style};
use api::body::{CallBody, FreezeBody, HoldDetail, HoldSummary, NamespaceBody, ReviewersBody};
use comfy_table::{Table, presets};
use jiff::Timestamp;

use crate::{escape::Escaped, program, words};

const RED: Style = AnsiColor::Red.on_default();
const GREEN: Style = AnsiColor::Green.on_default();
const BOLD: Style = Style::new().bold();

fn e(text: &str) -> String {
    Escaped::line(text).to_string()
}

/// The queue.
pub(crate) fn holds(holds: &[HoldSummary], wide: bool, now: Timestamp) -> String {
    if holds.is_empty() {
        return "Nothing is waiting.".to_owned();
    }
    let mut header = vec!["ID", "STATE", "AGE", "SEVERITY", "AGENT", "WHAT", "RULE"];
    if wide {
        header.extend(["WAITING", "DEADLINE", "STILL NEEDED", "COMMAND", "REASON"]);
    }
    let mut table = table(&header);
    for hold in holds {
        let mut row = vec![
            e(&hold.id),
            e(&state(hold)),
            age(hold.created_at, now),
            e(&hold.severity),
            e(short_user(&hold.user.username)),
            e(&what(&hold.request)),
            e(&hold.rules.join(", ")),
        ];
        if wide {
            row.extend([
                hold.waiting.to_string(),
                hold.deadline.to_string(),
                e(&hold.missing),
                e(&hold.request.kubectl_command),
                e(&hold.reason),
            ]);
        }
        table.add_row(row);
    }
    table.trim_fmt()
}

/// Whether one approval of anybody who may will do, which goes without saying.
pub(crate) fn takes_one(hold: &HoldSummary) -> bool {
    let one = |it: &ReviewersBody| it.count == 1 && it.groups.is_empty();
    hold.reviewers.iter().all(one) && !hold.reason_required
}

/// `pending 1/2`: so many of the people that it needs have approved.
pub(crate) fn state(hold: &HoldSummary) -> String {
    let missing = hold.reviewers.iter().map(|it| it.missing).max().unwrap_or(0);
    let given = u32::try_from(hold.approvals.len()).unwrap_or(u32::MAX);
    match given.saturating_add(missing) {
        2.. if hold.state == "pending" => format!("pending {given}/{}", given + missing),
        _ => hold.state.clone(),
    }
}

/// Agents whose writes are refused.
pub(crate) fn freezes(freezes: &[FreezeBody]) -> String {
    if freezes.is_empty() {
        return "Nobody is frozen.".to_owned();
    }
    let mut table = table(&["AGENT", "SINCE", "BY", "REASON"]);
    for freeze in freezes {
        table.add_row([
            e(&freeze.user),
            freeze.at.strftime("%F %T").to_string(),
            e(&freeze.reviewer.username),
            e(&freeze.reason),
        ]);
    }
    table.trim_fmt()
}

/// Everything that is known of one hold: what is decided on first, who and how after it.
pub(crate) fn hold(hold: &HoldDetail, now: Timestamp) -> String {
    let s = &hold.summary;
    let sentence = words::sentence(s, Some(&hold.preview));
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
    goes_with(&mut text, hold);
    differences(&mut text, hold);
    if !hold.preview.notes.is_empty() {
        section(&mut text, "Note");
        for note in &hold.preview.notes {
            text.push_str(&format!("\n  {}", e(note)));
        }
    }
    asked(&mut text, s);
    payload(&mut text, hold);
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
fn asked(text: &mut String, hold: &HoldSummary) {
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

fn payload(text: &mut String, hold: &HoldDetail) {
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

fn goes_with(text: &mut String, hold: &HoldDetail) {
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

fn differences(text: &mut String, hold: &HoldDetail) {
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
        let mut asked = call.request.as_ref().map(what).unwrap_or_default();
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

/// How namespaces are seen.
pub(crate) fn namespaces(namespaces: &[NamespaceBody]) -> String {
    if namespaces.is_empty() {
        return "No namespace is known: agent-shield may not list them.".to_owned();
    }
    let mut table = table(&["NAMESPACE", "SEEN AS", "WHY", "TO DECLARE IT OTHERWISE"]);
    for namespace in namespaces {
        let production = if namespace.production { "production" } else { "non-production" };
        let protected = if namespace.protected { ", protected" } else { "" };
        table.add_row(vec![
            e(&namespace.name),
            format!("{production}{protected}"),
            e(&namespace.signs.join(", ")),
            e(&namespace.declare),
        ]);
    }
    table.trim_fmt()
}

pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(header);
    table
}

fn section(text: &mut String, name: &str) {
    text.push_str(&format!("\n\n{BOLD}{name}{BOLD:#}"));
}

/// `delete namespaces payments`, `patch deployments/scale prod/web`.
pub(crate) fn what(request: &ledger::RequestRecord) -> String {
    if request.resource.is_empty() {
        return format!("{} {}", request.verb, request.request_uri);
    }
    let mut text = format!("{} {}", request.verb, request.resource);
    if !request.subresource.is_empty() {
        text.push_str(&format!("/{}", request.subresource));
    }
    let in_itself = request.resource == "namespaces" && request.api_group.is_empty();
    match (request.namespace.as_str(), request.name.as_str()) {
        ("", "") => {}
        ("", name) => text.push_str(&format!(" {name}")),
        (_, name) if in_itself => text.push_str(&format!(" {name}")),
        (namespace, "") => text.push_str(&format!(" in {namespace}")),
        (namespace, name) => text.push_str(&format!(" {namespace}/{name}")),
    }
    text
}

/// ServiceAccounts as `agents:triage`, others as they are.
pub(crate) fn short_user(username: &str) -> &str {
    username.strip_prefix("system:serviceaccount:").unwrap_or(username)
}

/// `42s`, `29m`, `3h`, `2d`.
pub(crate) fn age(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(then).as_secs().max(0);
    match seconds {
        0..=119 => format!("{seconds}s"),
        120..=7_199 => format!("{}m", seconds / 60),
        7_200..=172_799 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

mod audit;

pub(crate) use audit::joined;

#[cfg(test)]
pub(crate) mod tests;
