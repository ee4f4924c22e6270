//! Reads as a client sends them.

use std::{fmt, io, path::Path, sync::Arc};

use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use testkit::http::{self as by_hand, Answer};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// What a client speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Protocol {
    /// HTTP/1.1, read by hand.
    Http1,
    /// HTTP/2, read by hyper.
    Http2,
}

/// One request without a body.
#[derive(Clone, Debug)]
pub struct Read {
    method: &'static str,
    target: String,
    headers: Vec<(String, String)>,
}

impl Read {
    /// A GET of a target.
    pub fn get(target: &str) -> Self {
        Self { method: "GET", target: target.to_owned(), headers: Vec::new() }
    }

    /// The same by another method.
    pub fn by(self, method: &'static str) -> Self {
        Self { method, ..self }
    }

    /// The same with one more header.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sends it on a connection of its own, and reads the whole answer.
    ///
    /// # Errors
    /// As of TCP, and of HTTP/2.
    pub fn send(&self, protocol: Protocol, url: &str, ca: &Path) -> io::Result<Answer> {
        match protocol {
            Protocol::Http1 => {
                let headers: Vec<(&str, &str)> =
                    self.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
                let mut connection = by_hand::Connection::open(url, ca)?;
                connection.request(self.method, &self.target, &headers, b"")?;
                connection.answer_to(self.method)
            }
            Protocol::Http2 => {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                runtime.block_on(self.send_http2(url, ca))
            }
        }
    }

    async fn send_http2(&self, url: &str, ca: &Path) -> io::Result<Answer> {
        let mut tls = by_hand::client_config(ca);
        tls.alpn_protocols = vec![b"h2".to_vec()];
        let authority = url.trim_start_matches("https://");
        let tcp = TcpStream::connect(authority).await?;
        let name = ServerName::try_from("127.0.0.1").map_err(io::Error::other)?;
        let stream = TlsConnector::from(Arc::new(tls)).connect(name, tcp).await?;
        let connected = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
        let (mut sender, connection) = connected.map_err(io::Error::other)?;
        let mut request =
            Request::builder().method(self.method).uri(format!("{url}{}", self.target));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request.body(Empty::<&[u8]>::new()).map_err(io::Error::other)?;
        let answered = async {
            let (head, body) = sender.send_request(request).await?.into_parts();
            let body = body.collect().await?;
            Ok::<_, hyper::Error>(Answer {
                status: head.status.as_u16(),
                headers: pairs(&head.headers),
                trailers: body.trailers().map(pairs).unwrap_or_default(),
                body: body.to_bytes().to_vec(),
            })
        };
        tokio::select! {
            answered = answered => answered.map_err(io::Error::other),
            ended = connection => Err(io::Error::other(format!("it ended first: {ended:?}"))),
        }
    }
}

fn pairs(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
}

impl fmt::Display for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.target)?;
        for (name, value) in &self.headers {
            // Not the token of whoever asks.
            let shown =
                if name == "authorization" && value != "Bearer nobody" { "…" } else { value };
            write!(f, " {name}: {shown}")?;
        }
        Ok(())
    }
}
