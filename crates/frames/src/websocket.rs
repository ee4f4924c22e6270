//! WebSocket frames (RFC 6455), as an agent's client sends them.

use crate::error::FrameError;

/// Two bytes, eight of length, four of mask.
const HEAD_BYTES_MAX: usize = 14;
const CONTROL_BYTES_MAX: u64 = 125;

/// Where in a frame it is read.
#[derive(Default)]
pub(crate) struct WebSocket {
    head: Vec<u8>,
    /// Of the payload of the frame that is read.
    left: u64,
    mask: [u8; 4],
    masked: usize,
    is_data: bool,
}

/// What some bytes are.
pub(crate) enum Read {
    /// So many bytes of a head.
    Head(usize),
    /// So many bytes of the payload of a control frame, or none of an empty frame.
    Other(usize),
    /// So many bytes of data; they are these.
    Data(usize, Vec<u8>),
}

impl WebSocket {
    /// Whether a head is waited for, of which a part came.
    pub(crate) fn is_in_head(&self) -> bool {
        !self.head.is_empty()
    }

    /// Whether the frame whose head was read last is one of data.
    pub(crate) fn is_data(&self) -> bool {
        self.is_data
    }

    /// Reads the next of some bytes, of which there must be one.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Result<Read, FrameError> {
        if self.left == 0 {
            return self.read_head(bytes);
        }
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        let payload = bytes.get(..left.min(bytes.len())).unwrap_or_default();
        self.left = self.left.saturating_sub(payload.len() as u64);
        let mask = self.mask.iter().cycle().skip(self.masked % 4);
        let data: Vec<u8> = payload.iter().zip(mask).map(|(byte, mask)| byte ^ mask).collect();
        self.masked = self.masked.wrapping_add(payload.len()) % 4;
        Ok(match self.is_data {
            true => Read::Data(payload.len(), data),
            false => Read::Other(payload.len()),
        })
    }

    fn read_head(&mut self, bytes: &[u8]) -> Result<Read, FrameError> {
        let mut taken = 0_usize;
        for byte in bytes.iter().take(HEAD_BYTES_MAX) {
            self.head.push(*byte);
            taken = taken.saturating_add(1);
            if self.head.len() >= 2 && self.head.len() == head_bytes(&self.head)? {
                self.begin()?;
                return Ok(if self.left == 0 { Read::Other(taken) } else { Read::Head(taken) });
            }
        }
        Ok(Read::Head(taken))
    }

    fn begin(&mut self) -> Result<(), FrameError> {
        let head = std::mem::take(&mut self.head);
        let (Some([first, second]), Some(mask)) = (head.first_chunk::<2>(), head.last_chunk::<4>())
        else {
            return Err(FrameError::Malformed("a head"));
        };
        let length = head.get(2..head.len().saturating_sub(4)).unwrap_or_default();
        self.left = match length {
            [] => u64::from(second & 0x7f),
            more => more.iter().fold(0, |sum: u64, byte| (sum << 8) | u64::from(*byte)),
        };
        (self.mask, self.masked) = (*mask, 0);
        let opcode = first & 0x0f;
        self.is_data = matches!(opcode, 0..=2);
        let is_control = matches!(opcode, 8..=10);
        if !self.is_data && !is_control {
            return Err(FrameError::Malformed("a kind of frame that is not known"));
        }
        let is_whole = first & 0x80 != 0;
        if is_control && (!is_whole || self.left > CONTROL_BYTES_MAX) {
            return Err(FrameError::Malformed("a control frame in parts"));
        }
        Ok(())
    }
}

/// How long a head is that begins so.
fn head_bytes(head: &[u8]) -> Result<usize, FrameError> {
    let Some([first, second]) = head.first_chunk::<2>() else { return Ok(2) };
    if first & 0x70 != 0 {
        return Err(FrameError::Malformed("an extension that was not agreed on"));
    }
    if second & 0x80 == 0 {
        return Err(FrameError::Malformed("a client's frame without a mask"));
    }
    Ok(match second & 0x7f {
        126 => 8,
        127 => 14,
        _ => 6,
    })
}
