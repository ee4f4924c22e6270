//! Whom a request runs as at the API server.

use std::fmt;

use attributes::User;

/// Whom a request runs as at the API server.
#[derive(Clone)]
pub enum RunAs {
    /// Nobody: without a credential, which the API server answers as it likes.
    Nobody,
    /// The agent, by its own bearer token.
    Bearer(String),
    /// An agent whose client certificate was verified here: the proxy's credential, and the agent's
    /// name and groups in `Impersonate-*`.
    Impersonated(Box<User>),
}

impl RunAs {
    /// The bearer token, where there is one.
    pub fn token(&self) -> Option<&str> {
        match self {
            Self::Bearer(token) => Some(token),
            Self::Nobody | Self::Impersonated(_) => None,
        }
    }
}

impl fmt::Debug for RunAs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody => f.write_str("Nobody"),
            Self::Bearer(_) => f.write_str("Bearer([redacted])"),
            Self::Impersonated(user) => write!(f, "Impersonated({})", user.username),
        }
    }
}
