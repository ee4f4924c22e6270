//! What is new in the queue, a line each, for output that is no terminal.

use std::collections::BTreeMap;

use api::body::{HoldDetail, HoldSummary};
use jiff::Timestamp;
use text::Escaped;

use crate::{moment, printers, sentences};

/// What was told of each open hold.
#[derive(Debug, Default)]
pub(crate) struct QueueLines {
    told: BTreeMap<String, (String, Timestamp, bool)>,
}

impl QueueLines {
    /// Lines for holds that are new or have changed, oldest change first, and the ids of those that
    /// are open no more.
    pub(crate) fn changes(&mut self, holds: &[HoldSummary]) -> (Vec<String>, Vec<String>) {
        let mut holds: Vec<&HoldSummary> = holds.iter().collect();
        holds.sort_by(|a, b| (a.changed_at, &a.id).cmp(&(b.changed_at, &b.id)));
        let mut lines = Vec::new();
        let mut told = BTreeMap::new();
        for hold in holds {
            let state = (hold.state.clone(), hold.changed_at, hold.frozen.is_some());
            if self.told.get(&hold.id) != Some(&state) {
                lines.push(line(hold));
            }
            told.insert(hold.id.clone(), state);
        }
        let before = std::mem::replace(&mut self.told, told);
        let gone = before.into_keys().filter(|id| !self.told.contains_key(id)).collect();
        (lines, gone)
    }

    /// The line of a hold that is open no more, as it was read afterwards.
    pub(crate) fn end(id: &str, hold: Option<&HoldDetail>) -> String {
        match hold {
            Some(hold) => line(&hold.summary),
            None => format!("{} {} gone", moment::in_utc(Timestamp::now()), Escaped::line(id)),
        }
    }
}

/// `TIME ID STATE SENTENCE`: the first three have no blanks in them.
fn line(hold: &HoldSummary) -> String {
    let sentence = sentences::sentence(hold, None);
    let mut line = format!(
        "{} {} {} {sentence}",
        moment::in_utc(hold.changed_at),
        Escaped::line(&hold.id),
        Escaped::line(printers::standing_word(hold))
    );
    if hold.state == "pending" {
        if hold.drifts > 0 {
            line.push_str(" It would do something else than what was shown before.");
        }
        line.push_str(&format!(" Undecided, it is denied at {}.", moment::in_utc(hold.deadline)));
        for approval in &hold.approvals {
            line.push_str(&format!(" Approved by {}.", Escaped::line(&approval.reviewer.username)));
        }
        if !printers::takes_one(hold) {
            line.push_str(&format!(" Still needed: {}.", Escaped::line(&hold.missing)));
        }
    }
    if let Some(freeze) = &hold.frozen {
        let by = Escaped::line(&freeze.reviewer.username);
        line.push_str(&format!(" Its agent is frozen by {by}: nothing of it runs before a thaw."));
    }
    if let Some(verdict) = &hold.verdict {
        let by = Escaped::line(&verdict.reviewer.username);
        line.push_str(&format!(" Decided by {by}: {}", Escaped::line(&verdict.reason)));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::printers::tests::{at, detail};

    #[test]
    fn tells_each_change_once() {
        let mut told = QueueLines::default();
        let first = detail().summary;
        let mut second = first.clone();
        second.id = "zzzz9999".into();
        second.request.name = "a\nb\u{1b}[2J".into();
        let want = "2027-01-15T08:00:00Z k3mq7xzw pending ServiceAccount agents/triage wants to \
                    delete namespace payments. Undecided, it is denied at 2027-01-15T08:30:00Z.";
        assert_eq!(told.changes(std::slice::from_ref(&first)), (vec![want.to_owned()], vec![]));
        assert_eq!(told.changes(std::slice::from_ref(&first)), (vec![], vec![]));

        let (lines, gone) = told.changes(&[second.clone(), first.clone()]);
        assert!(gone.is_empty() && lines.len() == 1, "{lines:?}");
        assert!(lines[0].contains("namespace \"a\\u{a}b\\u{1b}[2J\""), "{lines:?}");

        let mut half = first.clone();
        half.reviewers[0].count = 2;
        half.missing = "1 more approval by another person".into();
        half.approvals = vec![api::body::VerdictBody {
            reviewer: ledger::Identity { username: "al\u{1b}ice".into(), ..Default::default() },
            reason: "ok".into(),
            at: at(30),
        }];
        half.changed_at = at(30);
        let (lines, _) = told.changes(&[second.clone(), half]);
        let want = "Approved by al\\u{1b}ice. Still needed: 1 more approval by another person.";
        assert!(lines.len() == 1 && lines[0].ends_with(want), "{lines:?}");

        let mut drifted = first.clone();
        (drifted.drifts, drifted.changed_at) = (1, at(45) + jiff::SignedDuration::from_millis(937));
        let (lines, _) = told.changes(&[second.clone(), drifted]);
        assert!(lines[0].starts_with("2027-01-15T08:00:45Z k3mq7xzw drifted "), "{lines:?}");

        let mut approved = first.clone();
        (approved.state, approved.changed_at) = ("approved".into(), at(60));
        let (lines, gone) = told.changes(&[approved]);
        assert!(lines[0].starts_with("2027-01-15T08:01:00Z k3mq7xzw approved "), "{lines:?}");
        assert_eq!(gone, ["zzzz9999"]);

        let mut end = detail();
        end.summary.state = "denied".into();
        end.summary.verdict = Some(api::body::VerdictBody {
            reviewer: ledger::Identity { username: "alice".into(), ..Default::default() },
            reason: "no\u{1b}".into(),
            at: at(61),
        });
        let line = QueueLines::end("k3mq7xzw", Some(&end));
        assert!(line.ends_with("payments. Decided by alice: no\\u{1b}"), "{line}");
    }
}
