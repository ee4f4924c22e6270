//! What must hold before anything lands: format, lints, docs, licences, who may import whom, and that
//! what people are told has been read.

pub(crate) mod circles;
mod tiers;

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{messages, root, tool::Tool};

const CARGO_DENY: Tool = Tool { name: "cargo-deny", version: "0.20.2" };

/// Checks everything; with `circles_only` just that no file imports one that imports it.
///
/// # Errors
/// Something does not hold; what, stands in the output.
pub(crate) fn run(circles_only: bool) -> Result<()> {
    if circles_only {
        return circles::check(&root());
    }
    step("format", Command::new("cargo").args(["fmt", "--all", "--check"]))?;
    step(
        "lints",
        Command::new("cargo").args([
            "clippy",
            "--workspace",
            "--all-targets",
            "--quiet",
            "--",
            "-D",
            "warnings",
        ]),
    )?;
    step(
        "docs",
        Command::new("cargo")
            .args(["doc", "--workspace", "--no-deps", "--document-private-items", "--quiet"])
            .env("RUSTDOCFLAGS", "-D warnings"),
    )?;
    tiers::check()?;
    circles::check(&root())?;
    messages::run(false)?;
    deny()?;
    println!("check: all is well");
    Ok(())
}

fn step(name: &str, command: &mut Command) -> Result<()> {
    println!("check: {name}");
    let status =
        command.current_dir(root()).status().with_context(|| format!("cannot run {name}"))?;
    if !status.success() {
        bail!("{name}: not clean, see above");
    }
    Ok(())
}

/// cargo-deny's advisory database needs a network of its own, so only what is in the lock file is
/// checked here.
fn deny() -> Result<()> {
    let mut command = Command::new(CARGO_DENY.installed()?);
    command.args([
        "--log-level",
        "error",
        "check",
        "--hide-inclusion-graph",
        "bans",
        "licenses",
        "sources",
    ]);
    step("licences, bans, sources", &mut command)
}
