//! One file, one writer, many readers.
//!
//! Every change goes through one thread that commits many at once: an fsync costs the same for one
//! entry as for a hundred. What a caller was told is stored survives a power loss (WAL,
//! `synchronous=FULL`); what a caller was told is not stored is never stored later.

mod calls;
mod connection;
mod entries;
mod history;
mod holds;
mod migrate;
mod read;
mod reads;
mod store;
mod weight;
mod wheres;
mod write;

pub(crate) use store::open_history;
pub use store::{OpenError, Sqlite};
