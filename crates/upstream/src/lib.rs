//! The API server: what is sent to it, by whose right, and what its silence means.
//!
//! Two roads lead there and never share a connection. [`ApiServer`] carries agents' requests with
//! the agent's own credential or with none; its TLS never presents the proxy's certificate.
//! [`Own`] carries the proxy's few questions with the proxy's credential: TokenReview,
//! SubjectAccessReview, namespaces, and reads for previews. Only a [`hold::Permit`] sends an
//! agent's request for real; a [`Probe`] cannot be made to change anything.

mod forward;
mod namespaces;
mod own;
mod pool;
mod probe;

pub use forward::{Answer, Outgoing};
use http_body_util::combinators::BoxBody;
pub use namespaces::Namespaces;
pub use own::{Access, Missing, Own, Reviewed};
pub use pool::{ApiServer, ConnectError, SendError};
pub use probe::{Probe, ProbeAnswer, ProbeError};

/// A streamed body; errors are those of the connection it came from.
pub type Body = BoxBody<bytes::Bytes, hyper::Error>;
