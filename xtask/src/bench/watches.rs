//! Many watches that say nothing, and the memory that they take.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::Empty;
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    net::{TcpSocket, TcpStream},
    runtime::Runtime,
    task::JoinSet,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::task::TaskTracker;

use super::{load::Protocol, stand_in::WATCH};

/// Watches of one agent, which are as many streams as a kube-apiserver takes on one connection by
/// default; each agent has a token and an address of its own.
const OF_AN_AGENT: usize = 100;
const CONNECTIONS_AT_ONCE: usize = 32;
const TIME_MAX: Duration = Duration::from_secs(60);

/// Watches that stay open as long as this does.
pub(super) struct Watches {
    _runtime: Runtime,
    _open: Vec<Connection>,
}

enum Connection {
    Http1 { _sender: http1::SendRequest<Empty<Bytes>>, _watch: Response<Incoming> },
    Http2 { _sender: http2::SendRequest<Empty<Bytes>>, _watches: Vec<Response<Incoming>> },
}

/// Opens so many, and returns when each has the head of its answer.
pub(super) fn open(url: &str, ca: &Path, count: usize, protocol: Protocol) -> Result<Watches> {
    let runtime = Runtime::new()?;
    let opening = open_all(url, ca, count, protocol);
    let open = runtime.block_on(async {
        let limited = tokio::time::timeout(TIME_MAX, opening).await;
        limited.with_context(|| format!("{count} watches were not open after {TIME_MAX:?}"))?
    })?;
    Ok(Watches { _runtime: runtime, _open: open })
}

async fn open_all(
    url: &str,
    ca: &Path,
    count: usize,
    protocol: Protocol,
) -> Result<Vec<Connection>> {
    let tls = connector(ca, protocol)?;
    let streams = match protocol {
        Protocol::Http1 => 1,
        Protocol::Http2 => OF_AN_AGENT,
    };
    let mut wanted = vec![streams; count / streams];
    wanted.extend(Some(count % streams).filter(|rest| *rest > 0));
    let connections = TaskTracker::new();
    let mut opening = JoinSet::new();
    let mut open = Vec::with_capacity(wanted.len());
    for (number, streams) in wanted.into_iter().enumerate() {
        if opening.len() >= CONNECTIONS_AT_ONCE {
            open.extend(opening.join_next().await.transpose()?.transpose()?);
        }
        let agent = u8::try_from(number * streams / OF_AN_AGENT % 200)?;
        let watch = Watch {
            tls: tls.clone(),
            authority: url.trim_start_matches("https://").to_owned(),
            token: format!("agent-{agent}"),
            source: Ipv4Addr::new(127, 0, 1, agent + 1),
            connections: connections.clone(),
        };
        opening.spawn(async move {
            match protocol {
                Protocol::Http1 => watch.http1().await,
                Protocol::Http2 => watch.http2(streams).await,
            }
        });
    }
    while let Some(connection) = opening.join_next().await {
        open.push(connection??);
    }
    Ok(open)
}

struct Watch {
    tls: TlsConnector,
    authority: String,
    token: String,
    source: Ipv4Addr,
    connections: TaskTracker,
}

impl Watch {
    async fn http1(&self) -> Result<Connection> {
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(self.connect().await?)).await?;
        self.connections.spawn(connection);
        let mut request = self.request(WATCH)?;
        // HTTP/2 has the authority in its URL; nginx refuses both.
        request.headers_mut().insert(header::HOST, self.authority.parse()?);
        let watch = answered(sender.send_request(request).await?)?;
        Ok(Connection::Http1 { _sender: sender, _watch: watch })
    }

    async fn http2(&self, streams: usize) -> Result<Connection> {
        let io = TokioIo::new(self.connect().await?);
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
        self.connections.spawn(connection);
        let url = format!("https://{}{WATCH}", self.authority);
        let mut watches = Vec::with_capacity(streams);
        for _ in 0..streams {
            sender.ready().await?;
            watches.push(answered(sender.send_request(self.request(&url)?).await?)?);
        }
        Ok(Connection::Http2 { _sender: sender, _watches: watches })
    }

    async fn connect(&self) -> Result<TlsStream<TcpStream>> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((self.source, 0)))?;
        let tcp = socket.connect(self.authority.parse()?).await?;
        tcp.set_nodelay(true)?;
        Ok(self.tls.connect(ServerName::try_from("127.0.0.1")?, tcp).await?)
    }

    fn request(&self, uri: &str) -> Result<Request<Empty<Bytes>>> {
        Ok(Request::get(uri)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .body(Empty::new())?)
    }
}

fn answered(answer: Response<Incoming>) -> Result<Response<Incoming>> {
    if answer.status() != 200 {
        bail!("a watch was answered {}", answer.status());
    }
    Ok(answer)
}

fn connector(ca: &Path, protocol: Protocol) -> Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca)? {
        roots.add(certificate?)?;
    }
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![match protocol {
        Protocol::Http1 => b"http/1.1".to_vec(),
        Protocol::Http2 => b"h2".to_vec(),
    }];
    Ok(TlsConnector::from(Arc::new(config)))
}
