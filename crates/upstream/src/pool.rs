//! HTTP/1.1 connections to the API server, kept and used again.
//!
//! One request at a time on each, so a watch never stands in the way of a write, and what became of
//! a request whose connection broke is known: never written, or unknown. Idle connections are kept
//! for the thread that asked for them: who drives a connection and who waits for its answer then
//! mostly share a thread, and nobody wakes another.

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
use http::{Request, Response, Uri};
use http_body::{Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use kube::{client::ConfigExt, config::AuthInfo};
use parking_lot::Mutex;
use rustls_pki_types::ServerName;
use tokio::sync::Semaphore;
use tokio_rustls::TlsConnector;

use crate::{
    connect::{Connection, Connector, Failure, Sender},
    impersonate::Impersonating,
    send_error::SendError,
    shared::{Shared, SharedBody},
};

/// Places where idle connections are kept; threads beyond so many share them.
const SHELVES: usize = 16;
/// Idle connections that are kept in each place.
const IDLE_MAX: usize = 64;
/// Connections at a time, unless the system has room for fewer.
pub const CONNECTIONS_MAX: usize = 16_384;
/// An idle connection older than this is not trusted; the API server closes them after 90 s.
const IDLE_TIME_MAX: Duration = Duration::from_secs(60);

/// The API server as agents' requests reach it.
#[derive(Clone)]
pub struct ApiServer(Arc<Inner>);

struct Inner {
    impersonating: Impersonating,
    authority: String,
    /// The path below which the API server is: `/k8s/clusters/c1`; mostly empty.
    prefix: String,
    connector: Connector,
    idle: [Mutex<Vec<(Sender, Instant)>>; SHELVES],
    shared: Shared,
}

/// Why the API server's address or certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Agents' tokens go over TLS or not at all.
    #[error("the API server's URL `{0}` is not an https URL with a host")]
    Url(Uri),
    /// Its CA cannot be used.
    #[error("the API server's certificate authority cannot be used")]
    Tls(#[source] Box<kube::Error>),
    /// The proxy's own credential cannot be used.
    #[error("the proxy's own credential cannot be used")]
    Credential(#[source] Box<kube::Error>),
    /// Its name cannot stand in a certificate.
    #[error("`{0}` is not a server name")]
    Name(String),
    /// Agents' requests would go around a proxy that the proxy's own take.
    #[error(
        "the API server is behind the proxy `{0}` (proxy-url in the kubeconfig, or HTTPS_PROXY), which is not supported: run agent-shield where it reaches the API server directly, and name that address"
    )]
    Proxy(Uri),
}

impl ApiServer {
    /// Reads address and trust from the proxy's own configuration; its credential only for requests
    /// that run in somebody's name.
    ///
    /// # Errors
    /// [`ConnectError`] where the URL is not https or its trust anchors cannot be used.
    pub fn new(config: &kube::Config) -> Result<Self, ConnectError> {
        Self::bounded(config, CONNECTIONS_MAX)
    }

    /// As [`ApiServer::new`], with so many connections at a time at most; whoever needs one more waits for
    /// a moment, and is told then that the API server cannot be reached.
    ///
    /// # Errors
    /// As [`ApiServer::new`].
    pub fn bounded(config: &kube::Config, connections_max: usize) -> Result<Self, ConnectError> {
        // INVARIANT: agents' requests never ride on a connection that authenticates the proxy, or
        // one without a credential would run with the proxy's rights.
        let mut anonymous = config.clone();
        anonymous.auth_info = AuthInfo::default();
        let mut tls =
            anonymous.rustls_client_config().map_err(|error| ConnectError::Tls(Box::new(error)))?;
        let mut http2 = tls.clone();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        http2.alpn_protocols = vec![b"h2".to_vec()];

        let url = &config.cluster_url;
        let host = match (url.scheme_str(), url.host()) {
            (Some("https"), Some(host)) => host.trim_matches(['[', ']']).to_owned(),
            _ => return Err(ConnectError::Url(url.clone())),
        };
        let name = config.tls_server_name.clone().unwrap_or_else(|| host.clone());
        let server_name =
            ServerName::try_from(name.clone()).map_err(|_| ConnectError::Name(name))?;
        if let Some(proxy) = &config.proxy_url {
            return Err(ConnectError::Proxy(proxy.clone()));
        }
        let authority = url.authority().map(ToString::to_string).unwrap_or_default();
        let impersonating = Impersonating::new(config).map_err(ConnectError::Credential)?;
        Ok(Self(Arc::new(Inner {
            impersonating,
            authority,
            prefix: url.path().trim_end_matches('/').to_owned(),
            connector: Connector {
                port: url.port_u16().unwrap_or(443),
                host,
                tls: TlsConnector::from(Arc::new(tls)),
                tls_http2: TlsConnector::from(Arc::new(http2)),
                server_name,
                room: Arc::new(Semaphore::new(connections_max)),
            },
            idle: Default::default(),
            shared: Shared::default(),
        })))
    }

    pub(crate) fn impersonating(&self) -> &Impersonating {
        &self.0.impersonating
    }

    /// Sends a read whose answer streams on a connection that it shares with others. `None` where
    /// it did not get an answer so: it can be sent on a connection of its own.
    pub(crate) async fn send_shared(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Option<Response<SharedBody>> {
        self.0.shared.send(&self.0.connector, self.authority(), request).await
    }

    /// A new connection, which its caller drives.
    pub(crate) async fn handshake(&self) -> Result<(Sender, Connection), Failure> {
        self.make_room();
        self.0.connector.handshake().await
    }

    /// Where there are as many connections as there may be, closes one that nobody uses.
    fn make_room(&self) {
        if self.0.connector.room.available_permits() == 0 {
            // Its connection ends with its sender.
            let unused = self.0.idle.iter().find_map(|shelf| shelf.lock().pop());
            drop(unused);
        }
    }

    /// Host and port, for the `Host` header.
    pub fn authority(&self) -> &str {
        &self.0.authority
    }

    /// Where a path of the API server is at that host.
    pub(crate) fn below(&self, target: &str) -> String {
        format!("{}{target}", self.0.prefix)
    }

    /// Sends one request and waits for the head of its answer.
    ///
    /// A kept connection that turns out dead before the request was written is replaced; nothing
    /// that may have been written is ever sent again.
    ///
    /// # Errors
    /// [`SendError::Unsent`] where nothing was written, otherwise [`SendError::Stale`] for a kept
    /// connection and [`SendError::Unknown`] for a new one.
    ///
    /// # Cancel safety
    /// Dropped before it returns, the request may have run: spawn what mutates.
    pub(crate) async fn send(
        &self,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Response<PooledBody>, SendError> {
        let shelf = thread_number() % SHELVES;
        while let Some(mut sender) = self.kept(shelf) {
            if sender.ready().await.is_err() {
                continue;
            }
            match sender.try_send_request(request).await {
                Ok(response) => return Ok(self.pooled(response, sender, shelf)),
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(SendError::Stale(Box::new(error.into_error()))),
                },
            }
        }
        // Apart from the future of every request, which would be several times as large.
        let mut sender = Box::pin(self.connect()).await.map_err(SendError::Unsent)?;
        match sender.try_send_request(request).await {
            Ok(response) => Ok(self.pooled(response, sender, shelf)),
            Err(mut error) => match error.take_message() {
                Some(_) => Err(SendError::Unsent(Box::new(error.into_error()))),
                None => Err(SendError::Unknown(Box::new(error.into_error()))),
            },
        }
    }

    fn kept(&self, shelf: usize) -> Option<Sender> {
        let mut idle = self.shelf(shelf).lock();
        while let Some((sender, since)) = idle.pop() {
            if !sender.is_closed() && since.elapsed() < IDLE_TIME_MAX {
                return Some(sender);
            }
        }
        None
    }

    fn keep(&self, sender: Sender, shelf: usize) {
        let mut idle = self.shelf(shelf).lock();
        if idle.len() < IDLE_MAX && !sender.is_closed() {
            idle.push((sender, Instant::now()));
        }
    }

    fn shelf(&self, number: usize) -> &Mutex<Vec<(Sender, Instant)>> {
        let [first, ..] = &self.0.idle;
        self.0.idle.get(number).unwrap_or(first)
    }

    fn pooled(
        &self,
        response: Response<Incoming>,
        sender: Sender,
        shelf: usize,
    ) -> Response<PooledBody> {
        response.map(|body| {
            let mut pooled = PooledBody { body, connection: Some((self.clone(), sender, shelf)) };
            pooled.release_if_ended();
            pooled
        })
    }

    async fn connect(&self) -> Result<Sender, Failure> {
        let (sender, connection) = self.handshake().await?;
        #[expect(clippy::disallowed_methods, reason = "the connection ends when its sender drops")]
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection to the API server ended");
            }
        });
        Ok(sender)
    }
}

/// A small number of the running thread, the same for its whole life.
fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: usize = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    NUMBER.with(|number| *number)
}

/// An answer's body; read to its end, it gives its connection back.
pub(crate) struct PooledBody {
    body: Incoming,
    /// With the number of its shelf.
    connection: Option<(ApiServer, Sender, usize)>,
}

impl PooledBody {
    fn release_if_ended(&mut self) {
        if http_body::Body::is_end_stream(&self.body)
            && let Some((server, sender, shelf)) = self.connection.take()
        {
            server.keep(sender, shelf);
        }
    }
}

impl http_body::Body for PooledBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match &polled {
            Poll::Ready(None) => {
                if let Some((server, sender, shelf)) = self.connection.take() {
                    server.keep(sender, shelf);
                }
            }
            Poll::Ready(Some(Ok(_))) => self.release_if_ended(),
            Poll::Ready(Some(Err(_))) => self.connection = None,
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
