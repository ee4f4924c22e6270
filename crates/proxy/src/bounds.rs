//! What one agent, one address and all of them together may take of this process.

use std::time::Duration;

/// Bounds that keep a client from taking what others need. What exceeds one is answered with a
/// `Status` where there is a request to answer, and is closed where there is none.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Bounds {
    /// Connections at a time, of everybody.
    pub connections_max: usize,
    /// Connections at a time from one address.
    pub connections_per_client_max: usize,
    /// Connections at a time, beside those, that are answered "too many".
    pub refusals_max: usize,
    /// TLS handshakes under way at a time from one address.
    pub handshakes_per_client_max: usize,
    /// A TLS handshake that takes longer is given up.
    pub handshake_time_max: Duration,
    /// The head of a request must be whole so long after its first byte (HTTP/1.1).
    pub head_time_max: Duration,
    /// A connection without a request is closed after so long. Longer than clients keep theirs (90 s
    /// in Go), so that mostly the client closes, and no request meets a closing connection.
    pub idle_time_max: Duration,
    /// A connection whose other end takes no bytes for so long is closed.
    pub stall_time_max: Duration,
    /// The body of a write must be here after so long.
    pub body_time_max: Duration,
    /// Largest body of a write; the API server's own limit is 3 MiB.
    pub body_bytes_max: usize,
    /// Bodies of writes that are in memory at a time, of everybody.
    pub bodies_bytes_max: usize,
    /// Names and values of a request's headers, together.
    pub header_bytes_max: usize,
    /// Headers of a request.
    pub headers_max: usize,
    /// HTTP/2 streams at a time on one connection, which is the API server's own limit.
    pub streams_max: u32,
    /// Requests at a time by one credential, watches and held ones included.
    pub requests_per_agent_max: usize,
    /// Open holds of one user.
    pub holds_per_agent_max: usize,
    /// What is kept for a replay of the writes of one user, within an hour. Beyond it, only which objects
    /// they were about; beyond twice as much, nothing of the objects.
    pub facts_bytes_per_agent_max: u64,
}

impl Bounds {
    /// What connections may take.
    pub(crate) fn connections(&self) -> connections::Bounds {
        connections::Bounds {
            connections_max: self.connections_max,
            connections_per_client_max: self.connections_per_client_max,
            handshakes_per_client_max: self.handshakes_per_client_max,
            refusals_max: self.refusals_max,
        }
    }
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections_max: 20_000,
            connections_per_client_max: 2_048,
            refusals_max: 64,
            handshakes_per_client_max: 64,
            handshake_time_max: Duration::from_secs(10),
            head_time_max: Duration::from_secs(30),
            idle_time_max: Duration::from_secs(120),
            stall_time_max: Duration::from_secs(120),
            body_time_max: Duration::from_secs(60),
            body_bytes_max: 3 << 20,
            bodies_bytes_max: 512 << 20,
            header_bytes_max: 64 << 10,
            headers_max: 64,
            streams_max: 100,
            requests_per_agent_max: 1_024,
            holds_per_agent_max: 64,
            facts_bytes_per_agent_max: 8 << 20,
        }
    }
}
