//! The queue, and how far each hold in it is.

use api::body::{HoldSummary, ReviewersBody};
use jiff::Timestamp;

use super::cells::{age, coloured, describe_request, e, of_severity, short_user, table, when};
use crate::program;

/// Which holds were asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct AskedFor {
    pub(crate) state: Option<String>,
    pub(crate) agent: Option<String>,
    pub(crate) namespace: Option<String>,
}

impl AskedFor {
    /// Whether all was that waits.
    pub(crate) fn is_queue(&self) -> bool {
        self.state.is_none() && self.agent.is_none() && self.namespace.is_none()
    }

    /// Of whom and where, as the end of a sentence.
    fn of(&self) -> String {
        let agent = self.agent.as_ref().map(|it| format!(" of agent {}", e(it)));
        let place = self.namespace.as_ref().map(|it| format!(" in namespace {}", e(it)));
        agent.into_iter().chain(place).collect()
    }
}

/// What is said where no hold is as somebody asked, and how many there are that are not decided.
pub(crate) fn no_holds(asked: &AskedFor, open: usize) -> String {
    let of = asked.of();
    let none = match asked.state.as_deref() {
        None => format!("Nothing is waiting{of}."),
        Some("all") => format!("There is no hold{of}."),
        Some(state) => format!("No hold is {}{of}.", e(&state.to_lowercase())),
    };
    match open {
        0 => none,
        1 => format!("{none} 1 hold waits beside that: `{} holds`.", program::name()),
        n => format!("{none} {n} holds wait beside that: `{} holds`.", program::name()),
    }
}

/// What is said where no denial stands of those that somebody asked for.
pub(crate) fn no_denials(asked: &AskedFor) -> String {
    format!("No denial stands{}.", asked.of())
}

/// The queue.
pub(crate) fn holds(holds: &[HoldSummary], wide: bool, now: Timestamp) -> String {
    let mut header = vec!["ID", "STATE", "AGE", "SEVERITY", "AGENT", "WHAT", "RULE"];
    if wide {
        header.extend(["WAITING", "DEADLINE", "STILL NEEDED", "COMMAND", "WHY HELD"]);
    }
    let mut table = table(&header);
    for hold in holds {
        let mut row = vec![
            e(&hold.id),
            e(&state(hold)),
            age(hold.created_at, now),
            e(&hold.severity),
            e(&short_user(&hold.user.username)),
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

/// How long a denial binds; where there were too many of them, also how long its object is barred.
fn stands_for(hold: &HoldSummary, now: Timestamp) -> String {
    let binds = hold.binds_until.filter(|until| now < *until).map(|until| age(now, until));
    let bar = hold.barred_until.map(|until| format!("all of it: {}", age(now, until)));
    binds.into_iter().chain(bar).collect::<Vec<_>>().join(", ")
}

/// The denials that stand.
pub(crate) fn denials(denials: &[HoldSummary], wide: bool, now: Timestamp) -> String {
    let mut header = vec!["ID", "STANDS FOR", "AGENT", "WHAT", "DENIED BY", "REVIEWER'S REASON"];
    if wide {
        header.extend(["RULE", "COMMAND", "WHY HELD"]);
    }
    let mut table = table(&header);
    for hold in denials {
        let by = hold.verdict.as_ref();
        let mut row = vec![
            e(&hold.id),
            stands_for(hold, now),
            e(&short_user(&hold.user.username)),
            e(&describe_request(&hold.request)),
            by.map(|it| e(&it.reviewer.username)).unwrap_or_default(),
            by.map(|it| e(&it.reason)).unwrap_or_default(),
        ];
        if wide {
            row.push(e(&hold.rules.join(", ")));
            row.push(e(&hold.request.kubectl_command));
            row.push(e(&hold.reason));
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

/// The state, in which a pending hold that would do something else than what was shown is drifted.
pub(crate) fn standing_word(hold: &HoldSummary) -> &str {
    let is_drifted = hold.state == "pending" && hold.drifts > 0;
    if is_drifted { "drifted" } else { hold.state.as_str() }
}

/// `pending 1/2`: so many of the people that it needs have approved; `drifted`: it would do something else than
/// what was shown before.
pub(crate) fn state(hold: &HoldSummary) -> String {
    let missing = hold.reviewers.iter().map(|it| it.missing).max().unwrap_or(0);
    let given = u32::try_from(hold.approvals.len()).unwrap_or(u32::MAX);
    let standing = standing_word(hold);
    let standing = match given.saturating_add(missing) {
        2.. if hold.state == "pending" => format!("{standing} {given}/{}", given + missing),
        _ => standing.to_owned(),
    };
    if hold.frozen.is_some() { format!("{standing}, agent frozen") } else { standing }
}
