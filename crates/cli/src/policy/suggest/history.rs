//! The held calls of a stretch of the ledger, each with how it was decided.

use std::collections::HashMap;

use anyhow::Result;
use jiff::Timestamp;
use ledger::{Action, ClassRecord, EffectRecord, Entry, HoldEvent, RequestRecord};
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
    Approved(String),
    /// A reviewer, or the time, said no.
    Refused,
    /// It turned out to do something else than what is recorded.
    Drifted,
}

/// Every hold since a moment.
pub(super) fn held(history: &History, since: Timestamp) -> Result<Vec<Held>> {
    let mut calls: HashMap<String, Held> = HashMap::new();
    history.each(since, |entry| take(&mut calls, entry))?;
    let mut calls: Vec<Held> = calls.into_values().collect();
    calls.sort_by_key(|it| it.time);
    Ok(calls)
}

fn take(calls: &mut HashMap<String, Held>, entry: Entry) {
    if let (Some(hold), Some(call)) = (&entry.hold, calls.get_mut(&entry.audit_id)) {
        let reviewer = hold.reviewer.as_ref().map(|it| it.username.clone()).unwrap_or_default();
        call.end = match (hold.event, &call.end) {
            (_, End::Drifted) => End::Drifted,
            (HoldEvent::Drifted, _) => End::Drifted,
            (HoldEvent::Approved, _) => End::Approved(reviewer),
            (HoldEvent::Denied, _) | (HoldEvent::Expired, End::Open) => End::Refused,
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
