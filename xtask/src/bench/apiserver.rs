//! A real kube-apiserver: what a GET costs directly, and what agent-shield adds to it.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use serde_json::json;
use testkit::{Agent, Cluster, Nodes, Shield, testbed};

use super::{
    Options, Progress,
    load::{self, Load, Protocol},
    paced::{self, Asked},
    process,
    report::{Row, Sample},
};

const TARGET: &str = "/api/v1/namespaces/default/configmaps/bench";

/// Measures GETs of 1 KB, directly and through agent-shield, in turns.
pub(super) fn measure(options: &Options, progress: &Progress) -> Result<Vec<Row>> {
    let mut loads = Vec::new();
    for protocol in [Protocol::Http1, Protocol::Http2] {
        for connections in [1, 16] {
            let name = format!("apiserver/1k/{}/c{connections}", protocol.name());
            if options.wants(&name) && !options.quick {
                loads.push((name, protocol, connections));
            }
        }
    }
    let mut paced = Vec::new();
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let name = format!("apiserver/1k/{}/c16/paced", protocol.name());
        if options.wants(&name) && !options.quick {
            paced.push((name, protocol));
        }
    }
    if loads.is_empty() && paced.is_empty() {
        return Ok(Vec::new());
    }
    progress.say("starting a kube-apiserver");
    let testbed = testbed::build()?;
    let cluster: &'static Cluster =
        Box::leak(Box::new(Cluster::start_attached(&testbed, Nodes::None)?));
    let agent = prepare(cluster)?;
    let shield = Shield::start(cluster, &[]);
    let speaks_http2 = load::speaks_http2(&shield.agent_url)?;
    let dir = cluster.dir();
    let servers = [
        ("direct", cluster.server(), pid_of_apiserver(dir)?),
        ("agent-shield", shield.agent_url.as_str(), shield.pid()),
    ];
    let mut rows = Vec::new();
    for (scenario, protocol, connections) in loads {
        if protocol == Protocol::Http2 && !speaks_http2 {
            continue;
        }
        let mut of_scenario = servers.map(|(server, ..)| Row::new(&scenario, server));
        for round in 0..options.rounds {
            for (row, (server, url, pid)) in of_scenario.iter_mut().zip(servers) {
                progress.say(&format!("{scenario} {server} round {}", round + 1));
                let load = Load {
                    protocol,
                    connections,
                    target: TARGET,
                    token: &agent.token,
                    time: options.time,
                };
                let before = process::cpu(pid)?;
                let answered = load::run(load, url, dir)?;
                let cpu = process::cpu(pid)?.saturating_sub(before);
                row.samples.push(Sample::of(answered, cpu));
            }
        }
        rows.extend(of_scenario);
    }
    let asked = [
        Asked { url: cluster.server().to_owned(), ca: cluster.ca() },
        Asked { url: shield.agent_url.clone(), ca: shield.ca() },
    ];
    for (scenario, protocol) in paced {
        progress.say(&scenario);
        let before = servers.map(|(_, _, pid)| process::cpu(pid));
        let answered = paced::run(&asked, protocol, &agent.token, TARGET)?;
        for ((answered, (server, _, pid)), before) in answered.into_iter().zip(servers).zip(before)
        {
            let cpu = process::cpu(pid)?.saturating_sub(before?);
            let sample = Sample::of(answered, cpu);
            rows.push(Row { samples: vec![sample], ..Row::new(&scenario, server) });
        }
    }
    Ok(rows)
}

fn prepare(cluster: &Cluster) -> Result<Agent> {
    cluster.apply(&json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "bench", "namespace": "default"},
        "data": {"text": "x".repeat(700)},
    }))?;
    let rules = json!([{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]);
    cluster.agent("default", "bench", &["default"], &rules)
}

/// The second that was started, after etcd.
fn pid_of_apiserver(dir: &Path) -> Result<u32> {
    let pids = fs::read_to_string(dir.join("pids"))?;
    Ok(pids.lines().nth(1).context("no kube-apiserver runs")?.parse()?)
}
