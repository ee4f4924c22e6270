//! Programs of others that cargo installs: pinned, and kept in the cache.

use std::{path::PathBuf, process::Command};

use anyhow::{Result, bail};
use testkit::testbed;

/// A package whose program has its name.
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
}

impl Tool {
    /// The program, installed where it is missing.
    pub(crate) fn installed(&self) -> Result<PathBuf> {
        let Self { name, version } = self;
        let home = testbed::cache_dir().join(format!("{name}-{version}"));
        let program = home.join("bin").join(name);
        if program.exists() {
            return Ok(program);
        }
        println!("installing {name} {version} (some minutes, once)");
        let status = Command::new("cargo")
            .args(["install", "--locked", "--quiet", "--version", version, "--root"])
            .arg(&home)
            .arg(name)
            .status()?;
        if !status.success() {
            bail!("{name} {version} cannot be installed");
        }
        Ok(program)
    }
}
