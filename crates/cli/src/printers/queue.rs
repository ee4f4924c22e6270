//! The queue, and how far each hold in it is.

use api::body::{HoldSummary, ReviewersBody};
use jiff::Timestamp;

use super::cells::{age, coloured, describe_request, e, of_severity, short_user, table, when};

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
            format!("{}{}", e(&describe_request(&hold.request)), of_command(hold, holds)),
            e(&hold.rules.join(", ")),
        ];
        if wide {
            row.extend([
                hold.waiting.to_string(),
                when(hold.deadline),
                e(&hold.missing),
                e(&hold.request.kubectl_command),
                e(&hold.reason),
            ]);
        }
        table.add_row(row);
    }
    let severities = holds.iter().map(|it| (it.severity.as_str(), of_severity(&it.severity)));
    coloured(&table.trim_fmt(), "SEVERITY", severities)
}

/// ` (1 of 8 of this command)`, where more of these wait that are of one agent's one command: `--all-of` takes
/// any of their ids.
fn of_command(hold: &HoldSummary, all: &[HoldSummary]) -> String {
    let key = |it: &HoldSummary| {
        let session = it.request.kubectl_session.clone();
        (it.state == "pending" && !session.is_empty()).then(|| (it.user.username.clone(), session))
    };
    let own = key(hold);
    match all.iter().filter(|it| own.is_some() && key(it) == own).count() {
        0 | 1 => String::new(),
        count => format!(" (1 of {count} of this command)"),
    }
}

/// The denials that stand.
pub(crate) fn denials(denials: &[HoldSummary], now: Timestamp) -> String {
    if denials.is_empty() {
        return "No denial stands.".to_owned();
    }
    let mut table = table(&["ID", "STANDS FOR", "AGENT", "WHAT", "DENIED BY", "REASON"]);
    for hold in denials {
        let by = hold.verdict.as_ref();
        table.add_row(vec![
            e(&hold.id),
            hold.binds_until.map(|until| age(now, until)).unwrap_or_default(),
            e(short_user(&hold.user.username)),
            e(&describe_request(&hold.request)),
            by.map(|it| e(&it.reviewer.username)).unwrap_or_default(),
            by.map(|it| e(&it.reason)).unwrap_or_default(),
        ]);
    }
    table.trim_fmt()
}

/// Whether one approval of anybody who may will do, which goes without saying.
pub(crate) fn takes_one(hold: &HoldSummary) -> bool {
    let one = |it: &ReviewersBody| it.count == 1 && it.groups.is_empty();
    hold.reviewers.iter().all(one) && !hold.reason_required
}

/// `pending 1/2`: so many of the people that it needs have approved; `drifted`: it would do something else than
/// what was shown before.
pub(crate) fn state(hold: &HoldSummary) -> String {
    let missing = hold.reviewers.iter().map(|it| it.missing).max().unwrap_or(0);
    let given = u32::try_from(hold.approvals.len()).unwrap_or(u32::MAX);
    let is_drifted = hold.state == "pending" && hold.drifts > 0;
    let standing = if is_drifted { "drifted" } else { hold.state.as_str() };
    let standing = match given.saturating_add(missing) {
        2.. if hold.state == "pending" => format!("{standing} {given}/{}", given + missing),
        _ => standing.to_owned(),
    };
    if hold.frozen.is_some() { format!("{standing}, agent frozen") } else { standing }
}
