//! What may be done: policy documents over attributes, identity, namespace, objects and effects ->
//! a [`PolicyDecision`].
//!
//! Documents ([`document`]) are compiled once into a [`Pack`]: whatever is misspelt is an
//! [`Issue`] with its line, and each rule knows what it has to look at. The strictest answer of all
//! rules wins, so order never matters and adding a rule never loosens; only a named, expiring
//! exception does, and never where a rule says `unconditional`. A rule that cannot be evaluated
//! holds. Pure: time and objects come in as arguments.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod agents;
pub mod case;
mod compile;
mod conditions;
mod crds;
mod decision;
pub mod document;
mod effect_fields;
mod facts;
mod gaps;
mod issue;
mod kinds;
mod matching;
mod migrate;
mod own;
mod pack;
mod packs;
mod replay;
mod source;
mod trace;
mod unreachable;

pub use compile::{Compiled, Documents, compile};
pub use conditions::{Unbounded, literal, same_or_less};
pub use crds::crds;
pub use decision::{Allowed, Decision, PolicyDecision, Reviewers, RuleName, Severity, Shadow};
pub use facts::{Input, Objects, Pair, Past};
pub use gaps::{Gaps, NOT_RECORDED, Unknown};
pub use issue::Issue;
pub use kinds::Kinds;
pub use migrate::{Migrated, Rewrite, migrate};
pub use pack::{Exception, Pack, Rule};
pub use packs::{DEFAULT, PACKS, SCHEMA};
pub use replay::Replayed;
pub use source::Source;
pub use trace::{RulePart, Step, StepOutcome, Trace};

#[cfg(test)]
mod tests;
