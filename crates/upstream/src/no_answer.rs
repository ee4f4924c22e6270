//! That the API server gave no answer, and how.

use crate::{
    never_left::never_left, own_error::OwnError, probe_error::ProbeError, send_error::SendError,
};

/// How the API server did not answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NoAnswer {
    /// It cannot be reached.
    #[error("the API server cannot be reached")]
    Unreachable,
    /// It was asked, and said nothing, or broke off.
    #[error("the API server does not answer")]
    Silent,
}

impl NoAnswer {
    /// To a question of an agent; `None` where there was an answer, which was too large or no use.
    pub fn to_probe(error: &ProbeError) -> Option<Self> {
        match error {
            ProbeError::Send(SendError::Unsent(_)) => Some(Self::Unreachable),
            ProbeError::Send(_) | ProbeError::Timeout(_) => Some(Self::Silent),
            ProbeError::Answer(_) | ProbeError::TooMany(_) => None,
        }
    }

    /// To a question of the proxy's own; `None` where there was an answer, which was an error or no use.
    pub fn to_own(error: &OwnError) -> Option<Self> {
        match error.as_kube() {
            kube::Error::Service(error) if error.is::<ProbeError>() => None,
            kube::Error::HyperError(_) | kube::Error::Service(_) if never_left(error.as_kube()) => {
                Some(Self::Unreachable)
            }
            kube::Error::HyperError(_) | kube::Error::Service(_) => Some(Self::Silent),
            // It answers, and cannot: nothing is known by that.
            kube::Error::Api(status) if status.code >= 500 => Some(Self::Silent),
            _ => None,
        }
    }
}
