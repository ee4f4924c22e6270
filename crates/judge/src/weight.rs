//! How large the objects are that are read for one judgement: most are small and judged side by side, the
//! few large ones one after the other.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Values in the answer to one question that are read beside others. A Deployment has some 200; each
/// takes some 150 bytes of memory.
const LIGHT_VALUES_MAX: usize = 20_000;
/// Values that are read of one object at all.
const HEAVY_VALUES_MAX: usize = 150_000;

/// How much is read for one write.
#[derive(Debug, Default)]
pub struct Weight {
    is_heavy: AtomicBool,
    is_exceeded: AtomicBool,
}

impl Weight {
    /// Values that are read of the answer to one question.
    pub(crate) fn values_max(&self) -> usize {
        match self.is_heavy.load(Relaxed) {
            true => HEAVY_VALUES_MAX,
            false => LIGHT_VALUES_MAX,
        }
    }

    /// An answer has more values than that.
    pub(crate) fn exceed(&self) {
        self.is_exceeded.store(true, Relaxed);
    }

    /// Whether an answer had.
    pub(crate) fn is_exceeded(&self) -> bool {
        self.is_exceeded.load(Relaxed)
    }

    /// Begins a judgement, beside others or alone.
    pub(crate) fn begin(&self, is_heavy: bool) {
        self.is_heavy.store(is_heavy, Relaxed);
        self.is_exceeded.store(false, Relaxed);
    }
}
