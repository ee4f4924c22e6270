//! Entries of one audit id, joined into the line that a reader of the timeline sees.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::{
    ActRecord, ClassRecord, DecisionRecord, EffectRecord, Entry, HoldEvent, HoldRecord, Identity,
    RequestRecord, ResponseRecord,
};

/// One call with everything that is known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// When its first entry was written.
    pub time: Timestamp,
    /// Its audit id.
    pub audit_id: String,
    /// Who asked.
    pub user: Option<Identity>,
    /// What was asked.
    pub request: Option<RequestRecord>,
    /// What it would do, or did.
    pub effects: Vec<EffectRecord>,
    /// What policy said.
    pub decision: Option<DecisionRecord>,
    /// What happened to its hold, in order, with the time of each.
    pub holds: Vec<(Timestamp, HoldRecord)>,
    /// How its namespace was classed; missing where nobody knew.
    pub class: Option<ClassRecord>,
    /// How it was answered; missing while it is open, or after a crash.
    pub response: Option<ResponseRecord>,
    /// The name of the object that it made, where its request names none.
    pub made: Option<String>,
    /// What a reviewer did to an agent, where it is no call.
    pub act: Option<ActRecord>,
    /// The call that this probe was made for.
    pub probe_of: Option<String>,
    /// What a reader must know.
    pub notes: Vec<String>,
}

impl Call {
    /// The last thing that was done to its hold in a reviewer's name; one approval of several that
    /// are needed decides nothing, nor do approvals of which one was taken back. How long a denial stands
    /// changes nothing of what was said.
    pub fn verdict(&self) -> Option<&HoldRecord> {
        let mut withdrawn = false;
        let mut holds = self.holds.iter().rev().map(|(_, hold)| hold);
        holds.find(|hold| {
            withdrawn |= hold.event == HoldEvent::Withdrawn;
            hold.reviewer.is_some()
                && match hold.event {
                    HoldEvent::PartlyApproved
                    | HoldEvent::Withdrawn
                    | HoldEvent::Lifted
                    | HoldEvent::Extended => false,
                    HoldEvent::Approved => !withdrawn,
                    _ => true,
                }
        })
    }

    /// When a reviewer decided: the last denial, or the last approval that nobody took back. What follows from
    /// it happens in the same name, and later.
    pub fn decided_at(&self) -> Option<Timestamp> {
        self.verdict()?;
        let decides = |event| matches!(event, HoldEvent::Approved | HoldEvent::Denied);
        let (at, _) = self.holds.iter().rev().find(|(_, hold)| decides(hold.event))?;
        Some(*at)
    }

    /// Every rule that asked: those of the decision, and those that joined them when what was held drifted.
    pub fn rules(&self) -> Vec<String> {
        let decided = self.decision.iter().flat_map(|it| &it.rules);
        let drifted = self.holds.iter().flat_map(|(_, hold)| &hold.rules);
        let mut rules: Vec<String> = Vec::new();
        for rule in decided.chain(drifted) {
            if !rules.contains(rule) {
                rules.push(rule.clone());
            }
        }
        rules
    }

    /// The hold that this call waited on.
    pub fn hold_id(&self) -> Option<&str> {
        self.holds.last().map(|(_, hold)| hold.id.as_str())
    }

    fn new(entry: &Entry) -> Self {
        Self {
            time: entry.time,
            audit_id: entry.audit_id.clone(),
            user: None,
            request: None,
            effects: Vec::new(),
            decision: None,
            holds: Vec::new(),
            class: None,
            response: None,
            made: None,
            act: None,
            probe_of: None,
            notes: Vec::new(),
        }
    }

    fn add(&mut self, entry: Entry) {
        self.user = self.user.take().or(entry.user);
        self.request = self.request.take().or(entry.request);
        self.probe_of = self.probe_of.take().or(entry.probe_of);
        self.made = self.made.take().or(entry.made);
        self.act = self.act.take().or(entry.act);
        if !entry.effects.is_empty() {
            self.effects = entry.effects; // The latest: a hold that drifted would do something else.
        }
        self.decision = entry.decision.or(self.decision.take());
        self.class = entry.class.or(self.class);
        self.response = entry.response.or(self.response.take());
        self.holds.extend(entry.hold.map(|hold| (entry.time, hold)));
        self.notes.extend(entry.note);
    }
}

/// Joins entries, oldest first, into calls in the order of their first entry.
pub fn calls(entries: impl IntoIterator<Item = Entry>) -> Vec<Call> {
    let mut joined: Vec<Call> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for entry in entries {
        let place = *places.entry(entry.audit_id.clone()).or_insert_with(|| {
            joined.push(Call::new(&entry));
            joined.len() - 1
        });
        if let Some(call) = joined.get_mut(place) {
            call.add(entry);
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Action, Outcome, Stage};

    #[test]
    fn nobody_is_named_for_an_approval_that_was_taken_back() {
        let verdict = |events: &[HoldEvent]| {
            let held = |event: &HoldEvent| {
                let (id, reason, digest) = ("h-1".into(), String::new(), String::new());
                let reviewer = Some(Identity::default());
                let hold =
                    HoldRecord { id, event: *event, reviewer, reason, digest, rules: Vec::new() };
                Entry { hold: Some(hold), ..Entry::new(Timestamp::UNIX_EPOCH, "a", Stage::Held) }
            };
            let joined = calls(events.iter().map(held));
            joined.first().and_then(Call::verdict).map(|it| it.event)
        };
        use HoldEvent::{Approved, Denied, Extended, Lifted, PartlyApproved, Withdrawn};
        let table: [(&[HoldEvent], _); 5] = [
            (&[PartlyApproved, Approved], Some(Approved)),
            (&[Approved, Withdrawn], None),
            (&[Approved, Withdrawn, Approved], Some(Approved)),
            (&[Approved, Withdrawn, Denied], Some(Denied)),
            (&[Denied, Extended, Lifted], Some(Denied)),
        ];
        for (events, want) in table {
            assert_eq!(verdict(events), want, "{events:?}");
        }
    }

    #[test]
    fn joins_what_belongs_to_one_call() {
        let at = Timestamp::UNIX_EPOCH;
        let entry = |id: &str, stage| Entry::new(at, id, stage);
        let held = |event| {
            let reviewer = (event != HoldEvent::Created).then(Identity::default);
            let (id, reason, digest) = ("h-1".into(), "no".into(), String::new());
            let hold = HoldRecord { id, event, reviewer, reason, digest, rules: Vec::new() };
            Entry { hold: Some(hold), ..entry("a", Stage::Held) }
        };
        let decision =
            DecisionRecord { rules: vec!["r".into()], ..DecisionRecord::of(Action::Hold, "") };
        let answer = ResponseRecord {
            code: 403,
            outcome: Outcome::Refused,
            latency_micros: 5,
            bytes: 1,
            object: None,
        };
        let joined = calls([
            Entry { decision: Some(decision), ..entry("a", Stage::RequestReceived) },
            entry("b", Stage::RequestReceived),
            held(HoldEvent::Created),
            held(HoldEvent::Denied),
            held(HoldEvent::PartlyApproved),
            held(HoldEvent::Withdrawn),
            Entry { response: Some(answer), ..entry("a", Stage::ResponseComplete) },
        ]);
        assert_eq!(joined.len(), 2);
        let call = joined.first().unwrap_or_else(|| unreachable!());
        assert_eq!(call.hold_id(), Some("h-1"));
        assert_eq!(call.verdict().map(|it| it.event), Some(HoldEvent::Denied));
        assert_eq!(call.response.as_ref().map(|it| it.code), Some(403));
        assert_eq!(call.decision.as_ref().map(|it| it.action), Some(Action::Hold));
    }
}
