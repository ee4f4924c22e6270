//! The review API from a reviewer's side, with the credential of their kubeconfig.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result};
use clap::Args;
use kube::config::{KubeConfigOptions, Kubeconfig};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde::de::DeserializeOwned;

use crate::{
    advice::{self, Flags},
    serve::default_data_dir,
    spinner,
};

/// How to reach the server, and who you are.
#[derive(Args, Clone, Debug)]
pub(crate) struct Connection {
    /// URL of the review listener (for `agent` that of the agents' listener); without it,
    /// endpoints.json of a local data directory is read.
    #[arg(long, global = true, value_name = "URL", env = "AGENT_SHIELD_SERVER")]
    pub(crate) server: Option<String>,
    /// Certificate (PEM) that the server is known by: ca.crt of its data directory.
    #[arg(long, global = true, value_name = "FILE", env = "AGENT_SHIELD_CA")]
    pub(crate) ca: Option<PathBuf>,
    /// Kubeconfig whose user you are; for `serve` and `agent` also the cluster. KUBECONFIG by
    /// default.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig; its current one by default.
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) context: Option<String>,
}

/// What went wrong, as far as scripts tell it apart. The first line says what, the others what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    #[error("cannot reach {url}: {why}\n{}", advice::on_silence(.why))]
    Unreachable { url: String, why: String },
    #[error(
        "cannot reach the API server at {url}: {why}\nIs that the cluster you mean (--kubeconfig, --context)?"
    )]
    NoApiServer { url: String, why: String },
    #[error("{message}{}", on_its_own_line(.advice.as_deref()))]
    Answered { code: u16, message: String, advice: Option<String> },
    #[error("{0}")]
    NoSuchHold(String),
}

fn on_its_own_line(advice: Option<&str>) -> String {
    advice.map(|advice| format!("\n{advice}")).unwrap_or_default()
}

impl ClientError {
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Unreachable { .. } | Self::NoApiServer { .. } => 5,
            Self::Answered { code: 401 | 403, .. } => 4,
            Self::NoSuchHold(_) | Self::Answered { code: 404, .. } => 3,
            Self::Answered { code: 409, .. } => 6,
            Self::Answered { .. } => 1,
        })
    }
}

/// A connection to the review API.
pub(crate) struct Client {
    url: String,
    flags: Flags,
    client: kube::Client,
    is_quiet: bool,
}

impl Client {
    pub(crate) async fn new(connection: &Connection) -> Result<Self> {
        let (url, ca) = connection.endpoint("review")?;
        let mut config = connection.config().await?;
        // Only who you are is taken from it: the credential goes to agent-shield and nowhere else.
        config.cluster_url = url.parse().with_context(|| format!("`{url}` is not a URL"))?;
        if config.cluster_url.scheme_str() != Some("https") {
            anyhow::bail!(
                "`{url}` is not an https URL: your credential would be readable on the way"
            );
        }
        config.root_cert = Some(certificates(&ca)?);
        config.root_cert_file = None;
        config.accept_invalid_certs = false;
        config.tls_server_name = None;
        config.proxy_url = None;
        // A person waits: they are told at once what does not work, and ask again themselves.
        config.default_retry = false;
        let client = kube::Client::try_from(config).context("cannot use the kubeconfig's user")?;
        let kubeconfig = connection.kubeconfig.as_ref().map(|it| it.to_string_lossy());
        let flags = Flags::new(kubeconfig.as_deref(), connection.context.as_deref());
        Ok(Self { url, flags, client, is_quiet: false })
    }

    /// Without a spinner: something else draws on the terminal.
    pub(crate) fn quiet(self) -> Self {
        Self { is_quiet: true, ..self }
    }

    /// Where it sends to.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let request = http::Request::get(path).body(Vec::new())?;
        self.send(request).await
    }

    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl serde::Serialize,
    ) -> Result<T> {
        let request = http::Request::post(path)
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(serde_json::to_vec(body)?)?;
        self.send(request).await
    }

    async fn send<T: DeserializeOwned>(&self, request: http::Request<Vec<u8>>) -> Result<T> {
        let answer = self.client.request(request);
        let answer = match self.is_quiet {
            true => answer.await,
            false => spinner::during(format!("waiting for {}", self.url), answer).await,
        };
        match answer {
            Ok(answer) => Ok(answer),
            Err(kube::Error::Api(status)) => {
                let (code, message) = (status.code, status.message.clone());
                let advice = advice::on_answer(code, &message, &self.flags);
                Err(ClientError::Answered { code, message, advice }.into())
            }
            Err(kube::Error::SerdeError(error)) => Err(error).context(
                "the server's answer cannot be read: is it agent-shield's review listener?",
            ),
            Err(error) => {
                // The innermost cause says it; those around it are layers of libraries.
                let mut cause: &dyn std::error::Error = &error;
                while let Some(inner) = cause.source() {
                    cause = inner;
                }
                let why = cause.to_string();
                Err(ClientError::Unreachable { url: self.url.clone(), why }.into())
            }
        }
    }
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

/// An error with all its causes, on one line.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
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
