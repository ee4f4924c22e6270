//! A WebSocket on which the client only listens.

use crate::{
    error::FrameError,
    websocket::{Read, WebSocket},
};

/// Reads along with what an agent sends where it has nothing to say.
#[derive(Default)]
pub struct SilenceGuard {
    websocket: WebSocket,
    /// A part of a head.
    held: Vec<u8>,
}

impl SilenceGuard {
    /// Reads the next bytes of the agent, in whatever pieces they come, and adds to `passed` what may go
    /// on: pings, pongs and the end.
    ///
    /// # Errors
    /// [`FrameError`]: the session must end, and nothing more may go on.
    pub fn pass(&mut self, bytes: &[u8], passed: &mut Vec<u8>) -> Result<(), FrameError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (Read::Head(taken) | Read::Other(taken) | Read::Data(taken, _)) =
                self.websocket.read(rest)?;
            let (read, after) = rest.split_at_checked(taken).unwrap_or((rest, &[]));
            self.held.extend_from_slice(read);
            rest = after;
            if !self.websocket.is_in_head() {
                if self.websocket.is_data() {
                    return Err(FrameError::Data);
                }
                passed.append(&mut self.held);
            }
        }
        Ok(())
    }
}
