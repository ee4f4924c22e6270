//! A road to the API server that can be cut.

use std::{
    io,
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

/// Carries bytes between its own port and a server until it is cut.
pub(crate) struct Relay {
    pub(crate) url: String,
    road: Arc<Road>,
}

struct Road {
    server: String,
    cut: AtomicBool,
    sockets: Mutex<Vec<TcpStream>>,
}

impl Relay {
    pub(crate) fn to(server: &str) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("https://{}", listener.local_addr()?);
        let server = server.trim_start_matches("https://").to_owned();
        let road =
            Arc::new(Road { server, cut: AtomicBool::new(false), sockets: Mutex::default() });
        let carrier = Arc::clone(&road);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                // A connection that cannot be carried is closed: that is what a cut looks like.
                let _ = carrier.carry(client);
            }
        });
        Ok(Self { url, road })
    }

    /// Ends every connection, and takes no new one.
    pub(crate) fn cut(&self) {
        self.road.cut.store(true, Ordering::SeqCst);
        for socket in self.road.sockets.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

impl Road {
    fn carry(&self, client: TcpStream) -> io::Result<()> {
        if self.cut.load(Ordering::SeqCst) {
            return client.shutdown(Shutdown::Both);
        }
        let server = TcpStream::connect(&self.server)?;
        let mut sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        for (from, to) in [(&client, &server), (&server, &client)] {
            let (mut from, mut to) = (from.try_clone()?, to.try_clone()?);
            thread::spawn(move || {
                let _ = io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Both);
            });
        }
        sockets.extend([client, server]);
        Ok(())
    }
}
