//! One hold, whole: what is decided on first, then who asked and how.

use api::body::{CommandBody, FreezeBody, HiddenBody, HoldDetail, HoldSummary, LookBody};
use jiff::Timestamp;
use text::{command_line, plain};

use super::{
    cells::{BOLD, DIMMED, GREEN, RED, age, e, indented, section, when},
    queue::takes_one,
    wrap::wrapped,
};
use crate::{program, sentences::sentence};

/// So many things that are not shown are named.
const CUT_MAX: usize = 8;

/// Everything that is known of one hold: what is decided on first, who and how after it. Lines that are
/// longer than `columns` go on behind a mark that nothing else begins with.
pub(crate) fn hold(hold: &HoldDetail, now: Timestamp, columns: Option<usize>) -> String {
    let page = page(hold, now);
    let page = columns.map_or_else(|| page.clone(), |columns| wrapped(&page, columns));
    page + &foot(hold)
}

fn page(hold: &HoldDetail, now: Timestamp) -> String {
    let s = &hold.summary;
    let sentence = sentence(s, Some(&hold.preview));
    let mut text = format!("{BOLD}{sentence}{BOLD:#}\n{}", standing(s, now));
    text.push_str(&frozen(s));
    text.push_str(&seen(hold));
    text.push_str(&hidden(&hold.preview.hidden));
    if !hold.preview.cut.is_empty() {
        text.push_str(&format!(
            "\n{RED}Not all of it is shown: what is missing stands next to the decision.{RED:#}"
        ));
    }
    if !s.reason.is_empty() {
        text.push_str(&format!("\nHeld because: {}.", e(&s.reason)));
    }
    text.push_str(&approvals(s));
    push_commands(&mut text, &hold.preview.commands);
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
    push_others(&mut text, &hold.others, now);
    push_request(&mut text, s);
    push_payload(&mut text, hold);
    text
}

/// What stands next to the decision: what was not shown of all this, and how to decide.
fn foot(hold: &HoldDetail) -> String {
    let mut text = String::new();
    if !hold.preview.cut.is_empty() {
        text.push_str(&format!("\n\n{RED}Not shown, as there is too much of it:{RED:#}"));
        for cut in hold.preview.cut.iter().take(CUT_MAX) {
            text.push_str(&format!("\n  {}", e(cut)));
        }
        let more = hold.preview.cut.len().saturating_sub(CUT_MAX);
        if more > 0 {
            text.push_str(&format!("\n  and {more} more like these"));
        }
    }
    if hold.summary.state == "pending" {
        let (program, id) = (program::name(), e(&hold.summary.id));
        let digest = e(&hold.preview.digest);
        // An approval is refused as long as the agent is frozen.
        let first = match &hold.summary.frozen {
            Some(freeze) => thaw(freeze),
            None => format!("{program} approve {id} --digest {digest} --reason '…'"),
        };
        text.push_str(&format!("\n\n  {first}\n  {program} deny {id} --reason '…'"));
    }
    text
}

/// Who froze its agent, of what therefore does not run.
fn frozen(hold: &HoldSummary) -> String {
    let Some(freeze) = &hold.frozen else { return String::new() };
    let why = if freeze.reason.is_empty() { String::new() } else { format!(": {}", freeze.reason) };
    let (by, thaw) = (e(&freeze.reviewer.username), thaw(freeze));
    format!(
        "\n{RED}Its agent is frozen{RED:#} since {}, by {by}{}. It does not run before somebody thaws the agent: `{thaw}`.",
        when(freeze.at),
        e(&why)
    )
}

fn thaw(freeze: &FreezeBody) -> String {
    format!("{} thaw {}", program::name(), e(&command_line(&[&freeze.user])))
}

/// Whether what is shown is of now.
fn seen(hold: &HoldDetail) -> String {
    if hold.summary.state != "pending" {
        return String::new();
    }
    match &hold.look {
        Some(LookBody { refused: Some(code), .. }) => {
            format!(
                "\n{RED}The API server would refuse it now: {code}. What follows is older.{RED:#}"
            )
        }
        Some(LookBody { not_held: true, .. }) => {
            format!("\n{RED}No rule would hold it now. What follows is older.{RED:#}")
        }
        Some(_) => String::new(),
        None => {
            "\nSeen when it was last asked for; it is looked at again before it runs.".to_owned()
        }
    }
}

/// What of it nobody sees: a command with a hidden part is not known.
fn hidden(hidden: &HiddenBody) -> String {
    let HiddenBody { secrets, characters, in_text } = hidden;
    if *secrets == 0 {
        return String::new();
    }
    let s = |count: &usize| if *count == 1 { "" } else { "s" };
    let inside = match in_text {
        0 => String::new(),
        count => format!(", {count} part{} of a command or text", s(count)),
    };
    format!(
        "\n{RED}Hidden as secret: {secrets} value{} of {characters} characters{inside}.{RED:#}",
        s(secrets)
    )
}

/// Where it stands and what becomes of it, in one line.
pub(crate) fn standing(hold: &HoldSummary, now: Timestamp) -> String {
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
            when(hold.deadline)
        ),
        "approved" => format!("Approved{by}. It runs when its agent asks again."),
        "running" => format!("Running now; approved{by}."),
        "denied" => format!("Denied{by}.{}", denial(hold, now)),
        "expired" => match hold.approvals.as_slice() {
            approvals if !approvals.is_empty() && hold.missing.is_empty() => {
                let by: Vec<String> = approvals.iter().map(|it| e(&it.reviewer.username)).collect();
                let by = by.join(", ");
                format!(
                    "Approved by {by}, and expired unused: its agent did not ask again in time."
                )
            }
            _ => "Expired: it does not run.".to_owned(),
        },
        "cancelled" => "Its agent gave it up: it does not run.".to_owned(),
        "done" => match hold.code.unwrap_or_default() {
            code @ 400.. => format!("Approved{by}. The API server refused it: {code}."),
            code => format!("Approved{by}. It ran: {code}."),
        },
        "unknown" => format!("Approved{by}. It was sent, and whether it ran is not known."),
        state => format!("It is {}.", e(state)),
    }
}

/// Whether the same may be asked again.
fn denial(hold: &HoldSummary, now: Timestamp) -> String {
    match hold.binds_until {
        Some(until) if now < until => format!(" The same stays denied for {}.", age(now, until)),
        Some(_) => String::new(),
        None => " The denial was lifted.".to_owned(),
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
        let at = when(approval.at);
        text.push_str(&format!("\nApproved by {by} at {at}{said}."));
    }
    if !hold.missing.is_empty() {
        let with = if hold.reason_required { ", with a reason" } else { "" };
        text.push_str(&format!("\n{BOLD}Still needed: {}{with}.{BOLD:#}", e(&hold.missing)));
    }
    text
}

/// What else was asked of the same object, and what became of it.
fn push_others(text: &mut String, others: &[HoldSummary], now: Timestamp) {
    if others.is_empty() {
        return;
    }
    section(text, "Of the same object");
    for hold in others {
        let sentence = sentence(hold, None);
        let ago = age(hold.changed_at, now);
        text.push_str(&format!("\n  {}  {sentence}\n", e(&hold.id)));
        text.push_str(&format!("            {ago} ago: {}", standing(hold, now)));
    }
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
    line("Says why", &hold.request.agent_reason);
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

/// What would run, as one command line each; a script in it stays in its lines.
fn push_commands(text: &mut String, commands: &[CommandBody]) {
    if commands.is_empty() {
        return;
    }
    section(text, "What it would run");
    for command in commands {
        if !command.at.is_empty() {
            text.push_str(&format!("\n  {}", e(&command.at)));
        }
        let line = command_line(&command.words);
        for (n, line) in line.split('\n').enumerate() {
            let mark = if n == 0 { '$' } else { '\u{2502}' };
            text.push_str(&format!("\n    {mark} {BOLD}{}{BOLD:#}", indented(line)));
        }
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
    for line in hold.payload.lines() {
        text.push_str(&format!("\n  {}", indented(line)));
    }
}

fn push_impact(text: &mut String, hold: &HoldDetail) {
    let preview = &hold.preview;
    if preview.goes_with.is_empty() && preview.targets.is_empty() {
        return;
    }
    section(text, "What goes with it");
    for found in &preview.goes_with {
        let count = found.count.map_or_else(|| "unknown".to_owned(), |it| it.to_string());
        let names = match found.names.as_slice() {
            [] => String::new(),
            names => {
                let more = if found.count > Some(names.len() as u64) { ", …" } else { "" };
                format!(
                    " ({}{more})",
                    names.iter().map(|it| plain(it)).collect::<Vec<_>>().join(", ")
                )
            }
        };
        let what = match found.count {
            Some(1) => effects::describe::singular(&found.resource),
            _ => found.resource.clone(),
        };
        text.push_str(&format!("\n  {:>11} {}{}", count, e(&what), e(&names)));
    }
    for target in &preview.targets {
        text.push_str(&format!("\n  {} (uid {})", e(&plain(&target.name)), e(&target.uid)));
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
        if !change.note.is_empty() {
            text.push_str(&format!("\n    {}", e(&change.note)));
        }
        match &change.diff {
            Some(diff) => push_diff(text, diff),
            None => {
                for (sign, side) in [('-', &change.old), ('+', &change.new)] {
                    side.iter().for_each(|side| push_side(text, sign, side));
                }
            }
        }
    }
}

fn push_diff(text: &mut String, diff: &str) {
    // Not `lines`, to which an end of a line is the same with a carriage return and without.
    for line in diff.strip_suffix('\n').unwrap_or(diff).split('\n') {
        match line.split_at_checked(1) {
            Some(("-", line)) => push_side(text, '-', line),
            Some(("+", line)) => push_side(text, '+', line),
            Some(("@", _)) => text.push_str(&format!("\n    {DIMMED}{}{DIMMED:#}", e(line))),
            Some((" ", line)) => text.push_str(&format!("\n      {}", indented(line))),
            _ => text.push_str(&format!("\n      {}", e(line))),
        }
    }
}

fn push_side(text: &mut String, sign: char, side: &str) {
    let style = if sign == '-' { RED } else { GREEN };
    text.push_str(&format!("\n    {style}{sign} {}{style:#}", indented(side)));
}
