//! What is known of a request that got no answer.

/// What became of a request that got no answer.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// It never left: sending it again is safe.
    #[error("the API server cannot be reached")]
    Unsent(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It may have arrived and run.
    #[error("the connection to the API server broke before an answer came")]
    Unknown(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// As [`SendError::Unknown`], on a connection that had been kept: most likely the API server had
    /// closed it meanwhile, so a read may be sent once more, and nothing else.
    #[error("a kept connection to the API server broke before an answer came")]
    Stale(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What changes nothing was not answered within its time.
    #[error("the API server did not answer in time")]
    Silent,
}
