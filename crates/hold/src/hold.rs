//! One held request, and every way in which it changes.
//!
//! Each change takes the hold and gives the next one, or the same one back with the reason: nobody
//! can go on with a hold that did not change, or store a state that no arrow leads to. What only the
//! store may do, [`Hold::restore`], says so.

use attributes::AuditId;
use jiff::Timestamp;
use ledger::{EffectRecord, Identity, RequestRecord};
use payload::Redactor;
use policy::{PolicyDecision, Severity};

use crate::{
    Approval, DecidedBy, Denial, HoldError, HoldId, OtherRequest, Permit, Preview, Quorum, Spent,
    State,
    preconditions::{self, Pinned},
    request::Request,
};

/// Who asked what, what it would do and why it waits: all that a list shows. It changes only by a drift.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// The hold's name.
    pub id: HoldId,
    /// When it was first held.
    pub created_at: Timestamp,
    /// Undecided at this moment, it is denied as expired.
    pub deadline: Timestamp,
    /// The agent.
    pub user: Identity,
    /// Keyed digest of "the same request": identity, method, target, media type and body.
    pub request_digest: String,
    /// The call that made it.
    pub audit_id: String,
    /// What was asked.
    pub request: RequestRecord,
    /// Every rule that asked for the hold.
    pub rules: Vec<String>,
    /// Why, in plain words.
    pub reason: String,
    /// How bad it is if a reviewer is wrong.
    pub severity: Severity,
    /// What it would do.
    pub effects: Vec<EffectRecord>,
    /// Digest of what is shown: an approval is of this.
    pub digest: String,
    /// Of the live object; empty where there is none or it is not known.
    pub uid: String,
    /// Whose approvals it needs.
    pub quorum: Quorum,
    /// How often it came back to the queue because it would do something else than approved.
    pub drifts: u32,
}

/// One held request: its summary, and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Hold {
    summary: Summary,
    revision: u64,
    changed_at: Timestamp,
    state: State,
}

/// A hold that did not change, and why.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct Unchanged {
    /// As it was.
    pub hold: Box<Hold>,
    /// Why it is so still.
    pub error: HoldError,
}

impl Hold {
    /// A request that waits for people from now on.
    pub fn new(summary: Summary) -> Self {
        let changed_at = summary.created_at;
        Self { summary, revision: 0, changed_at, state: State::PENDING }
    }

    /// A hold as it was stored: for stores alone.
    pub fn restore(summary: Summary, revision: u64, changed_at: Timestamp, state: State) -> Self {
        Self { summary, revision, changed_at, state }
    }

    /// The same hold with its next revision: for stores alone, once they have it.
    #[must_use]
    pub fn stored(self) -> Self {
        Self { revision: self.revision.saturating_add(1), ..self }
    }

    /// Its name.
    pub fn id(&self) -> &HoldId {
        &self.summary.id
    }

    /// Who asked what, and why it waits.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Raised by one at each stored change.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// When it was last changed.
    pub fn changed_at(&self) -> Timestamp {
        self.changed_at
    }

    /// Where it stands.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Who decided it, if anybody did.
    pub fn decided_by(&self) -> Option<DecidedBy<'_>> {
        self.state.decided_by()
    }

    /// Which approvals are missing, for people; empty where none is, or none is asked for any more.
    pub fn missing(&self) -> String {
        match &self.state {
            State::Pending { approvals } | State::Expired { approvals, .. } => {
                self.summary.quorum.missing(approvals, &self.summary.digest)
            }
            _ => String::new(),
        }
    }

    /// When it expires by itself; `None` for what does not.
    pub fn due(&self) -> Option<Timestamp> {
        match &self.state {
            State::Pending { .. } => Some(self.summary.deadline),
            State::Approved { until, .. } => Some(*until),
            _ => None,
        }
    }

    /// Adds an approval of what the reviewer saw. The last one that is needed makes it usable until
    /// `until`.
    ///
    /// # Errors
    /// [`HoldError::Stale`] where it is of something else; [`HoldError::Settled`] or
    /// [`HoldError::Expired`] where it is too late; [`HoldError::Twice`], [`HoldError::NotAsked`] or
    /// [`HoldError::NoReason`] where it does not count.
    pub fn approve(self, approval: Approval, until: Timestamp) -> Result<Self, Unchanged> {
        let at = approval.at();
        self.step(at, |state, of| {
            state.approve(approval, &of.quorum, &of.digest, of.deadline, until)
        })
    }

    /// Takes a reviewer's own approval back, as long as it was not used.
    ///
    /// # Errors
    /// [`HoldError::NotApproved`], [`HoldError::Settled`] or [`HoldError::Expired`].
    pub fn withdraw(self, reviewer: &Identity, now: Timestamp) -> Result<Self, Unchanged> {
        self.step(now, |state, of| state.withdraw(reviewer, now, of.deadline))
    }

    /// Denies, whatever the reviewer saw: a no needs no fresh preview.
    ///
    /// # Errors
    /// [`HoldError::Settled`] or [`HoldError::Expired`].
    pub fn deny(self, denial: Denial) -> Result<Self, Unchanged> {
        let at = denial.at();
        self.step(at, |state, of| state.deny(denial, of.deadline))
    }

    /// Ends what nobody decided or used in time.
    ///
    /// # Errors
    /// [`HoldError::NotDue`] where its time is not over; [`HoldError::Settled`] where it has none.
    pub fn expire(self, now: Timestamp) -> Result<Self, Unchanged> {
        self.step(now, |state, of| state.expire(now, of.deadline))
    }

    /// Back to the queue with what it would do now, every approval void: each was of what was shown.
    /// Rules that do not ask any more leave those that did.
    ///
    /// # Errors
    /// [`HoldError::Settled`] for anything but an unused approval or a pending hold.
    pub fn drift(
        self,
        decision: &PolicyDecision,
        effects: Vec<EffectRecord>,
        preview: &Preview,
        deadline: Timestamp,
        now: Timestamp,
    ) -> Result<Self, Unchanged> {
        let mut next = self.step(now, |state, _| state.drift())?;
        let summary = &mut next.summary;
        summary.drifts = summary.drifts.saturating_add(1);
        summary.deadline = deadline;
        summary.effects = effects;
        summary.digest.clone_from(&preview.digest);
        summary.uid.clone_from(&preview.uid);
        let rules = decision.rules();
        if !rules.is_empty() {
            summary.rules = rules;
            summary.reason = decision.reason();
            summary.severity = decision.severity();
            summary.quorum = Quorum::of(decision.reviewers());
        }
        Ok(next)
    }

    /// Spends the approval on one call of the request that it is for. The bytes may leave once the store
    /// has the running hold: then [`Hold::permit`] gives the right to it.
    ///
    /// # Errors
    /// [`HoldError::Settled`] for anything but an unused approval, [`HoldError::Expired`] for one
    /// whose time is over, [`HoldError::NotMet`] for one that does not suffice, and
    /// [`HoldError::OtherRequest`] where this is not what was held.
    pub fn start(
        self,
        request: &Request<'_>,
        redactor: &Redactor,
        audit_id: &AuditId,
        now: Timestamp,
    ) -> Result<(Self, Spent), Unchanged> {
        let is_same = request.digest(redactor) == self.summary.request_digest;
        let started = self.step(now, |state, of| {
            if !is_same {
                return Err(HoldError::OtherRequest);
            }
            state.start(&of.quorum, &of.digest, audit_id.to_string(), now)
        })?;
        let spent = Spent::new(audit_id, (started.id(), started.revision()), request);
        Ok((started, spent))
    }

    /// The right to send the approved request, pinned to the object that was seen where its format has a
    /// place for that. This is the running hold as the store gave it back.
    ///
    /// # Errors
    /// [`OtherRequest`] where the store has something else, or this is another request.
    pub fn permit(
        &self,
        spent: Spent,
        request: &Request<'_>,
        uid: &str,
        resource_version: &str,
    ) -> Result<(Permit, Pinned), OtherRequest> {
        let running = match &self.state {
            State::Running { audit_id, .. } => Some(audit_id.as_str()),
            _ => None,
        };
        if !spent.is_for((self.id(), self.revision), running, request) {
            return Err(OtherRequest);
        }
        // INVARIANT: what is sent is made here, of the approved bytes: nobody hands in others.
        let pinned = preconditions::add(request, uid, resource_version);
        let permit = spent.into_permit(request, &pinned.body);
        Ok((permit, pinned))
    }

    /// Nothing ran, as the API server refused the pinned request or it never left: the approval is
    /// whole again until `until`.
    ///
    /// # Errors
    /// [`HoldError::Settled`] for anything that is not running.
    pub fn unspend(self, until: Timestamp, now: Timestamp) -> Result<Self, Unchanged> {
        self.step(now, |state, _| state.unspend(until))
    }

    /// The API server answered.
    ///
    /// # Errors
    /// [`HoldError::Settled`] for anything that is not running.
    pub fn finish(self, code: u16, at: Timestamp) -> Result<Self, Unchanged> {
        self.step(at, |state, _| state.finish(code, at))
    }

    /// No answer came; nobody may send it again by itself.
    ///
    /// # Errors
    /// [`HoldError::Settled`] for anything that is not running.
    pub fn lose(self, why: String, at: Timestamp) -> Result<Self, Unchanged> {
        self.step(at, |state, _| state.lose(why, at))
    }

    fn step(
        self,
        at: Timestamp,
        next: impl FnOnce(State, &Summary) -> Result<State, HoldError>,
    ) -> Result<Self, Unchanged> {
        // The state is copied for the one who is refused; what is large stands elsewhere.
        match next(self.state.clone(), &self.summary) {
            Ok(state) => Ok(Self { state, changed_at: at, ..self }),
            Err(error) => Err(Unchanged { hold: Box::new(self), error }),
        }
    }
}
