//! The agents' listener: TLS, HTTP/1.1 and HTTP/2, bounds for each client, and an orderly end.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use connections::{Admitted, Clients, Slot};
use http::{HeaderValue, Request, Response, header};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use status::Status;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::sync::CancellationToken;

use crate::{
    body::{self, Guarded, Inbound},
    error::ProxyError,
    peer::Peer,
    proxy::Proxy,
    timeouts::{ConnectionActivity, LOOK_EVERY, Observed, Overdue, Reaper},
    workers::Workers,
};

/// Larger heads than `header_bytes_max` are still read up to here, so that they can be answered.
const HEAD_BYTES_MAX: usize = 128 << 10;
/// An agent that has vanished is found out so soon, whatever it waits for.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
const KEEP_ALIVE_TIME_MAX: Duration = Duration::from_secs(20);
/// What an agent may send on one HTTP/2 stream, and on all of a connection, before it is read.
const STREAM_WINDOW_BYTES: u32 = 256 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;
/// What waits on one HTTP/2 stream for its client to read.
const SEND_BUFFER_BYTES: usize = 64 << 10;

/// A bound address and the certificate shown there.
pub struct Listener {
    /// Already bound, so that its port is known.
    pub tcp: TcpListener,
    /// The server's side of TLS, ALPN `h2` and `http/1.1`, asking for a client certificate.
    pub tls: Arc<rustls::ServerConfig>,
}

/// Serves agents until the proxy stops, then lets every connection answer what it was asked.
///
/// # Errors
/// Where the system has no more threads.
pub async fn serve(proxy: Arc<Proxy>, listener: Listener) -> io::Result<()> {
    let tls = TlsAcceptor::from(listener.tls);
    let (clients, bounds) = (Clients::default(), proxy.bounds().connections());
    let reaper = Arc::new(Reaper::default());
    let mut workers = Workers::start()?;
    let mut look = tokio::time::interval(LOOK_EVERY);
    loop {
        let accepted = tokio::select! {
            accepted = listener.tcp.accept() => accepted,
            _ = look.tick() => {
                reaper.look(proxy.bounds());
                continue;
            }
            () = proxy.stopping().cancelled() => break,
        };
        let (tcp, source) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Most likely there are no file descriptors left until other connections end.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (slot, turned_away) = match clients.admit(source.ip(), &bounds) {
            Admitted::Served(slot) => (slot, false),
            Admitted::TurnedAway(slot) => (slot, true),
            Admitted::Closed => {
                tracing::debug!(%source, "too many connections: one was closed");
                continue;
            }
        };
        // The socket leaves this runtime, so that the worker's own can register it.
        let tcp = match tcp.into_std() {
            Ok(tcp) => tcp,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be handed on");
                continue;
            }
        };
        let arrival = Arrival { tcp, source, slot, turned_away, reaper: Arc::clone(&reaper) };
        let (proxy, tls) = (Arc::clone(&proxy), tls.clone());
        workers.run(async move {
            if let Err(error) = connection(proxy, tls, arrival).await {
                tracing::debug!(%error, %source, "a connection ended");
            }
        });
    }
    drop(listener.tcp);
    workers.finish().await;
    Ok(())
}

/// A connection on its way to a thread.
struct Arrival {
    tcp: std::net::TcpStream,
    source: SocketAddr,
    slot: Slot,
    /// There are too many: whatever it asks, that is the answer.
    turned_away: bool,
    reaper: Arc<Reaper>,
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn connection(proxy: Arc<Proxy>, tls: TlsAcceptor, arrival: Arrival) -> Result<(), Failure> {
    let Arrival { tcp, source, mut slot, turned_away, reaper } = arrival;
    // Boxed, or ten thousand idle connections would each keep the space of a handshake.
    let shaken = Box::pin(shake_hands(tcp, tls, proxy.bounds().handshake_time_max));
    let stream = tokio::select! {
        stream = shaken => stream?,
        () = proxy.stopping().cancelled() => return Ok(()),
    };
    slot.shaken();
    let session = stream.get_ref().1;
    let is_http2 = session.alpn_protocol() == Some(b"h2");
    let certificates = session.peer_certificates().unwrap_or_default();
    let certificates = certificates.iter().map(|it| it.clone().into_owned()).collect();
    let peer = Arc::new(Peer::new(source, certificates));
    let activity = Arc::new(ConnectionActivity::new(!is_http2));
    reaper.add(&activity);
    let stream = TokioIo::new(Observed::new(stream, Arc::clone(&activity)));
    let (answering, of_service) = (Arc::clone(&proxy), Arc::clone(&activity));
    let service = service_fn(move |request: Request<Incoming>| {
        let (proxy, peer) = (Arc::clone(&answering), Arc::clone(&peer));
        let busy = of_service.begin();
        let activity = Arc::clone(&of_service);
        // Begun here and now: what is begun when it is first waited for never begins where the
        // connection ends together with the head, and leaves no record.
        let request = Inbound::of(request);
        let served = (!turned_away).then(|| Arc::clone(&proxy).serve(&peer, request));
        // Boxed, as hyper reserves the space of this future on every idle connection.
        Box::pin(async move {
            let answer = others_first(async {
                match served {
                    Some(served) => served.await,
                    None => crowded(),
                }
            })
            .await;
            // Whoever floods it with what is refused has to shake hands again for more.
            if answer.status().is_client_error() && proxy.is_flooded_by(peer.address.ip()) {
                activity.end_in_order();
            }
            Ok::<_, Infallible>(answer.map(|body| Guarded::new(body, busy)))
        })
    });
    let bounds = proxy.bounds();
    if is_http2 {
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(bounds.streams_max)
            .max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX))
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_send_buf_size(SEND_BUFFER_BYTES)
            .keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE_TIME_MAX)
            .serve_connection(stream, service);
        return drive(
            Box::pin(connection),
            |it| it.graceful_shutdown(),
            proxy.stopping(),
            &activity,
        )
        .await;
    }
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // `ConnectionActivity` does this, and tells a slow head from an idle connection.
        .header_read_timeout(None)
        .max_header_size(HEAD_BYTES_MAX)
        .serve_connection(stream, service)
        .with_upgrades();
    drive(Box::pin(connection), |it| it.graceful_shutdown(), proxy.stopping(), &activity).await
}

async fn shake_hands(
    tcp: std::net::TcpStream,
    tls: TlsAcceptor,
    time_max: Duration,
) -> io::Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::from_std(tcp)?;
    tcp.set_nodelay(true)?;
    let keep_alive = socket2::TcpKeepalive::new().with_time(KEEP_ALIVE).with_interval(KEEP_ALIVE);
    socket2::SockRef::from(&tcp).set_tcp_keepalive(&keep_alive)?;
    let stream = tokio::time::timeout(time_max, tls.accept(tcp)).await;
    stream.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

/// Lets a connection go on until it ends, is overdue, or the proxy stops; `end_in_order` asks it to
/// answer what it was asked, and no more.
async fn drive<C>(
    mut connection: Pin<Box<C>>,
    end_in_order: impl FnOnce(Pin<&mut C>),
    stopping: &CancellationToken,
    activity: &ConnectionActivity,
) -> Result<(), Failure>
where
    C: Future<Output = hyper::Result<()>>,
{
    tokio::select! {
        ended = connection.as_mut() => return Ok(ended?),
        () = stopping.cancelled() => {}
        why = activity.overdue() => match why {
            Overdue::Stuck => return Ok(()),
            Overdue::Idle => {}
        }
    }
    end_in_order(connection.as_mut());
    tokio::select! {
        ended = connection.as_mut() => Ok(ended?),
        // The peer ignored the orderly end, so the connection is dropped.
        _ = activity.overdue() => Ok(()),
    }
}

/// Where an answer waited for nothing, everybody else on this thread is looked at before it leaves: heads
/// that are refused as fast as they come would keep the thread to one connection.
async fn others_first<T>(answer: impl Future<Output = T>) -> T {
    let mut answer = pin!(answer);
    match futures_util::poll!(answer.as_mut()) {
        Poll::Ready(answer) => {
            tokio::task::yield_now().await;
            answer
        }
        Poll::Pending => answer.await,
    }
}

fn crowded() -> Response<upstream::Body> {
    let mut answer = body::status_response(&Status::from(&ProxyError::Crowded));
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    answer
}
