//! How to reach a server, and as whom: what every command that asks one is told.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
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
        let kubeconfig = self.read_kubeconfig()?;
        has_context(&kubeconfig, self.context.as_deref())?;
        kube::Config::from_custom_kubeconfig(kubeconfig, &options)
            .await
            .context("cannot use the kubeconfig")
    }

    /// The kubeconfig with all its contexts.
    pub(crate) fn read_kubeconfig(&self) -> Result<Kubeconfig> {
        match &self.kubeconfig {
            Some(file) => Kubeconfig::read_from(file).map_err(unreadable),
            None => Kubeconfig::read()
                .map_err(unreadable)
                .context("no kubeconfig is given that could be read: give --kubeconfig"),
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

/// Why a kubeconfig cannot be read, said once.
fn unreadable(error: KubeconfigError) -> anyhow::Error {
    match error {
        KubeconfigError::ReadConfig(why, path) => anyhow::Error::new(why)
            .context(format!("cannot read the kubeconfig {}", path.display())),
        error => anyhow::anyhow!("the kubeconfig cannot be used: {error}"),
    }
}

/// That there is the context that is asked for, or a current one.
fn has_context(kubeconfig: &Kubeconfig, asked: Option<&str>) -> Result<()> {
    let names: Vec<&str> = kubeconfig.contexts.iter().map(|it| it.name.as_str()).collect();
    let name = asked.or(kubeconfig.current_context.as_deref()).filter(|it| !it.is_empty());
    let there_are = match names.as_slice() {
        [] => "it has none".to_owned(),
        names => format!("there are: {}", names.join(", ")),
    };
    let why = match name {
        Some(name) if names.contains(&name) => return Ok(()),
        Some(name) => format!("the kubeconfig has no context `{name}`; {there_are}"),
        None => format!("the kubeconfig has no current context: give --context; {there_are}"),
    };
    Err(WrongUsage(why).into())
}

/// The URL for reviewers, where another one is for agents: of the agent-shield here, or of a context.
pub(crate) fn review_beside(url: &str) -> Option<String> {
    let url = url.trim_end_matches('/');
    let dir = std::env::var_os(DATA_DIR).map_or_else(default_data_dir, PathBuf::from);
    if local(&dir, Door::Agent).is_ok_and(|it| it == url) {
        return local(&dir, Door::Review).ok();
    }
    let contexts = Contexts::load().ok()?.contexts;
    let is_it = |it: &ServerContext| it.agent_server.as_deref() == Some(url);
    contexts.into_iter().find(is_it).map(|it| it.server)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_that_is_not_there_is_told_of_with_those_that_are() {
        let kubeconfig = |current: &str, names: &[&str]| {
            let contexts: Vec<_> = names
                .iter()
                .map(|it| serde_json::json!({"name": it, "context": {"cluster": "c", "user": "u"}}))
                .collect();
            let it = serde_json::json!({"current-context": current, "contexts": contexts});
            serde_json::from_value::<Kubeconfig>(it).expect("a kubeconfig")
        };
        let said = |it: &Kubeconfig, asked: Option<&str>| {
            has_context(it, asked).err().map(|it| it.to_string()).unwrap_or_default()
        };
        let two = kubeconfig("dev", &["dev", "prod"]);
        assert_eq!(said(&two, None), "");
        assert_eq!(said(&two, Some("prod")), "");
        let want = "the kubeconfig has no context `foo`; there are: dev, prod";
        assert_eq!(said(&two, Some("foo")), want);
        let want = "the kubeconfig has no current context: give --context; there are: dev";
        assert_eq!(said(&kubeconfig("", &["dev"]), None), want);
        let want = "the kubeconfig has no context `foo`; it has none";
        assert_eq!(said(&kubeconfig("foo", &[]), None), want);
    }

    #[test]
    fn a_kubeconfig_that_is_not_there_is_told_of_once() {
        let connection = Connection {
            server: None,
            ca: None,
            context_name: None,
            kubeconfig: Some("/nonexistent/nosuch.kc".into()),
            context: None,
        };
        let error = connection.read_kubeconfig().expect_err("an error");
        let want = "cannot read the kubeconfig /nonexistent/nosuch.kc: No such file or directory (os error 2)";
        assert_eq!(text::causes(&*error), want);
    }
}
