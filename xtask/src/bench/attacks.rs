//! What others notice while somebody attacks: a test that prints its table, against what ships.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::root;

/// Runs the test, which knows what an attack is and what a table of it says; quickly, without an attack.
pub(super) fn table(quick: bool) -> Result<String> {
    let mut command = Command::new("cargo");
    if quick {
        command.env("AGENT_SHIELD_ATTACKS", "none");
    }
    let output = command
        .args(["test", "--quiet", "--workspace", "--test", "attacks", "--"])
        .args(["--ignored", "--nocapture"])
        .current_dir(root())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start cargo")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let table: Vec<&str> = said.lines().filter(|line| line.starts_with('|')).collect();
    match output.status.success() {
        true => Ok(table.join("\n")),
        false => bail!("{}\nthat is more than an attack may cost", table.join("\n")),
    }
}
