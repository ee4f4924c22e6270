//! Something for proxies to talk to that is faster than any of them.
//!
//! It answers what agent-shield asks at its start, GETs of two sizes, and watches that say nothing
//! and never end. It stands in for the load that a kube-apiserver would be, so that what is measured
//! is the proxy; it proves nothing about Kubernetes, and no test uses it.

use std::{
    convert::Infallible,
    fs,
    net::SocketAddr,
    path::PathBuf,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

/// Where agents' objects are, by size.
pub(crate) const SMALL: &str = "/api/v1/namespaces/bench/configmaps/small";
pub(crate) const LARGE: &str = "/api/v1/namespaces/bench/configmaps/large";
/// A watch that never says anything.
pub(crate) const WATCH: &str = "/api/v1/namespaces/bench/pods?watch=true";
/// How many requests came with an audit id, which only agent-shield sends; JSON.
pub(crate) const COUNT: &str = "/stand-in/count";

#[derive(clap::Args)]
pub(crate) struct StandInArgs {
    /// Where to listen.
    #[arg(long)]
    listen: SocketAddr,
    /// A folder with server.crt, server.key and ca.crt.
    #[arg(long)]
    dir: PathBuf,
}

struct StandIn {
    small: Bytes,
    large: Bytes,
    client_ca: String,
    /// As kube-apiserver sends them with each answer.
    headers: HeaderMap,
    count: AtomicU64,
}

/// Serves until it is killed.
#[tokio::main]
pub(crate) async fn run(args: StandInArgs) -> Result<()> {
    let chain: Vec<_> = CertificateDer::pem_file_iter(args.dir.join("server.crt"))?
        .collect::<Result<_, _>>()
        .context("server.crt")?;
    let key = PrivateKeyDer::from_pem_file(args.dir.join("server.key"))?;
    let mut tls =
        rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let tls = TlsAcceptor::from(Arc::new(tls));
    let stand_in = Arc::new(StandIn {
        small: object("small", 1 << 10),
        large: object("large", 20 << 10),
        client_ca: fs::read_to_string(args.dir.join("ca.crt"))?,
        headers: headers(),
        count: AtomicU64::new(0),
    });
    let listener = TcpListener::bind(args.listen).await?;
    let connections = TaskTracker::new();
    loop {
        let (tcp, _) = listener.accept().await?;
        let (tls, stand_in) = (tls.clone(), Arc::clone(&stand_in));
        connections.spawn(async move {
            // A client that goes away is how every run ends.
            let _ = connection(tcp, tls, stand_in).await;
        });
    }
}

async fn connection(tcp: TcpStream, tls: TlsAcceptor, stand_in: Arc<StandIn>) -> Result<()> {
    tcp.set_nodelay(true)?;
    let stream = tls.accept(tcp).await?;
    let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = stand_in.answer(&request);
        async move { Ok::<_, Infallible>(answer) }
    });
    let io = TokioIo::new(stream);
    match is_h2 {
        // As many streams as a kube-apiserver takes by default.
        true => {
            let mut builder = conn::http2::Builder::new(TokioExecutor::new());
            builder.max_concurrent_streams(100).serve_connection(io, service).await?;
        }
        false => conn::http1::Builder::new().serve_connection(io, service).await?,
    }
    Ok(())
}

impl StandIn {
    fn answer(&self, request: &Request<Incoming>) -> Response<Answer> {
        let path = request.uri().path();
        let audit_id = request.headers().get("audit-id");
        if audit_id.is_some() {
            self.count.fetch_add(1, Ordering::Relaxed);
        }
        let is_watch = request.uri().query().is_some_and(|query| query.contains("watch="));
        let mut response = Response::new(match path {
            _ if is_watch => Answer::Never,
            SMALL => Answer::Whole(Full::new(self.small.clone())),
            LARGE => Answer::Whole(Full::new(self.large.clone())),
            COUNT => json_answer(&json!(self.count.load(Ordering::Relaxed))),
            path => json_answer(&self.own_question(path)),
        });
        let headers = response.headers_mut();
        headers.extend(self.headers.clone());
        headers.extend(audit_id.map(|id| (AUDIT_ID, id.clone())));
        response
    }

    /// What agent-shield asks with its own credential.
    fn own_question(&self, path: &str) -> Value {
        match path {
            "/apis/authentication.k8s.io/v1/tokenreviews" => json!({
                "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
                "metadata": {}, "spec": {},
                "status": {"authenticated": true, "user": {
                    "username": "system:serviceaccount:bench:agent", "uid": "bench",
                    "groups": [
                        "system:serviceaccounts", "system:serviceaccounts:bench",
                        "system:authenticated",
                    ],
                }},
            }),
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews" => json!({
                "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
                "metadata": {}, "spec": {}, "status": {"allowed": true},
            }),
            "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication" => {
                json!({
                    "apiVersion": "v1", "kind": "ConfigMap",
                    "metadata": {"name": "extension-apiserver-authentication"},
                    "data": {"client-ca-file": self.client_ca},
                })
            }
            _ => json!({
                "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList",
                "metadata": {"resourceVersion": "1"}, "items": [],
            }),
        }
    }
}

const AUDIT_ID: header::HeaderName = header::HeaderName::from_static("audit-id");

fn headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("cache-control", "no-cache, private"),
        ("content-type", "application/json"),
        ("x-kubernetes-pf-flowschema-uid", "5e8fd1a6-3f9e-4d7f-9d5a-0d1c9e3a7b11"),
        ("x-kubernetes-pf-prioritylevel-uid", "0a9d3e52-77f5-4a55-8a0b-6a0f5b7d2c90"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
}

/// A ConfigMap of so many bytes.
fn object(name: &str, size: usize) -> Bytes {
    let with = |text: &str| {
        let metadata = json!({"name": name, "namespace": "bench", "resourceVersion": "1"});
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"text": text},
        });
        object.to_string()
    };
    let fill = size.saturating_sub(with("").len());
    Bytes::from(with(&"x".repeat(fill)))
}

fn json_answer(value: &Value) -> Answer {
    Answer::Whole(Full::new(Bytes::from(value.to_string())))
}

enum Answer {
    Whole(Full<Bytes>),
    Never,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(body) => Pin::new(body).poll_frame(context),
            // The connection, not the body, is what ends.
            Self::Never => Poll::Pending,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Never => SizeHint::default(),
        }
    }
}
