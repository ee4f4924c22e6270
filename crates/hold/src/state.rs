//! Where a hold stands, and the only ways from one state to the next.
//!
//! ```text
//! Pending ─ approve → Approved ─ start → Running ─ finish → Done
//!    │ ↑                 │  ↑                │ └── lose ──→ Unknown
//!    │ │                 │  └─── unspend ────┘
//!    │ └─ drift, withdraw┘─ expire → Expired
//!    ├─ deny → Denied
//!    ├─ cancel → Cancelled (also of an approval that was not used)
//!    └─ expire → Expired
//! ```
//! A hold that needs several approvals is pending until the last of them. Whatever changes what it
//! would do takes all of them back: each was of what was shown.
//!
//! Every arrow consumes the state it leaves, so a settled hold cannot be decided again and an
//! approval cannot be spent twice. Time is given, so tests need no clock.

use std::fmt;

use jiff::Timestamp;
use ledger::Identity;

use crate::{Approval, DecidedBy, Denial, Quorum, is_same_person};

/// Where a hold stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum State {
    /// People are asked.
    Pending {
        /// Who has approved what is shown now; others must too.
        approvals: Vec<Approval>,
    },
    /// Approved; waits for its request, which may use it once, until a moment.
    Approved {
        /// By whom, in their order.
        approvals: Vec<Approval>,
        /// Unused at this moment, it is worth nothing.
        until: Timestamp,
    },
    /// A person said no.
    Denied {
        /// Who, and why.
        denial: Denial,
    },
    /// Not enough people decided in time, or nobody used the approval.
    Expired {
        /// When.
        at: Timestamp,
        /// Who had approved it.
        approvals: Vec<Approval>,
    },
    /// Its agent gave it up.
    Cancelled {
        /// When.
        at: Timestamp,
        /// Who had approved it.
        approvals: Vec<Approval>,
    },
    /// Written down before the bytes leave; found after a crash, it means `Unknown`.
    Running {
        /// By whom it was approved.
        approvals: Vec<Approval>,
        /// The call that is sent: the API server logs this id.
        audit_id: String,
        /// Since when.
        since: Timestamp,
    },
    /// Sent and answered.
    Done {
        /// By whom it was approved.
        approvals: Vec<Approval>,
        /// The call that was sent.
        audit_id: String,
        /// The API server's answer.
        code: u16,
        /// When.
        at: Timestamp,
    },
    /// Sent, and no answer came: it may have run. Never sent again by itself.
    Unknown {
        /// By whom it was approved.
        approvals: Vec<Approval>,
        /// The call that was sent.
        audit_id: String,
        /// Why nothing is known.
        why: String,
        /// When.
        at: Timestamp,
    },
}

/// The name of a state.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum StateName {
    /// [`State::Pending`].
    Pending,
    /// [`State::Approved`].
    Approved,
    /// [`State::Denied`].
    Denied,
    /// [`State::Expired`].
    Expired,
    /// [`State::Cancelled`].
    Cancelled,
    /// [`State::Running`].
    Running,
    /// [`State::Done`].
    Done,
    /// [`State::Unknown`].
    Unknown,
}

impl StateName {
    /// All of them, in the order of a hold's life.
    pub const ALL: [Self; 8] = [
        Self::Pending,
        Self::Approved,
        Self::Denied,
        Self::Expired,
        Self::Cancelled,
        Self::Running,
        Self::Done,
        Self::Unknown,
    ];

    /// Those in which a hold can still run.
    pub const OPEN: [Self; 3] = [Self::Pending, Self::Approved, Self::Running];

    /// As in JSON and in `holds`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Running => "running",
            Self::Done => "done",
            Self::Unknown => "unknown",
        }
    }

    /// The state of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == name)
    }
}

impl fmt::Display for StateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a hold cannot do what was asked of it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum HoldError {
    /// It is past deciding.
    #[error("the hold is already {0}")]
    Settled(StateName),
    /// The deadline was before the decision.
    #[error("the hold expired at {}", .0.strftime("%FT%TZ"))]
    Expired(Timestamp),
    /// What the reviewer saw is not what would happen now.
    #[error("what the request would do has changed since it was shown: look at it again")]
    Stale,
    /// One person is one voice.
    #[error("you already approved; still needed: {0}")]
    Twice(String),
    /// The approval would count for nothing that is missing.
    #[error(
        "your approval does not count here: your groups are {}; still needed: {missing}",
        named(.groups)
    )]
    NotAsked {
        /// The reviewer's.
        groups: Vec<String>,
        /// Whose approval would.
        missing: String,
    },
    /// A rule asks for one.
    #[error("a rule that holds this requires a reason: approve it with one")]
    NoReason,
    /// There is nothing to take back.
    #[error("you have not approved this")]
    NotApproved,
    /// Nobody has denied it.
    #[error("only a denial can be lifted or extended; the hold is {0}")]
    NotDenied(StateName),
    /// There is nothing left to lift.
    #[error("the denial was lifted already")]
    LiftedAlready,
    /// Its time is not over.
    #[error("the hold has not expired")]
    NotDue,
    /// It was held for something else.
    #[error("this is not the request that was held")]
    OtherRequest,
    /// Approvals are missing by what the hold demands.
    #[error("approvals are missing")]
    NotMet,
}

fn named(groups: &[String]) -> String {
    if groups.is_empty() { "none".to_owned() } else { groups.join(", ") }
}

impl State {
    /// Nobody has decided anything.
    pub const PENDING: Self = Self::Pending { approvals: Vec::new() };

    /// Its name.
    pub fn name(&self) -> StateName {
        match self {
            Self::Pending { .. } => StateName::Pending,
            Self::Approved { .. } => StateName::Approved,
            Self::Denied { .. } => StateName::Denied,
            Self::Expired { .. } => StateName::Expired,
            Self::Cancelled { .. } => StateName::Cancelled,
            Self::Running { .. } => StateName::Running,
            Self::Done { .. } => StateName::Done,
            Self::Unknown { .. } => StateName::Unknown,
        }
    }

    /// Whether nothing can change it any more.
    pub fn is_settled(&self) -> bool {
        !StateName::OPEN.contains(&self.name())
    }

    /// Who decided it, if anybody did.
    pub fn decided_by(&self) -> Option<DecidedBy<'_>> {
        match self {
            Self::Pending { .. } | Self::Expired { .. } | Self::Cancelled { .. } => None,
            Self::Denied { denial } => Some(denial.into()),
            approved => approved.approvals().last().map(Into::into),
        }
    }

    /// Who approved what is shown, or what was sent.
    pub fn approvals(&self) -> &[Approval] {
        match self {
            Self::Denied { .. } => &[],
            Self::Pending { approvals }
            | Self::Expired { approvals, .. }
            | Self::Cancelled { approvals, .. }
            | Self::Approved { approvals, .. }
            | Self::Running { approvals, .. }
            | Self::Done { approvals, .. }
            | Self::Unknown { approvals, .. } => approvals,
        }
    }

    /// The call that was sent, once one was.
    pub fn audit_id(&self) -> Option<&str> {
        match self {
            Self::Running { audit_id, .. }
            | Self::Done { audit_id, .. }
            | Self::Unknown { audit_id, .. } => Some(audit_id),
            _ => None,
        }
    }

    /// Adds an approval of what the reviewer saw. It is approved by the last one that `quorum` asks
    /// for, and can then be used until `until`.
    ///
    /// # Errors
    /// [`HoldError::Stale`] where `current_digest` is not what the approval is of;
    /// [`HoldError::Settled`] or [`HoldError::Expired`] where it is too late; [`HoldError::Twice`],
    /// [`HoldError::NotAsked`] or [`HoldError::NoReason`] where it does not count.
    pub(crate) fn approve(
        self,
        approval: Approval,
        quorum: &Quorum,
        current_digest: &str,
        deadline: Timestamp,
        until: Timestamp,
    ) -> Result<Self, HoldError> {
        let mut approvals = self.undecided(approval.at(), deadline)?;
        if approval.digest() != current_digest {
            return Err(HoldError::Stale);
        }
        let reviewer = approval.reviewer();
        let missing = || quorum.missing(&approvals, current_digest);
        if approvals.iter().any(|it| is_same_person(it.reviewer(), reviewer)) {
            return Err(HoldError::Twice(missing()));
        }
        if !quorum.needs(reviewer, &approvals, current_digest) {
            let groups = reviewer.groups.clone();
            return Err(HoldError::NotAsked { groups, missing: missing() });
        }
        if quorum.reason_required() && !approval.has_reason() {
            return Err(HoldError::NoReason);
        }
        approvals.push(approval);
        Ok(if quorum.is_met(&approvals, current_digest) {
            Self::Approved { approvals, until }
        } else {
            Self::Pending { approvals }
        })
    }

    /// Takes a reviewer's own approval back, as long as it was not used.
    ///
    /// # Errors
    /// [`HoldError::NotApproved`] where there is none of theirs; [`HoldError::Settled`] or
    /// [`HoldError::Expired`] where it is too late.
    pub(crate) fn withdraw(
        self,
        reviewer: &Identity,
        now: Timestamp,
        deadline: Timestamp,
    ) -> Result<Self, HoldError> {
        let mut approvals = match self {
            Self::Approved { approvals, .. } => approvals,
            other => other.undecided(now, deadline)?,
        };
        let before = approvals.len();
        approvals.retain(|it| !is_same_person(it.reviewer(), reviewer));
        match approvals.len() {
            after if after == before => Err(HoldError::NotApproved),
            _ => Ok(Self::Pending { approvals }),
        }
    }

    /// Denies, whatever the reviewer saw: a no needs no fresh preview.
    ///
    /// # Errors
    /// [`HoldError::Settled`] or [`HoldError::Expired`] where it is too late.
    pub(crate) fn deny(self, denial: Denial, deadline: Timestamp) -> Result<Self, HoldError> {
        // An approval that was not used yet can be taken back.
        if !matches!(self, Self::Approved { .. }) {
            self.undecided(denial.at(), deadline)?;
        }
        Ok(Self::Denied { denial })
    }

    /// A denial binds until another moment, or no more (`None`).
    ///
    /// # Errors
    /// [`HoldError::NotDenied`] for anything that is not denied, [`HoldError::LiftedAlready`] for what binds
    /// no more.
    pub(crate) fn rebind(self, until: Option<Timestamp>) -> Result<Self, HoldError> {
        match self {
            Self::Denied { denial } if until.is_none() && denial.until().is_none() => {
                Err(HoldError::LiftedAlready)
            }
            Self::Denied { denial } => Ok(Self::Denied { denial: denial.binding(until) }),
            other => Err(HoldError::NotDenied(other.name())),
        }
    }

    /// Spends the approval: the next thing that happens is that the bytes leave. The approvals are
    /// counted once more, as they have been on disk since.
    ///
    /// # Errors
    /// [`HoldError::Settled`] for anything but an unused approval, [`HoldError::Expired`] for one
    /// whose time is over, [`HoldError::NotMet`] for one that does not suffice.
    pub(crate) fn start(
        self,
        quorum: &Quorum,
        current_digest: &str,
        audit_id: String,
        now: Timestamp,
    ) -> Result<Self, HoldError> {
        match self {
            Self::Approved { until, .. } if now >= until => Err(HoldError::Expired(until)),
            Self::Approved { approvals, .. } if !quorum.is_met(&approvals, current_digest) => {
                Err(HoldError::NotMet)
            }
            Self::Approved { approvals, .. } => {
                Ok(Self::Running { approvals, audit_id, since: now })
            }
            other => Err(HoldError::Settled(other.name())),
        }
    }

    /// Back to the queue: what it would do is not what was approved, by whomever.
    ///
    /// # Errors
    /// [`HoldError::Settled`] for anything but an unused approval or a pending hold.
    pub(crate) fn drift(self) -> Result<Self, HoldError> {
        match self {
            Self::Pending { .. } | Self::Approved { .. } => Ok(Self::PENDING),
            other => Err(HoldError::Settled(other.name())),
        }
    }

    /// The API server refused the pinned request, or it never left: nothing ran, and the approval
    /// is whole again until `until`.
    ///
    /// # Errors
    /// [`HoldError::Settled`] for anything that is not running.
    pub(crate) fn unspend(self, until: Timestamp) -> Result<Self, HoldError> {
        match self {
            Self::Running { approvals, .. } => Ok(Self::Approved { approvals, until }),
            other => Err(HoldError::Settled(other.name())),
        }
    }

    /// The API server answered.
    ///
    /// # Errors
    /// [`HoldError::Settled`] for anything that is not running.
    pub(crate) fn finish(self, code: u16, at: Timestamp) -> Result<Self, HoldError> {
        match self {
            Self::Running { approvals, audit_id, .. } => {
                Ok(Self::Done { approvals, audit_id, code, at })
            }
            other => Err(HoldError::Settled(other.name())),
        }
    }

    /// No answer came; nobody may send it again by itself.
    ///
    /// # Errors
    /// [`HoldError::Settled`] for anything that is not running.
    pub(crate) fn lose(self, why: String, at: Timestamp) -> Result<Self, HoldError> {
        match self {
            Self::Running { approvals, audit_id, .. } => {
                Ok(Self::Unknown { approvals, audit_id, why, at })
            }
            other => Err(HoldError::Settled(other.name())),
        }
    }

    /// Ends what nobody decided or used in time.
    ///
    /// # Errors
    /// [`HoldError::NotDue`] where its time is not over; [`HoldError::Settled`] where it has none.
    pub(crate) fn expire(self, now: Timestamp, deadline: Timestamp) -> Result<Self, HoldError> {
        match self {
            Self::Pending { approvals } if now >= deadline => {
                Ok(Self::Expired { at: deadline, approvals })
            }
            Self::Approved { until, approvals } if now >= until => {
                Ok(Self::Expired { at: until, approvals })
            }
            Self::Pending { .. } | Self::Approved { .. } => Err(HoldError::NotDue),
            other => Err(HoldError::Settled(other.name())),
        }
    }

    /// Its agent gives up what has not run.
    ///
    /// # Errors
    /// [`HoldError::Settled`] for anything but an unused approval or a pending hold.
    pub(crate) fn cancel(self, at: Timestamp) -> Result<Self, HoldError> {
        match self {
            Self::Pending { approvals } | Self::Approved { approvals, .. } => {
                Ok(Self::Cancelled { at, approvals })
            }
            other => Err(HoldError::Settled(other.name())),
        }
    }

    /// The approvals so far, of what can still be decided.
    fn undecided(self, now: Timestamp, deadline: Timestamp) -> Result<Vec<Approval>, HoldError> {
        match self {
            Self::Pending { approvals } if now < deadline => Ok(approvals),
            Self::Pending { .. } => Err(HoldError::Expired(deadline)),
            other => Err(HoldError::Settled(other.name())),
        }
    }
}

#[cfg(test)]
mod tests {
    use policy::Reviewers;
    use proptest::prelude::*;

    use super::*;

    fn second(n: i64) -> Timestamp {
        Timestamp::from_second(n).unwrap_or_default()
    }

    fn verdict(at: i64, digest: &str) -> Approval {
        by(0, at, digest)
    }

    /// The second is the first, as a careless authenticator writes her.
    const PEOPLE: [(&str, &[&str]); 5] = [
        ("alice", &["dba"]),
        ("Alice", &["dba", "sre"]),
        ("bob", &["dba"]),
        ("carol", &["sre"]),
        ("dave", &["devs"]),
    ];

    fn by(person: usize, at: i64, digest: &str) -> Approval {
        let (username, groups) = PEOPLE[person];
        let groups = groups.iter().map(|it| (*it).to_owned()).collect();
        let reviewer = Identity { username: username.into(), groups, ..Identity::default() };
        Approval::new(reviewer, "ok".into(), second(at), digest.into())
    }

    fn denial(at: i64) -> Denial {
        let reviewer = by(0, at, "").reviewer().clone();
        Denial::new(reviewer, "no".into(), second(at), second(at + 600))
    }

    fn start(state: State, audit_id: &str, at: Timestamp) -> Result<State, HoldError> {
        state.start(&Quorum::default(), "d", audit_id.into(), at)
    }

    fn needs(demands: &[(&[&str], u32)]) -> Quorum {
        let reviewers = demands.iter().map(|(groups, count)| Reviewers {
            groups: groups.iter().map(|it| (*it).to_owned()).collect(),
            count: *count,
            reason_required: true,
        });
        Quorum::of(&reviewers.collect())
    }

    fn approve(state: State, verdict: Approval, quorum: &Quorum) -> Result<State, HoldError> {
        state.approve(verdict, quorum, "d", second(100), second(50))
    }

    fn approved() -> State {
        approve(State::PENDING, verdict(1, "d"), &Quorum::default()).unwrap_or(State::PENDING)
    }

    #[test]
    fn only_an_approval_of_what_was_seen_runs_and_only_once() {
        let one = Quorum::default();
        assert_eq!(
            State::PENDING.approve(verdict(1, "seen"), &one, "now", second(100), second(50)),
            Err(HoldError::Stale)
        );
        assert_eq!(
            State::PENDING.approve(verdict(100, "d"), &one, "d", second(100), second(200)),
            Err(HoldError::Expired(second(100)))
        );
        let running = start(approved(), "a", second(2));
        assert_eq!(running.as_ref().map(State::name), Ok(StateName::Running));
        for settled in [
            running.clone().and_then(|it| it.finish(200, second(3))),
            running.clone().and_then(|it| it.lose("cut".into(), second(3))),
        ] {
            let settled = settled.unwrap_or(State::PENDING);
            assert!(settled.is_settled());
            assert!(start(settled.clone(), "b", second(4)).is_err());
            assert!(approve(settled.clone(), verdict(4, "d"), &one).is_err());
            let alice = verdict(4, "d").reviewer().clone();
            assert!(settled.clone().withdraw(&alice, second(4), second(100)).is_err());
            assert!(settled.deny(denial(4), second(100)).is_err());
        }
        assert!(running.and_then(|it| start(it, "b", second(3))).is_err());
    }

    #[test]
    fn time_ends_what_nobody_decided_or_used() {
        let expired = |state: State, at| state.expire(second(at), second(100));
        assert_eq!(expired(State::PENDING, 99), Err(HoldError::NotDue));
        assert_eq!(expired(approved(), 49), Err(HoldError::NotDue));
        for (state, at) in [(State::PENDING, 100), (approved(), 50)] {
            let expired = expired(state, at).expect("its time is over");
            assert_eq!(expired.name(), StateName::Expired);
        }
        assert!(matches!(start(approved(), "a", second(50)), Err(HoldError::Expired(_))));
        let expired = State::Expired { at: second(1), approvals: vec![verdict(1, "d")] };
        assert!(start(expired, "a", second(1)).is_err());
    }

    #[test]
    fn what_is_denied_or_pending_never_starts() {
        let denied = State::PENDING.deny(denial(1), second(100)).unwrap_or(State::PENDING);
        assert_eq!(denied.name(), StateName::Denied);
        assert!(start(denied, "a", second(2)).is_err());
        assert!(start(State::PENDING, "a", second(2)).is_err());
        // An unused approval can be taken back, and drift asks again.
        assert_eq!(
            approved().deny(denial(2), second(100)).map(|it| it.name()),
            Ok(StateName::Denied)
        );
        assert_eq!(approved().drift(), Ok(State::PENDING));
    }

    #[test]
    fn says_why_an_approval_does_not_count() {
        let two = needs(&[(&["dba"], 2)]);
        let first = approve(State::PENDING, by(0, 1, "d"), &two).expect("one of two");
        assert_eq!((first.name(), first.decided_by()), (StateName::Pending, None));
        assert!(start(first.clone(), "a", second(2)).is_err());
        let said = |person, quorum: &Quorum| {
            approve(first.clone(), by(person, 2, "d"), quorum).map_err(|it| it.to_string())
        };
        let table = [
            (0, "you already approved; still needed: 1 more approval by another member of dba"),
            (1, "you already approved; still needed: 1 more approval by another member of dba"),
            (
                3,
                "your approval does not count here: your groups are sre; still needed: 1 more \
                 approval by another member of dba",
            ),
        ];
        for (person, want) in table {
            assert_eq!(said(person, &two), Err(want.to_owned()));
        }
        let bob = by(2, 2, "d");
        let wordless = Approval::new(bob.reviewer().clone(), " ".into(), bob.at(), "d".into());
        assert_eq!(approve(first.clone(), wordless, &two), Err(HoldError::NoReason));
        let done = said(2, &two).expect("two of two");
        assert_eq!(done.name(), StateName::Approved);
        assert_eq!(done.decided_by().map(|it| it.reviewer.username.as_str()), Some("bob"));

        // Taken back by whom it was given, while it is unused.
        let take = |state: State, person| {
            state.withdraw(by(person, 3, "d").reviewer(), second(3), second(100))
        };
        assert_eq!(take(first.clone(), 2), Err(HoldError::NotApproved));
        assert_eq!(take(first, 0), Ok(State::PENDING));
        let left = take(done.clone(), 0).expect("one is left");
        assert_eq!((left.name(), left.approvals().len()), (StateName::Pending, 1));
        let running = start(done, "a", second(4)).expect("running");
        assert_eq!(take(running, 0), Err(HoldError::Settled(StateName::Running)));
    }

    /// Whatever can happen to a hold, in one step.
    #[derive(Clone, Copy, Debug)]
    enum Event {
        Approve(usize),
        /// Of what was shown before it last changed.
        ApproveStale(usize),
        Withdraw(usize),
        Deny,
        /// It would do something else now, or what it would have done before that.
        Drift(&'static str),
        Start,
        Unspend,
    }

    const DIGESTS: [&str; 2] = ["one", "two"];

    fn events() -> Vec<Event> {
        let people = 0..PEOPLE.len();
        let mut events: Vec<Event> = people.clone().map(Event::Approve).collect();
        events.extend(people.map(Event::Withdraw));
        events.extend([Event::ApproveStale(0), Event::ApproveStale(2)]);
        events.extend(DIGESTS.map(Event::Drift));
        events.extend([Event::Deny, Event::Start, Event::Unspend]);
        events
    }

    /// A hold, and beside it who has approved what is shown, counted without it.
    #[derive(Clone)]
    struct World {
        state: State,
        shown: &'static str,
        approved: Vec<usize>,
        runs: usize,
    }

    impl World {
        const NEW: Self =
            Self { state: State::PENDING, shown: "one", approved: Vec::new(), runs: 0 };

        fn step(&mut self, event: Event, quorum: &Quorum) {
            let (now, deadline, until) = (second(1), second(100), second(50));
            let state = self.state.clone();
            let next = match event {
                Event::Approve(person) => {
                    let verdict = by(person, 1, self.shown);
                    state.approve(verdict, quorum, self.shown, deadline, until)
                }
                Event::ApproveStale(person) => {
                    let other = DIGESTS.into_iter().find(|it| *it != self.shown).unwrap_or("");
                    state.approve(by(person, 1, other), quorum, self.shown, deadline, until)
                }
                Event::Withdraw(person) => {
                    state.withdraw(by(person, 1, self.shown).reviewer(), now, deadline)
                }
                Event::Deny => state.deny(denial(1), deadline),
                Event::Drift(_) => state.drift(),
                Event::Start => state.start(quorum, self.shown, "a".into(), now),
                Event::Unspend => state.unspend(until),
            };
            let Ok(next) = next else { return };
            self.state = next;
            match event {
                Event::Approve(person) => self.approved.push(person),
                Event::ApproveStale(_) => panic!("an approval of something else was taken"),
                Event::Withdraw(person) => {
                    let name = |it: usize| PEOPLE[it].0.to_lowercase();
                    self.approved.retain(|it| name(*it) != name(person));
                }
                Event::Drift(shown) => {
                    self.shown = shown;
                    self.approved.clear();
                }
                Event::Start => self.runs += 1,
                Event::Deny | Event::Unspend => {}
            }
        }

        /// So many different people of any of these groups, in the plainest way.
        fn has(&self, groups: &[&str], count: u32) -> bool {
            let is_of = |it: &&usize| {
                groups.is_empty() || PEOPLE[**it].1.iter().any(|group| groups.contains(group))
            };
            let mut people: Vec<String> =
                self.approved.iter().filter(is_of).map(|it| PEOPLE[*it].0.to_lowercase()).collect();
            people.sort();
            people.dedup();
            people.len() >= count as usize
        }

        fn check(&self, demands: &[(&[&str], u32)], history: &[Event]) {
            let may_run = matches!(
                self.state,
                State::Approved { .. } | State::Running { .. } | State::Done { .. }
            );
            let is_met = demands.iter().all(|(groups, count)| self.has(groups, *count));
            assert!(!may_run || is_met, "{demands:?}: {history:?} leads to {:?}", self.state);
        }
    }

    const DEMANDS: [&[(&[&str], u32)]; 5] = [
        &[(&[], 2)],
        &[(&["dba"], 2)],
        &[(&["dba", "sre"], 3)],
        &[(&["dba"], 1), (&["sre"], 1)],
        &[(&["dba"], 2), (&["sre"], 1), (&[], 3)],
    ];

    fn walk(
        world: &World,
        depth: usize,
        quorum: &Quorum,
        demands: &[(&[&str], u32)],
        history: &mut Vec<Event>,
    ) -> usize {
        let mut ran = usize::from(matches!(world.state, State::Running { .. }));
        if depth == 0 {
            return ran;
        }
        for event in events() {
            let mut next = world.clone();
            next.step(event, quorum);
            if next.state == world.state && next.shown == world.shown {
                continue; // Refused: what follows was looked at already.
            }
            history.push(event);
            next.check(demands, history);
            ran += walk(&next, depth - 1, quorum, demands, history);
            history.pop();
        }
        ran
    }

    /// Every sequence of so many events that are taken.
    #[test]
    fn no_sequence_of_events_runs_without_every_approval_of_what_is_shown() {
        for demands in DEMANDS {
            let quorum = needs(demands);
            let ran = walk(&World::NEW, 6, &quorum, demands, &mut Vec::new());
            assert!(ran > 0, "{demands:?}: nothing ever runs, so that nothing was shown");
        }
    }

    proptest! {
        /// Long ones by chance.
        #[test]
        fn nor_does_a_long_one(
            which in 0..DEMANDS.len(),
            steps in prop::collection::vec(0..events().len(), 0..200),
        ) {
            let (demands, quorum) = (DEMANDS[which], needs(DEMANDS[which]));
            let (mut world, events) = (World::NEW, events());
            for step in steps {
                world.step(events[step], &quorum);
                world.check(demands, &[]);
            }
        }
    }
}
