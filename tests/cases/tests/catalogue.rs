//! Every row of the catalogue gets its verdict.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use cases::{Harness, Report, Row, Verdict, rows};

/// Clusters side by side: most of a row's time is waiting for controllers.
const CLUSTERS: usize = 3;

/// Of all holds, so many percent may be held because a preview failed.
const BLIND_PERCENT_MAX: usize = 5;

/// Rows that were asked for by `AGENT_SHIELD_CASES`, or all.
fn chosen() -> Vec<Row> {
    let asked = std::env::var("AGENT_SHIELD_CASES").unwrap_or_default();
    let asked: Vec<&str> = asked.split(',').filter(|it| !it.is_empty()).collect();
    let is_chosen = |row: &Row| match asked.as_slice() {
        [] | ["all"] => true,
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

/// Somebody who runs rows, on a cluster of their own that is started when it is needed.
#[derive(Default)]
struct Worker {
    harness: Option<Harness>,
    /// What went wrong beside the rows.
    trouble: Vec<String>,
}

impl Worker {
    fn run(&mut self, row: Row) -> Done {
        let started = Instant::now();
        let report = self.report(&row);
        let took = started.elapsed();
        let (verdict, title) = (&report.verdict, &row.title);
        println!("{} {verdict:?} {:.1} s {title}", row.id, took.as_secs_f32());
        if let Some(why) = &report.failure {
            println!("{} is not as it should be: {why}", row.id);
        }
        Done { row, report, took }
    }

    fn report(&mut self, row: &Row) -> Report {
        let failed = |why: String| Report { failure: Some(why), ..Report::default() };
        let mut harness = match self.harness.take().map_or_else(Harness::try_start, Ok) {
            Ok(harness) => harness,
            Err(why) => return failed(format!("no cluster: {why}")),
        };
        match harness.try_run(row) {
            Ok(report) => {
                self.harness = Some(harness);
                report
            }
            // The rows after it get a cluster that this one has not touched.
            Err(why) => failed(why),
        }
    }

    /// Whether agent-shield ends as it should.
    fn stop(&mut self) {
        let ended = self.harness.take().map_or(Ok(()), Harness::stop);
        self.trouble.extend(ended.err());
    }
}

/// Runs rows on several clusters; those that break one get one of their own. What went wrong beside
/// the rows comes with them.
fn run(rows: Vec<Row>) -> (Vec<Done>, Vec<String>) {
    let (breaking, rest): (Vec<Row>, Vec<Row>) = rows.into_iter().partition(Row::breaks_cluster);
    let clusters = CLUSTERS.min(rest.len());
    let rest = Mutex::new(VecDeque::from(rest));
    let next = || rest.lock().expect("the rows").pop_front();
    let work = || {
        let (mut worker, mut mine) = (Worker::default(), Vec::new());
        while let Some(row) = next() {
            mine.push(worker.run(row));
        }
        worker.stop();
        (mine, worker.trouble)
    };
    let (mut all, mut trouble) = (Vec::new(), Vec::new());
    thread::scope(|scope| {
        let workers: Vec<_> = (0..clusters).map(|_| scope.spawn(work)).collect();
        for (mine, its) in workers.into_iter().map(|it| it.join().expect("a worker")) {
            all.extend(mine);
            trouble.extend(its);
        }
    });
    for row in breaking {
        let mut worker = Worker::default();
        all.push(worker.run(row));
        worker.stop();
        trouble.extend(worker.trouble);
    }
    all.sort_by(|a, b| a.row.id.cmp(&b.row.id));
    (all, trouble)
}

#[test]
fn every_row_gets_its_verdict() {
    let rows = chosen();
    assert!(!rows.is_empty(), "no row was chosen");
    let started = Instant::now();
    let (all, trouble) = run(rows);
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
    let failures = all.iter().filter_map(|it| {
        Some(format!("{} {}: {}", it.row.id, it.row.title, it.report.failure.as_ref()?))
    });
    let failures: Vec<String> = failures.chain(trouble).collect();
    assert!(failures.is_empty(), "{} wrong:\n{}", failures.len(), failures.join("\n"));
    // One row alone may be all of them.
    let blind_max = (holds * BLIND_PERCENT_MAX / 100).max(1);
    assert!(blind.len() <= blind_max, "{} of {holds} holds without a preview", blind.len());
}
