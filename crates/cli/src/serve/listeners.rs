//! Where agents and reviewers connect.

use std::{
    net::{Ipv6Addr, SocketAddr},
    path::Path,
};

use anyhow::{Context, Result};
use serde_json::json;
use tokio::net::TcpListener;

/// Both sockets, bound; nobody is answered yet.
pub(super) struct Listeners {
    pub(super) agents: TcpListener,
    pub(super) reviewers: TcpListener,
    /// Their addresses in this order: port 0 has become a port.
    pub(super) addresses: [SocketAddr; 2],
}

impl Listeners {
    /// Binds both.
    ///
    /// # Errors
    /// Where somebody else listens there.
    pub(super) async fn bind(agents: SocketAddr, reviewers: SocketAddr) -> Result<Self> {
        let (agents, reviewers) = (bind(agents).await?, bind(reviewers).await?);
        let addresses = [agents.local_addr()?, reviewers.local_addr()?];
        Ok(Self { agents, reviewers, addresses })
    }
}

/// The URLs for agents and for reviewers, as `endpoints.json` of the data directory tells them.
#[derive(Debug)]
pub(super) struct Endpoints {
    pub(super) agent: String,
    pub(super) review: String,
}

impl Endpoints {
    /// Writes them down for the commands that run beside the server.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub(super) fn publish(dir: &Path, addresses: [SocketAddr; 2]) -> Result<Self> {
        let [agent, review] = addresses.map(|address| format!("https://{}", reachable(address)));
        let path = dir.join("endpoints.json");
        let document = format!("{}\n", json!({ "agent": agent, "review": review }));
        private_file::write(&path, document.as_bytes(), 0o600)
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { agent, review })
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}: is another agent-shield running there? Port 0 picks a free one")
    })
}

/// An address that a client of this machine can connect to.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(it) if it.ip().is_unspecified() => ([127, 0, 0, 1], it.port()).into(),
        SocketAddr::V6(it) if it.ip().is_unspecified() => (Ipv6Addr::LOCALHOST, it.port()).into(),
        address => address,
    }
}
