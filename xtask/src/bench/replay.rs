//! What it takes to judge a ledger again: `agent-shield policy replay` of 100,000 recorded calls.
//! No cluster and no server: `cargo xtask bench --only replay`.

use std::{
    fs,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use serde_json::Value;

use crate::root;

/// Calls in the ledger, and fewer for the smoke test.
const CALLS: [usize; 2] = [100_000, 2_000];
/// What it may take, with optimisations.
const TIME_MAX: Duration = Duration::from_secs(10);

/// A table in Markdown.
///
/// # Errors
/// Where a verdict is not the recorded one, or where it takes too long.
pub(super) fn table(quick: bool) -> Result<String> {
    let [full, smoke] = CALLS;
    let calls = if quick { smoke } else { full };
    let dir = root().join("target/bench-replay");
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir)?;
    testkit::recorded::write(&dir, calls);
    let bytes = fs::metadata(dir.join("agent-shield.db"))?.len();
    let runs = if quick { 1 } else { 3 };
    let mut best = Duration::MAX;
    for _ in 0..runs {
        let started = Instant::now();
        let output = Command::new(testkit::binary())
            .args(["policy", "replay", "--since", "7d", "-o", "json", "--data-dir"])
            .arg(&dir)
            .output()?;
        best = best.min(started.elapsed());
        if !output.status.success() {
            bail!("policy replay: {}", String::from_utf8_lossy(&output.stderr));
        }
        let report: Value = serde_json::from_slice(&output.stdout)?;
        if report["same"] != calls || report["calls"] != calls {
            bail!("not every verdict is the recorded one: {report:#}");
        }
    }
    if !quick && best > TIME_MAX {
        bail!("{calls} calls took {best:?}, and {TIME_MAX:?} is what it may take");
    }
    Ok(format!(
        "| calls in the ledger | its size | replayed in |\n|---:|---:|---:|\n| {calls} | {} MB | {:.2} s |\n",
        bytes / 1_000_000,
        best.as_secs_f64()
    ))
}
