//! HTTP/2 frame by frame (RFC 9113), for what no library would send.

use std::{net::Ipv4Addr, time::Duration};

use testkit::Shield;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::{self, Runtime},
    time::timeout,
};
use tokio_rustls::client::TlsStream;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// END_STREAM.
pub const END: u8 = 0x1;
/// END_HEADERS.
pub const WHOLE: u8 = 0x4;

/// What a frame is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(missing_docs, reason = "the names of RFC 9113")]
pub enum Kind {
    Data = 0,
    Headers = 1,
    Priority = 2,
    Reset = 3,
    Settings = 4,
    Push = 5,
    Ping = 6,
    GoAway = 7,
    Window = 8,
    Continuation = 9,
}

/// One frame that came.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Frame {
    /// The number of its kind.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream; 0 is the connection.
    pub stream: u32,
    /// What it carries.
    pub payload: Vec<u8>,
}

/// One connection.
pub struct Frames {
    runtime: Runtime,
    stream: TlsStream<TcpStream>,
}

/// A header field, never compressed and never indexed.
pub fn field(name: &str, value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x10];
    for part in [name.as_bytes(), value] {
        bytes.extend(number(part.len()));
        bytes.extend_from_slice(part);
    }
    bytes
}

/// An integer of HPACK with a prefix of seven bits.
fn number(value: usize) -> Vec<u8> {
    if value < 127 {
        return vec![u8::try_from(value).unwrap_or(0)];
    }
    let (mut bytes, mut rest) = (vec![127], value - 127);
    while rest >= 128 {
        bytes.push(u8::try_from(rest % 128).unwrap_or(0) | 0x80);
        rest /= 128;
    }
    bytes.push(u8::try_from(rest).unwrap_or(0));
    bytes
}

impl Frames {
    /// Connects and sends the preface with these settings.
    ///
    /// # Panics
    /// Where there is no connection.
    pub fn open(shield: &Shield, settings: &[(u16, u32)]) -> Self {
        let runtime =
            runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let from = Ipv4Addr::LOCALHOST;
        let stream = runtime.block_on(crate::connect(shield, "h2", from)).expect("a connection");
        let mut frames = Self { runtime, stream };
        let mut bytes = PREFACE.to_vec();
        let payload: Vec<u8> = settings
            .iter()
            .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
            .collect();
        bytes.extend(Self::frame(Kind::Settings, 0, 0, &payload));
        frames.send(&bytes);
        frames
    }

    /// The bytes of a frame.
    pub fn frame(kind: Kind, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap_or(0).to_be_bytes();
        let mut bytes = vec![length[1], length[2], length[3], kind as u8, flags];
        bytes.extend(stream.to_be_bytes());
        bytes.extend_from_slice(payload);
        bytes
    }

    /// Sends bytes; false where the other end takes no more within a few seconds.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        let Self { runtime, stream } = self;
        let sent = async {
            stream.write_all(bytes).await?;
            stream.flush().await
        };
        runtime
            .block_on(async { timeout(Duration::from_secs(5), sent).await })
            .is_ok_and(|it| it.is_ok())
    }

    /// The next frame; `None` at the end of the connection.
    ///
    /// # Panics
    /// Where nothing comes for longer than a test may take.
    pub fn read(&mut self) -> Option<Frame> {
        let Self { runtime, stream } = self;
        let read = async {
            let mut head = [0; 9];
            stream.read_exact(&mut head).await.ok()?;
            let length =
                usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
            let mut payload = vec![0; length];
            stream.read_exact(&mut payload).await.ok()?;
            let of = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
            Some(Frame { kind: head[3], flags: head[4], stream: of, payload })
        };
        runtime
            .block_on(async { timeout(crate::PATIENCE, read).await })
            .expect("a frame or the end")
    }

    /// What comes for a stream until it has ended: the bytes of its body, or `None` where it was
    /// reset or the connection ended.
    pub fn body(&mut self, of: u32) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let frame = self.read()?;
            let is = |kind: Kind| frame.kind == kind as u8;
            if is(Kind::Settings) && frame.flags & 1 == 0 {
                self.send(&Self::frame(Kind::Settings, 1, 0, b""));
            }
            if is(Kind::GoAway) || (is(Kind::Reset) && frame.stream == of) {
                return None;
            }
            if frame.stream != of {
                continue;
            }
            if is(Kind::Data) {
                body.extend_from_slice(&frame.payload);
            }
            if frame.flags & END != 0 && (is(Kind::Data) || is(Kind::Headers)) {
                return Some(body);
            }
        }
    }

    /// Whether the other end has ended the connection, told by GOAWAY or not.
    pub fn is_over(&mut self) -> bool {
        loop {
            match self.read() {
                None => return true,
                Some(frame) if frame.kind == Kind::GoAway as u8 => return true,
                Some(_) => {}
            }
        }
    }
}
