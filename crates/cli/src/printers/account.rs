//! What one agent did, on a page that is read in a minute: where it was stopped first.

use super::{
    cells::{BOLD, RED, e, section, when},
    timeline::approvers,
};
use crate::{
    account::{Account, Deed, Fate},
    program,
};

/// So many lines of each part.
const LINES_MAX: usize = 10;

/// The page; without `all`, of each part the latest lines. What people stopped is told whole either way.
pub(crate) fn account(of: &Account, all: bool) -> String {
    let mut text = format!("{BOLD}{}{BOLD:#}", e(&of.agent));
    if of.is_frozen == Some(true) {
        text.push_str(&format!("  {RED}frozen: all its writes are refused{RED:#}"));
    }
    let until = of.until.map_or_else(|| "now".to_owned(), when);
    text.push_str(&format!("\nFrom {} to {until}.", when(of.since)));
    if let (Some(first), Some(last)) = (of.first_call, of.last_call) {
        text.push_str(&format!(
            " Its first call was at {}, its last at {}.",
            when(first),
            when(last)
        ));
    }
    text.push_str(&format!("\n{}", counts(of)));
    let parts = [
        ("Stopped", &[Fate::Denied, Fate::Frozen, Fate::Expired, Fate::Refused][..]),
        ("Sent, and nobody knows whether it ran", &[Fate::Unknown]),
        ("Waits", &[Fate::Waiting]),
        ("Given up by the agent", &[Fate::Cancelled]),
        ("Ran as people approved", &[Fate::RanApproved]),
        ("Ran unasked, as policy lets it", &[Fate::RanUnasked]),
        ("Failed at the API server", &[Fate::Failed]),
    ];
    let (by_people, others): (Vec<&Deed>, Vec<&Deed>) =
        of.deeds.iter().partition(|it| is_by_people(it));
    push_part(&mut text, "Stopped by people", &by_people, usize::MAX);
    let lines_max = if all { usize::MAX } else { LINES_MAX };
    for (name, fates) in parts {
        let deeds: Vec<&Deed> =
            others.iter().copied().filter(|it| fates.contains(&it.fate)).collect();
        push_part(&mut text, name, &deeds, lines_max);
    }
    let effects: Vec<String> =
        of.effects.iter().map(|(kind, count)| format!("{} {count}", e(kind))).collect();
    push_line(&mut text, "What ran changed", &effects);
    let read = of.read.iter().map(|it| match it.namespace.as_str() {
        "" => format!("{} {}", e(&it.resource), it.calls),
        namespace => format!("{} in {} {}", e(&it.resource), e(namespace), it.calls),
    });
    push_line(&mut text, "Read", &read.collect::<Vec<_>>());
    let (program, agent) = (program::name(), e(&of.agent));
    let since = of.since.strftime("%FT%TZ");
    text.push_str(&format!(
        "\n\n  {program} timeline --agent {agent} --writes --since {since} -o wide"
    ));
    text
}

fn counts(of: &Account) -> String {
    let words = [
        (Fate::RanUnasked, "ran unasked"),
        (Fate::RanApproved, "ran as people approved"),
        (Fate::Denied, "denied"),
        (Fate::Frozen, "refused as it was frozen"),
        (Fate::Expired, "expired"),
        (Fate::Cancelled, "given up"),
        (Fate::Refused, "refused"),
        (Fate::Waiting, "waiting"),
        (Fate::Failed, "failed"),
        (Fate::Unknown, "sent without an answer"),
    ];
    let told =
        words.iter().filter_map(|(fate, word)| Some(format!("{} {word}", of.fates.get(fate)?)));
    let told: Vec<String> = told.collect();
    let writes = if told.is_empty() { "no writes".to_owned() } else { told.join(", ") };
    let asked = match of.asked_only {
        0 => String::new(),
        count => format!(", {count} that only asked"),
    };
    format!("{} calls: {} reads{asked}; of what it wanted to write: {writes}.", of.calls, of.reads)
}

/// Freezes and thaws, and what somebody denied.
fn is_by_people(deed: &Deed) -> bool {
    deed.fate == Fate::Act || (deed.fate == Fate::Denied && deed.reviewer.is_some())
}

fn push_part(text: &mut String, name: &str, deeds: &[&Deed], lines_max: usize) {
    if deeds.is_empty() {
        return;
    }
    section(text, name);
    let before = deeds.len().saturating_sub(lines_max);
    if before > 0 {
        text.push_str(&format!("\n  {before} before these (--all shows them)"));
    }
    for deed in deeds.iter().skip(before) {
        text.push_str(&format!("\n  {}", line(deed)));
    }
}

fn line(deed: &Deed) -> String {
    let said = if deed.reason.is_empty() { String::new() } else { format!(": {}", deed.reason) };
    let by = match (&deed.reviewer, deed.rules.as_slice()) {
        (Some(_), _) if deed.approvals.len() > 1 && deed.fate != Fate::Frozen => {
            format!(" by {}", approvers(&deed.approvals))
        }
        (Some(reviewer), _) if deed.fate == Fate::Frozen => {
            let at = deed.decided_at.map(|it| format!(" at {}", when(it))).unwrap_or_default();
            format!(" by {reviewer}{at}{said}")
        }
        (Some(reviewer), _) if deed.fate == Fate::Expired => {
            format!(", approved by {reviewer}{said}")
        }
        (Some(reviewer), _) => format!(" by {reviewer}{said}"),
        (None, []) => said,
        (None, rules) => format!(" by {}{said}", rules.join(", ")),
    };
    let word = match deed.fate {
        Fate::Act => String::new(),
        Fate::Denied => ", denied".to_owned(),
        Fate::Frozen => ", refused: frozen".to_owned(),
        Fate::Expired if deed.reviewer.is_some() => ", expired unused".to_owned(),
        Fate::Expired => ", expired: held".to_owned(),
        Fate::Refused => format!(", refused {}", deed.code),
        Fate::Waiting | Fate::Cancelled => ", held".to_owned(),
        Fate::Unknown => ", approved".to_owned(),
        Fate::Failed => format!(", {}", deed.code),
        Fate::RanApproved => format!(", {}, approved", deed.code),
        Fate::RanUnasked => format!(", {}", deed.code),
    };
    let by = if deed.fate == Fate::RanUnasked { String::new() } else { by };
    let times =
        if deed.times > 1 { format!(", asked {} times", deed.times) } else { String::new() };
    let hold = deed.hold.as_ref().map(|it| format!(" [{it}]")).unwrap_or_default();
    format!("{}  {}", when(deed.time), e(&format!("{}{word}{by}{times}{hold}", deed.what)))
}

/// A few of many, in a line.
fn push_line(text: &mut String, name: &str, words: &[String]) {
    if words.is_empty() {
        return;
    }
    section(text, name);
    let shown = words.iter().take(LINES_MAX).cloned().collect::<Vec<_>>().join(", ");
    let more = match words.len().saturating_sub(LINES_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    text.push_str(&format!("\n  {shown}{more}"));
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn deed(second: i64, fate: Fate) -> Deed {
        Deed {
            time: Timestamp::from_second(second).unwrap_or_default(),
            audit_id: format!("a-{second}"),
            fate,
            what: format!("delete pods dev/p{second}"),
            hold: None,
            times: 1,
            rules: vec!["delete-pod".to_owned()],
            approvals: Vec::new(),
            reviewer: None,
            decided_at: None,
            reason: String::new(),
            code: 403,
        }
    }

    #[test]
    fn of_many_the_last_are_shown_unless_all_are_asked_for() {
        let deeds = (0..12).map(|second| deed(second, Fate::Expired));
        let of = Account {
            agent: "bot".to_owned(),
            since: Timestamp::UNIX_EPOCH,
            until: None,
            is_frozen: Some(false),
            first_call: None,
            last_call: None,
            calls: 12,
            reads: 0,
            asked_only: 0,
            fates: [(Fate::Expired, 12)].into(),
            deeds: deeds.collect(),
            effects: [].into(),
            read: Vec::new(),
            left_out: false,
        };
        let (some, all) = (account(&of, false), account(&of, true));
        assert!(some.contains("2 before these (--all shows them)"), "{some}");
        assert!(!some.contains("dev/p1,") && some.contains("dev/p2,"), "{some}");
        assert!(
            some.contains("12 expired.") && some.contains("expired: held by delete-pod"),
            "{some}"
        );
        assert!(!all.contains("before these") && all.contains("dev/p0,"), "{all}");
    }
}
