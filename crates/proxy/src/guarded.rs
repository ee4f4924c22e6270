//! An agent's end of a session that is read along, of which nothing passes that is not understood: a
//! port-forward, and a stream on which the agent only listens.

use std::{
    collections::BTreeSet,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use attributes::Attributes;
use frames::{FrameError, PortGuard, SilenceGuard, Wire};
use http::{HeaderMap, header};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const CHUNK_BYTES: usize = 16 << 10;

/// The API server agreed on something whose ports cannot be read.
pub(crate) struct UnknownWire;

/// What reads along with an agent.
pub(crate) enum Guard {
    /// Of a port-forward: it opens approved ports.
    Ports(PortGuard),
    /// Of a watch or a log: it only listens.
    Silence(SilenceGuard),
}

impl Guard {
    fn pass(&mut self, bytes: &[u8], passed: &mut Vec<u8>) -> Result<(), FrameError> {
        match self {
            Self::Ports(guard) => guard.pass(bytes, passed),
            Self::Silence(guard) => guard.pass(bytes, passed),
        }
    }
}

/// What guards a session; `None` for one that may say anything. `answer` are the headers of the 101.
pub(crate) fn of(
    attributes: &Attributes,
    answer: &HeaderMap,
) -> Result<Option<Guard>, UnknownWire> {
    if attributes.is_read() {
        return Ok(Some(Guard::Silence(SilenceGuard::default())));
    }
    if attributes.is_upgrade || attributes.subresource != "portforward" {
        return Ok(None);
    }
    let text = |name| answer.get(name).and_then(|it| it.to_str().ok()).unwrap_or_default();
    let (upgrade, protocol) = (text(header::UPGRADE), text(header::SEC_WEBSOCKET_PROTOCOL));
    let wire = Wire::of(upgrade, protocol).ok_or(UnknownWire)?;
    Ok(Some(Guard::Ports(PortGuard::new(wire, approved(attributes)))))
}

/// The ports that the request names, as the API server reads them; `None` where it names none.
fn approved(attributes: &Attributes) -> Option<BTreeSet<u16>> {
    let named: Vec<&String> =
        attributes.query.0.iter().filter(|(key, _)| key == "ports").map(|(_, it)| it).collect();
    // What is no port leads nowhere, and leaves no other one open.
    let ports = named.iter().flat_map(|it| it.split(',')).filter_map(|it| it.parse().ok());
    (!named.is_empty()).then(|| ports.collect())
}

/// Why the guard ended it, where it did.
pub(crate) fn refusal(error: &io::Error) -> Option<String> {
    error.get_ref()?.downcast_ref::<FrameError>().map(ToString::to_string)
}

/// A stream, of which the guard reads along what comes from it.
pub(crate) struct Guarded<S> {
    stream: S,
    guard: Option<Guard>,
    /// What may go on, and how much of it has.
    passed: Vec<u8>,
    given: usize,
}

impl<S> Guarded<S> {
    pub(crate) fn new(stream: S, guard: Option<Guard>) -> Self {
        Self { stream, guard, passed: Vec::new(), given: 0 }
    }

    /// `, with ports 80 and 443`, for the record.
    pub(crate) fn opened(&self) -> String {
        let Some(Guard::Ports(guard)) = &self.guard else { return String::new() };
        let ports: Vec<String> = guard.opened().iter().map(ToString::to_string).collect();
        match ports.is_empty() {
            true => String::new(),
            false => format!(" (ports {})", ports.join(", ")),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, guard, passed, given } = &mut *self;
        let Some(guard) = guard else { return Pin::new(stream).poll_read(context, buffer) };
        loop {
            let rest = passed.get(*given..).unwrap_or_default();
            let now = rest.get(..rest.len().min(buffer.remaining())).unwrap_or_default();
            if !now.is_empty() {
                buffer.put_slice(now);
                *given = given.saturating_add(now.len());
                return Poll::Ready(Ok(()));
            }
            passed.clear();
            *given = 0;
            let mut chunk = [0; CHUNK_BYTES];
            let mut read = ReadBuf::new(&mut chunk);
            ready!(Pin::new(&mut *stream).poll_read(context, &mut read))?;
            if read.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            if let Err(error) = guard.pass(read.filled(), passed) {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::PermissionDenied, error)));
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
