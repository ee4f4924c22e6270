//! Who decides: the queue of holds, those who wait on them, and who may say yes.
//!
//! The agents' side and the reviewers' side meet only here. [`Queue`] stores each change of a hold
//! with its ledger entry before anybody is told. An agent can never review: before RBAC is asked,
//! [`Queue::admit`] rejects every ServiceAccount that is not allow-listed and everyone who was ever
//! seen on the agents' side, and a decision on a hold is refused to the hold's own user.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod admit;
mod agents;
mod freezes;
mod looks;
mod own_holds;
mod queue;
mod reviewer;

pub use looks::{Look, Saw};
pub use queue::{Queue, Queued, ReviewError, Settings, Waiter, Woken, now};
pub use reviewer::{Reviewer, ReviewerError};
