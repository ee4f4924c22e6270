//! The agents' door: TLS, HTTP/1.1, and an orderly end.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use http::Request;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::pki_types::CertificateDer;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

use crate::Proxy;

const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);
const HEADER_TIME_MAX: Duration = Duration::from_secs(30);
const HEADERS_MAX: usize = 128;
const HEADER_BYTES_MAX: usize = 64 << 10;

/// A bound address and the certificate shown there.
pub struct Listener {
    /// Already bound, so that its port is known.
    pub tcp: TcpListener,
    /// The server's side of TLS, ALPN `http/1.1`, asking for a client certificate.
    pub tls: Arc<rustls::ServerConfig>,
}

/// Serves agents until the proxy stops, then lets every connection answer what it was asked.
pub async fn serve(proxy: Arc<Proxy>, listener: Listener) {
    let tls = TlsAcceptor::from(listener.tls);
    let places = Arc::new(Semaphore::new(proxy.settings.connections_max));
    let connections = TaskTracker::new();
    loop {
        let place = tokio::select! {
            place = Arc::clone(&places).acquire_owned() => place,
            () = proxy.stopping.cancelled() => break,
        };
        let Ok(place) = place else { break };
        let accepted = tokio::select! {
            accepted = listener.tcp.accept() => accepted,
            () = proxy.stopping.cancelled() => break,
        };
        let (tcp, source) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most likely: others have to end first.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (proxy, tls) = (Arc::clone(&proxy), tls.clone());
        connections.spawn(async move {
            if let Err(error) = connection(proxy, tls, tcp, source).await {
                tracing::debug!(%error, %source, "a connection ended");
            }
            drop(place);
        });
    }
    drop(listener.tcp);
    connections.close();
    connections.wait().await;
}

/// Who is at the other end of a connection, as far as TLS can tell.
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    certificates: Vec<CertificateDer<'static>>,
}

impl Peer {
    /// The chain that the client showed, its own certificate first; not verified yet.
    pub(crate) fn chain(&self) -> Option<&[CertificateDer<'static>]> {
        Some(self.certificates.as_slice()).filter(|chain| !chain.is_empty())
    }
}

async fn connection(
    proxy: Arc<Proxy>,
    tls: TlsAcceptor,
    tcp: TcpStream,
    source: SocketAddr,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    tcp.set_nodelay(true)?;
    let stream = tokio::time::timeout(HANDSHAKE_TIME_MAX, tls.accept(tcp))
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    let stopping = proxy.stopping.clone();
    let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let certificates = certificates.iter().map(|it| it.clone().into_owned()).collect();
    let peer = Arc::new(Peer { address: source, certificates });
    let service = service_fn(move |request: Request<Incoming>| {
        let (proxy, peer) = (Arc::clone(&proxy), Arc::clone(&peer));
        async move { Ok::<_, std::convert::Infallible>(proxy.serve(&peer, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME_MAX)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return Ok(ended?),
        () = stopping.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    Ok(connection.await?)
}
