//! Who decides: the queue of holds, those who wait on them, and who may say yes.
//!
//! The agents' side and the reviewers' side meet only here. Every change of a hold goes through
//! [`Queue::change`], which stores it with its ledger entry before anybody is told. An agent can
//! never review: [`Queue::admit`] turns away, before RBAC is asked, every ServiceAccount that is
//! not allow-listed, everyone who was ever seen on the agents' side, and the hold's own user.

mod admit;
mod freezes;
mod queue;

pub use admit::{Reviewer, ReviewerError};
pub use queue::{Queue, ReviewError, Settings, Waiter, now};
