//! The reviewers' door: TLS with an optional client certificate of the cluster.

use std::{io, sync::Arc, time::Duration};

use connections::{Admitted, Bounds, Clients, Slot};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

use crate::{Api, routes};

const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);
const HEADER_TIME_MAX: Duration = Duration::from_secs(30);

/// A bound address and the certificate shown there.
pub struct Listener {
    /// Already bound, so that its port is known.
    pub tcp: TcpListener,
    /// From [`tls_config`].
    pub tls: Arc<ServerConfig>,
    /// What its clients may take.
    pub bounds: Bounds,
}

/// The server's own certificate and key do not fit.
#[derive(Debug, thiserror::Error)]
#[error("the certificate and its key do not belong together")]
pub struct TlsError(#[source] rustls::Error);

/// TLS that asks for a client certificate; whom it names is asked on each request.
///
/// # Errors
/// [`TlsError`] where the certificate and its key do not fit.
pub fn tls_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, TlsError> {
    let mut config = ServerConfig::builder()
        .with_client_cert_verifier(authn::asking())
        .with_single_cert(chain, key)
        .map_err(TlsError)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Serves reviewers until `stopping` is cancelled, then lets each connection answer.
pub async fn serve(api: Api, listener: Listener, stopping: CancellationToken) {
    let tls = TlsAcceptor::from(listener.tls);
    let (router, crowded) = (routes::router(api), routes::crowded());
    let (connections, clients) = (TaskTracker::new(), Clients::default());
    loop {
        let accepted = tokio::select! {
            accepted = listener.tcp.accept() => accepted,
            () = stopping.cancelled() => break,
        };
        let (tcp, source) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a reviewer's connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (router, slot) = match clients.admit(source.ip(), &listener.bounds) {
            Admitted::Served(slot) => (router.clone(), slot),
            Admitted::TurnedAway(slot) => (crowded.clone(), slot),
            Admitted::Closed => {
                tracing::debug!(%source, "too many connections of reviewers: one was closed");
                continue;
            }
        };
        let (tls, stopping) = (tls.clone(), stopping.clone());
        connections.spawn(async move {
            if let Err(error) = connection(router, tls, tcp, slot, stopping).await {
                tracing::debug!(%error, "a reviewer's connection ended");
            }
        });
    }
    connections.close();
    connections.wait().await;
}

async fn connection(
    router: axum::Router,
    tls: TlsAcceptor,
    tcp: TcpStream,
    mut slot: Slot,
    stopping: CancellationToken,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let shaken = tokio::time::timeout(HANDSHAKE_TIME_MAX, tls.accept(tcp));
    let stream = tokio::select! {
        shaken = shaken => shaken.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??,
        () = stopping.cancelled() => return Ok(()),
    };
    slot.shaken();
    let certificate = stream.get_ref().1.peer_certificates().map(|chain| {
        routes::PeerCertificate(chain.iter().map(|it| it.clone().into_owned()).collect())
    });
    let service = router.map_request(move |mut request: hyper::Request<hyper::body::Incoming>| {
        if let Some(certificate) = certificate.clone() {
            request.extensions_mut().insert(certificate);
        }
        request
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return Ok(ended?),
        () = stopping.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    Ok(connection.await?)
}
