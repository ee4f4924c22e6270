//! Frames of WebSocket and SPDY/3.1, as far as they name what a session reaches.
//!
//! A port-forward is approved for some ports, and names those that it opens later, in the headers of
//! streams inside the session. [`PortGuard`] reads along with what an agent sends and passes on only
//! what it has understood: a byte that does not parse, or a port that was not approved, ends it.
//! A watch or a log on a WebSocket has nothing to hear from its client: [`SilenceGuard`] passes on that it
//! is alive or leaves, and nothing else. Everything is bounded, nothing is awaited, and bytes come in any
//! pieces.

mod error;
mod guard;
mod inflate;
mod silence;
mod spdy;
mod websocket;

pub use error::FrameError;
pub use guard::{PortGuard, Wire};
pub use silence::SilenceGuard;
