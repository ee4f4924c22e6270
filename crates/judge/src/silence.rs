//! Whether the API server left a question unanswered without which a write cannot be judged.

use std::sync::OnceLock;

use upstream::{ProbeError, SendError};

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

/// What is noted of one write while it is judged.
#[derive(Debug, Default)]
pub struct Silence(OnceLock<NoAnswer>);

impl Silence {
    /// Notes why a question has no answer; one that is too large is an answer.
    pub(crate) fn hear(&self, error: &ProbeError) {
        let no_answer = match error {
            ProbeError::Send(SendError::Unsent(_)) => NoAnswer::Unreachable,
            ProbeError::Send(_) | ProbeError::Timeout(_) => NoAnswer::Silent,
            ProbeError::Answer(_) | ProbeError::TooMany(_) => return,
        };
        self.0.get_or_init(|| no_answer);
    }

    /// What was noted.
    pub(crate) fn noted(&self) -> Option<NoAnswer> {
        self.0.get().copied()
    }
}
