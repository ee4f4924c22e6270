//! The answer to an approved request, kept until its agent got it.

use bytes::Bytes;

/// One whole answer, as it goes to the agent. It may hold a Secret: it is never written to a disk.
#[derive(Clone, Eq, PartialEq)]
pub struct Answer {
    /// The HTTP status code.
    pub code: u16,
    /// Names and values of its headers, in their order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Its body.
    pub body: Bytes,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Answer({}, {} bytes)", self.code, self.body.len())
    }
}
