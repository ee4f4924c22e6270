//! No sentence decides: the catalogue, replay and approvals, with a build whose every sentence about an
//! effect is `x`.

use std::{path::Path, process::Command};

use anyhow::{Context, Result, bail};
use testkit::{Cluster, Nodes, testbed};

use crate::root;

/// Test binaries of `tests/cluster` that judge, replay, add up and approve without reading sentences.
const SUITES: [&str; 4] = ["replay", "quorum", "drill", "crash"];

/// Builds it beside the other build, and runs the tests against it.
///
/// # Errors
/// It does not build, or a test fails.
pub(crate) fn run() -> Result<()> {
    let target = root().join("target/mute");
    let built = Command::new("cargo")
        .args(["build", "-p", "agent-shield", "--features", "mute", "--target-dir"])
        .arg(&target)
        .current_dir(root())
        .status()
        .context("cannot start cargo")?;
    if !built.success() {
        bail!("the build without sentences does not build");
    }
    let binary = target.join("debug/agent-shield");
    let testbed = testbed::build()?;
    let cluster = Cluster::start_attached(&testbed, Nodes::Three)?;
    test("catalogue", &binary, cluster.dir())?;
    for suite in SUITES {
        test(suite, &binary, cluster.dir())?;
    }
    Ok(())
}

fn test(suite: &str, binary: &Path, cluster: &Path) -> Result<()> {
    let status = Command::new("cargo")
        // Of the whole workspace, as otherwise all it depends on is built once more.
        .args(["test", "--workspace", "--test", suite])
        .current_dir(root())
        .env("AGENT_SHIELD_TEST_CLUSTER", cluster)
        .env("AGENT_SHIELD_BIN", binary)
        .env("AGENT_SHIELD_MUTE", "1")
        .status()
        .context("cannot start cargo")?;
    if !status.success() {
        bail!("{suite} fails without sentences");
    }
    Ok(())
}
