//! Runs rows of `cases.jsonl` against a real control plane: directly, then through agent-shield.

mod api;
mod fixtures;
mod oracle;
mod row;
mod run;
mod send;

pub use row::{Row, Verdict, rows};
pub use run::{Harness, Report};
