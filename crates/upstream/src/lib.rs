//! The API server: what is sent to it, by whose right, and what its silence means.
//!
//! Three roads lead there and never share a connection. [`ApiServer`] carries agents' requests with
//! the agent's own bearer token or with none; its TLS never presents the proxy's certificate. For an
//! agent that showed a client certificate, which cannot cross a proxy, it has a second road: the
//! proxy's credential, and on every request the agent's name in `Impersonate-User`.
//! [`ControlClient`] carries the proxy's few questions with the proxy's credential: TokenReview,
//! SubjectAccessReview, namespaces, and reads for previews. Only a [`hold::Permit`] sends an
//! agent's request for real; a [`Probe`] cannot be made to change anything.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod access;
mod connect;
mod control;
mod credential;
mod forward;
mod impersonate;
mod namespaces;
mod never_left;
mod no_answer;
mod openapi;
mod own_client;
mod own_error;
mod policies;
mod pool;
mod probe;
mod probe_error;
mod repeat;
mod resources;
mod rights;
mod run_as;
mod send_error;
mod served;
mod shared;
mod tunnel;

pub use access::Access;
pub use control::{ControlClient, Reviewed};
pub use credential::{CredentialEnd, CredentialKind};
pub use forward::{AUDIT_ID, Answer, Outgoing};
use http_body_util::combinators::UnsyncBoxBody;
pub use namespaces::Namespaces;
pub use no_answer::NoAnswer;
pub use openapi::OpenApi;
pub use own_client::CredentialSource;
pub use own_error::{OwnError, in_words, tls_in_words, why_no_answer};
pub use policies::{PolicyObject, PolicyObjects, PolicyObjectsError, Version};
pub use pool::{ApiServer, CONNECTIONS_MAX, ConnectError};
pub use probe::{Probe, ProbeAnswer, take_items};
pub use probe_error::ProbeError;

pub use resources::ResourceNames;
pub use rights::{NEVER_NEEDED, POLICY_RIGHTS, RIGHTS, Right};
pub use run_as::{Bearer, RunAs};
pub use send_error::SendError;
pub use served::{DefinedBy, Served};
pub use tunnel::Upgrading;

/// A streamed body; errors are those of the connection it came from.
pub type Body = UnsyncBoxBody<bytes::Bytes, BodyError>;

/// Why a body ended early.
#[derive(Debug, thiserror::Error)]
#[error("the API server's answer broke off")]
pub struct BodyError(#[source] Box<dyn std::error::Error + Send + Sync>);

impl BodyError {
    pub(crate) fn new(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(error.into())
    }
}
