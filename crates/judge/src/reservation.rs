//! What a write does counts while it is judged, and on where it is sent.

use std::sync::Arc;

use attributes::User;
use effects::Effect;
use jiff::Timestamp;
use ledger::StoreError;
use memory::Memory;
use policy::Past;

use crate::{call::Write, remembered::Remembered};

/// A place among what rules count; dropped without being kept, it is given back.
pub(crate) struct Reservation {
    memory: Arc<dyn Memory>,
    user: User,
    audit_id: String,
    is_kept: bool,
}

impl Reservation {
    /// Counts a write from now on; also what its agent did before.
    pub(crate) async fn make(
        remembered: &Remembered,
        write: &Write,
        effects: &[Effect],
        now: Timestamp,
    ) -> Result<(Self, Vec<Past>), StoreError> {
        let memory = Arc::clone(&remembered.recent);
        let (user, audit_id) = (write.user.clone(), write.call.audit_id.to_string());
        // Made first: dropped while the memory is asked, it is given back too.
        let reservation = Self { memory, user, audit_id, is_kept: false };
        let Self { memory, user, audit_id, .. } = &reservation;
        let before = memory.reserve(&user.username, audit_id, effects, now).await?;
        Ok((reservation, before))
    }

    /// The write is sent: it counts from now on.
    pub(crate) fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if !self.is_kept {
            self.memory.release(&self.user.username, &self.audit_id);
        }
    }
}
