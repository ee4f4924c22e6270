//! What went around? The API server's audit log, joined with our own record.
//!
//! The two are joined by audit id, never by time; calls of another agent-shield are known by the tag in theirs. Pure but for reading the log's files.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod join;
mod log;
mod tag;

pub use join::{EventFilter, Finding, Joined, JoinedTimeline, OwnRecord, join};
pub use log::{AuditError, AuditLog, CallKey, Event, ObjectRef};
pub use tag::{Sent, Tagger};
