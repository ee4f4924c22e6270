//! How is it written for a person, and read from one: escaping, names in sentences, command lines, durations, near
//! words, causes of an error.
//!
//! What an agent wrote cannot leave its place in a line; a duration has one grammar. Pure.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod causes;
mod command_line;
pub mod duration;
mod escape;
mod near;
mod plain;

pub use causes::causes;
pub use command_line::command_line;
pub use escape::{Escaped, json};
pub use near::{did_you_mean, near};
pub use plain::plain;
