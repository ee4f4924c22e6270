//! Which ports a port-forward opens.

use std::collections::BTreeSet;

use crate::{
    error::FrameError,
    spdy::{Headers, Spdy},
    websocket::{Read, WebSocket},
};

/// Bytes that are kept because they are not understood yet.
const HELD_BYTES_MAX: usize = 128 << 10;
/// Ports that are remembered for the record.
const OPENED_MAX: usize = 64;

/// What was agreed on for a session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Wire {
    /// SPDY/3.1, whose streams name their ports.
    Spdy,
    /// SPDY/3.1 in the messages of a WebSocket.
    SpdyInWebSocket,
    /// Channels in the messages of a WebSocket, for the ports that the request names.
    Channels,
}

impl Wire {
    /// By the `Upgrade` and the `Sec-WebSocket-Protocol` of the answer; `None` for what is not known.
    pub fn of(upgrade: &str, protocol: &str) -> Option<Self> {
        match (upgrade.to_ascii_lowercase().as_str(), protocol) {
            ("spdy/3.1", _) => Some(Self::Spdy),
            ("websocket", protocol) if protocol.starts_with("SPDY/3.1+") => {
                Some(Self::SpdyInWebSocket)
            }
            ("websocket", protocol) if !protocol.to_ascii_lowercase().contains("spdy") => {
                Some(Self::Channels)
            }
            _ => None,
        }
    }
}

/// Reads along with what an agent sends in a port-forward.
pub struct PortGuard {
    /// Those that were approved; `None` for any.
    approved: Option<BTreeSet<u16>>,
    opened: BTreeSet<u16>,
    websocket: Option<WebSocket>,
    spdy: Option<Spdy>,
    /// What came and was not passed on.
    held: Vec<u8>,
}

impl PortGuard {
    /// For a session over this wire, to these ports alone, or to any.
    pub fn new(wire: Wire, approved: Option<BTreeSet<u16>>) -> Self {
        let websocket = (wire != Wire::Spdy).then(WebSocket::default);
        let spdy = (wire != Wire::Channels).then(Spdy::new);
        Self { approved, opened: BTreeSet::new(), websocket, spdy, held: Vec::new() }
    }

    /// The ports that streams were opened to so far, the first few of them.
    pub fn opened(&self) -> &BTreeSet<u16> {
        &self.opened
    }

    /// Reads the next bytes of the agent, in whatever pieces they come, and adds to `passed` what may go
    /// on: never a byte of a frame that was not understood.
    ///
    /// # Errors
    /// [`FrameError`]: the session must end, and nothing more may go on.
    pub fn pass(&mut self, bytes: &[u8], passed: &mut Vec<u8>) -> Result<(), FrameError> {
        let before = self.held.len();
        self.held.extend_from_slice(bytes);
        let whole = match self.websocket.is_some() {
            true => self.messages(bytes)?,
            false => self.frames(bytes)?,
        };
        if let Some(whole) = whole {
            passed.extend(self.held.drain(..before.saturating_add(whole)));
        }
        match self.held.len() > HELD_BYTES_MAX {
            true => Err(FrameError::TooLarge),
            false => Ok(()),
        }
    }

    /// How many of these bytes of SPDY are understood.
    fn frames(&mut self, bytes: &[u8]) -> Result<Option<usize>, FrameError> {
        let Self { approved, opened, spdy, .. } = self;
        let Some(spdy) = spdy else { return Ok(Some(bytes.len())) };
        spdy.read(bytes, &mut |headers| open(&headers, approved.as_ref(), opened))
    }

    /// The same of a WebSocket, and of the SPDY in it where there is any.
    fn messages(&mut self, bytes: &[u8]) -> Result<Option<usize>, FrameError> {
        let (mut at, mut whole) = (0_usize, None);
        while let Some(rest) = bytes.get(at..).filter(|it| !it.is_empty()) {
            let Some(websocket) = self.websocket.as_mut() else { return Ok(None) };
            let read = websocket.read(rest)?;
            let is_in_head = websocket.is_in_head();
            let taken = match read {
                Read::Head(taken) | Read::Other(taken) => taken,
                Read::Data(taken, data) => {
                    if let Some(understood) = self.frames(&data)? {
                        whole = Some(at.saturating_add(understood));
                    }
                    taken
                }
            };
            at = at.saturating_add(taken);
            if !is_in_head && self.spdy.as_ref().is_none_or(Spdy::is_between) {
                whole = Some(at);
            }
        }
        Ok(whole)
    }
}

/// A stream that is opened with these headers.
fn open(
    headers: &Headers,
    approved: Option<&BTreeSet<u16>>,
    opened: &mut BTreeSet<u16>,
) -> Result<(), FrameError> {
    let mut ports = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("port"));
    let (Some((_, port)), None) = (ports.next(), ports.next()) else {
        return Err(FrameError::NoPort);
    };
    let is_number = !port.is_empty() && port.bytes().all(|it| it.is_ascii_digit());
    let port = port.parse().ok().filter(|it| is_number && *it > 0).ok_or(FrameError::NoPort)?;
    if approved.is_some_and(|it| !it.contains(&port)) {
        return Err(FrameError::Port(port));
    }
    if opened.len() < OPENED_MAX {
        opened.insert(port);
    }
    Ok(())
}
