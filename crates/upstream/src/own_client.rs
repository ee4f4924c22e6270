//! A kube client of the proxy's own credential. Two things differ from the library's.
//!
//! Connections are not kept for long: its own builder keeps them for 90 s, and what is asked on one that
//! died in silence is answered by nobody. And the credential is read anew where it comes from: when a file
//! of it has changed, and when the API server does not know it any more.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::PathBuf,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use http::{Request, Response, StatusCode};
use hyper_timeout::TimeoutConnector;
use hyper_util::{
    client::legacy::{Client as HttpClient, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use kube::{
    Client,
    client::{Body, ConfigExt, retry::RetryPolicy},
    config::AuthInfo,
};
use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;
use tower::{BoxError, Service, ServiceBuilder, retry::RetryLayer};

use crate::{own_error::in_words, repeat::Repeat};

/// A connection that was not used for so long is not used again.
const KEPT: Duration = Duration::from_secs(1);
/// TCP alone: less than any question waits for its answer, so that "unreachable" is told from "silent".
const CONNECT_TIME_MAX: Duration = Duration::from_secs(4);
/// Whether a file has changed is looked at so often, while something is asked.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A credential that the API server does not know is read anew so often, at most: an agent may bring about
/// answers that look like that, and an exec plugin is a process.
const READ_EVERY: Duration = Duration::from_secs(5);

type Read = dyn Fn() -> BoxFuture<'static, Result<kube::Config, BoxError>> + Send + Sync;

/// Where the proxy's own credential comes from.
#[derive(Clone)]
pub struct CredentialSource {
    /// For people: `the kubeconfig /etc/x`.
    pub place: String,
    /// Where it may have changed when one of these has.
    pub files: Vec<PathBuf>,
    /// Reads it as it is now. Of the configuration only the credential is taken: address and trust stay
    /// what they were at the start.
    pub read: Arc<Read>,
}

/// The client, whatever its credential is now.
#[derive(Clone)]
pub(crate) struct OwnClient(Arc<Inner>);

struct Inner {
    config: kube::Config,
    source: Option<CredentialSource>,
    current: Mutex<Current>,
    /// One reads at a time.
    reading: Arc<tokio::sync::Mutex<LastRead>>,
    looked: Mutex<Instant>,
}

#[derive(Clone)]
struct Current {
    client: Client,
    auth_info: AuthInfo,
    /// Counts the credentials so far.
    generation: u64,
}

struct LastRead {
    at: Option<Instant>,
    /// How the files were when they were read.
    files: Vec<Stamp>,
}

/// Which file it is, when it last changed, and its length; `None` where there is none.
type Stamp = Option<(u64, i64, i64, u64)>;

impl OwnClient {
    /// With the credential that the configuration has; read anew from the source, if there is one.
    ///
    /// # Errors
    /// [`kube::Error`] where its credential or its certificates cannot be used.
    pub(crate) fn new(
        config: kube::Config,
        source: Option<CredentialSource>,
    ) -> Result<Self, kube::Error> {
        let files = source.as_ref().map(|it| stamps(&it.files)).unwrap_or_default();
        let (client, auth_info) = (of(config.clone())?, config.auth_info.clone());
        Ok(Self(Arc::new(Inner {
            config,
            source,
            current: Mutex::new(Current { client, auth_info, generation: 0 }),
            reading: Arc::new(tokio::sync::Mutex::new(LastRead { at: None, files })),
            looked: Mutex::new(Instant::now()),
        })))
    }

    /// The library's client, for its typed questions. They change nothing but a policy's status.
    pub(crate) fn for_questions(self) -> Client {
        let namespace = self.0.config.default_namespace.clone();
        Client::new(self, namespace)
    }

    /// Sends what is not the proxy's own question. A server behind the API server, an agent's pod even, may answer
    /// 401 to it, so that nobody is warned of that.
    ///
    /// # Errors
    /// [`kube::Error`] where there was no answer.
    pub(crate) async fn send(
        &self,
        request: Request<Body>,
        repeat: Repeat,
    ) -> Result<Response<Body>, kube::Error> {
        self.ask(request, repeat, false).await
    }

    /// Sends with the credential of now. A 401 is the API server's first word on a request, before anything
    /// of it has run; still only what may be repeated is sent again, with the credential read anew.
    async fn ask(
        &self,
        request: Request<Body>,
        repeat: Repeat,
        is_own: bool,
    ) -> Result<Response<Body>, kube::Error> {
        self.look().await;
        let (head, body) = request.into_parts();
        let again = match repeat {
            Repeat::Never => None,
            Repeat::Harmless(_) => body.try_clone().map(|it| Request::from_parts(head.clone(), it)),
        };
        let Current { client, generation, .. } = self.current();
        let answer = client.send(Request::from_parts(head, body)).await?;
        if answer.status() != StatusCode::UNAUTHORIZED || !self.renew(generation, is_own).await {
            return Ok(answer);
        }
        match again {
            Some(request) => self.current().client.send(request).await,
            None => Ok(answer),
        }
    }

    /// The credential of now.
    pub(crate) fn auth_info(&self) -> AuthInfo {
        self.current().auth_info
    }

    fn current(&self) -> Current {
        self.0.current.lock().clone()
    }

    /// Reads the credential anew if a file of it has changed. Whoever comes while somebody does goes on with
    /// the one of before.
    async fn look(&self) {
        let Some(source) = &self.0.source else { return };
        {
            let mut looked = self.0.looked.lock();
            if looked.elapsed() < LOOK_EVERY {
                return;
            }
            *looked = Instant::now();
        }
        let Ok(last) = Arc::clone(&self.0.reading).try_lock_owned() else { return };
        if stamps(&source.files) != last.files {
            self.read(source, last).await;
        }
    }

    /// Reads the credential anew because the API server did not know that of this generation; whether
    /// there is another now.
    async fn renew(&self, generation: u64, is_own: bool) -> bool {
        let Some(source) = &self.0.source else { return false };
        let last = Arc::clone(&self.0.reading).lock_owned().await;
        if self.current().generation != generation {
            return true;
        }
        if last.at.is_some_and(|at| at.elapsed() < READ_EVERY) {
            return false;
        }
        if is_own {
            tracing::warn!(
                "the API server does not know agent-shield's own credential: it is read again from {}",
                source.place
            );
        }
        self.read(source, last).await
    }

    /// Reads the credential anew, to the end also where whoever asked for that has gone: an exec plugin may take
    /// longer than a question. Whether there is another one now.
    async fn read(&self, source: &CredentialSource, last: OwnedMutexGuard<LastRead>) -> bool {
        let (client, source) = (self.clone(), source.clone());
        #[expect(
            clippy::disallowed_methods,
            reason = "it ends with the plugin, and changes nothing else"
        )]
        let read = tokio::spawn(async move { client.read_to_the_end(&source, last).await });
        read.await.unwrap_or(false)
    }

    async fn read_to_the_end(
        &self,
        source: &CredentialSource,
        mut last: OwnedMutexGuard<LastRead>,
    ) -> bool {
        // Before it is read: what changes meanwhile, as where somebody is in the middle of writing, is seen.
        last.files = stamps(&source.files);
        last.at = Some(Instant::now());
        match self.made_anew(source).await {
            Ok((client, auth_info)) => {
                let mut current = self.0.current.lock();
                let generation = current.generation.wrapping_add(1);
                *current = Current { client, auth_info, generation };
                tracing::info!(
                    "agent-shield's own credential was read again from {}",
                    source.place
                );
                true
            }
            Err(why) => {
                tracing::warn!("agent-shield's own credential cannot be read again: {why}");
                false
            }
        }
    }

    async fn made_anew(&self, source: &CredentialSource) -> Result<(Client, AuthInfo), String> {
        let read = (source.read)().await.map_err(|error| in_words(&*error))?;
        let mut config = self.0.config.clone();
        let before = config.auth_info;
        // In whose name it asks is no part of the credential, and was taken away from what runs in agents' names.
        config.auth_info = AuthInfo {
            impersonate: before.impersonate,
            impersonate_uid: before.impersonate_uid,
            impersonate_groups: before.impersonate_groups,
            impersonate_user_extra: before.impersonate_user_extra,
            ..read.auth_info
        };
        // It may run an exec plugin, and waits for its end.
        let auth_info = config.auth_info.clone();
        let made = tokio::task::spawn_blocking(move || of(config)).await;
        let made = made.map_err(|error| error.to_string())?;
        Ok((made.map_err(|error| in_words(&error))?, auth_info))
    }
}

impl Service<Request<Body>> for OwnClient {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let client = self.clone();
        Box::pin(async move { Ok(client.ask(request, Repeat::Harmless(None), true).await?) })
    }
}

fn stamps(files: &[PathBuf]) -> Vec<Stamp> {
    let of = |file: &PathBuf| {
        let found = fs::metadata(file).ok()?;
        Some((found.ino(), found.ctime(), found.ctime_nsec(), found.len()))
    };
    files.iter().map(of).collect()
}

/// As [`Client::try_from`], for an API server that is reached directly.
fn of(config: kube::Config) -> Result<Client, kube::Error> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(CONNECT_TIME_MAX));
    let mut connector = TimeoutConnector::new(config.rustls_https_connector_with_connector(tcp)?);
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_read_timeout(config.read_timeout);
    connector.set_write_timeout(config.write_timeout);
    let http = HttpClient::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(KEPT)
        .build(connector);
    let retry = config.default_retry.then(|| RetryLayer::new(RetryPolicy::server_retry()));
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(retry)
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(tower::BoxError::from)
        .service(http);
    Ok(Client::new(service, config.default_namespace))
}
