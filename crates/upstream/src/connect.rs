//! New connections to the API server: TCP, then TLS.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);

pub(crate) type Sender = http1::SendRequest<Full<Bytes>>;
pub(crate) type Connection = http1::Connection<TokioIo<TlsStream<TcpStream>>, Full<Bytes>>;
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Where the API server is, and whom its TLS believes.
pub(crate) struct Connector {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: TlsConnector,
    /// As `tls`, for connections that many streams share.
    pub(crate) tls_http2: TlsConnector,
    pub(crate) server_name: ServerName<'static>,
}

impl Connector {
    /// A new connection, which its caller drives.
    pub(crate) async fn handshake(&self) -> Result<(Sender, Connection), Failure> {
        let tls = self.open(&self.tls).await?;
        Ok(http1::handshake(TokioIo::new(tls)).await?)
    }

    /// TLS that speaks HTTP/2; `None` where the other end does not.
    pub(crate) async fn tls_http2(&self) -> Result<Option<TlsStream<TcpStream>>, Failure> {
        let tls = self.open(&self.tls_http2).await?;
        let speaks = tls.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok(speaks.then_some(tls))
    }

    async fn open(&self, tls: &TlsConnector) -> Result<TlsStream<TcpStream>, Failure> {
        let connected = tokio::time::timeout(CONNECT_TIME_MAX, async {
            let tcp = TcpStream::connect((self.host.as_str(), self.port)).await?;
            tcp.set_nodelay(true)?;
            tls.connect(self.server_name.clone(), tcp).await
        });
        Ok(connected.await??)
    }
}
