//! A write on its way through the proxy: what is judged, and what its connection still holds.

use std::{ops::Deref, sync::Arc};

use judge::Write;

use crate::{in_flight::Taken, upgrade::Upgrade, write_record::WriteRecord};

/// A write whose user is known and whose body is here.
pub(crate) struct InboundWrite {
    /// What is judged.
    pub(crate) write: Write,
    /// What its connection should become, for those that open a way into a pod or service.
    pub(crate) upgrade: Option<Upgrade>,
    /// What will be recorded of it last.
    pub(crate) record: Arc<WriteRecord>,
    /// Counts its body among those in memory.
    pub(crate) _taken: Taken,
}

impl Deref for InboundWrite {
    type Target = Write;

    fn deref(&self) -> &Write {
        &self.write
    }
}
