//! The data plane: one request from the agent's TLS connection to the API server and back.
//!
//! Reads go through at once. A write waits for its user, is judged by what it would do, is
//! recorded durably, and then leaves, is held or is refused. Nothing is decided on one reading of a
//! request and sent on another: [`attributes::read`] reads the target once, and the same bytes go
//! upstream. The only ways to send are a [`hold::Permit`] and a [`upstream::Probe`].

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod answers;
mod body;
mod bounds;
mod credentials;
mod each;
mod error;
mod forward;
mod guarded;
mod head;
mod held;
mod in_flight;
mod inbound;
mod judging;
mod known;
mod listener;
mod lost_answer;
mod names;
mod nobody;
mod own_holds;
mod own_rules;
mod peer;
mod proxy;
mod read;
mod recorder;
mod run;
mod settings;
mod shown;
mod timeouts;
mod tunnel;
mod upgrade;
mod waiting;
mod warning;
mod workers;
mod write;
mod write_record;

pub use bounds::Bounds;
pub use listener::{Listener, serve};
pub use proxy::{Parts, Proxy};
pub use settings::Settings;
