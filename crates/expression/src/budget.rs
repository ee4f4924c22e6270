//! How much an expression may do.

use std::cell::Cell;

use crate::error::Fault;

/// Bytes that may be made or compared for one step.
const BYTES_PER_STEP: usize = 32;

/// How many steps are left. One budget may serve many expressions.
#[derive(Debug)]
pub struct Budget {
    left: Cell<u64>,
}

impl Budget {
    /// So many steps, of some 30 to 50 ns each.
    pub fn new(steps: u64) -> Self {
        Self { left: Cell::new(steps) }
    }

    /// What is left.
    pub fn left(&self) -> u64 {
        self.left.get()
    }

    /// Takes what another budget, given a part of this one, has spent.
    pub fn take(&self, steps: u64) {
        self.left.set(self.left.get().saturating_sub(steps));
    }

    pub(crate) fn spend(&self, steps: u64) -> Result<(), Fault> {
        match self.left.get().checked_sub(steps) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => {
                self.left.set(0);
                Err(Fault::Exhausted)
            }
        }
    }

    pub(crate) fn spend_bytes(&self, bytes: usize) -> Result<(), Fault> {
        self.spend((bytes / BYTES_PER_STEP) as u64)
    }
}
