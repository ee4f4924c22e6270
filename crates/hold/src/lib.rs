//! One held request: what it is, what was decided of it, and the right to send it once.
//!
//! A hold is stored before anybody waits on it and outlives every process. [`State`] says where it
//! stands; the methods of [`Hold`] are the only ways from one state to the next, and nothing but the
//! approvals that its [`Quorum`] demands, of exactly what was seen, leads to [`State::Running`].
//! [`Permit`] is that right as a value: whoever sends a request upstream must spend one. Pure: time
//! comes in as an argument; [`Holds`] and [`Freezes`] name what is needed of storage.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod answer;
mod approval;
mod collection;
mod feed;
mod freeze;
mod hold;
mod holds;
mod id;
mod permit;
mod preconditions;
mod preview;
mod quorum;
mod request;
mod shortened;
mod state;

pub use answer::Answer;
pub use approval::{Approval, DecidedBy, Denial};
pub use collection::Piece;
pub use feed::Feed;
pub use freeze::{Freeze, Freezes};
pub use hold::{Hold, Summary, Unchanged};
pub use holds::{
    DENIAL_TIME_MAX, HoldCursor, HoldFilter, Holds, Inserted, Insertion, Join, all_effects, barred,
    is_same_question,
};
pub use id::HoldId;
pub use ledger::{Page, Task};
pub use permit::{OtherRequest, Permit, Spent};
pub use preconditions::Pinned;
pub use preview::{ChangeRecord, CommandRecord, GoesWith, Preview, Shown, Target, UNCOUNTED};
pub use quorum::{Demand, Quorum, is_same_person};
pub use request::Request;
pub use state::{HoldError, State, StateName};
