//! What a store tells of as it happens.

use ledger::Task;

/// Changes as they are stored, in their order, from the moment that the feed was asked for.
pub trait Feed<T>: Send {
    /// The next change; `None` where some were missed, so that everything must be looked at again.
    ///
    /// # Cancel safety
    /// Safe: a change that was not returned is returned next time.
    fn next(&mut self) -> Task<'_, Option<T>>;
}
