//! The held calls of a stretch of the ledger, each with how it was decided.

use std::collections::{HashMap, HashSet};

use anyhow::Result;
use jiff::Timestamp;
use ledger::{Action, ClassRecord, EffectRecord, Entry, HoldEvent, Identity, RequestRecord};
use store::sqlite::History;

/// Held calls that are looked through.
const CALLS_MAX: usize = 1_000_000;

/// A held call.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) time: Timestamp,
    pub(super) user: String,
    pub(super) request: RequestRecord,
    pub(super) rules: Vec<String>,
    pub(super) effects: Vec<EffectRecord>,
    pub(super) class: Option<ClassRecord>,
    pub(super) end: End,
}

/// How a hold was decided.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum End {
    /// Not yet.
    Open,
    /// By this reviewer.
    Approved(Identity),
    /// A reviewer, or the time, said no.
    Refused,
    /// It turned out to do something else than what is recorded.
    Drifted,
}

/// Every hold since a moment. What somebody approved who was seen as an agent, before or since, nobody
/// has.
pub(super) fn held(history: &History, since: Timestamp) -> Result<Vec<Held>> {
    let mut calls: HashMap<String, Held> = HashMap::new();
    history.each(since, |entry| take(&mut calls, entry))?;
    let agents: HashSet<String> = history.agents()?.into_iter().collect();
    let mut calls: Vec<Held> = calls.into_values().collect();
    for call in &mut calls {
        if matches!(&call.end, End::Approved(reviewer) if agents.contains(&reviewer.username)) {
            call.end = End::Open;
        }
    }
    calls.sort_by_key(|it| it.time);
    Ok(calls)
}

fn take(calls: &mut HashMap<String, Held>, entry: Entry) {
    if let (Some(hold), Some(call)) = (&entry.hold, calls.get_mut(&entry.audit_id)) {
        let reviewer = hold.reviewer.clone().unwrap_or_default();
        call.end = match (hold.event, &call.end) {
            // A no is a no, whatever the hold was of by then: its agent can make it drift.
            (HoldEvent::Denied, _) => End::Refused,
            (HoldEvent::Drifted, _) | (_, End::Drifted) => End::Drifted,
            (HoldEvent::Approved, _) => End::Approved(reviewer),
            (HoldEvent::Withdrawn, _) => End::Open,
            (HoldEvent::Expired, End::Open) => End::Refused,
            (_, end) => end.clone(),
        };
    }
    let (Some(decision), Some(request), Some(user)) = (entry.decision, entry.request, entry.user)
    else {
        return;
    };
    let is_new = decision.action == Action::Hold && entry.hold.is_none();
    if is_new && !decision.policy.is_empty() && calls.len() < CALLS_MAX {
        calls.insert(
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

#[cfg(test)]
mod tests {
    use ledger::{DecisionRecord, HoldRecord, Ledger, Stage};
    use store::sqlite::Sqlite;

    use super::*;

    fn alice() -> Identity {
        Identity { username: "alice".into(), ..Identity::default() }
    }

    fn end(events: &[HoldEvent]) -> End {
        let entry = |stage| Entry::new(Timestamp::UNIX_EPOCH, "a", stage);
        let decision =
            DecisionRecord { policy: "p".into(), ..DecisionRecord::of(Action::Hold, "") };
        let mut calls = HashMap::new();
        let held = Entry {
            decision: Some(decision),
            request: Some(RequestRecord::default()),
            user: Some(Identity::default()),
            ..entry(Stage::RequestReceived)
        };
        take(&mut calls, held);
        for event in events {
            let reviewer = Some(alice());
            let (id, reason, digest) = ("h".into(), String::new(), String::new());
            let hold = HoldRecord { id, event: *event, reviewer, reason, digest };
            take(&mut calls, Entry { hold: Some(hold), ..entry(Stage::Held) });
        }
        calls.remove("a").expect("a held call").end
    }

    #[tokio::test]
    async fn what_an_agent_approved_nobody_has() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Sqlite::open(dir.path()).expect("a store");
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
            };
            let entry = Entry::new(Timestamp::now(), id, Stage::Held);
            [held, Entry { hold: Some(approved), ..entry }]
        };
        let entries = [call("a", "alice"), call("b", "agent")].concat();
        store.append(entries).await.expect("entries");
        let history = History::open(dir.path()).expect("a ledger");
        let ends = held(&history, Timestamp::UNIX_EPOCH).expect("calls");
        let ends: Vec<End> = ends.into_iter().map(|it| it.end).collect();
        assert_eq!(ends, [End::Approved(by("alice")), End::Open]);
    }

    #[test]
    fn what_was_taken_back_or_denied_is_no_approval() {
        use HoldEvent as E;
        let table: [(&[HoldEvent], End); 9] = [
            (&[E::Created], End::Open),
            (&[E::Created, E::PartlyApproved], End::Open),
            (&[E::Approved, E::Running, E::Done], End::Approved(alice())),
            (&[E::Approved, E::Withdrawn], End::Open),
            (&[E::Approved, E::Withdrawn, E::Expired], End::Refused),
            (&[E::Expired], End::Refused),
            (&[E::Drifted, E::Approved, E::Running, E::Done], End::Drifted),
            (&[E::Drifted, E::Denied], End::Refused),
            (&[E::Approved, E::Denied], End::Refused),
        ];
        for (events, want) in table {
            assert_eq!(end(events), want, "{events:?}");
        }
    }
}
