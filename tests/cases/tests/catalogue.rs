//! Every row of the catalogue's groups that CI has time for gets its verdict.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use cases::{Harness, Report, Row, Verdict, rows};

/// The groups whose rows CI runs; `AGENT_SHIELD_FULL=1` runs all.
const GROUPS: [&str; 6] = [
    "baseline verbs",
    "scale to zero or drastically down",
    "nodes: drain, cordon and their equivalents",
    "images, limits and pod template in production",
    "must forward untouched",
    "identity and headers",
];

/// Clusters side by side: most of a row's time is waiting for controllers.
const CLUSTERS: usize = 3;

/// Of all holds, so many percent may be held because a preview failed.
const BLIND_PERCENT_MAX: usize = 5;

/// Rows that were asked for by `AGENT_SHIELD_CASES`, or those of the groups.
fn chosen() -> Vec<Row> {
    let asked = std::env::var("AGENT_SHIELD_CASES").unwrap_or_default();
    let asked: Vec<&str> = asked.split(',').filter(|it| !it.is_empty()).collect();
    let full = std::env::var_os("AGENT_SHIELD_FULL").is_some();
    let is_chosen = |row: &Row| match asked.as_slice() {
        ["all"] => true,
        [] => full || GROUPS.contains(&row.group.as_str()),
        asked => asked.iter().any(|it| row.id.starts_with(it) || row.group == *it),
    };
    rows().into_iter().filter(is_chosen).collect()
}

/// What became of one row.
struct Done {
    row: Row,
    report: Report,
    took: Duration,
}

fn done(harness: &mut Harness, row: Row) -> Done {
    let started = Instant::now();
    let report = harness.run(&row);
    let took = started.elapsed();
    println!("{} {:?} {:.1} s {}", row.id, report.verdict, took.as_secs_f32(), row.title);
    Done { row, report, took }
}

/// Runs rows on several clusters; those that break one get one of their own.
fn run(rows: Vec<Row>) -> Vec<Done> {
    let (breaking, rest): (Vec<Row>, Vec<Row>) = rows.into_iter().partition(Row::breaks_cluster);
    let clusters = CLUSTERS.min(rest.len());
    let rest = Mutex::new(VecDeque::from(rest));
    let next = || rest.lock().expect("the rows").pop_front();
    let mut all: Vec<Done> = thread::scope(|scope| {
        let workers: Vec<_> = (0..clusters)
            .map(|_| {
                scope.spawn(|| {
                    let mut harness = Harness::start();
                    let mut mine = Vec::new();
                    while let Some(row) = next() {
                        mine.push(done(&mut harness, row));
                    }
                    harness.stop();
                    mine
                })
            })
            .collect();
        workers.into_iter().flat_map(|it| it.join().expect("a worker")).collect()
    });
    for row in breaking {
        let mut harness = Harness::start();
        all.push(done(&mut harness, row));
        harness.stop();
    }
    all.sort_by(|a, b| a.row.id.cmp(&b.row.id));
    all
}

#[test]
fn every_row_gets_its_verdict() {
    let rows = chosen();
    assert!(!rows.is_empty(), "no row was chosen");
    let started = Instant::now();
    let all = run(rows);
    let mut table: BTreeMap<&str, (usize, usize, usize, f32)> = BTreeMap::new();
    for Done { row, report, took } in &all {
        let (right, of, blind, seconds) = table.entry(&row.group).or_default();
        *of += 1;
        *right += usize::from(report.failure.is_none());
        *blind += usize::from(report.blind);
        *seconds += took.as_secs_f32();
    }
    println!("right   of  blind  seconds  group");
    for (group, (right, of, blind, seconds)) in &table {
        println!("{right:>5} {of:>4} {blind:>6} {seconds:>8.0}  {group}");
    }
    println!("{} rows in {:.0} s", all.len(), started.elapsed().as_secs_f32());
    let blind: Vec<&Done> = all.iter().filter(|it| it.report.blind).collect();
    for Done { row, .. } in &blind {
        println!("held because it could not be looked at: {} {}", row.id, row.title);
    }
    let holds = all.iter().filter(|it| it.report.verdict == Some(Verdict::Hold)).count();
    let failures: Vec<String> = all
        .iter()
        .filter_map(|it| {
            Some(format!("{} {}: {}", it.row.id, it.row.title, it.report.failure.as_ref()?))
        })
        .collect();
    assert!(failures.is_empty(), "{} rows:\n{}", failures.len(), failures.join("\n"));
    // One row alone may be all of them.
    let blind_max = (holds * BLIND_PERCENT_MAX / 100).max(1);
    assert!(blind.len() <= blind_max, "{} of {holds} holds without a preview", blind.len());
}
