//! Where do the rules come from? Files, and objects of the cluster, read as one set and followed.
//!
//! A set with anything wrong in it is refused whole, and the last good one stays in force.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod conditions;
mod error;
mod events;
pub mod files;
mod follow;
mod kinds;
mod source;
mod status;

pub use error::SourceError;
pub use follow::{Follower, holding, start};
pub use kinds::ClusterKinds;
pub use source::PolicySource;
pub use status::{Refused, Status, status};
