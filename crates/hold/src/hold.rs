//! One held request, and every way in which it changes.
//!
//! Each change takes the hold and gives the next one, or the same one back with the reason: nobody
//! can go on with a hold that did not change, or store a state that no arrow leads to. What only the
//! store may do, [`Hold::restore`], says so.

use std::collections::BTreeMap;

use attributes::AuditId;
use jiff::Timestamp;
use ledger::{EffectRecord, Identity, RequestRecord};
use payload::Redactor;
use policy::{PolicyDecision, Severity};

use crate::{
    Approval, DecidedBy, Denial, HoldError, HoldId, OtherRequest, Permit, Piece, Preview, Quorum,
    Spent, State, Target, collection,
    preconditions::{self, Pinned},
    request::Request,
    shortened::shortened,
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
    /// What it would do: a few of its effects, as an agent decides how many there are. All are in its
    /// preview.
    pub effects: Vec<EffectRecord>,
    /// How many more of each kind there are.
    pub more_effects: BTreeMap<String, usize>,
    /// Digest of what is shown: an approval is of this.
    pub digest: String,
    /// Of the live object; empty where there is none or it is not known.
    pub uid: String,
    /// Whose approvals it needs.
    pub quorum: Quorum,
    /// How long a denial of it binds, in seconds, where a rule says so.
    pub denial_seconds: Option<u64>,
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
    pub fn new(mut summary: Summary) -> Self {
        let changed_at = summary.created_at;
        (summary.effects, summary.more_effects) = shortened(summary.effects);
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

    /// What it is about: group, resource, namespace and name. An object that is new is named by its effect.
    pub fn object(&self) -> [&str; 4] {
        let of = &self.summary.request;
        let is_it = |it: &&EffectRecord| it.api_group == of.api_group && it.resource == of.resource;
        let named = self.summary.effects.iter().find(is_it).map(|it| it.name.as_str());
        let name = Some(of.name.as_str()).filter(|it| !it.is_empty()).or(named);
        [&of.api_group, &of.resource, &of.namespace, name.unwrap_or_default()]
    }

    /// Who decided it, if anybody did.
    pub fn decided_by(&self) -> Option<DecidedBy<'_>> {
        self.state.decided_by()
    }

    /// That it was denied, if it was.
    pub fn denial(&self) -> Option<&Denial> {
        match &self.state {
            State::Denied { denial } => Some(denial),
            _ => None,
        }
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

    /// A denial binds until another moment, or no more (`None`).
    ///
    /// # Errors
    /// [`HoldError::NotDenied`] for anything that is not denied, [`HoldError::LiftedAlready`] for what binds
    /// no more.
    pub fn rebind(self, until: Option<Timestamp>, now: Timestamp) -> Result<Self, Unchanged> {
        self.step(now, |state, _| state.rebind(until))
    }

    /// Ends what nobody decided or used in time.
    ///
    /// # Errors
    /// [`HoldError::NotDue`] where its time is not over; [`HoldError::Settled`] where it has none.
    pub fn expire(self, now: Timestamp) -> Result<Self, Unchanged> {
        self.step(now, |state, of| state.expire(now, of.deadline))
    }

    /// Its agent gives up what has not run.
    ///
    /// # Errors
    /// [`HoldError::Settled`] for anything but an unused approval or a pending hold.
    pub fn cancel(self, now: Timestamp) -> Result<Self, Unchanged> {
        self.step(now, |state, _| state.cancel(now))
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
        (summary.effects, summary.more_effects) = shortened(effects);
        summary.digest.clone_from(&preview.digest);
        summary.uid.clone_from(&preview.uid);
        let rules = decision.rules();
        if !rules.is_empty() {
            summary.rules = rules;
            summary.reason = decision.reason();
            summary.severity = decision.severity();
            summary.quorum = Quorum::of(decision.reviewers());
            summary.denial_seconds = decision.denial_time().map(|it| it.as_secs());
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

    /// The rights to delete each of these objects of an approved collection, by itself. This is the running
    /// hold as the store gave it back. An object that the agent's own preconditions leave out has none.
    ///
    /// # Errors
    /// [`OtherRequest`] where the store has something else, or this is another request.
    pub fn permits(
        &self,
        spent: Spent,
        request: &Request<'_>,
        objects: &[Target],
    ) -> Result<Vec<(Permit, Piece)>, OtherRequest> {
        let running = match &self.state {
            State::Running { audit_id, .. } => Some(audit_id.as_str()),
            _ => None,
        };
        if !spent.is_for((self.id(), self.revision), running, request) {
            return Err(OtherRequest);
        }
        // INVARIANT: what is sent is made here, of the approved request and the objects that were shown.
        let pieces = objects.iter().filter_map(|it| collection::piece(request, it)).collect();
        Ok(spent.into_permits(&request.attributes.method, pieces))
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

#[cfg(test)]
mod tests {
    use attributes::{Attributes, User};
    use bytes::Bytes;
    use http::{HeaderMap, Method};
    use payload::MediaType;

    use super::*;

    const WEB: &str = "/apis/apps/v1/namespaces/prod/deployments/web";

    fn second(n: i64) -> Timestamp {
        Timestamp::from_second(n).unwrap_or_default()
    }

    fn read(method: &str, target: &str) -> Attributes {
        let method = method.parse::<Method>().expect("a method");
        attributes::read(&method, target, &HeaderMap::new()).expect("a request")
    }

    fn by(username: &str) -> Identity {
        Identity { username: username.into(), ..Identity::default() }
    }

    /// A hold of a request, as it waits.
    fn held(request: &Request<'_>, redactor: &Redactor) -> Hold {
        Hold::new(Summary {
            id: HoldId::parse("h"),
            created_at: second(0),
            deadline: second(100),
            user: by("agent"),
            request_digest: request.digest(redactor),
            audit_id: "first".into(),
            request: RequestRecord::default(),
            rules: vec!["r".into()],
            reason: String::new(),
            severity: Severity::High,
            effects: Vec::new(),
            more_effects: BTreeMap::new(),
            digest: "d".into(),
            uid: "u".into(),
            quorum: Quorum::default(),
            denial_seconds: None,
            drifts: 0,
        })
    }

    fn approved(request: &Request<'_>, redactor: &Redactor) -> Hold {
        let approval = Approval::new(by("alice"), "ok".into(), second(1), "d".into());
        held(request, redactor).approve(approval, second(50)).expect("one is enough")
    }

    #[test]
    fn a_permit_sends_what_was_held_and_nothing_else() {
        let (redactor, user, id) = (Redactor::new(&[1; 32]), User::default(), AuditId::new("run"));
        let (held, other) = (read("DELETE", WEB), read("DELETE", "/api/v1/namespaces/prod"));
        let (body, empty) = (Bytes::from_static(b"{}"), Bytes::new());
        let request =
            |attributes, body| Request { attributes, user: &user, media: MediaType::Json, body };
        let asked = request(&held, &empty);
        let others = [request(&other, &empty), request(&held, &body)];
        for it in &others {
            let refused = approved(&asked, &redactor).start(it, &redactor, &id, second(2));
            let error = refused.expect_err("another request").error;
            assert_eq!(error, HoldError::OtherRequest);
        }
        let start = || approved(&asked, &redactor).start(&asked, &redactor, &id, second(2));
        // The store does not have it yet.
        let (running, spent) = start().expect("approved");
        assert_eq!(running.permit(spent, &asked, "", "").err(), Some(OtherRequest));
        for it in &others {
            let (running, spent) = start().expect("approved");
            assert_eq!(running.stored().permit(spent, it, "", "").err(), Some(OtherRequest));
        }
        // Nor is another call's hold this one's.
        let (_, spent) = start().expect("approved");
        let elsewhere = AuditId::new("another");
        let (running, _) = approved(&asked, &redactor)
            .start(&asked, &redactor, &elsewhere, second(2))
            .expect("approved");
        assert_eq!(running.stored().permit(spent, &asked, "", "").err(), Some(OtherRequest));

        // Pinned, it is the pinned body that may leave, once and nowhere else.
        let permitted = |uid| {
            let (running, spent) = start().expect("approved");
            running.stored().permit(spent, &asked, uid, "7").expect("a permit")
        };
        let (permit, pinned) = permitted("u");
        assert!(pinned.is_pinned);
        assert!(String::from_utf8_lossy(&pinned.body).contains("resourceVersion"));
        assert_eq!(
            permit.spend("DELETE", WEB, &pinned.body).map_err(|it| it.to_string()),
            Ok(id.clone())
        );
        for (method, target, body) in [
            ("DELETE", WEB, b"".as_slice()),
            ("DELETE", "/api/v1/namespaces/prod", pinned.body.as_ref()),
            ("PUT", WEB, pinned.body.as_ref()),
        ] {
            let (permit, _) = permitted("u");
            assert_eq!(permit.spend(method, target, body).err(), Some(OtherRequest));
        }
        let (permit, pinned) = permitted("");
        assert!(!pinned.is_pinned);
        assert!(permit.spend("DELETE", WEB, b"").is_ok());
    }

    #[test]
    fn only_a_read_has_a_permit_by_itself() {
        let id = AuditId::new("a");
        let table = [("GET", WEB, true), ("DELETE", WEB, false), ("PATCH", WEB, false)];
        for (method, target, want) in table {
            let permit = Permit::read(&read(method, target), b"", &id);
            assert_eq!(permit.is_some(), want, "{method}");
            if let Some(permit) = permit {
                assert_eq!(permit.spend("DELETE", target, b"").err(), Some(OtherRequest));
            }
        }
    }

    #[test]
    fn what_is_refused_comes_back_as_it_was() {
        let (redactor, user) = (Redactor::new(&[1; 32]), User::default());
        let (attributes, empty) = (read("DELETE", WEB), Bytes::new());
        let request =
            Request { attributes: &attributes, user: &user, media: MediaType::Json, body: &empty };
        let pending = held(&request, &redactor);
        let stale = Approval::new(by("alice"), "ok".into(), second(1), "other".into());
        let refused = pending.clone().approve(stale, second(50)).expect_err("of something else");
        assert_eq!((*refused.hold, refused.error), (pending.clone(), HoldError::Stale));
        let refused = pending.clone().expire(second(99)).expect_err("its time is not over");
        assert_eq!((*refused.hold, refused.error), (pending.clone(), HoldError::NotDue));
        assert!(pending.clone().finish(200, second(1)).is_err(), "it does not run");
        let expired = pending.expire(second(100)).expect("its time is over");
        assert_eq!((expired.state().name(), expired.due()), (crate::StateName::Expired, None));
        assert_eq!(expired.changed_at(), second(100));
    }
}
