//! The right to send one request upstream, as a value that is spent.

use attributes::{Attributes, AuditId};
use policy::Allowed;

use crate::{Hold, State};

/// The right to send one request upstream, made only from a read, an allowed decision, a dry run
/// or an approved hold that is written down as running. `upstream::forward` takes it by value: a
/// path that forgot to decide does not compile.
#[derive(Debug)]
pub struct Permit(AuditId);

impl Permit {
    /// For what reads only; `None` for anything else.
    pub fn read(attributes: &Attributes, audit_id: &AuditId) -> Option<Self> {
        attributes.is_read().then(|| Self(audit_id.clone()))
    }

    /// For what policy allowed.
    pub fn allowed(_allowed: Allowed, audit_id: &AuditId) -> Self {
        Self(audit_id.clone())
    }

    /// For a hold whose approval was just spent on this very call; `None` for anything else.
    pub fn approved(hold: &Hold, audit_id: &AuditId) -> Option<Self> {
        match &hold.state {
            // INVARIANT: only State::start makes one, from what State::approve made. Counted again all
            // the same, as it has been on disk since.
            State::Running { audit_id: running, approvals, .. }
                if running == audit_id.as_str()
                    && hold.quorum.is_met(approvals, &hold.preview.digest) =>
            {
                Some(Self(audit_id.clone()))
            }
            _ => None,
        }
    }

    /// The call that it was made for: sent upstream as `Audit-ID`.
    pub fn into_audit_id(self) -> AuditId {
        self.0
    }
}
