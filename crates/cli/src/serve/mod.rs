//! `agent-shield serve`: configuration, its parts, and running until a signal.

mod args;
mod background;
mod bounds;
mod cluster;
mod credential;
mod descriptors;
mod identity;
mod listeners;
mod log;
mod ranges;
mod run;

pub(crate) use args::ServeArgs;
pub(crate) use run::serve;
