//! The right to send one request upstream, as a value that is spent.
//!
//! There are three ways to one, and no other: what only reads, what policy allowed
//! ([`policy::Allowed`]), and what [`crate::Hold::start`] gives for an approval that is stored as
//! spent. Each is bound to method, target and body by their digest, which whoever sends compares.
//!
//! Whoever has one can hand it on:
//! ```
//! fn handed_on(permit: hold::Permit, spent: hold::Spent) -> (hold::Permit, hold::Spent) {
//!     (permit, spent)
//! }
//! ```
//! Nobody writes one down:
//! ```compile_fail,E0451
//! fn forged(permit: hold::Permit) -> hold::Permit {
//!     hold::Permit { audit_id: attributes::AuditId::new("x"), ..permit }
//! }
//! ```
//! nor the decision that leads to one:
//! ```compile_fail,E0451
//! fn allowed() -> policy::Allowed {
//!     policy::Allowed { method: "DELETE".into(), target: "/api/v1/namespaces/prod".into() }
//! }
//! ```
//! ```compile_fail,E0624
//! fn decided() -> policy::PolicyDecision {
//!     policy::PolicyDecision::allow()
//! }
//! ```
//! nor the spent approval:
//! ```compile_fail,E0451
//! fn spent(audit_id: attributes::AuditId, id: hold::HoldId) -> hold::Spent {
//!     hold::Spent { audit_id, id, revision: 1, digest: todo!() }
//! }
//! ```

use attributes::{Attributes, AuditId};
use policy::Allowed;

use crate::{
    HoldId, Piece,
    request::{Request, SentDigest},
};

/// The right to send one request upstream, once: exactly this method, target and body.
/// `upstream::forward` takes it by value: a path that forgot to decide does not compile.
#[derive(Debug)]
pub struct Permit {
    audit_id: AuditId,
    digest: SentDigest,
}

/// An approval that was spent on one request. It becomes a [`Permit`] once the store has it.
#[derive(Debug)]
pub struct Spent {
    audit_id: AuditId,
    id: HoldId,
    /// Of the hold before it was stored.
    revision: u64,
    digest: SentDigest,
}

/// What is about to be sent is not what a right was given for: nothing may leave.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("this is not the request that was decided on")]
pub struct OtherRequest;

impl Permit {
    /// For what reads only; `None` for anything else.
    pub fn read(attributes: &Attributes, body: &[u8], audit_id: &AuditId) -> Option<Self> {
        let digest = SentDigest::of(&attributes.method, &attributes.target, body);
        attributes.is_read().then(|| Self { audit_id: audit_id.clone(), digest })
    }

    /// For what policy allowed, with this body.
    pub fn allowed(allowed: &Allowed, body: &[u8], audit_id: &AuditId) -> Self {
        let digest = SentDigest::of(allowed.method(), allowed.target(), body);
        Self { audit_id: audit_id.clone(), digest }
    }

    /// Spends it on what leaves now, and gives the call that it was made for: sent as `Audit-ID`.
    ///
    /// # Errors
    /// [`OtherRequest`]: nothing may be sent.
    pub fn spend(self, method: &str, target: &str, body: &[u8]) -> Result<AuditId, OtherRequest> {
        let is_same = self.digest == SentDigest::of(method, target, body);
        if is_same { Ok(self.audit_id) } else { Err(OtherRequest) }
    }
}

impl Spent {
    pub(crate) fn new(
        audit_id: &AuditId,
        (id, revision): (&HoldId, u64),
        request: &Request<'_>,
    ) -> Self {
        let digest = request.sent_digest();
        Self { audit_id: audit_id.clone(), id: id.clone(), revision, digest }
    }

    /// Whether a hold that the store gave back is the one that this was spent on, and `request` is what
    /// it was spent for.
    pub(crate) fn is_for(
        &self,
        (id, revision): (&HoldId, u64),
        running: Option<&str>,
        request: &Request<'_>,
    ) -> bool {
        let is_running = running == Some(self.audit_id.as_str());
        let is_stored = *id == self.id && revision > self.revision;
        is_running && is_stored && request.sent_digest() == self.digest
    }

    /// The right to send each of these deletes of an approved collection. Only [`crate::Hold::permits`]
    /// asks.
    pub(crate) fn into_permits(self, method: &str, pieces: Vec<Piece>) -> Vec<(Permit, Piece)> {
        let permit = |piece: Piece| {
            let digest = SentDigest::of(method, &piece.target, &piece.body);
            (Permit { audit_id: self.audit_id.clone(), digest }, piece)
        };
        pieces.into_iter().map(permit).collect()
    }

    /// The right to send `body` to where the request goes. Only [`crate::Hold::permit`] asks.
    pub(crate) fn into_permit(self, request: &Request<'_>, body: &[u8]) -> Permit {
        let of = request.attributes;
        let digest = SentDigest::of(&of.method, &of.target, body);
        Permit { audit_id: self.audit_id, digest }
    }
}
