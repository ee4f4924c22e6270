//! Runs rows of `cases.jsonl` against a real control plane: directly, then through agent-shield.

mod api;
mod fixtures;
mod h2;
mod named;
mod oracle;
mod relay;
mod reviewer;
mod row;
mod run;
mod send;
mod steps;

pub use row::{Row, Verdict, rows};
pub use run::{Harness, Held, Report};
