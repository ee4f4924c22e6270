//! What went around? The API server's audit log, joined with our own record.
//!
//! The two are joined by audit id, never by time. Pure but for reading the log's files.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod join;
mod log;

pub use join::{EventFilter, Finding, Joined, JoinedTimeline, OwnRecord, join};
pub use log::{AuditError, AuditLog, Event, ObjectRef};
