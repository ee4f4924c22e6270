//! What other rules would have said of a call that is in the ledger.
//!
//! The proxy records what a decision was made from ([`objects()`]); [`Recorded`] puts it together again
//! and asks a pack in the same two steps as the proxy does: by the attributes alone, then by what was
//! seen. What was not recorded is not known, and is never guessed: a rule that would have to read it
//! has no answer. Pure.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod earlier;
mod objects;
mod patch;
mod recorded;
pub mod suggest;
pub mod tally;

pub use earlier::Earlier;
pub use objects::{objects, sameness, shorten};
pub use recorded::{Open, Recorded, Said};
