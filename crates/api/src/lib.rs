//! The reviewers' HTTP API: the queue, the verdicts, the timeline, the namespaces.
//!
//! Every route but `/healthz` authenticates (one bearer token or one client certificate of the
//! cluster), turns agents away, and asks RBAC about the virtual resource `holds.agent-shield.io`.
//! Bodies are structs of their own ([`body`]); `docs/api.md` describes them.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

pub mod agent_name;
mod answer;
mod asked;
mod begun;
pub mod body;
mod cause;
mod effect;
mod hidden;
mod listener;
mod posture;
mod routes;
mod status;
mod visible;

use std::sync::Arc;

use audit::Tagger;
use authn::{Certificates, Tokens};
pub use cause::CauseReason;
pub use listener::{Listener, TlsError, serve, tls_config};
pub use posture::Posture;
use review::Queue;

use upstream::{ControlClient, Namespaces};

/// What the routes work with.
#[derive(Clone)]
pub struct Api {
    /// The queue, and through it the ledger.
    pub queue: Arc<Queue>,
    /// Who reviewers' tokens are.
    pub tokens: Tokens,
    /// Who reviewers' client certificates are.
    pub certificates: Arc<Certificates>,
    /// How namespaces are classed.
    pub namespaces: Namespaces,
    /// The proxy's own way to the API server, which tells what the cluster serves.
    pub own: ControlClient,
    /// Knows the calls of every agent-shield that shares this one's secret.
    pub tagger: Tagger,
    /// What the process knows of itself.
    pub posture: Posture,
}
