//! How to reach a server, and as whom: what every command that asks one is told.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use kube::config::{KubeConfigOptions, Kubeconfig};
use rustls::pki_types::{CertificateDer, pem::PemObject};

use crate::data_dir::default_data_dir;

/// How to reach the server, and who you are.
#[derive(Args, Clone, Debug)]
pub(crate) struct Connection {
    /// URL of the review listener (for `agent`, of the agents' listener); by default from
    /// endpoints.json in the local data directory.
    #[arg(long, global = true, value_name = "URL", env = "AGENT_SHIELD_SERVER")]
    pub(crate) server: Option<String>,
    /// CA certificate (PEM) of the server: ca.crt in its data directory.
    #[arg(long, global = true, value_name = "FILE", env = "AGENT_SHIELD_CA")]
    pub(crate) ca: Option<PathBuf>,
    /// Kubeconfig with your user; for `serve` and `agent` also with the cluster. KUBECONFIG by
    /// default.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig; its current one by default.
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) context: Option<String>,
}

impl Connection {
    /// The kubeconfig's context: its cluster, and who you are.
    pub(crate) async fn config(&self) -> Result<kube::Config> {
        let options =
            KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        let kubeconfig = match &self.kubeconfig {
            Some(file) => Kubeconfig::read_from(file)
                .with_context(|| format!("cannot read the kubeconfig {}", file.display()))?,
            None => Kubeconfig::read().context("cannot read a kubeconfig: give --kubeconfig")?,
        };
        kube::Config::from_custom_kubeconfig(kubeconfig, &options)
            .await
            .context("cannot use the kubeconfig")
    }

    /// The server given, or the one whose data directory is here, and its CA; `door` is the field of
    /// endpoints.json: `agent` or `review`.
    pub(crate) fn endpoint(&self, door: &str) -> Result<(String, PathBuf)> {
        let dir =
            std::env::var_os("AGENT_SHIELD_DATA_DIR").map_or_else(default_data_dir, PathBuf::from);
        let url = match &self.server {
            Some(url) => url.clone(),
            None => {
                let path = dir.join("endpoints.json");
                let text = std::fs::read_to_string(&path).with_context(|| {
                    format!("no --server is given, and there is no {}: start `agent-shield serve`, or give --server and --ca", path.display())
                })?;
                let endpoints: serde_json::Value = serde_json::from_str(&text)
                    .with_context(|| format!("{} cannot be read", path.display()))?;
                let url = endpoints.get(door).and_then(serde_json::Value::as_str);
                url.with_context(|| format!("{} has no `{door}`", path.display()))?.to_owned()
            }
        };
        let ca = self.ca.clone().unwrap_or_else(|| dir.join("ca.crt"));
        Ok((url, ca))
    }
}

/// The certificates of a PEM file: what `--ca` names.
pub(crate) fn certificates(path: &Path) -> Result<Vec<Vec<u8>>> {
    let certificates: Vec<Vec<u8>> = CertificateDer::pem_file_iter(path)
        .and_then(|certificates| certificates.map(|it| it.map(|it| it.to_vec())).collect())
        .with_context(|| format!("cannot read certificates from {} (--ca)", path.display()))?;
    if certificates.is_empty() {
        anyhow::bail!("{} (--ca) holds no certificate", path.display());
    }
    Ok(certificates)
}
