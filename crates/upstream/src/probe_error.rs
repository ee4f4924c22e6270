//! Why a question about a write has no answer.

use std::time::Duration;

use crate::send_error::SendError;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// Neither sent nor answered, or broken half way: a probe may be asked again.
    #[error(transparent)]
    Send(#[from] SendError),
    /// No answer in its time.
    #[error("the API server did not answer within {} seconds", .0.as_secs())]
    Timeout(Duration),
    /// More than 16 MiB, or cut off.
    #[error("the API server's answer to the dry run could not be read")]
    Answer(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It has more values than are read.
    #[error("the API server's answer has more than {0} values, and is not read")]
    TooMany(usize),
}
