//! What may be done: rules over attributes, identity, namespace and effects -> [`Decision`].
//!
//! The strictest answer of all rules wins, so order never matters and adding a rule never loosens.
//! Rules come in a [`Pack`]; today there is one, as typed data, and documents that people write
//! will make others. Pure.

mod decision;
mod pack;
mod rules;

pub use decision::{Decision, RuleName, Verdict};
pub use pack::{Input, Pack, Parameters};
pub use rules::{Place, Rule, Severity};
