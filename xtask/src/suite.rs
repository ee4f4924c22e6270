//! Builds the control plane and the Rust side by side, starts one cluster, runs every test, counts.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    thread,
};

use anyhow::{Context, Result, bail};
use testkit::{Cluster, Nodes, testbed};

use crate::root;

pub(crate) fn run(full: bool, filter: Option<&str>) -> Result<()> {
    let testbed = thread::spawn(testbed::build);
    let built = Command::new("cargo")
        .args(["build", "--workspace", "--all-targets"])
        .current_dir(root())
        .status()
        .context("cannot start cargo")?;
    let testbed =
        testbed.join().map_err(|_| anyhow::anyhow!("building the testbed panicked"))??;
    if !built.success() {
        bail!("the workspace does not build");
    }
    let cluster = Cluster::start_attached(&testbed, Nodes::Three)?;
    println!("cluster: {} in {}", cluster.server(), cluster.dir().display());

    let mut command = Command::new("cargo");
    command
        .args(["test", "--workspace", "--no-fail-fast"])
        .current_dir(root())
        .env("AGENT_SHIELD_TEST_CLUSTER", cluster.dir())
        .env("AGENT_SHIELD_BIN", root().join("target/debug/agent-shield"))
        .stdout(Stdio::piped());
    command.arg("--").args(filter);
    if full {
        command.env("AGENT_SHIELD_FULL", "1").arg("--include-ignored");
    }
    let mut child = command.spawn().context("cannot start cargo")?;
    let (mut passed, mut failed) = (0, 0);
    let output = child.stdout.take().context("cargo has no output")?;
    for line in BufReader::new(output).lines() {
        let line = line?;
        if let Some((p, f)) = counted(&line) {
            passed += p;
            failed += f;
        }
        println!("{line}");
    }
    let status = child.wait()?;
    drop(cluster);
    println!("{passed} passed, {failed} failed");
    if passed + failed == 0 {
        bail!("no test ran");
    }
    if failed > 0 || !status.success() {
        bail!("tests failed");
    }
    Ok(())
}

/// Of `test result: ok. 7 passed; 0 failed; …`.
fn counted(line: &str) -> Option<(u64, u64)> {
    let rest = line.strip_prefix("test result: ")?;
    let number = |what: &str| -> Option<u64> {
        let before = rest.split(what).next()?;
        before.trim_end().rsplit(' ').next()?.parse().ok()
    };
    Some((number(" passed")?, number(" failed")?))
}

#[cfg(test)]
mod tests {
    use super::counted;

    #[test]
    fn counts_what_cargo_prints() {
        let line =
            "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 0 filtered out";
        assert_eq!(counted(line), Some((12, 3)));
        assert_eq!(counted("test x ... ok"), None);
    }
}
