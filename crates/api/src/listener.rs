//! The reviewers' door: TLS with an optional client certificate of the cluster.

use std::{io, sync::Arc, time::Duration};

use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
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
}

/// Why the reviewers' side of TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The cluster's client CA cannot be read.
    #[error("the cluster's client CA cannot be used: {0}")]
    ClientCa(String),
    /// The server's own certificate and key do not fit.
    #[error("the certificate and its key do not belong together")]
    Certificate(#[source] rustls::Error),
}

/// TLS that asks for a client certificate and takes none or one that `client_ca` has signed.
///
/// # Errors
/// [`TlsError`] where a certificate, key or CA cannot be used.
pub fn tls_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    client_ca: Option<&str>,
) -> Result<ServerConfig, TlsError> {
    let failed = |error: String| TlsError::ClientCa(error);
    let builder = match client_ca {
        None => ServerConfig::builder().with_no_client_auth(),
        Some(pem) => {
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                let certificate = certificate.map_err(|error| failed(error.to_string()))?;
                roots.add(certificate).map_err(|error| failed(error.to_string()))?;
            }
            let verifier = WebPkiClientVerifier::builder(Arc::new(roots))
                .allow_unauthenticated()
                .build()
                .map_err(|error| failed(error.to_string()))?;
            ServerConfig::builder().with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(TlsError::Certificate)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Serves reviewers until `stopping` is cancelled, then lets each connection answer.
pub async fn serve(api: Api, listener: Listener, stopping: CancellationToken) {
    let tls = TlsAcceptor::from(listener.tls);
    let router = routes::router(api);
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.tcp.accept() => accepted,
            () = stopping.cancelled() => break,
        };
        let tcp = match accepted {
            Ok((tcp, _)) => tcp,
            Err(error) => {
                tracing::warn!(%error, "a reviewer's connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (router, tls, stopping) = (router.clone(), tls.clone(), stopping.clone());
        connections.spawn(async move {
            if let Err(error) = connection(router, tls, tcp, stopping).await {
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
    stopping: CancellationToken,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let stream = tokio::time::timeout(HANDSHAKE_TIME_MAX, tls.accept(tcp))
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    let certificate = stream
        .get_ref()
        .1
        .peer_certificates()
        .and_then(<[_]>::first)
        .map(|it| routes::PeerCertificate(it.to_vec()));
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
