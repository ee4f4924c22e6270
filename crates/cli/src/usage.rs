//! What was typed and cannot be done as it is: exit code 2.

/// The command cannot be run as it was given.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct WrongUsage(pub(crate) String);
