//! Who are the agents, and what may they do? An agent's ServiceAccount, its roles and its kubeconfig,
//! made, looked at and taken away with the operator's own credential.
//!
//! The API server itself is asked: agent-shield has no rights to give, and no agent-shield need run.
//! Nothing here prints or reads a flag.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod cluster;
mod create;
mod drift;
mod error;
mod kubeconfig;
mod list;
mod manifests;
mod plan;
mod presets;
mod revoke;

pub use cluster::Cluster;
pub use create::{check_namespaces, find_home, make_token};
pub use drift::drift_of_agent;
pub use error::{AgentsError, KubeconfigError};
pub use kubeconfig::{Endpoint, for_agent, rewrite, try_out};
pub use list::{Agent, list};
pub use manifests::{AgentId, Wanted, dns_label};
pub use plan::Plan;
pub use presets::Preset;
pub use revoke::Revocation;
