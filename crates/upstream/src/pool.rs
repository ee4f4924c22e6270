//! HTTP/1.1 connections to the API server, kept and used again.
//!
//! One request at a time on each, so a watch never stands in the way of a write, and what became of
//! a request whose connection broke is known: never written, or unknown. Idle connections are kept
//! for the thread that asked for them: who drives a connection and who waits for its answer then
//! mostly share a thread, and nobody wakes another.

use std::{
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use audit::Tagger;
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
    connect::{Connection, Connector, Failure, Sender, Speechless},
    impersonate::Impersonating,
    own_client::CredentialSource,
    own_error::OwnError,
    repeat::Repeat,
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
/// The same for what is sent once and never again, so that it is not known to have run where nothing answers.
const IDLE_TIME_MAX_ONCE: Duration = Duration::from_secs(1);
/// A kept connection that has said nothing for so long may be dead.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// Questions at a time that are asked a second time for that, as the API server may only be slow.
const SECOND_TIMES_MAX: usize = 8;

/// The API server as agents' requests reach it.
#[derive(Clone)]
pub struct ApiServer(Arc<Inner>);

struct Inner {
    impersonating: Impersonating,
    tagger: Tagger,
    authority: String,
    /// The path below which the API server is: `/k8s/clusters/c1`; mostly empty.
    prefix: String,
    connector: Connector,
    idle: [Mutex<Vec<(Sender, Instant)>>; SHELVES],
    second_times: Semaphore,
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
    Tls(#[source] OwnError),
    /// The proxy's own credential cannot be used.
    #[error("agent-shield's own credential cannot be used")]
    Credential(#[source] OwnError),
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
    /// Reads address and trust from the proxy's own configuration; its credential, which is read anew from
    /// `source`, only for requests that run in somebody's name. There are at most `connections_max` connections
    /// at a time: whoever needs one more waits for a moment, and is told then that the API server cannot be
    /// reached.
    ///
    /// # Errors
    /// [`ConnectError`] where the URL is not https or its trust anchors cannot be used.
    pub fn new(
        config: &kube::Config,
        connections_max: usize,
        source: Option<CredentialSource>,
        tagger: Tagger,
    ) -> Result<Self, ConnectError> {
        // INVARIANT: agents' requests never ride on a connection that authenticates the proxy, or
        // one without a credential would run with the proxy's rights.
        let mut anonymous = config.clone();
        anonymous.auth_info = AuthInfo::default();
        let mut tls =
            anonymous.rustls_client_config().map_err(|error| ConnectError::Tls(error.into()))?;
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
        let impersonating = Impersonating::new(config, source).map_err(ConnectError::Credential)?;
        Ok(Self(Arc::new(Inner {
            impersonating,
            tagger,
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
            second_times: Semaphore::new(SECOND_TIMES_MAX),
            shared: Shared::default(),
        })))
    }

    pub(crate) fn tagger(&self) -> &Tagger {
        &self.0.tagger
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
    /// that may have been written is ever sent again, but for what changes nothing: if a kept connection
    /// stays silent, that is asked on a new one too, and the first answer counts.
    ///
    /// # Errors
    /// [`SendError::Unsent`] where nothing was written, [`SendError::Silent`] where what changes nothing got
    /// no answer in its time, otherwise [`SendError::Stale`] for a kept connection and
    /// [`SendError::Unknown`] for a new one.
    ///
    /// # Cancel safety
    /// Dropped before it returns, the request may have run: spawn what mutates.
    pub(crate) async fn send(
        &self,
        mut request: Request<Full<Bytes>>,
        repeat: Repeat,
    ) -> Result<Response<PooledBody>, SendError> {
        let shelf = thread_number() % SHELVES;
        let idle_max = match repeat {
            Repeat::Never => IDLE_TIME_MAX_ONCE,
            Repeat::Harmless(_) => IDLE_TIME_MAX,
        };
        let silence_max = repeat.time_max().map_or(SILENCE_MAX, |it| it.min(SILENCE_MAX));
        while let Some(mut sender) = self.kept(shelf, idle_max) {
            if sender.ready().await.is_err() {
                continue;
            }
            let again = matches!(repeat, Repeat::Harmless(_)).then(|| request.clone());
            let mut answered = pin!(sender.try_send_request(request));
            let answered = match again {
                None => answered.await,
                Some(again) => match tokio::time::timeout(silence_max, answered.as_mut()).await {
                    Ok(answered) => answered,
                    Err(_) => tokio::select! {
                        answered = answered => answered,
                        second = Box::pin(self.ask_again(again, shelf, repeat.after(silence_max))) => {
                            return second;
                        }
                    },
                },
            };
            match answered {
                Ok(response) => return Ok(self.pooled(response, sender, shelf)),
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(SendError::Stale(Box::new(error.into_error()))),
                },
            }
        }
        // Apart from the future of every request, which would be several times as large.
        Box::pin(self.send_anew(request, shelf, repeat)).await
    }

    /// Asks what a kept connection does not answer. Where a new one does, the others are as old as that one.
    async fn ask_again(
        &self,
        request: Request<Full<Bytes>>,
        shelf: usize,
        repeat: Repeat,
    ) -> Result<Response<PooledBody>, SendError> {
        let _one = self.0.second_times.acquire().await;
        let answer = self.send_anew(request, shelf, repeat).await?;
        tracing::info!("a kept connection to the API server is dead: all of them are given up");
        self.0.idle.iter().for_each(|shelf| shelf.lock().clear());
        Ok(answer)
    }

    async fn send_anew(
        &self,
        request: Request<Full<Bytes>>,
        shelf: usize,
        repeat: Repeat,
    ) -> Result<Response<PooledBody>, SendError> {
        let answered = async {
            let mut sender =
                self.connect().await.map_err(|why| match why.downcast::<Speechless>() {
                    Ok(_) if matches!(repeat, Repeat::Harmless(_)) => SendError::Silent,
                    Ok(silent) => SendError::Unsent(silent),
                    Err(why) => SendError::Unsent(why),
                })?;
            match sender.try_send_request(request).await {
                Ok(response) => Ok(self.pooled(response, sender, shelf)),
                Err(mut error) => match error.take_message() {
                    Some(_) => Err(SendError::Unsent(Box::new(error.into_error()))),
                    None => Err(SendError::Unknown(Box::new(error.into_error()))),
                },
            }
        };
        match repeat.time_max() {
            None => answered.await,
            Some(max) => {
                tokio::time::timeout(max, answered).await.unwrap_or(Err(SendError::Silent))
            }
        }
    }

    /// The connection that was used last, if it was so within `idle_max`.
    fn kept(&self, shelf: usize, idle_max: Duration) -> Option<Sender> {
        let mut idle = self.shelf(shelf).lock();
        while let Some((sender, since)) = idle.pop() {
            if sender.is_closed() || since.elapsed() > IDLE_TIME_MAX {
                continue;
            }
            if since.elapsed() < idle_max {
                return Some(sender);
            }
            idle.push((sender, since));
            return None;
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
