//! GETs through every server in one run, interleaved, so that all of them meet the same machine.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::{
    Options, Progress,
    load::{self, Load, Protocol},
    process,
    report::{Row, Sample},
    servers::{self, Place, Server},
    stand_in::{COUNT, LARGE, SMALL},
};

/// As long as a ServiceAccount's token is.
const TOKEN_LENGTH: usize = 900;
/// Entries of reads are written in batches, which are full or this old.
const BATCH_TIME: Duration = Duration::from_millis(250);
const WRITTEN_TIME_MAX: Duration = Duration::from_secs(20);

struct Scenario {
    name: String,
    target: &'static str,
    protocol: Protocol,
    connections: u32,
}

fn scenarios(options: &Options) -> Vec<Scenario> {
    let mut all = Vec::new();
    for (size, target) in [("1k", SMALL), ("20k", LARGE)] {
        for protocol in [Protocol::Http1, Protocol::Http2] {
            for connections in [64, 1] {
                let name = format!("read/{size}/{}/c{connections}", protocol.name());
                all.push(Scenario { name, target, protocol, connections });
            }
        }
    }
    all.retain(|it| options.wants(&it.name) && !(options.quick && it.target == LARGE));
    all
}

/// Measures every scenario on every server.
pub(super) fn measure(options: &Options, progress: &Progress) -> Result<Vec<Row>> {
    let scenarios = scenarios(options);
    if scenarios.is_empty() {
        return Ok(Vec::new());
    }
    let place = Place::new()?;
    let direct = place.stand_in()?;
    let servers = [place.nginx(&direct)?, place.haproxy(&direct)?, place.shield(&direct, &[])?];
    let [.., shield] = &servers;
    let speaks: Vec<(&Server, bool)> = std::iter::once(&direct)
        .chain(&servers)
        .map(|server| Ok((server, load::speaks_http2(&server.url)?)))
        .collect::<Result<_>>()?;
    let token = token();
    let mut rows = Vec::new();
    let mut cut_max = 0;
    for scenario in &scenarios {
        let mut of_scenario: Vec<Row> = speaks
            .iter()
            .filter(|(_, http2)| *http2 || scenario.protocol == Protocol::Http1)
            .map(|(server, _)| Row::new(&scenario.name, server.name))
            .collect();
        let load = |time| Load {
            protocol: scenario.protocol,
            connections: scenario.connections,
            target: scenario.target,
            token: &token,
            time,
        };
        for round in 0..options.rounds {
            for row in &mut of_scenario {
                let server = speaks.iter().map(|it| it.0).find(|it| it.name == row.server);
                let server = server.context("a row without its server")?;
                progress.say(&format!("{} {} round {}", row.scenario, row.server, round + 1));
                let is_shield = server.name == shield.name;
                if is_shield {
                    cut_max += u64::from(scenario.connections);
                }
                let until_written = || match is_shield {
                    true => written(&place, &direct, shield, cut_max).map(|_| ()),
                    false => Ok(()),
                };
                row.samples.push(sample(load(options.time), server, place.dir(), until_written)?);
            }
        }
        rows.extend(of_scenario);
    }
    let (requests, entries) = written(&place, &direct, shield, cut_max)?;
    progress.say(&format!("{requests} requests went upstream, the ledger holds {entries} entries"));
    Ok(rows)
}

/// As long as those of service accounts.
pub(super) fn token() -> String {
    "x".repeat(TOKEN_LENGTH)
}

/// One run, with the processor time until everything that belongs to it is done.
pub(super) fn sample(
    load: Load<'_>,
    server: &Server,
    dir: &Path,
    until_done: impl Fn() -> Result<()>,
) -> Result<Sample> {
    let before = process::cpu(server.pid)?;
    let answered = load::run(load, &server.url, dir)?;
    until_done()?;
    let cpu = process::cpu(server.pid)?.saturating_sub(before);
    Ok(Sample::of(answered, cpu))
}

/// Waits until everything is written down, and counts: each request that agent-shield sent upstream
/// has an entry, and so have those, `cut_max` at most, that a load generator cut short at its end
/// before they were sent.
///
/// # Errors
/// Where a record was lost, or written twice.
fn written(place: &Place, direct: &Server, shield: &Server, cut_max: u64) -> Result<(u64, u64)> {
    let data_dir = shield.data_dir.as_deref().context("agent-shield has no data directory")?;
    let started = Instant::now();
    let mut before = None;
    loop {
        let requests = servers::ask(direct, &place.ca(direct), COUNT)?.as_u64().unwrap_or(0);
        let entries = store::history(data_dir)?.count_all()?;
        if before == Some(entries) && (requests..=requests + cut_max).contains(&entries) {
            return Ok((requests, entries));
        }
        if started.elapsed() > WRITTEN_TIME_MAX {
            bail!("agent-shield sent {requests} requests, and its ledger holds {entries} entries");
        }
        before = Some(entries);
        thread::sleep(BATCH_TIME);
    }
}
