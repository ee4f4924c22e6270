//! CEL as Kubernetes has it: text -> a checked expression -> a value, within a bound.
//!
//! The grammar is the `cel` crate's parser (`parse` alone names it). Checking and evaluating are
//! here, because an expression that somebody wrote meets objects that an agent wrote: every step
//! and every byte that is made counts against a [`Budget`], values are borrowed from the JSON that
//! they stand for instead of copied, and a name that nobody declared is an error before anything
//! runs. Pure: no clock, no I/O.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod budget;
mod check;
mod error;
mod eval;
mod expression;
mod functions;
mod kubernetes;
mod node;
mod parse;
mod problem;
mod template;
mod types;
mod value;

pub use budget::Budget;
pub use error::EvalError;
pub use eval::Scope;
pub use expression::Expression;
pub use parse::TEXT_BYTES_MAX;
pub use problem::{Problem, Span};
pub use template::Template;
pub use types::{Fields, Schema, Type};
pub use value::{List, Map, Text, Value};

#[cfg(test)]
mod tests;
