//! A client of the benchmark's own, for what wrk and h2load cannot send.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
};

use anyhow::{Result, bail};
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
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_util::task::TaskTracker;

use super::load::Protocol;

/// Whoever asks, with a token and an address of its own.
#[derive(Clone)]
pub(super) struct Client {
    pub(super) tls: TlsConnector,
    pub(super) authority: String,
    pub(super) token: String,
    pub(super) source: Ipv4Addr,
    pub(super) protocol: Protocol,
    pub(super) connections: TaskTracker,
}

/// An open connection.
pub(super) enum Connection {
    Http1(http1::SendRequest<Empty<Bytes>>),
    Http2(http2::SendRequest<Empty<Bytes>>),
}

impl Client {
    pub(super) async fn open(&self) -> Result<Connection> {
        let io = TokioIo::new(self.connect().await?);
        Ok(match self.protocol {
            Protocol::Http1 => {
                let (sender, connection) = http1::handshake(io).await?;
                self.connections.spawn(connection);
                Connection::Http1(sender)
            }
            Protocol::Http2 => {
                let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
                self.connections.spawn(connection);
                Connection::Http2(sender)
            }
        })
    }

    async fn connect(&self) -> Result<TlsStream<TcpStream>> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((self.source, 0)))?;
        let tcp = socket.connect(self.authority.parse()?).await?;
        tcp.set_nodelay(true)?;
        Ok(self.tls.connect(ServerName::try_from("127.0.0.1")?, tcp).await?)
    }

    /// A GET; the answer's head has come, and says 200.
    pub(super) async fn get(
        &self,
        connection: &mut Connection,
        target: &str,
    ) -> Result<Response<Incoming>> {
        let credential = format!("Bearer {}", self.token);
        let get = |uri: &str| Request::get(uri).header(header::AUTHORIZATION, &credential);
        let answer = match connection {
            Connection::Http1(sender) => {
                sender.ready().await?;
                let request = get(target).header(header::HOST, &self.authority);
                sender.send_request(request.body(Empty::new())?).await?
            }
            // It has the authority in its URL; nginx refuses both.
            Connection::Http2(sender) => {
                sender.ready().await?;
                let request = get(&format!("https://{}{target}", self.authority));
                sender.send_request(request.body(Empty::new())?).await?
            }
        };
        if answer.status() != 200 {
            bail!("{target} was answered {}", answer.status());
        }
        Ok(answer)
    }
}

/// TLS that trusts one CA and speaks one protocol.
pub(super) fn connector(ca: &Path, protocol: Protocol) -> Result<TlsConnector> {
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
