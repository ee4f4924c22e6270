//! What a read costs at 1, 100 and 1,000 policies more than the built-in ones.

use anyhow::Result;

use super::{
    Options, Progress, decisions,
    load::{Load, Protocol},
    reads,
    report::Row,
    servers::{Place, Server},
    stand_in::SMALL,
};

const COUNTS: [(usize, &str); 3] =
    [(1, "1 policy"), (100, "100 policies"), (1_000, "1,000 policies")];

/// Measures the same reads through agent-shields of so many policies, in turns.
pub(super) fn measure(options: &Options, progress: &Progress) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let scenario = format!("policies/1k/{}/c64", protocol.name());
        if options.quick || !options.wants(&scenario) {
            continue;
        }
        let place = Place::new()?;
        let direct = place.stand_in()?;
        let servers: Vec<(Server, &str)> = COUNTS
            .iter()
            .map(|(count, name)| {
                let dir = place.dir().join(format!("policies-{count}"));
                decisions::write(&dir, *count)?;
                let dir = dir.display().to_string();
                Ok((place.shield(&direct, &["--policy", &dir])?, *name))
            })
            .collect::<Result<_>>()?;
        let token = reads::token();
        let load =
            Load { protocol, connections: 64, target: SMALL, token: &token, time: options.time };
        let mut of_scenario: Vec<Row> =
            servers.iter().map(|(_, name)| Row::new(&scenario, name)).collect();
        for round in 0..options.rounds {
            for (row, (server, name)) in of_scenario.iter_mut().zip(&servers) {
                progress.say(&format!("{scenario} {name} round {}", round + 1));
                row.samples.push(reads::sample(load, server, place.dir(), || Ok(()))?);
            }
        }
        rows.extend(of_scenario);
    }
    Ok(rows)
}
