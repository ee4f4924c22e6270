//! HTTP/2 connections to the API server that many watches share.
//!
//! A watch costs the API server and us a stream instead of a connection. One connection for all
//! would stall: the API server takes a limited number of streams, and further ones wait behind
//! them without a word. So streams are counted here, and a new connection is made before one is
//! full. Only reads that stream come this way; what is refused, or caught by a GOAWAY, can be sent
//! once more on a connection of its own.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response, Uri, header, uri::Scheme};
use http_body::{Frame, SizeHint};
use http_body_util::Full;
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio_rustls::client::TlsStream;

use crate::connect::{Connector, Failure, Tcp};

type Driven = http2::Connection<TokioIo<TlsStream<Tcp>>, Full<Bytes>, TokioExecutor>;

/// Streams on one connection, at most; the API server's own limit, where lower, counts.
const STREAMS_MAX: usize = 90;
/// What one stream may have on its way to us. A watch whose client does not read stops here, and
/// the connection's window has room for all the others beside it.
const STREAM_WINDOW_BYTES: u32 = 64 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 90 * STREAM_WINDOW_BYTES;
/// A read waits no longer than this for a place on a shared connection.
const SLOT_TIME_MAX: Duration = Duration::from_secs(2);
/// An API server that answered without HTTP/2 is asked again after so long.
const UNSPOKEN_TIME: Duration = Duration::from_secs(60);
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_TIME_MAX: Duration = Duration::from_secs(15);

/// The connections.
#[derive(Default)]
pub(crate) struct Shared {
    connections: Mutex<Vec<Shareable>>,
    /// Until then it is not asked again whether the API server speaks HTTP/2: what stands before it may
    /// have answered once without it.
    unspoken_until: Mutex<Option<Instant>>,
    /// One new connection at a time, or a hundred watches that start at once would make a hundred.
    connecting: tokio::sync::Mutex<()>,
}

/// One connection, and how many streams are on it.
#[derive(Clone)]
struct Shareable {
    sender: http2::SendRequest<Full<Bytes>>,
    live: Arc<AtomicUsize>,
    streams_max: Arc<AtomicUsize>,
}

/// A slot on a connection, given back when it is dropped.
struct Slot(Arc<AtomicUsize>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Shareable {
    fn slot(&self) -> Option<Slot> {
        let free = |live: usize| {
            (live < self.streams_max.load(Ordering::Relaxed).min(STREAMS_MAX)).then(|| live + 1)
        };
        self.live.fetch_update(Ordering::Relaxed, Ordering::Relaxed, free).ok()?;
        Some(Slot(Arc::clone(&self.live)))
    }
}

impl Shared {
    fn slot(&self) -> Option<(Shareable, Slot)> {
        let mut connections = self.connections.lock();
        connections.retain(|connection| !connection.sender.is_closed());
        // The fullest one that has room: those that empty can end.
        connections.sort_by_key(|it| std::cmp::Reverse(it.live.load(Ordering::Relaxed)));
        connections.iter().find_map(|it| Some((it.clone(), it.slot()?)))
    }

    /// Sends a request on a connection that it shares with others; `None` where it did not get an
    /// answer so.
    pub(crate) async fn send(
        &self,
        connector: &Connector,
        authority: &str,
        request: Request<Full<Bytes>>,
    ) -> Option<Response<SharedBody>> {
        let request = http2_request(request, authority)?;
        // One that waits for longer has a connection of its own: nobody waits behind the failures of others.
        let found = tokio::time::timeout(SLOT_TIME_MAX, self.free_slot(connector)).await;
        let (mut connection, slot) = match found.unwrap_or_else(|late| Err(late.into())) {
            Ok(found) => found?,
            Err(error) => {
                tracing::debug!(error, "no HTTP/2 connection to the API server");
                return None;
            }
        };
        match connection.sender.try_send_request(request).await {
            Ok(answer) => Some(answer.map(|body| SharedBody { body, _slot: slot })),
            Err(error) => {
                tracing::debug!(error = %error.error(), "a stream to the API server was refused");
                None
            }
        }
    }

    fn is_unspoken(&self, now: Instant) -> bool {
        self.unspoken_until.lock().is_some_and(|until| now < until)
    }

    async fn free_slot(&self, connector: &Connector) -> Result<Option<(Shareable, Slot)>, Failure> {
        if self.is_unspoken(Instant::now()) {
            return Ok(None);
        }
        if let Some(found) = self.slot() {
            return Ok(Some(found));
        }
        let _one = self.connecting.lock().await;
        if let Some(found) = self.slot() {
            return Ok(Some(found));
        }
        let Some(tls) = connector.tls_http2().await? else {
            *self.unspoken_until.lock() = Instant::now().checked_add(UNSPOKEN_TIME);
            return Ok(None);
        };
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_TIME_MAX)
            .handshake(TokioIo::new(tls))
            .await?;
        let streams_max = Arc::new(AtomicUsize::new(STREAMS_MAX));
        let driver = Driver { connection, streams_max: Arc::clone(&streams_max) };
        #[expect(clippy::disallowed_methods, reason = "the connection ends when its senders drop")]
        tokio::spawn(driver);
        let shareable = Shareable { sender, live: Arc::default(), streams_max };
        let slot = shareable.slot();
        let mut connections = self.connections.lock();
        connections.push(shareable.clone());
        Ok(slot.map(|slot| (shareable, slot)))
    }
}

/// HTTP/2 names scheme and authority beside the path, and has no `Host`.
fn http2_request(
    mut request: Request<Full<Bytes>>,
    authority: &str,
) -> Option<Request<Full<Bytes>>> {
    let target = request.uri().path_and_query()?.clone();
    let uri = Uri::builder().scheme(Scheme::HTTPS).authority(authority).path_and_query(target);
    *request.uri_mut() = uri.build().ok()?;
    *request.version_mut() = http::Version::HTTP_2;
    request.headers_mut().remove(header::HOST);
    Some(request)
}

/// Drives a connection, and notes how many streams its other end takes now.
struct Driver {
    connection: Driven,
    streams_max: Arc<AtomicUsize>,
}

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let polled = Pin::new(&mut self.connection).poll(context);
        self.streams_max.store(self.connection.current_max_send_streams(), Ordering::Relaxed);
        polled.map(|ended| {
            if let Err(error) = ended {
                tracing::debug!(%error, "a shared connection to the API server ended");
            }
        })
    }
}

/// An answer's body; its slot on the connection is free again when it is dropped.
pub(crate) struct SharedBody {
    body: Incoming,
    _slot: Slot,
}

impl http_body::Body for SharedBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_answer_without_http2_is_not_for_good() {
        let (shared, now) = (Shared::default(), Instant::now());
        assert!(!shared.is_unspoken(now));
        *shared.unspoken_until.lock() = Some(now + UNSPOKEN_TIME);
        assert!(shared.is_unspoken(now));
        assert!(!shared.is_unspoken(now + UNSPOKEN_TIME), "asked again");
    }
}
