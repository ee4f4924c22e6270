//! Why a session cannot go on.

/// Why what an agent sends is not passed on.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum FrameError {
    /// Bytes that are no frame of the protocol that was agreed on.
    #[error("a frame of the session cannot be read ({0})")]
    Malformed(&'static str),
    /// More than a frame of headers may take.
    #[error("a frame of the session is too large")]
    TooLarge,
    /// A stream to a port that was not approved.
    #[error("port {0} was opened, which is not among those that were approved")]
    Port(u16),
    /// A stream that does not say to which port it leads.
    #[error("a stream was opened that does not name one port")]
    NoPort,
    /// Data on a connection where the client has nothing to say.
    #[error("the client sent data where only the API server speaks")]
    Data,
}
