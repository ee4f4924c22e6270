//! Whom a request runs as at the API server.

use std::{fmt, sync::Arc};

use attributes::User;
use http::HeaderValue;

/// Whom a request runs as at the API server. Cheap to clone.
#[derive(Clone)]
pub enum RunAs {
    /// Nobody: without a credential, which the API server answers as it likes.
    Nobody,
    /// The agent, by its own bearer token.
    Bearer(Bearer),
    /// An agent whose client certificate was verified here: the proxy's credential, and the agent's
    /// name and groups in `Impersonate-*`.
    Impersonated(Box<User>),
}

/// A bearer token, and the header that it goes upstream in.
#[derive(Clone)]
pub struct Bearer {
    token: Arc<str>,
    pub(crate) authorization: HeaderValue,
}

impl Bearer {
    /// Takes a token; `None` where it cannot stand in a header.
    pub fn new(token: &str) -> Option<Self> {
        let mut authorization = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
        authorization.set_sensitive(true);
        Some(Self { token: token.into(), authorization })
    }

    /// The token.
    pub fn token(&self) -> &Arc<str> {
        &self.token
    }
}

impl RunAs {
    /// The bearer token, where there is one.
    pub fn token(&self) -> Option<&Arc<str>> {
        match self {
            Self::Bearer(bearer) => Some(bearer.token()),
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
