//! Which exceptions would holds speak for that reviewers always approve?
//!
//! An agent may send what it likes, and so may whoever has talked it into something: harmless
//! requests by the dozen, each of which a reviewer approves, to earn an exception for a harmful one.
//! What is suggested is therefore never wider than what was approved: the same rules, agent,
//! namespace, verbs and effects, word for word, on the same objects, with counts within those that
//! were approved; only effects of which these words say all, a delete's with what becomes of what the
//! object owns and how long it has to end; approved several times, by several people who are no
//! agents, on several days, and never once denied. Pure: nothing is applied.

mod group;
mod held;

pub use group::{DocumentError, Left, Limits, Suggestion, suggest};
pub use held::{End, Held, HeldCalls};
