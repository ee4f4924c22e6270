//! A road to the API server on which nothing may come through any more, of some connections or of all.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use serde_json::json;
use testkit::Cluster;

/// Carries bytes between its own port and the API server.
pub struct Road {
    url: String,
    shared: Arc<Shared>,
}

struct Shared {
    server: String,
    /// Connections with a smaller number than this are silent.
    silent_below: AtomicU64,
    next: AtomicU64,
    closed: AtomicBool,
    sockets: Mutex<Vec<TcpStream>>,
}

impl Road {
    /// An open one.
    pub fn to(cluster: &Cluster) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("https://{}", listener.local_addr().expect("an address"));
        let shared = Arc::new(Shared {
            server: cluster.server().trim_start_matches("https://").to_owned(),
            silent_below: AtomicU64::new(0),
            next: AtomicU64::new(1),
            closed: AtomicBool::new(false),
            sockets: Mutex::default(),
        });
        let carrier = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let _ = carrier.carry(client);
            }
        });
        Self { url, shared }
    }

    /// A kubeconfig that takes this road with the token of `own`.
    pub fn kubeconfig(&self, cluster: &Cluster, own: &str) -> PathBuf {
        let file = cluster.dir().join(cluster.unique("road.kubeconfig"));
        let token = cluster.bare_token("agent-shield", own).expect("a token");
        let user = json!({"token": token});
        cluster.write_kubeconfig(&file, &self.url, &cluster.ca(), &user).expect("a kubeconfig");
        file
    }

    /// Connections that there are fall silent without an end; new ones work.
    pub fn silence_old(&self) {
        self.shared.silent_below.store(self.shared.next.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    /// New ones are silent, too.
    pub fn silence_all(&self) {
        self.shared.silent_below.store(u64::MAX, Ordering::SeqCst);
    }

    /// Connections end, and new ones end at once.
    pub fn close(&self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        for socket in self.shared.sockets.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// New connections work again.
    pub fn open(&self) {
        self.silence_old();
        self.shared.closed.store(false, Ordering::SeqCst);
    }
}

impl Shared {
    fn carry(self: &Arc<Self>, client: TcpStream) -> io::Result<()> {
        if self.closed.load(Ordering::SeqCst) {
            return client.shutdown(Shutdown::Both);
        }
        let server = TcpStream::connect(&self.server)?;
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        for (from, to) in [(&client, &server), (&server, &client)] {
            let (from, to, shared) = (from.try_clone()?, to.try_clone()?, Arc::clone(self));
            thread::spawn(move || {
                let _ = shared.copy(number, from, &to);
                let _ = to.shutdown(Shutdown::Both);
            });
        }
        let mut sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        sockets.extend([client, server]);
        Ok(())
    }

    fn copy(&self, number: u64, mut from: TcpStream, mut to: &TcpStream) -> io::Result<()> {
        let mut bytes = vec![0; 64 << 10];
        loop {
            let read = from.read(&mut bytes)?;
            let is_silent = number < self.silent_below.load(Ordering::SeqCst);
            match read {
                // Nobody hears of its end, either.
                0 if is_silent => loop {
                    thread::park();
                },
                0 => return Ok(()),
                _ if is_silent => {}
                read => to.write_all(&bytes[..read])?,
            }
        }
    }
}
