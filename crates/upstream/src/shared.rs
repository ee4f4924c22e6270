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
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, Uri, header, uri::Scheme};
use http_body::{Frame, SizeHint};
use http_body_util::Full;
use hyper::{body::Incoming, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::ApiServer;

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Driven = http2::Connection<TokioIo<TlsStream<TcpStream>>, Full<Bytes>, TokioExecutor>;

/// Streams on one connection, at most; the API server's own limit, where lower, counts.
const STREAMS_MAX: usize = 90;
/// What one stream may have on its way to us. A watch whose client does not read stops here, and
/// the connection's window has room for all the others beside it.
const STREAM_WINDOW_BYTES: u32 = 64 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 90 * STREAM_WINDOW_BYTES;
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_TIME_MAX: Duration = Duration::from_secs(15);

/// The connections.
#[derive(Default)]
pub(crate) struct Shared {
    connections: Mutex<Vec<Shareable>>,
    /// The API server, or what stands before it, speaks no HTTP/2: found out once.
    unspoken: AtomicBool,
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

/// A place on a connection, given back when it is dropped.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Shareable {
    fn place(&self) -> Option<Place> {
        let free = |live: usize| {
            (live < self.streams_max.load(Ordering::Relaxed).min(STREAMS_MAX)).then(|| live + 1)
        };
        self.live.fetch_update(Ordering::Relaxed, Ordering::Relaxed, free).ok()?;
        Some(Place(Arc::clone(&self.live)))
    }
}

impl Shared {
    fn place(&self) -> Option<(Shareable, Place)> {
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        connections.retain(|connection| !connection.sender.is_closed());
        // The fullest one that has room: those that empty can end.
        connections.sort_by_key(|it| std::cmp::Reverse(it.live.load(Ordering::Relaxed)));
        connections.iter().find_map(|it| Some((it.clone(), it.place()?)))
    }
}

impl ApiServer {
    /// Sends a read whose answer streams on a connection that it shares with others. `None` where
    /// it did not get an answer so: it can be sent on a connection of its own.
    pub(crate) async fn send_shared(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Option<Response<SharedBody>> {
        let request = http2_request(request, self.authority())?;
        let (mut connection, place) = match self.shared_place().await {
            Ok(found) => found?,
            Err(error) => {
                tracing::debug!(error, "no HTTP/2 connection to the API server");
                return None;
            }
        };
        match connection.sender.try_send_request(request).await {
            Ok(answer) => Some(answer.map(|body| SharedBody { body, _place: place })),
            Err(error) => {
                tracing::debug!(error = %error.error(), "a stream to the API server was refused");
                None
            }
        }
    }

    async fn shared_place(&self) -> Result<Option<(Shareable, Place)>, Failure> {
        let shared = self.shared();
        if shared.unspoken.load(Ordering::Relaxed) {
            return Ok(None);
        }
        if let Some(found) = shared.place() {
            return Ok(Some(found));
        }
        let _one = shared.connecting.lock().await;
        if let Some(found) = shared.place() {
            return Ok(Some(found));
        }
        let Some(tls) = self.tls_http2().await? else {
            shared.unspoken.store(true, Ordering::Relaxed);
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
        let place = shareable.place();
        let mut connections = shared.connections.lock().unwrap_or_else(PoisonError::into_inner);
        connections.push(shareable.clone());
        Ok(place.map(|place| (shareable, place)))
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

/// An answer's body; its place on the connection is free again when it is dropped.
pub(crate) struct SharedBody {
    body: Incoming,
    _place: Place,
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
