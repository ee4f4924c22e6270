//! Where a hold stands, and the only ways from one state to the next.
//!
//! ```text
//! Pending ─ approve → Approved ─ start → Running ─ finish → Done
//!    │ ↑                 │  ↑                │ └── lose ──→ Unknown
//!    │ │                 │  └─── unspend ────┘
//!    │ └────── drift ────┘─ expire → Expired
//!    ├─ deny → Denied
//!    └─ expire → Expired
//! ```
//! Every arrow consumes the state it leaves, so a settled hold cannot be decided again and an
//! approval cannot be spent twice. Time is given, so tests need no clock.

use jiff::Timestamp;
use ledger::Identity;
use serde::{Deserialize, Serialize};

/// What a reviewer decided.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// Who.
    pub reviewer: Identity,
    /// Why, as they wrote it; may be empty.
    #[serde(default)]
    pub reason: String,
    /// When.
    pub at: Timestamp,
    /// The preview digest that was on their screen.
    pub digest: String,
}

/// Where a hold stands.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "name", rename_all = "camelCase")]
pub enum State {
    /// A person is asked.
    Pending,
    /// Approved; waits for its request, which may use it once, until a moment.
    Approved {
        /// By whom.
        verdict: Verdict,
        /// Unused at this moment, it is worth nothing.
        until: Timestamp,
    },
    /// A person said no.
    Denied {
        /// Who, and why.
        verdict: Verdict,
    },
    /// Nobody decided in time, or nobody used the approval.
    Expired {
        /// When.
        at: Timestamp,
    },
    /// Written down before the bytes leave; found after a crash, it means `Unknown`.
    Running {
        /// By whom it was approved.
        verdict: Verdict,
        /// The call that is sent: the API server logs this id.
        #[serde(rename = "auditID")]
        audit_id: String,
        /// Since when.
        since: Timestamp,
    },
    /// Sent and answered.
    Done {
        /// By whom it was approved.
        verdict: Verdict,
        /// The call that was sent.
        #[serde(rename = "auditID")]
        audit_id: String,
        /// The API server's answer.
        code: u16,
        /// When.
        at: Timestamp,
    },
    /// Sent, and no answer came: it may have run. Never sent again by itself.
    Unknown {
        /// By whom it was approved.
        verdict: Verdict,
        /// The call that was sent.
        #[serde(rename = "auditID")]
        audit_id: String,
        /// Why nothing is known.
        why: String,
        /// When.
        at: Timestamp,
    },
}

/// Why a hold cannot do what was asked of it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum HoldError {
    /// It is past deciding.
    #[error("the hold is already {0}")]
    Settled(&'static str),
    /// The deadline was before the decision.
    #[error("the hold expired at {0}")]
    Expired(Timestamp),
    /// What the reviewer saw is not what would happen now.
    #[error("what the request would do has changed since it was shown")]
    Stale,
}

impl State {
    /// The names of the states in which a hold can still run.
    pub const OPEN: [&'static str; 3] = ["pending", "approved", "running"];

    /// As in JSON and in `holds`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved { .. } => "approved",
            Self::Denied { .. } => "denied",
            Self::Expired { .. } => "expired",
            Self::Running { .. } => "running",
            Self::Done { .. } => "done",
            Self::Unknown { .. } => "unknown",
        }
    }

    /// Whether nothing can change it any more.
    pub fn is_settled(&self) -> bool {
        !Self::OPEN.contains(&self.name())
    }

    /// The decision of a person, if there was one.
    pub fn verdict(&self) -> Option<&Verdict> {
        match self {
            Self::Pending | Self::Expired { .. } => None,
            Self::Approved { verdict, .. }
            | Self::Denied { verdict }
            | Self::Running { verdict, .. }
            | Self::Done { verdict, .. }
            | Self::Unknown { verdict, .. } => Some(verdict),
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

    /// Approves what the reviewer saw; the approval can be used until `until`.
    ///
    /// # Errors
    /// [`HoldError::Stale`] where `current_digest` is not what the verdict is of;
    /// [`HoldError::Settled`] or [`HoldError::Expired`] where it is too late.
    pub fn approve(
        self,
        verdict: Verdict,
        current_digest: &str,
        deadline: Timestamp,
        until: Timestamp,
    ) -> Result<Self, HoldError> {
        self.undecided(verdict.at, deadline)?;
        if verdict.digest != current_digest {
            return Err(HoldError::Stale);
        }
        Ok(Self::Approved { verdict, until })
    }

    /// Denies, whatever the reviewer saw: a no needs no fresh preview.
    ///
    /// # Errors
    /// [`HoldError::Settled`] or [`HoldError::Expired`] where it is too late.
    pub fn deny(self, verdict: Verdict, deadline: Timestamp) -> Result<Self, HoldError> {
        // An approval that was not used yet can be taken back.
        if !matches!(self, Self::Approved { .. }) {
            self.undecided(verdict.at, deadline)?;
        }
        Ok(Self::Denied { verdict })
    }

    /// Spends the approval: the next thing that happens is that the bytes leave.
    ///
    /// # Errors
    /// [`HoldError::Settled`] for anything but an unused approval, [`HoldError::Expired`] for one
    /// whose time is over.
    pub fn start(self, audit_id: String, now: Timestamp) -> Result<Self, HoldError> {
        match self {
            Self::Approved { until, .. } if now >= until => Err(HoldError::Expired(until)),
            Self::Approved { verdict, .. } => Ok(Self::Running { verdict, audit_id, since: now }),
            other => Err(HoldError::Settled(other.name())),
        }
    }

    /// Back to the queue: what it would do is not what was approved.
    ///
    /// # Errors
    /// [`HoldError::Settled`] for anything but an unused approval or a pending hold.
    pub fn drift(self) -> Result<Self, HoldError> {
        match self {
            Self::Pending | Self::Approved { .. } => Ok(Self::Pending),
            other => Err(HoldError::Settled(other.name())),
        }
    }

    /// The API server refused the pinned request, or it never left: nothing ran, and the approval
    /// is whole again until `until`.
    ///
    /// # Errors
    /// [`HoldError::Settled`] for anything that is not running.
    pub fn unspend(self, until: Timestamp) -> Result<Self, HoldError> {
        match self {
            Self::Running { verdict, .. } => Ok(Self::Approved { verdict, until }),
            other => Err(HoldError::Settled(other.name())),
        }
    }

    /// The API server answered.
    ///
    /// # Errors
    /// [`HoldError::Settled`] for anything that is not running.
    pub fn finish(self, code: u16, at: Timestamp) -> Result<Self, HoldError> {
        match self {
            Self::Running { verdict, audit_id, .. } => {
                Ok(Self::Done { verdict, audit_id, code, at })
            }
            other => Err(HoldError::Settled(other.name())),
        }
    }

    /// No answer came; nobody may send it again by itself.
    ///
    /// # Errors
    /// [`HoldError::Settled`] for anything that is not running.
    pub fn lose(self, why: String, at: Timestamp) -> Result<Self, HoldError> {
        match self {
            Self::Running { verdict, audit_id, .. } => {
                Ok(Self::Unknown { verdict, audit_id, why, at })
            }
            other => Err(HoldError::Settled(other.name())),
        }
    }

    /// What time makes of it: a pending hold past its deadline and an approval past its moment are
    /// expired; everything else stays.
    #[must_use]
    pub fn at(self, now: Timestamp, deadline: Timestamp) -> Self {
        match self {
            Self::Pending if now >= deadline => Self::Expired { at: deadline },
            Self::Approved { until, .. } if now >= until => Self::Expired { at: until },
            other => other,
        }
    }

    fn undecided(&self, now: Timestamp, deadline: Timestamp) -> Result<(), HoldError> {
        match self {
            Self::Pending if now < deadline => Ok(()),
            Self::Pending => Err(HoldError::Expired(deadline)),
            other => Err(HoldError::Settled(other.name())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(n: i64) -> Timestamp {
        Timestamp::from_second(n).unwrap_or_default()
    }

    fn verdict(at: i64, digest: &str) -> Verdict {
        Verdict {
            reviewer: Identity { username: "alice".into(), ..Identity::default() },
            reason: "ok".into(),
            at: second(at),
            digest: digest.into(),
        }
    }

    fn approved() -> State {
        State::Pending
            .approve(verdict(1, "d"), "d", second(100), second(50))
            .unwrap_or(State::Pending)
    }

    #[test]
    fn only_an_approval_of_what_was_seen_runs_and_only_once() {
        assert_eq!(
            State::Pending.approve(verdict(1, "seen"), "now", second(100), second(50)),
            Err(HoldError::Stale)
        );
        assert_eq!(
            State::Pending.approve(verdict(100, "d"), "d", second(100), second(200)),
            Err(HoldError::Expired(second(100)))
        );
        let running = approved().start("a".into(), second(2));
        assert_eq!(running.as_ref().map(State::name), Ok("running"));
        for settled in [
            running.clone().and_then(|it| it.finish(200, second(3))),
            running.clone().and_then(|it| it.lose("cut".into(), second(3))),
        ] {
            let settled = settled.unwrap_or(State::Pending);
            assert!(settled.is_settled());
            assert!(settled.clone().start("b".into(), second(4)).is_err());
            assert!(settled.clone().approve(verdict(4, "d"), "d", second(100), second(9)).is_err());
            assert!(settled.deny(verdict(4, "d"), second(100)).is_err());
        }
        assert!(running.and_then(|it| it.start("b".into(), second(3))).is_err());
    }

    #[test]
    fn time_ends_what_nobody_decided_or_used() {
        assert_eq!(State::Pending.at(second(99), second(100)).name(), "pending");
        assert_eq!(State::Pending.at(second(100), second(100)).name(), "expired");
        assert_eq!(approved().at(second(50), second(100)).name(), "expired");
        assert!(matches!(approved().start("a".into(), second(50)), Err(HoldError::Expired(_))));
        assert!(State::Expired { at: second(1) }.start("a".into(), second(1)).is_err());
    }

    #[test]
    fn what_is_denied_or_pending_never_starts() {
        let denied = State::Pending.deny(verdict(1, ""), second(100)).unwrap_or(State::Pending);
        assert_eq!(denied.name(), "denied");
        assert!(denied.start("a".into(), second(2)).is_err());
        assert!(State::Pending.start("a".into(), second(2)).is_err());
        // An unused approval can be taken back, and drift asks again.
        assert_eq!(approved().deny(verdict(2, ""), second(100)).map(|it| it.name()), Ok("denied"));
        assert_eq!(approved().drift(), Ok(State::Pending));
    }

    #[test]
    fn is_stored_and_read_back() {
        let state = approved();
        let text = serde_json::to_string(&state).unwrap_or_default();
        assert!(text.starts_with(r#"{"name":"approved""#), "{text}");
        assert_eq!(serde_json::from_str::<State>(&text).ok(), Some(state));
    }
}
