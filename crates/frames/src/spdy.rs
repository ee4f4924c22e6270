//! SPDY/3.1, as an agent's client sends it.

use crate::{error::FrameError, inflate::Inflate};

const HEAD_BYTES: usize = 8;
/// A control frame is read whole before any of it is passed on.
const CONTROL_BYTES_MAX: usize = 64 << 10;
const VERSION: u16 = 3;
/// Headers of one frame; a stream of Kubernetes has three.
const HEADERS_MAX: u32 = 1_024;

const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const HEADERS: u16 = 8;
/// RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE: they name nothing.
const OTHERS: [u16; 5] = [3, 4, 6, 7, 9];

/// Names and values of one frame.
pub(crate) type Headers = Vec<(String, String)>;

enum State {
    /// In a head, or between two frames.
    Head(Vec<u8>),
    /// In a control frame of this kind, of so many bytes.
    Control { kind: u16, len: usize, body: Vec<u8> },
    /// In the data of a stream; so many bytes are left.
    Data(usize),
}

/// Reads frames in whatever pieces they come.
pub(crate) struct Spdy {
    state: State,
    inflate: Inflate,
}

impl Spdy {
    pub(crate) fn new() -> Self {
        Self { state: State::Head(Vec::new()), inflate: Inflate::new() }
    }

    /// Whether all that was read was passed by, and no frame is waited for.
    pub(crate) fn is_between(&self) -> bool {
        match &self.state {
            State::Head(head) => head.is_empty(),
            State::Control { .. } => false,
            State::Data(_) => true,
        }
    }

    /// Reads some bytes: tells of the headers of each stream that is opened in them, and how many of the
    /// bytes belong to what was read whole.
    pub(crate) fn read(
        &mut self,
        bytes: &[u8],
        opened: &mut impl FnMut(Headers) -> Result<(), FrameError>,
    ) -> Result<Option<usize>, FrameError> {
        let (mut at, mut whole) = (0, None);
        while let Some(rest) = bytes.get(at..).filter(|it| !it.is_empty()) {
            let taken = self.step(rest, opened)?;
            at = at.saturating_add(taken);
            if self.is_between() {
                whole = Some(at);
            }
        }
        Ok(whole)
    }

    fn step(
        &mut self,
        rest: &[u8],
        opened: &mut impl FnMut(Headers) -> Result<(), FrameError>,
    ) -> Result<usize, FrameError> {
        match &mut self.state {
            State::Head(head) => {
                let taken = take(head, rest, HEAD_BYTES);
                if head.len() == HEAD_BYTES {
                    self.state = framed(head)?;
                    self.end_control(opened)?;
                }
                Ok(taken)
            }
            State::Control { len, body, .. } => {
                let taken = take(body, rest, *len);
                self.end_control(opened)?;
                Ok(taken)
            }
            State::Data(left) => {
                let taken = rest.len().min(*left);
                *left = left.saturating_sub(taken);
                if *left == 0 {
                    self.state = State::Head(Vec::new());
                }
                Ok(taken)
            }
        }
    }

    /// Reads a control frame once it is whole.
    fn end_control(
        &mut self,
        opened: &mut impl FnMut(Headers) -> Result<(), FrameError>,
    ) -> Result<(), FrameError> {
        let State::Control { kind, len, body } = &self.state else { return Ok(()) };
        if body.len() < *len {
            return Ok(());
        }
        let before = match *kind {
            // Stream, associated stream, priority, slot; of the others only the stream.
            SYN_STREAM => Some(10),
            SYN_REPLY | HEADERS => Some(4),
            _ => None,
        };
        if let Some(before) = before {
            let block = body.get(before..).ok_or(FrameError::Malformed("a short frame"))?;
            // All of them go through one stream of deflate, whether or not they matter.
            let headers = headers(&self.inflate.block(block)?)?;
            if *kind == SYN_STREAM {
                opened(headers)?;
            }
        }
        self.state = State::Head(Vec::new());
        Ok(())
    }
}

/// Moves bytes to `to` until it has `len`; how many.
fn take(to: &mut Vec<u8>, from: &[u8], len: usize) -> usize {
    let taken = len.saturating_sub(to.len()).min(from.len());
    to.extend_from_slice(from.get(..taken).unwrap_or_default());
    taken
}

/// What a head says that follows.
fn framed(head: &[u8]) -> Result<State, FrameError> {
    let [a, b, c, d, _flags, x, y, z] = head else { return Err(FrameError::Malformed("a head")) };
    let len = usize::try_from(u32::from_be_bytes([0, *x, *y, *z])).unwrap_or(usize::MAX);
    if a & 0x80 == 0 {
        return Ok(match len {
            0 => State::Head(Vec::new()),
            len => State::Data(len),
        });
    }
    let version = u16::from_be_bytes([a & 0x7f, *b]);
    let kind = u16::from_be_bytes([*c, *d]);
    if version != VERSION {
        return Err(FrameError::Malformed("another version of SPDY"));
    }
    if ![SYN_STREAM, SYN_REPLY, HEADERS].contains(&kind) && !OTHERS.contains(&kind) {
        return Err(FrameError::Malformed("a kind of frame that is not known"));
    }
    if len > CONTROL_BYTES_MAX {
        return Err(FrameError::TooLarge);
    }
    Ok(State::Control { kind, len, body: Vec::new() })
}

/// Names and values, each with its length before it, and nothing after them.
fn headers(block: &[u8]) -> Result<Headers, FrameError> {
    let mut rest = block;
    let count = number(&mut rest)?;
    if count > HEADERS_MAX {
        return Err(FrameError::TooLarge);
    }
    let mut headers = Vec::new();
    for _ in 0..count {
        headers.push((text(&mut rest)?, text(&mut rest)?));
    }
    match rest {
        [] => Ok(headers),
        _ => Err(FrameError::Malformed("more than its headers")),
    }
}

fn number(rest: &mut &[u8]) -> Result<u32, FrameError> {
    let (number, behind) =
        rest.split_first_chunk::<4>().ok_or(FrameError::Malformed("headers that end too early"))?;
    *rest = behind;
    Ok(u32::from_be_bytes(*number))
}

fn text(rest: &mut &[u8]) -> Result<String, FrameError> {
    let len = usize::try_from(number(rest)?).unwrap_or(usize::MAX);
    let (text, behind) =
        rest.split_at_checked(len).ok_or(FrameError::Malformed("headers that end too early"))?;
    *rest = behind;
    // What is no text is no port either.
    Ok(String::from_utf8_lossy(text).into_owned())
}
