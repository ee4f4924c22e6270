//! A recorder between agent-shield and the API server: what went through it, byte for byte.
//!
//! It ends TLS on both sides and copies what it reads, at once; it speaks HTTP/1.1 by not knowing
//! what it carries. What it has recorded is taken apart only afterwards.

use std::{
    borrow::Cow,
    collections::HashMap,
    fs,
    io::{self, Cursor},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use rustls::pki_types::ServerName;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::{
    Cluster,
    http::{Answer, client_config},
};

/// A running recorder; it ends when it is dropped.
pub struct Tee {
    url: String,
    shared: Arc<Shared>,
    _end: oneshot::Sender<()>,
}

/// What one connection carried, each way.
#[derive(Default)]
struct Carried {
    asked: Vec<u8>,
    answered: Vec<u8>,
}

type Recorded = Arc<Mutex<Carried>>;

#[derive(Default)]
struct Shared {
    connections: Mutex<Vec<Recorded>>,
    replaced: Mutex<Vec<(Vec<u8>, Vec<u8>)>>,
}

impl Tee {
    /// Starts it before a cluster's API server, on a free port, with a certificate of the cluster.
    ///
    /// # Panics
    /// Where it cannot.
    pub fn start(cluster: &Cluster) -> Self {
        let server = cluster.server_config("tee", "127.0.0.1");
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        tcp.set_nonblocking(true).expect("a listener");
        let url = format!("https://{}", tcp.local_addr().expect("its address"));
        let shared = Arc::<Shared>::default();
        let hop = Arc::new(Hop {
            accept: TlsAcceptor::from(Arc::new(server)),
            connect: TlsConnector::from(Arc::new(client_config(&cluster.ca()))),
            upstream: cluster.server().trim_start_matches("https://").to_owned(),
            shared: Arc::clone(&shared),
        });
        let (end, ended) = oneshot::channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                tokio::select! {
                    () = serve(hop, tcp) => {}
                    _ = ended => {}
                }
            });
        });
        Self { url, shared, _end: end }
    }

    /// A kubeconfig that goes through here with the token of a ServiceAccount.
    ///
    /// # Panics
    /// Where there is no such account.
    pub fn kubeconfig(&self, cluster: &Cluster, namespace: &str, name: &str) -> PathBuf {
        let file = |ending: &str| cluster.dir().join(cluster.unique(&format!("tee-{ending}")));
        let (token, kubeconfig) = (file("token"), file("kubeconfig"));
        fs::write(&token, cluster.bare_token(namespace, name).expect("a token")).expect("a file");
        let user = json!({"tokenFile": token});
        let ca: &Path = &cluster.ca();
        cluster.write_kubeconfig(&kubeconfig, &self.url, ca, &user).expect("a kubeconfig");
        kubeconfig
    }

    /// From now on puts other bytes in place of some, wherever these come from the API server in one
    /// piece: after they were recorded, so that who compares has to see it.
    pub fn replace(&self, pairs: &[(&str, &str)]) {
        let pairs =
            pairs.iter().map(|(from, to)| (from.as_bytes().to_vec(), to.as_bytes().to_vec()));
        *lock(&self.shared.replaced) = pairs.collect();
    }

    /// What the API server answered, by `Audit-Id`, which is told here without its tag: no agent gets that. What
    /// has not ended yet is left out.
    pub fn answers(&self) -> HashMap<String, Answer> {
        let connections = lock(&self.shared.connections).clone();
        let mut answers = HashMap::new();
        for connection in connections {
            let carried = lock(&connection);
            let mut asked = Cursor::new(carried.asked.as_slice());
            let mut answered = Cursor::new(carried.answered.as_slice());
            while let Ok(method) = Answer::skip_request(&mut asked)
                && let Ok(answer) = Answer::read(&mut answered, &method)
                && answer.status != 0
            {
                // After a 101 come other bytes than HTTP.
                if answer.status == 101 {
                    break;
                }
                let mut answer = answer;
                let of_id = answer.headers.iter_mut().find(|(name, _)| name == "audit-id");
                if let Some((_, id)) = of_id {
                    id.truncate(id.find('.').unwrap_or(id.len()));
                    let id = id.clone();
                    answers.insert(id, answer);
                }
            }
        }
        answers
    }
}

struct Hop {
    accept: TlsAcceptor,
    connect: TlsConnector,
    upstream: String,
    shared: Arc<Shared>,
}

#[expect(clippy::disallowed_methods, reason = "all tasks end with the runtime, which is ours")]
async fn serve(hop: Arc<Hop>, tcp: std::net::TcpListener) {
    let listener = TcpListener::from_std(tcp).expect("a listener");
    while let Ok((client, _)) = listener.accept().await {
        let hop = Arc::clone(&hop);
        tokio::spawn(async move { hop.carry(client).await });
    }
}

impl Hop {
    async fn carry(&self, client: TcpStream) -> io::Result<()> {
        client.set_nodelay(true)?;
        let client = self.accept.accept(client).await?;
        let upstream = TcpStream::connect(&self.upstream).await?;
        upstream.set_nodelay(true)?;
        let name = ServerName::try_from("127.0.0.1").map_err(io::Error::other)?;
        let upstream = self.connect.connect(name, upstream).await?;
        let carried = Recorded::default();
        lock(&self.shared.connections).push(Arc::clone(&carried));
        let (mut from_client, mut to_client) = tokio::io::split(client);
        let (mut from_upstream, mut to_upstream) = tokio::io::split(upstream);
        let up = async {
            let mut bytes = vec![0; 64 << 10];
            loop {
                let count = from_client.read(&mut bytes).await.unwrap_or(0);
                if count == 0 {
                    return to_upstream.shutdown().await;
                }
                lock(&carried).asked.extend_from_slice(&bytes[..count]);
                to_upstream.write_all(&bytes[..count]).await?;
                to_upstream.flush().await?;
            }
        };
        let down = async {
            let mut bytes = vec![0; 64 << 10];
            loop {
                let count = from_upstream.read(&mut bytes).await.unwrap_or(0);
                if count == 0 {
                    return to_client.shutdown().await;
                }
                lock(&carried).answered.extend_from_slice(&bytes[..count]);
                to_client.write_all(&self.shared.replaced(&bytes[..count])).await?;
                to_client.flush().await?;
            }
        };
        tokio::try_join!(up, down).map(|_| ())
    }
}

impl Shared {
    fn replaced<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        let mut bytes = Cow::Borrowed(bytes);
        for (from, to) in lock(&self.replaced).iter() {
            if let Some(at) = bytes.windows(from.len()).position(|it| it == from) {
                bytes = [&bytes[..at], to, &bytes[at + from.len()..]].concat().into();
            }
        }
        bytes
    }
}

fn lock<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
