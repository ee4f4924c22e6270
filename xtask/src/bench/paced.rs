//! What agent-shield adds to an answer's time where nobody waits for a processor: requests at an even
//! pace, in turns directly and through agent-shield, so that whatever else the machine does meets
//! both alike.

use std::{
    net::Ipv4Addr,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use http_body_util::BodyExt;
use tokio::{runtime::Runtime, sync::mpsc, task::JoinSet};
use tokio_util::task::TaskTracker;

use super::{
    client::{self, Client},
    load::{Answered, Protocol},
};

const CONNECTIONS: usize = 16;
/// Requests to each, and the time between any two.
const REQUESTS: usize = 3_000;
const EVERY: Duration = Duration::from_millis(5);

/// Whom to ask.
pub(super) struct Asked {
    pub(super) url: String,
    pub(super) ca: PathBuf,
}

/// Asks each in turn, on 16 connections each.
pub(super) fn run(
    asked: &[Asked],
    protocol: Protocol,
    token: &str,
    target: &str,
) -> Result<Vec<Answered>> {
    Runtime::new()?.block_on(async {
        let mut lines = Vec::new();
        for it in asked {
            lines.push(Line::open(it, protocol, token, target).await?);
        }
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let started = Instant::now();
        for number in 0..REQUESTS {
            for line in &lines {
                ticks.tick().await;
                line.ask(number)?;
            }
        }
        let took = started.elapsed();
        let mut times = Vec::new();
        for line in lines {
            times.push(line.end(took).await?);
        }
        Ok(times)
    })
}

/// Connections to one server, and a task for each.
struct Line {
    queues: Vec<mpsc::UnboundedSender<Instant>>,
    answers: JoinSet<Result<Vec<u64>>>,
}

impl Line {
    async fn open(asked: &Asked, protocol: Protocol, token: &str, target: &str) -> Result<Self> {
        let client = Client {
            tls: client::connector(&asked.ca, protocol)?,
            authority: asked.url.trim_start_matches("https://").trim_end_matches('/').to_owned(),
            token: token.to_owned(),
            source: Ipv4Addr::LOCALHOST,
            protocol,
            connections: TaskTracker::new(),
        };
        let (mut queues, mut answers) = (Vec::new(), JoinSet::new());
        for _ in 0..CONNECTIONS {
            let mut connection = client.open().await?;
            // The first request on a connection makes more: it is not counted.
            client.get(&mut connection, target).await?.into_body().collect().await?;
            let (queue, mut asked) = mpsc::unbounded_channel::<Instant>();
            queues.push(queue);
            let (client, target) = (client.clone(), target.to_owned());
            answers.spawn(async move {
                let mut times = Vec::new();
                while let Some(at) = asked.recv().await {
                    client.get(&mut connection, &target).await?.into_body().collect().await?;
                    times.push(u64::try_from(at.elapsed().as_micros())?);
                }
                Ok(times)
            });
        }
        Ok(Self { queues, answers })
    }

    fn ask(&self, number: usize) -> Result<()> {
        let queue = self.queues.get(number % CONNECTIONS).context("no connection")?;
        Ok(queue.send(Instant::now())?)
    }

    async fn end(mut self, took: Duration) -> Result<Answered> {
        self.queues.clear();
        let mut times = Vec::new();
        while let Some(of_connection) = self.answers.join_next().await {
            times.extend(of_connection??);
        }
        Answered::of(times, took)
    }
}
