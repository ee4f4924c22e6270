//! How to reach a server, and as whom: what every command that asks one is told.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use kube::config::{KubeConfigOptions, Kubeconfig};
use rustls::pki_types::{CertificateDer, pem::PemObject};

use crate::{
    contexts::{self, Contexts, ServerContext},
    data_dir::default_data_dir,
    program,
    usage::WrongUsage,
};

const DATA_DIR: &str = "AGENT_SHIELD_DATA_DIR";

/// How to reach the server, and who you are.
#[derive(Args, Clone, Debug)]
pub(crate) struct Connection {
    /// URL of the review listener (for `agent`, of the agents' listener); by default that of a context, or
    /// from endpoints.json in the local data directory.
    #[arg(long, global = true, value_name = "URL", env = "AGENT_SHIELD_SERVER")]
    pub(crate) server: Option<String>,
    /// CA certificate (PEM) of the server: ca.crt in its data directory. Without it, the certificates that the
    /// system trusts.
    #[arg(long, global = true, value_name = "FILE", env = "AGENT_SHIELD_CA")]
    pub(crate) ca: Option<PathBuf>,
    /// The server by the name that `context set` gave it; AGENT_SHIELD_CONTEXT, or the current one, by default.
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) context_name: Option<String>,
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
        kube::Config::from_custom_kubeconfig(self.read_kubeconfig()?, &options)
            .await
            .context("cannot use the kubeconfig")
    }

    /// The kubeconfig with all its contexts.
    pub(crate) fn read_kubeconfig(&self) -> Result<Kubeconfig> {
        match &self.kubeconfig {
            Some(file) => Kubeconfig::read_from(file)
                .with_context(|| format!("cannot read the kubeconfig {}", file.display())),
            None => Kubeconfig::read().context("cannot read a kubeconfig: give --kubeconfig"),
        }
    }

    /// The server that is meant, and the CA that alone vouches for it, if one does: the flags', the named
    /// context's, that of `AGENT_SHIELD_DATA_DIR`, the current context's, or that of the data directory here.
    ///
    /// # Errors
    /// Where none or two are meant, or its URL cannot be learned.
    pub(crate) fn endpoint(&self, door: Door) -> Result<(String, Option<PathBuf>)> {
        if self.server.is_some() && self.context_name.is_some() {
            let why =
                "--context-name and --server (or AGENT_SHIELD_SERVER) name two servers: give one";
            return Err(WrongUsage(why.to_owned()).into());
        }
        if let Some(url) = &self.server {
            return Ok((url.clone(), self.ca.clone().or_else(|| ca_of_local(url))));
        }
        if let Some(name) = self.context_name.clone().or_else(contexts::from_environment) {
            return self.of_context(Contexts::load()?.named(&name)?, door);
        }
        let dir = std::env::var_os(DATA_DIR).map(PathBuf::from);
        if dir.is_none()
            && let Some(context) = Contexts::load()?.current()?
        {
            return self.of_context(context, door);
        }
        let dir = dir.unwrap_or_else(default_data_dir);
        let url = local(&dir, door)?;
        Ok((url, Some(self.ca.clone().unwrap_or_else(|| dir.join("ca.crt")))))
    }

    fn of_context(&self, context: &ServerContext, door: Door) -> Result<(String, Option<PathBuf>)> {
        let url = match door {
            Door::Review => context.server.clone(),
            Door::Agent => context.agent_server.clone().with_context(|| {
                let name = &context.name;
                format!(
                    "context `{name}` does not say where agents connect: give --server, or set it with `{} context set {name} --agent-server URL --server {}`",
                    program::name(), context.server
                )
            })?,
        };
        Ok((url, self.ca.clone().or_else(|| context.ca.clone())))
    }
}

/// Who connects there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Door {
    /// Agents.
    Agent,
    /// Reviewers.
    Review,
}

impl Door {
    const fn field(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Review => "review",
        }
    }
}

/// The URL that an agent-shield on this machine wrote into its data directory.
fn local(dir: &Path, door: Door) -> Result<String> {
    let path = dir.join("endpoints.json");
    let text = std::fs::read_to_string(&path).with_context(|| {
        format!("no --server is given, and there is no {}: start `agent-shield serve`, give --server and --ca, or name a server with `agent-shield context set`", path.display())
    })?;
    let endpoints: serde_json::Value =
        serde_json::from_str(&text).with_context(|| format!("cannot read {}", path.display()))?;
    let url = endpoints.get(door.field()).and_then(serde_json::Value::as_str);
    Ok(url.with_context(|| format!("{} has no `{}`, the URL to connect to: start `agent-shield serve` again, or give --server", path.display(), door.field()))?.to_owned())
}

/// The CA of the data directory here, which vouches for the server here and for no other.
fn ca_of_local(url: &str) -> Option<PathBuf> {
    let dir = std::env::var_os(DATA_DIR).map_or_else(default_data_dir, PathBuf::from);
    let is_it = |door| local(&dir, door).is_ok_and(|it| it == url.trim_end_matches('/'));
    (is_it(Door::Agent) || is_it(Door::Review)).then(|| dir.join("ca.crt"))
}

/// The certificates of a PEM file: what `--ca` names.
pub(crate) fn certificates(path: &Path) -> Result<Vec<Vec<u8>>> {
    let certificates: Vec<Vec<u8>> = CertificateDer::pem_file_iter(path)
        .and_then(|certificates| certificates.map(|it| it.map(|it| it.to_vec())).collect())
        .with_context(|| format!("cannot read certificates from {} (--ca)", path.display()))?;
    if certificates.is_empty() {
        anyhow::bail!("{} (--ca) contains no certificate", path.display());
    }
    Ok(certificates)
}
