//! `agent kubeconfig`, and where the kubeconfigs of agents are written.

use std::{io::IsTerminal, path::Path};

use agents::Endpoint;
use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{
    connection::{Connection, Door, certificates},
    output::print,
};

/// `--server` and `--ca`, or what a context or a local data directory says.
pub(crate) fn endpoint(connection: &Connection) -> Result<Endpoint> {
    let (server, ca) = connection.endpoint(Door::Agent)?;
    if !server.starts_with("https://") {
        bail!("`{server}` is not an https URL: kubectl sends no token over http");
    }
    let read = |ca: std::path::PathBuf| {
        certificates(&ca)?;
        std::fs::read(&ca).with_context(|| format!("cannot read {}", ca.display()))
    };
    Ok(Endpoint { server, ca: ca.map(read).transpose()? })
}

/// Reads the agent's kubeconfig, and writes or prints it changed.
pub(crate) fn run(out: Option<&Path>, connection: &Connection) -> Result<()> {
    let file =
        connection.kubeconfig.as_ref().context("give the agent's kubeconfig with --kubeconfig")?;
    let endpoint = endpoint(connection)?;
    let text =
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let kubeconfig: Value = serde_saphyr::from_str(&text)
        .with_context(|| format!("{} is not a kubeconfig", file.display()))?;
    let (kubeconfig, warning) =
        agents::rewrite(kubeconfig, &endpoint, connection.context.as_deref())?;
    if let Some(warning) = warning {
        eprintln!("warning: {warning}");
    }
    put(out, &kubeconfig)
}

/// Fails before anything is made where a kubeconfig could not be written afterwards.
pub(crate) fn check_out(out: Option<&Path>) -> Result<()> {
    let Some(out) = out else {
        return Ok(());
    };
    let parent = out.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if out.is_dir() {
        bail!("--out {} is a directory: give a file", out.display());
    }
    if !parent.is_dir() {
        bail!("--out {}: there is no directory {}", out.display(), parent.display());
    }
    Ok(())
}

/// Writes a kubeconfig for its owner's eyes alone, or prints it: it holds a credential.
pub(crate) fn put(out: Option<&Path>, kubeconfig: &Value) -> Result<()> {
    let yaml = serde_saphyr::to_string(kubeconfig)?;
    match out {
        Some(path) => private_file::write(path, yaml.as_bytes(), 0o600)
            .with_context(|| format!("cannot write {}", path.display())),
        None => {
            if std::io::stdout().is_terminal() {
                eprintln!(
                    "warning: what follows contains a credential; --out FILE keeps it off the screen"
                );
            }
            print(&yaml)
        }
    }
}
