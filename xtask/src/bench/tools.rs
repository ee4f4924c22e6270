//! The programs that a benchmark needs besides ours, from the distribution's packages.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

/// Program and package.
const TOOLS: [(&str, &str); 4] =
    [("nginx", "nginx"), ("haproxy", "haproxy"), ("wrk", "wrk"), ("h2load", "nghttp2-client")];

/// Installs what is missing, and says so.
pub(super) fn install() -> Result<()> {
    let missing: Vec<&str> = TOOLS
        .iter()
        .filter(|(program, _)| find(program).is_none())
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let packages = missing.join(" ");
    eprintln!("bench: installing {packages} with apt-get");
    let apt = |args: &[&str]| {
        Command::new("apt-get")
            .args(["-qq", "-o=Dpkg::Use-Pty=0"])
            .args(args)
            .env("DEBIAN_FRONTEND", "noninteractive")
            // Its own services are not started: the benchmark starts its own.
            .env("RUNLEVEL", "1")
            .stdout(Stdio::null())
            .status()
    };
    let install = [&["install", "-y", "--no-install-recommends"], missing.as_slice()].concat();
    for args in [&["update"], install.as_slice()] {
        match apt(args) {
            Ok(status) if status.success() => {}
            _ => bail!("apt-get cannot install {packages} (it needs root): install them yourself"),
        }
    }
    Ok(())
}

/// The path of a program that is installed.
pub(super) fn program(name: &str) -> Result<PathBuf> {
    find(name).with_context(|| format!("`{name}` is not installed"))
}

fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    // Servers lie in sbin, which is not in everybody's PATH.
    let dirs = env::split_paths(&path).chain([Path::new("/usr/sbin").to_owned()]);
    dirs.map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// The first line of what a program says of its version, on either output.
pub(super) fn version(name: &str, flag: &str) -> String {
    let output = program(name).ok().and_then(|it| Command::new(it).arg(flag).output().ok());
    let text = output.map(|it| [it.stdout, it.stderr].concat()).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().next().unwrap_or_default().trim().to_owned()
}
