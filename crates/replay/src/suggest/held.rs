//! The held calls of a stretch of the ledger, each with how it was decided.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use ledger::{Action, ClassRecord, EffectRecord, Entry, HoldEvent, Identity, RequestRecord};

/// Held calls that are looked through.
const CALLS_MAX: usize = 1_000_000;

/// A held call.
#[derive(Debug)]
pub struct Held {
    /// When it came.
    pub time: Timestamp,
    /// Whose it is.
    pub user: String,
    /// What was asked.
    pub request: RequestRecord,
    /// The rules that held it.
    pub rules: Vec<String>,
    /// What it would do.
    pub effects: Vec<EffectRecord>,
    /// How its namespace was classed, where that is recorded.
    pub class: Option<ClassRecord>,
    /// How it was decided.
    pub end: End,
}

/// How a hold was decided.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum End {
    /// Not yet.
    Open,
    /// By this reviewer.
    Approved(Identity),
    /// A reviewer, or the time, said no.
    Refused,
    /// It turned out to do something else than what is recorded.
    Drifted,
}

/// Held calls, as entries tell of them one after the other.
#[derive(Debug, Default)]
pub struct HeldCalls(HashMap<String, Held>);

impl HeldCalls {
    /// Takes the next entry of the ledger.
    pub fn take(&mut self, entry: Entry) {
        if let (Some(hold), Some(call)) = (&entry.hold, self.0.get_mut(&entry.audit_id)) {
            let reviewer = hold.reviewer.clone().unwrap_or_default();
            call.end = match (hold.event, &call.end) {
                // A no is a no, whatever the hold was of by then: its agent can make it drift.
                (HoldEvent::Denied, _) => End::Refused,
                (HoldEvent::Drifted, _) | (_, End::Drifted) => End::Drifted,
                (HoldEvent::Approved, _) => End::Approved(reviewer),
                (HoldEvent::Withdrawn, _) => End::Open,
                // An agent that gives up what nobody approved must not look better than one that waits.
                (HoldEvent::Expired | HoldEvent::Cancelled, End::Open) => End::Refused,
                (_, end) => end.clone(),
            };
        }
        let (Some(decision), Some(request), Some(user)) =
            (entry.decision, entry.request, entry.user)
        else {
            return;
        };
        let is_new = decision.action == Action::Hold && entry.hold.is_none();
        if is_new && !decision.policy.is_empty() && self.0.len() < CALLS_MAX {
            self.0.insert(
                entry.audit_id,
                Held {
                    time: entry.time,
                    user: user.username,
                    request,
                    rules: decision.rules,
                    effects: entry.effects,
                    class: entry.class,
                    end: End::Open,
                },
            );
        }
    }

    /// All of them in the order of time. What somebody approved who was ever seen as one of `agents`
    /// nobody has approved.
    pub fn finish(self, agents: &HashSet<String>) -> Vec<Held> {
        let mut calls: Vec<Held> = self.0.into_values().collect();
        for call in &mut calls {
            if matches!(&call.end, End::Approved(reviewer) if agents.contains(&reviewer.username)) {
                call.end = End::Open;
            }
        }
        calls.sort_by_key(|call| call.time);
        calls
    }
}

#[cfg(test)]
mod tests {
    use ledger::{DecisionRecord, HoldRecord, Stage};

    use super::*;

    fn alice() -> Identity {
        Identity { username: "alice".into(), ..Identity::default() }
    }

    fn end(events: &[HoldEvent]) -> End {
        let entry = |stage| Entry::new(Timestamp::UNIX_EPOCH, "a", stage);
        let decision =
            DecisionRecord { policy: "p".into(), ..DecisionRecord::of(Action::Hold, "") };
        let mut calls = HeldCalls::default();
        let held = Entry {
            decision: Some(decision),
            request: Some(RequestRecord::default()),
            user: Some(Identity::default()),
            ..entry(Stage::RequestReceived)
        };
        calls.take(held);
        for event in events {
            let reviewer = Some(alice());
            let (id, reason, digest) = ("h".into(), String::new(), String::new());
            let hold =
                HoldRecord { id, event: *event, reviewer, reason, digest, rules: Vec::new() };
            calls.take(Entry { hold: Some(hold), ..entry(Stage::Held) });
        }
        calls.finish(&HashSet::new()).pop().expect("a held call").end
    }

    #[test]
    fn what_an_agent_approved_nobody_has() {
        let by = |name: &str| Identity { username: name.into(), ..Identity::default() };
        let call = |id: &str, reviewer: &str| {
            let decision =
                DecisionRecord { policy: "p".into(), ..DecisionRecord::of(Action::Hold, "") };
            let held = Entry {
                decision: Some(decision),
                request: Some(RequestRecord::default()),
                user: Some(by("agent")),
                ..Entry::new(Timestamp::now(), id, Stage::RequestReceived)
            };
            let approved = HoldRecord {
                id: id.into(),
                event: HoldEvent::Approved,
                reviewer: Some(by(reviewer)),
                reason: String::new(),
                digest: String::new(),
                rules: Vec::new(),
            };
            let entry = Entry::new(Timestamp::now(), id, Stage::Held);
            [held, Entry { hold: Some(approved), ..entry }]
        };
        let entries = [call("a", "alice"), call("b", "agent")].concat();
        let mut calls = HeldCalls::default();
        entries.into_iter().for_each(|entry| calls.take(entry));
        let agents = HashSet::from(["agent".to_owned()]);
        let ends: Vec<End> = calls.finish(&agents).into_iter().map(|call| call.end).collect();
        assert_eq!(ends, [End::Approved(by("alice")), End::Open]);
    }

    #[test]
    fn what_was_taken_back_or_denied_is_no_approval() {
        use HoldEvent as E;
        let table: [(&[HoldEvent], End); 10] = [
            (&[E::Created], End::Open),
            (&[E::Created, E::PartlyApproved], End::Open),
            (&[E::Approved, E::Running, E::Done], End::Approved(alice())),
            (&[E::Approved, E::Withdrawn], End::Open),
            (&[E::Approved, E::Withdrawn, E::Expired], End::Refused),
            (&[E::Expired], End::Refused),
            (&[E::Cancelled], End::Refused),
            (&[E::Drifted, E::Approved, E::Running, E::Done], End::Drifted),
            (&[E::Drifted, E::Denied], End::Refused),
            (&[E::Approved, E::Denied], End::Refused),
        ];
        for (events, want) in table {
            assert_eq!(end(events), want, "{events:?}");
        }
    }
}
