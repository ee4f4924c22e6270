//! New connections to the API server: TCP, then TLS.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);

pub(crate) type Sender = http1::SendRequest<Full<Bytes>>;
pub(crate) type Connection = http1::Connection<TokioIo<TlsStream<Tcp>>, Full<Bytes>>;
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// It took a connection, and said nothing on it.
#[derive(Debug, thiserror::Error)]
#[error("the API server took a connection, and said nothing for {} seconds", .0.as_secs())]
pub(crate) struct Speechless(Duration);

/// Where the API server is, and whom its TLS believes.
pub(crate) struct Connector {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: TlsConnector,
    /// As `tls`, for connections that many streams share.
    pub(crate) tls_http2: TlsConnector,
    pub(crate) server_name: ServerName<'static>,
    /// Connections that there may be besides those that there are.
    pub(crate) room: Arc<Semaphore>,
}

/// A TCP connection that counts for as long as it lasts.
pub(crate) struct Tcp {
    stream: TcpStream,
    _room: OwnedSemaphorePermit,
}

impl Connector {
    /// A new connection, which its caller drives.
    pub(crate) async fn handshake(&self) -> Result<(Sender, Connection), Failure> {
        let tls = self.open(&self.tls).await?;
        Ok(http1::handshake(TokioIo::new(tls)).await?)
    }

    /// TLS that speaks HTTP/2; `None` where the other end does not.
    pub(crate) async fn tls_http2(&self) -> Result<Option<TlsStream<Tcp>>, Failure> {
        let tls = self.open(&self.tls_http2).await?;
        let speaks = tls.get_ref().1.alpn_protocol() == Some(b"h2");
        Ok(speaks.then_some(tls))
    }

    async fn open(&self, tls: &TlsConnector) -> Result<TlsStream<Tcp>, Failure> {
        let connected = tokio::time::timeout(CONNECT_TIME_MAX, async {
            let room = Arc::clone(&self.room).acquire_owned().await.map_err(io::Error::other)?;
            let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
            stream.set_nodelay(true)?;
            Ok::<_, io::Error>(Tcp { stream, _room: room })
        });
        let shaken = tls.connect(self.server_name.clone(), connected.await??);
        match tokio::time::timeout(CONNECT_TIME_MAX, shaken).await {
            Ok(shaken) => Ok(shaken?),
            Err(_) => Err(Box::new(Speechless(CONNECT_TIME_MAX))),
        }
    }
}

impl AsyncRead for Tcp {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
