//! HTTP by hand over TLS: requests that no library would send.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    path::Path,
    sync::Arc,
    time::Duration,
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use serde_json::Value;

/// One TLS connection.
pub struct Connection(StreamOwned<ClientConnection, TcpStream>);

/// An answer.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// Status code; 0 where the connection ended without one.
    pub status: u16,
    /// Names in lower case, in order.
    pub headers: Vec<(String, String)>,
    /// The body, chunks joined.
    pub body: Vec<u8>,
    /// What follows the last chunk.
    pub trailers: Vec<(String, String)>,
}

impl Answer {
    /// Reads one answer to a request of this method, after any 100 that goes before it.
    ///
    /// # Errors
    /// As of TCP, also where a body ends before its length; the end of the connection before a head
    /// is an empty answer.
    pub fn read(from: &mut impl Read, method: &str) -> io::Result<Self> {
        let (line, mut answer) = Self::head(from)?;
        answer.status = line.split(' ').nth(1).and_then(|it| it.parse().ok()).unwrap_or_default();
        match answer.status {
            100 => Self::read(from, method),
            0 | 101 | 204 | 304 => Ok(answer),
            _ if method == "HEAD" => Ok(answer),
            _ => answer.with_body(from),
        }
    }

    /// Reads over one request and gives its method.
    pub(crate) fn skip_request(from: &mut impl Read) -> io::Result<String> {
        let (line, request) = Self::head(from)?;
        request.with_body(from)?;
        Ok(line.split(' ').next().unwrap_or_default().to_owned())
    }

    /// The first line of a message, and its other lines.
    fn head(from: &mut impl Read) -> io::Result<(String, Self)> {
        let head = String::from_utf8_lossy(&until(from, b"\r\n\r\n")?).into_owned();
        let mut lines = head.lines();
        let first = lines.next().unwrap_or_default().to_owned();
        Ok((first, Self { headers: fields(lines), ..Self::default() }))
    }

    fn with_body(mut self, from: &mut impl Read) -> io::Result<Self> {
        let length = self.header("content-length").and_then(|it| it.parse().ok());
        if self.header("transfer-encoding") == Some("chunked") {
            while let Some(chunk) = chunk(from)? {
                self.body.extend(chunk);
            }
            let mut lines = Vec::new();
            loop {
                let line = String::from_utf8_lossy(&until(from, b"\r\n")?).trim().to_owned();
                if line.is_empty() {
                    break;
                }
                lines.push(line);
            }
            self.trailers = fields(lines.iter().map(String::as_str));
        } else if let Some(length) = length {
            self.body = vec![0; length];
            from.read_exact(&mut self.body)?;
        }
        Ok(self)
    }

    /// The body as JSON; null where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// 429 of every answer that says that its request waits for a person, also of the 403 that it is where the
    /// client would wait no longer; its status otherwise.
    pub fn held_or_status(&self) -> u16 {
        match self.json().pointer("/details/causes/0/reason").and_then(Value::as_str) {
            Some("HoldPending") => 429,
            _ => self.status,
        }
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The first header of a name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(it, _)| it == name).map(|(_, value)| value.as_str())
    }
}

impl Connection {
    /// Connects to `https://host:port`, trusting `ca`.
    ///
    /// # Errors
    /// As of TCP.
    ///
    /// # Panics
    /// Where the URL or the CA is not one.
    pub fn open(url: &str, ca: &Path) -> io::Result<Self> {
        Self::open_offering(url, ca, &[])
    }

    /// As [`Connection::open`], offering these protocols (ALPN).
    ///
    /// # Errors
    /// As of TCP.
    ///
    /// # Panics
    /// Where the URL or the CA is not one.
    pub fn open_offering(url: &str, ca: &Path, protocols: &[&str]) -> io::Result<Self> {
        let authority = url.strip_prefix("https://").expect("an https URL").trim_end_matches('/');
        let mut config = client_config(ca);
        config.alpn_protocols = protocols.iter().map(|it| it.as_bytes().to_vec()).collect();
        let host = authority.split(':').next().unwrap_or_default().to_owned();
        let name = ServerName::try_from(host).expect("a server name");
        let client = ClientConnection::new(Arc::new(config), name).expect("a TLS client");
        let tcp = TcpStream::connect(authority)?;
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(Self(StreamOwned::new(client, tcp)))
    }

    /// The socket below, for whoever wants to end the connection while another thread reads.
    ///
    /// # Errors
    /// As of the system.
    pub fn socket(&self) -> io::Result<TcpStream> {
        self.0.sock.try_clone()
    }

    /// Reads so many bytes as they are.
    ///
    /// # Errors
    /// As of TCP, and where the connection ends before.
    pub fn read_exact(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        self.0.read_exact(bytes)
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// As of TCP.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)?;
        self.0.flush()
    }

    /// Sends a request; the caller gives every header but `Host` and `Content-Length`.
    ///
    /// # Errors
    /// As of TCP.
    pub fn request(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<()> {
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: test\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(body);
        self.send(&bytes)
    }

    /// Reads the head of an answer, and its body unless it is a stream without end.
    ///
    /// # Errors
    /// As of TCP; the end of the connection before a head is an empty answer.
    pub fn answer(&mut self) -> io::Result<Answer> {
        Answer::read(&mut self.0, "GET")
    }

    /// As [`Connection::answer`], to a request of this method: a HEAD has no body to wait for.
    ///
    /// # Errors
    /// As of TCP.
    pub fn answer_to(&mut self, method: &str) -> io::Result<Answer> {
        Answer::read(&mut self.0, method)
    }

    /// Reads one chunk of a chunked body; `None` at its end.
    ///
    /// # Errors
    /// As of TCP.
    pub fn chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        chunk(&mut self.0)
    }

    /// Reads the head alone, for streams.
    ///
    /// # Errors
    /// As of TCP.
    pub fn head(&mut self) -> io::Result<String> {
        Ok(String::from_utf8_lossy(&until(&mut self.0, b"\r\n\r\n")?).into_owned())
    }

    /// Reads some bytes; `None` where the connection was cut, 0 where it ended.
    pub fn read(&mut self, bytes: &mut [u8]) -> Option<usize> {
        self.0.read(bytes).ok()
    }

    /// Says that nothing more will be sent; answers are still read.
    ///
    /// # Errors
    /// As of TCP.
    pub fn half_close(&mut self) -> io::Result<()> {
        self.0.conn.send_close_notify();
        self.0.flush()?;
        self.0.sock.shutdown(std::net::Shutdown::Write)
    }
}

/// One chunk; at the end `None`, and what follows are trailers up to an empty line.
fn chunk(from: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let line = until(from, b"\r\n")?;
    if line.is_empty() {
        // Cut off, which is something else than ended.
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let size = String::from_utf8_lossy(&line).trim().to_owned();
    let size = usize::from_str_radix(&size, 16).unwrap_or(0);
    if size == 0 {
        return Ok(None);
    }
    let mut chunk = vec![0; size + 2];
    from.read_exact(&mut chunk)?;
    chunk.truncate(size);
    Ok(Some(chunk))
}

fn until(from: &mut impl Read, end: &[u8]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(end) {
        if from.read(&mut byte)? == 0 {
            break;
        }
        bytes.extend_from_slice(&byte);
    }
    Ok(bytes)
}

/// The lines of a head or of trailers, names in lower case.
fn fields<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<(String, String)> {
    lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect()
}

/// A client's TLS that trusts `ca` and has no certificate of its own.
///
/// # Panics
/// Where the CA is not one.
pub fn client_config(ca: &Path) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca).expect("a CA") {
        roots.add(certificate.expect("a certificate")).expect("a CA certificate");
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("TLS versions")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// One request on a connection of its own.
///
/// # Errors
/// As of TCP.
pub fn request(
    url: &str,
    ca: &Path,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<Answer> {
    let mut connection = Connection::open(url, ca)?;
    connection.request(method, target, headers, body)?;
    connection.answer()
}
