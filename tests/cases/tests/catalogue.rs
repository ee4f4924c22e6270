//! Every row of the catalogue's groups that CI has time for gets its verdict.

use std::{collections::BTreeMap, time::Instant};

use cases::{Harness, Row, rows};

/// The groups whose rows all get their verdicts.
const GROUPS: [&str; 6] = [
    "baseline verbs",
    "scale to zero or drastically down",
    "nodes: drain, cordon and their equivalents",
    "images, limits and pod template in production",
    "must forward untouched",
    "identity and headers",
];

/// Rows that were asked for by `AGENT_SHIELD_CASES`, or those of the groups.
fn chosen() -> Vec<Row> {
    let asked = std::env::var("AGENT_SHIELD_CASES").unwrap_or_default();
    let asked: Vec<&str> = asked.split(',').filter(|it| !it.is_empty()).collect();
    let is_chosen = |row: &Row| match asked.as_slice() {
        [] => GROUPS.contains(&row.group.as_str()),
        asked => asked.iter().any(|it| row.id.starts_with(it) || row.group == *it),
    };
    rows().into_iter().filter(|row| row.is_single() && is_chosen(row)).collect()
}

#[test]
fn every_row_gets_its_verdict() {
    let rows = chosen();
    assert!(!rows.is_empty(), "no row was chosen");
    let mut harness = Harness::start();
    let mut table: BTreeMap<String, (u32, u32)> = BTreeMap::new();
    let mut failures = Vec::new();
    for row in &rows {
        let started = Instant::now();
        let report = harness.run(row);
        let seconds = started.elapsed().as_secs_f32();
        let (right, all) = table.entry(row.group.clone()).or_default();
        *all += 1;
        match report.failure {
            None => *right += 1,
            Some(why) => failures.push(format!("{} {}: {why}", row.id, row.title)),
        }
        println!("{} {:?} {seconds:.1} s {}", row.id, report.verdict, row.title);
    }
    for (group, (right, all)) in &table {
        println!("{right:>4} of {all:>4}  {group}");
    }
    assert!(failures.is_empty(), "{} rows:\n{}", failures.len(), failures.join("\n"));
    harness.stop();
}
