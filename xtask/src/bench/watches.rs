//! Many watches that say nothing, and the memory that they take.

use std::{net::Ipv4Addr, path::Path, time::Duration};

use anyhow::{Context, Result};
use http::Response;
use hyper::body::Incoming;
use tokio::{runtime::Runtime, task::JoinSet};
use tokio_util::task::TaskTracker;

use super::{
    client::{self, Client, Connection},
    load::Protocol,
    stand_in::WATCH,
};

/// Watches of one agent, which are as many streams as a kube-apiserver takes on one connection by
/// default; each agent has a token and an address of its own.
const OF_AN_AGENT: usize = 100;
const CONNECTIONS_AT_ONCE: usize = 32;
const TIME_MAX: Duration = Duration::from_secs(60);

/// Watches that stay open as long as this does.
pub(super) struct Watches {
    _runtime: Runtime,
    _open: Vec<(Connection, Vec<Response<Incoming>>)>,
}

/// Opens so many, and returns when each has the head of its answer.
pub(super) fn open(url: &str, ca: &Path, count: usize, protocol: Protocol) -> Result<Watches> {
    let runtime = Runtime::new()?;
    let opening = open_all(url, ca, count, protocol);
    let open = runtime.block_on(async {
        let limited = tokio::time::timeout(TIME_MAX, opening).await;
        limited.with_context(|| format!("{count} watches were not open after {TIME_MAX:?}"))?
    })?;
    Ok(Watches { _runtime: runtime, _open: open })
}

async fn open_all(
    url: &str,
    ca: &Path,
    count: usize,
    protocol: Protocol,
) -> Result<Vec<(Connection, Vec<Response<Incoming>>)>> {
    let tls = client::connector(ca, protocol)?;
    let streams = match protocol {
        Protocol::Http1 => 1,
        Protocol::Http2 => OF_AN_AGENT,
    };
    let mut wanted = vec![streams; count / streams];
    wanted.extend(Some(count % streams).filter(|rest| *rest > 0));
    let connections = TaskTracker::new();
    let mut opening = JoinSet::new();
    let mut open = Vec::with_capacity(wanted.len());
    for (number, streams) in wanted.into_iter().enumerate() {
        if opening.len() >= CONNECTIONS_AT_ONCE {
            open.extend(opening.join_next().await.transpose()?.transpose()?);
        }
        let agent = u8::try_from(number * streams / OF_AN_AGENT % 200)?;
        let client = Client {
            tls: tls.clone(),
            authority: url.trim_start_matches("https://").to_owned(),
            token: format!("agent-{agent}"),
            source: Ipv4Addr::new(127, 0, 1, agent + 1),
            protocol,
            connections: connections.clone(),
        };
        opening.spawn(async move {
            let mut connection = client.open().await?;
            let mut watches = Vec::with_capacity(streams);
            for _ in 0..streams {
                watches.push(client.get(&mut connection, WATCH).await?);
            }
            anyhow::Ok((connection, watches))
        });
    }
    while let Some(connection) = opening.join_next().await {
        open.push(connection??);
    }
    Ok(open)
}
