//! Counts what a set of policies would have said, entry by entry.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use effects::Effect;
use jiff::Timestamp;
use ledger::{Action, DecisionRecord, Entry, HoldEvent, HoldRecord, RequestRecord, Stage};
use policy::{Decision, Pack, Step};
use serde::Serialize;

use crate::{
    earlier::Earlier,
    recorded::{Open, Recorded, Said},
};

/// Other verdicts that are kept, the latest.
const ITEMS_MAX: usize = 10_000;
/// Different reasons for what is not known that are kept apart.
const UNKNOWNS_MAX: usize = 1_000;
/// Calls that may still be decided, answered or sent again.
const OPEN_MAX: usize = 1_000_000;

/// What came of a replay.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Calls from this time on are counted.
    pub since: Timestamp,
    /// Digest of the set.
    pub policy: String,
    /// Calls that were judged.
    pub calls: u64,
    /// Reads among them.
    pub reads: u64,
    /// Judged alike, by the same rules.
    pub same: u64,
    /// Judged otherwise.
    pub changed: u64,
    /// Judged alike, by other rules.
    pub other_rules: u64,
    /// Of which the ledger does not tell enough.
    pub unknown: u64,
    /// Which no policy ever judged.
    pub not_judged: u64,
    /// Holds before and after.
    pub holds: Holds,
    /// Previews before and after.
    pub previews: Previews,
    /// By day, the first one first.
    pub days: Vec<Day>,
    /// By who decided.
    pub reviewers: Vec<Reviewer>,
    /// Calls with another ruling, the latest first.
    pub items: Vec<Item>,
    /// Older ones than those in `items`.
    pub items_left_out: u64,
    /// What the ledger does not tell, the most frequent first.
    pub unknowns: Vec<UnknownItem>,
}

/// Holds that were made, and that would be.
#[derive(Debug, Default, Serialize)]
pub struct Holds {
    /// Made at the time.
    pub before: u64,
    /// Made by these policies.
    pub after: u64,
    /// Made only by these policies.
    pub added: u64,
    /// Made only at the time.
    pub removed: u64,
}

/// Calls that wait for the API server's dry run, and did not; or did, and would not.
#[derive(Debug, Default, Serialize)]
pub struct Previews {
    /// Previewed only by these policies.
    pub added: u64,
    /// Previewed only at the time.
    pub removed: u64,
}

/// Of one day in UTC.
#[derive(Debug, Default, Serialize)]
pub struct Day {
    /// The day, as `2026-01-31`.
    pub day: String,
    /// Calls that were judged.
    pub calls: u64,
    /// Holds at the time.
    pub before: u64,
    /// Holds by these policies.
    pub after: u64,
    /// Calls of which not enough is known.
    pub unknown: u64,
}

/// Holds that one person decided; an empty name stands for those that nobody has.
#[derive(Debug, Default, Serialize)]
pub struct Reviewer {
    /// The username.
    pub reviewer: String,
    /// Holds at the time.
    pub before: u64,
    /// Holds by these policies.
    pub after: u64,
    /// Calls of which not enough is known.
    pub unknown: u64,
}

/// A call with another verdict.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    /// When the call came.
    pub time: Timestamp,
    /// Its audit id.
    #[serde(rename = "auditID")]
    pub audit_id: String,
    /// Whose it was.
    pub user: String,
    /// What was asked.
    pub request: RequestRecord,
    /// The ruling at the time.
    pub from: Ruling,
    /// The ruling by these policies.
    pub to: Ruling,
}

/// What was, or would be, decided by which rules.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Ruling {
    decision: &'static str,
    rules: Vec<String>,
}

impl Ruling {
    fn new(decision: Decision, rules: Vec<String>) -> Self {
        Self { decision: decision.as_str(), rules }
    }

    /// `hold by change-image, change-labels`.
    pub fn describe(&self) -> String {
        match self.rules.as_slice() {
            [] => self.decision.to_owned(),
            rules => format!("{} by {}", self.decision, rules.join(", ")),
        }
    }
}

/// Calls of which the same thing is not known.
#[derive(Debug, Serialize)]
pub struct UnknownItem {
    /// How many calls.
    pub calls: u64,
    /// The rule that has no answer; empty for the decision as a whole.
    pub rule: String,
    /// What is not known.
    pub why: String,
    /// The audit id of one of them.
    pub example: String,
}

/// One call as it was judged and would be.
struct Judged {
    time: Timestamp,
    user: String,
    request: RequestRecord,
    from: Ruling,
    said: Result<Said, Open>,
    previewed: bool,
    is_read: bool,
    /// Whether it waited on the hold of an earlier call.
    joined: bool,
    reviewer: String,
}

/// Takes entries in their order.
pub struct Tally<'p> {
    pack: &'p Pack,
    since: Timestamp,
    earlier: Earlier,
    /// Of held calls, whose they are and what they do if they run.
    waiting: HashMap<String, (String, Vec<Effect>)>,
    /// Held calls, which a reviewer will decide, or the policies of a later moment.
    held: HashMap<String, Judged>,
    /// Streams that have begun, which are told of twice.
    streams: HashSet<String>,
    report: Report,
    days: BTreeMap<String, Day>,
    reviewers: BTreeMap<String, Reviewer>,
    items: VecDeque<Item>,
    unknowns: BTreeMap<Open, UnknownItem>,
    /// The call that somebody asks about, and each judgement of it.
    explain: String,
    explained: Vec<Explained>,
}

/// One judgement of a call, as it was and would be.
pub struct Explained {
    /// When it was judged.
    pub time: Timestamp,
    /// Whose call it was.
    pub user: String,
    /// What was asked.
    pub request: RequestRecord,
    /// As it was recorded.
    pub decision: DecisionRecord,
    /// What every rule makes of it now, or why nobody can say.
    pub said: Result<(Said, Vec<Step>), String>,
}

impl<'p> Tally<'p> {
    /// Nothing yet, for calls from `since` on.
    pub fn new(pack: &'p Pack, since: Timestamp) -> Self {
        let policy = pack.digest().to_owned();
        Self {
            pack,
            since,
            earlier: Earlier::default(),
            waiting: HashMap::new(),
            held: HashMap::new(),
            streams: HashSet::new(),
            report: Report { since, policy, ..Report::default() },
            days: BTreeMap::new(),
            reviewers: BTreeMap::new(),
            items: VecDeque::new(),
            unknowns: BTreeMap::new(),
            explain: String::new(),
            explained: Vec::new(),
        }
    }

    /// Explains one call on the way.
    pub fn explaining(self, audit_id: &str) -> Self {
        Self { explain: audit_id.to_owned(), ..self }
    }

    /// Each judgement of the call that was to be explained.
    pub fn explained(self) -> Vec<Explained> {
        self.explained
    }

    /// Takes one entry; those before the time that was asked for only tell what agents did before.
    pub fn take(&mut self, entry: Entry) {
        if let Some(hold) = &entry.hold {
            self.happened(&entry.audit_id, hold, entry.time);
        }
        if entry.request.as_ref().is_some_and(is_own) {
            return; // Asked of agent-shield itself: no policy is asked.
        }
        let Some(decision) = &entry.decision else { return };
        let is_unasked_read = decision.action == Action::Allow && decision.policy.is_empty();
        if decision.policy.is_empty() && !is_unasked_read {
            // The proxy itself ended it, or the API server; of what was held the judgement counts.
            let judged = self.waiting.contains_key(&entry.audit_id);
            self.report.not_judged += u64::from(!judged && entry.time >= self.since);
            return;
        }
        match entry.stage {
            Stage::ResponseStarted if self.streams.len() < OPEN_MAX => {
                self.streams.insert(entry.audit_id.clone());
            }
            Stage::ResponseComplete if self.streams.remove(&entry.audit_id) => return,
            _ => {}
        }
        let decision = decision.clone();
        self.judge(entry, decision);
    }

    fn happened(&mut self, audit_id: &str, hold: &HoldRecord, time: Timestamp) {
        match (hold.event, &hold.reviewer) {
            (HoldEvent::Approved | HoldEvent::Denied, Some(reviewer)) => {
                if let Some(call) = self.held.get_mut(audit_id) {
                    call.reviewer.clone_from(&reviewer.username);
                }
            }
            (HoldEvent::Running, _) => {
                if let Some((user, effects)) = self.waiting.get(audit_id) {
                    self.earlier.remember(user, effects, time);
                }
            }
            // What it would do from now on is not in the ledger.
            (HoldEvent::Drifted, _) => {
                self.waiting.entry(audit_id.to_owned()).and_modify(|(_, effects)| effects.clear());
            }
            _ => {}
        }
    }

    fn judge(&mut self, entry: Entry, decision: DecisionRecord) {
        let (time, audit_id) = (entry.time, entry.audit_id.clone());
        let user = entry.user.as_ref().map(|it| it.username.clone()).unwrap_or_default();
        let request = entry.request.clone().unwrap_or_default();
        let joined = entry.hold.is_some();
        let recorded = Recorded::of(entry);
        let said = match &recorded {
            _ if time < self.since => None,
            Ok(recorded) => Some(Ok(recorded.judged(self.pack, &self.earlier))),
            Err(why) => Some(Err(Open { rule: String::new(), why: why.clone() })),
        };
        if audit_id == self.explain {
            let said = recorded.as_ref().map_err(Clone::clone);
            let said = said.map(|it| it.explained(self.pack, &self.earlier));
            let (user, request, decision) = (user.clone(), request.clone(), decision.clone());
            self.explained.push(Explained { time, user, request, decision, said });
        }
        let previewed = recorded.as_ref().is_ok_and(Recorded::was_previewed);
        let is_read = recorded.as_ref().is_ok_and(Recorded::is_read);
        let effects = recorded.map(Recorded::into_effects).unwrap_or_default();
        match decision.action {
            Action::Allow => self.earlier.remember(&user, &effects, time),
            Action::Hold if self.waiting.len() < OPEN_MAX => {
                self.waiting.insert(audit_id.clone(), (user.clone(), effects));
            }
            _ => {}
        }
        let Some(said) = said else { return };
        let (from, reviewer) = (recorded_ruling(&decision), String::new());
        let call = Judged { time, user, request, from, said, previewed, is_read, joined, reviewer };
        // A held call may be judged once more when it should run, by what is in force then.
        match decision.action {
            Action::Hold if self.held.len() < OPEN_MAX => {
                self.held.insert(audit_id, call);
            }
            _ => {
                self.held.remove(&audit_id);
                self.count(audit_id, call);
            }
        }
    }

    fn count(&mut self, audit_id: String, call: Judged) {
        let report = &mut self.report;
        report.calls += 1;
        report.reads += u64::from(call.is_read);
        let (now, open) = match call.said {
            Ok(said) if said.open.is_empty() => (Some(said), Vec::new()),
            Ok(said) => {
                // Whatever else it says, it takes a preview to say it.
                report.previews.added += u64::from(said.previews && !call.previewed);
                (None, said.open)
            }
            Err(open) => (None, vec![open]),
        };
        // A call that joined waited on a hold that is counted already.
        let was_held = call.from.decision == "hold" && !call.joined;
        let is_held = now.as_ref().is_some_and(|it| it.decision == Decision::Hold) && !call.joined;
        let is_open = now.is_none() && !call.joined;
        report.holds.before += u64::from(was_held);
        report.holds.after += u64::from(is_held);
        report.holds.added += u64::from(is_held && !was_held);
        report.holds.removed += u64::from(was_held && !is_held && !is_open);
        let day = call.time.strftime("%F").to_string();
        let of_day = self.days.entry(day.clone()).or_insert_with(|| Day { day, ..Day::default() });
        of_day.calls += 1;
        of_day.before += u64::from(was_held);
        of_day.after += u64::from(is_held);
        of_day.unknown += u64::from(is_open);
        if was_held || is_held {
            let of_reviewer = self.reviewers.entry(call.reviewer.clone()).or_insert_with(|| {
                Reviewer { reviewer: call.reviewer.clone(), ..Reviewer::default() }
            });
            of_reviewer.before += u64::from(was_held);
            of_reviewer.after += u64::from(is_held);
            of_reviewer.unknown += u64::from(is_open);
        }
        let Some(now) = now else {
            report.unknown += 1;
            open.into_iter().for_each(|it| self.unknown(&audit_id, it));
            return;
        };
        report.previews.added += u64::from(now.previews && !call.previewed);
        report.previews.removed += u64::from(call.previewed && !now.previews);
        let to = Ruling::new(now.decision, now.rules);
        match (to.decision == call.from.decision, to.rules == call.from.rules || now.rules_open) {
            (true, true) => {
                report.same += 1;
                return;
            }
            (true, false) => report.other_rules += 1,
            (false, _) => report.changed += 1,
        }
        let Judged { time, user, request, from, .. } = call;
        self.items.push_back(Item { time, audit_id, user, request, from, to });
        // Held calls are counted at the end: a few more are kept, and cut when they are in order.
        if self.items.len() > 2 * ITEMS_MAX {
            self.items.pop_front();
            report.items_left_out += 1;
        }
    }

    fn unknown(&mut self, audit_id: &str, open: Open) {
        if self.unknowns.len() >= UNKNOWNS_MAX && !self.unknowns.contains_key(&open) {
            return; // The calls themselves are counted all the same.
        }
        let found = self.unknowns.entry(open).or_insert_with_key(|open| UnknownItem {
            calls: 0,
            rule: open.rule.clone(),
            why: open.why.clone(),
            example: audit_id.to_owned(),
        });
        found.calls += 1;
    }

    /// What came of it.
    pub fn report(mut self) -> Report {
        for (audit_id, call) in std::mem::take(&mut self.held) {
            self.count(audit_id, call);
        }
        let mut report = self.report;
        report.days = self.days.into_values().collect();
        report.reviewers = self.reviewers.into_values().collect();
        report.items = self.items.into();
        report.items.sort_by(|a, b| (b.time, &a.audit_id).cmp(&(a.time, &b.audit_id)));
        report.items_left_out += report.items.len().saturating_sub(ITEMS_MAX) as u64;
        report.items.truncate(ITEMS_MAX);
        report.unknowns = self.unknowns.into_values().collect();
        report.unknowns.sort_by_key(|it| std::cmp::Reverse(it.calls));
        report
    }
}

/// Whether it asks for something of agent-shield's own: an agent's rules, or to give a hold up. The API server has
/// nothing there.
fn is_own(request: &RequestRecord) -> bool {
    let path = request.request_uri.split('?').next().unwrap_or_default();
    let rest = path.strip_prefix("/.well-known/agent-shield");
    rest.is_some_and(|it| it.is_empty() || it.starts_with("/holds/"))
}

fn recorded_ruling(decision: &DecisionRecord) -> Ruling {
    Ruling { decision: decision.action.as_str(), rules: decision.rules.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_of_agent_shield_itself_is_no_call() {
        let table = [
            ("/.well-known/agent-shield", true),
            ("/.well-known/agent-shield/holds/k3mq7xzw", true),
            ("/.well-known/agent-shield?timeout=1s", true),
            ("/.well-known/agent-shields", false),
            ("/.well-known/openid-configuration", false),
            ("/api/v1/namespaces/dev/pods/agent-shield", false),
        ];
        for (uri, want) in table {
            let request = RequestRecord { request_uri: uri.into(), ..RequestRecord::default() };
            assert_eq!(is_own(&request), want, "{uri}");
        }
    }
}
