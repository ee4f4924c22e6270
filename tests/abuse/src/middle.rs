//! Between agent-shield and the real API server: passes everything on, but for some paths answers
//! as no API server should, or stands for a host at which the API server is below a path.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use rustls::pki_types::ServerName;
use serde_json::json;
use testkit::{Cluster, http::client_config};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
    task::JoinSet,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// What requests below a path are answered with.
#[derive(Clone, Debug)]
pub enum Script {
    /// These bytes, then the end of the connection.
    Bytes(Vec<u8>),
    /// These bytes; the next request on the connection is taken, and the connection ends without a
    /// word, as one does that the API server closed while the request was on its way.
    Once(Vec<u8>),
    /// A body of zeros of this length.
    Zeros(u64),
}

/// The running server; it ends with the value.
pub struct Middle {
    port: u16,
    shared: Arc<Shared>,
    _runtime: Runtime,
}

struct Shared {
    /// The path below which the API server is.
    prefix: &'static str,
    /// Targets as they were asked for.
    targets: Mutex<Vec<String>>,
    scripts: Vec<(&'static str, Script)>,
    requests: AtomicU64,
    sent: AtomicU64,
    cut: AtomicU64,
    upstream: String,
    tls: TlsConnector,
}

impl Middle {
    /// Starts one; each script is for the paths that begin with its text.
    pub fn start(cluster: &Cluster, scripts: &[(&'static str, Script)]) -> Self {
        Self::serve_below(cluster, "", scripts)
    }

    /// Starts one where the API server is below a path; other paths are another server's.
    pub fn below(cluster: &Cluster, prefix: &'static str) -> Self {
        Self::serve_below(cluster, prefix, &[])
    }

    fn serve_below(
        cluster: &Cluster,
        prefix: &'static str,
        scripts: &[(&'static str, Script)],
    ) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let server = cluster.server_config("middle", "127.0.0.1");
        let client = client_config(&cluster.ca());
        let (host, port) = cluster.host_and_port();
        let shared = Arc::new(Shared {
            prefix,
            targets: Mutex::default(),
            scripts: scripts.to_vec(),
            requests: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            cut: AtomicU64::new(0),
            upstream: format!("{host}:{port}"),
            tls: TlsConnector::from(Arc::new(client)),
        });
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let acceptor = TlsAcceptor::from(Arc::new(server));
        let serving = Arc::clone(&shared);
        runtime.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((tcp, _)) = listener.accept().await {
                let (acceptor, shared) = (acceptor.clone(), Arc::clone(&serving));
                connections.spawn(async move {
                    if let Ok(stream) = acceptor.accept(tcp).await {
                        let _ = shared.serve(stream).await;
                    }
                });
            }
        });
        Self { port, shared, _runtime: runtime }
    }

    /// A kubeconfig like `own` that points here.
    pub fn kubeconfig(&self, cluster: &Cluster, own: &str) -> PathBuf {
        let file = cluster.dir().join(cluster.unique("middle.kubeconfig"));
        let token = cluster.bare_token("agent-shield", own).expect("a token");
        let server = format!("https://127.0.0.1:{}{}", self.port, self.shared.prefix);
        let user = json!({"token": token});
        cluster.write_kubeconfig(&file, &server, &cluster.ca(), &user).expect("a kubeconfig");
        file
    }

    /// Method and target of each request, as it was asked for.
    pub fn requests(&self) -> Vec<String> {
        self.shared.targets.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many requests a script has answered.
    pub fn scripted(&self) -> u64 {
        self.shared.requests.load(Ordering::Relaxed)
    }

    /// How many streams of zeros the other end left before their end.
    pub fn cut(&self) -> u64 {
        self.shared.cut.load(Ordering::Relaxed)
    }

    /// How many bytes of zeros were taken.
    pub fn zeros(&self) -> u64 {
        self.shared.sent.load(Ordering::Relaxed)
    }
}

impl Shared {
    /// One request, then the end of the connection.
    async fn serve<S: AsyncRead + AsyncWrite + Unpin>(&self, mut stream: S) -> std::io::Result<()> {
        let head = read_head(&mut stream).await?;
        let mut text = String::from_utf8_lossy(&head).into_owned();
        let asked: Vec<&str> = text.split(' ').take(2).collect();
        let asked = asked.join(" ");
        self.targets.lock().unwrap_or_else(PoisonError::into_inner).push(asked.clone());
        if !self.prefix.is_empty() {
            if !asked.contains(&format!(" {}/", self.prefix)) {
                let answer =
                    "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                return stream.write_all(answer.as_bytes()).await;
            }
            text = text.replacen(self.prefix, "", 1);
        }
        let target = text.split(' ').nth(1).unwrap_or_default();
        // A preview is no request of the agent's: the API server answers it.
        let is_preview = target.contains("dryRun=All");
        let of_target = |(path, _): &&(_, Script)| !is_preview && target.starts_with(path);
        let script = self.scripts.iter().find(of_target);
        let Some((_, script)) = script else {
            let tcp = TcpStream::connect(&self.upstream).await?;
            let name = ServerName::try_from("127.0.0.1").expect("a name");
            let mut upstream = self.tls.connect(name, tcp).await?;
            // Whoever asks again comes here again.
            let closing = text.replacen("\r\n", "\r\nConnection: close\r\n", 1);
            let is_upgrade = text.to_ascii_lowercase().contains("\r\nupgrade:");
            let head = if is_upgrade { &text } else { &closing };
            upstream.write_all(head.as_bytes()).await?;
            tokio::io::copy_bidirectional(&mut stream, &mut upstream).await?;
            return Ok(());
        };
        self.requests.fetch_add(1, Ordering::Relaxed);
        match script {
            Script::Bytes(bytes) => stream.write_all(bytes).await?,
            Script::Once(bytes) => {
                stream.write_all(bytes).await?;
                stream.flush().await?;
                read_head(&mut stream).await?;
                self.requests.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
            Script::Zeros(length) => {
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
                stream.write_all(head.as_bytes()).await?;
                let zeros = vec![0; 64 << 10];
                let mut left = *length;
                while left > 0 {
                    let part = left.min(64 << 10);
                    let taken = stream.write_all(&zeros[..usize::try_from(part).unwrap_or(0)]);
                    if let Err(error) = taken.await {
                        self.cut.fetch_add(1, Ordering::Relaxed);
                        return Err(error);
                    }
                    self.sent.fetch_add(part, Ordering::Relaxed);
                    left -= part;
                }
            }
        }
        stream.flush().await?;
        stream.shutdown().await
    }
}

async fn read_head<S: AsyncRead + Unpin>(stream: &mut S) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(head)
}
