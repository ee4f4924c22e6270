//! The proxy's own way to the API server: whose credential it has, which rights it lacks, what it
//! follows.

use std::{fs, path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use effects::ClassConfig;
use kube::config::{KubeConfigOptions, Kubeconfig};
use memory::Memory;
use upstream::{ApiServer, ControlClient, Namespaces, POLICY_RIGHTS, PolicyObjects, RIGHTS, Right};

use super::{args::ServeArgs, background::Background, descriptors::Descriptors};
use crate::connection::{Connection, certificates};

/// What is watched is listed once before anything is served; this long that may take.
const LIST_TIME_MAX: Duration = Duration::from_secs(5);

/// The cluster behind the proxy.
pub(super) struct Cluster {
    /// For the requests of agents.
    pub(super) api: ApiServer,
    /// For the proxy's own questions.
    pub(super) own: ControlClient,
    /// What is shared out among all who need file descriptors.
    pub(super) descriptors: Descriptors,
    /// The API server's address, for people.
    pub(super) url: String,
    /// The namespace that agent-shield runs in.
    pub(super) own_namespace: String,
}

impl Cluster {
    /// The cluster that the flags name; nothing is asked yet.
    pub(super) async fn connect(
        args: &ServeArgs,
        connection: &Connection,
        descriptors: Descriptors,
    ) -> Result<Self> {
        let (config, pod_namespace) = kube_config(connection, &args.service_account_dir).await?;
        let own_namespace = args.own_namespace.clone().or(pod_namespace);
        Ok(Self {
            descriptors,
            url: config.cluster_url.to_string(),
            own_namespace: own_namespace.unwrap_or_else(|| "agent-shield".to_owned()),
            api: ApiServer::bounded(&config, descriptors.upstream)?,
            own: ControlClient::new(config).context("the proxy's own credential cannot be used")?,
        })
    }

    /// Warns of each right that the proxy lacks, with what does not work without it; returns how many
    /// there are.
    ///
    /// # Errors
    /// Where the API server cannot be asked.
    pub(super) async fn check_rights(&self, policy_objects: bool) -> Result<usize> {
        let of_policies: &[Right] = if policy_objects { &POLICY_RIGHTS } else { &[] };
        let rights: Vec<Right> = RIGHTS.iter().chain(of_policies).cloned().collect();
        let missing = self.own.missing(&rights).await.with_context(|| {
            format!("cannot reach the API server at {}: check the address and credential in the kubeconfig", self.url)
        })?;
        for right in &missing {
            tracing::warn!(right = right.words(), "the proxy lacks a right: {}", right.without);
        }
        if !missing.is_empty() {
            let flag = if policy_objects { " --policy-objects" } else { "" };
            tracing::warn!(
                "`agent-shield rbac own{flag} | kubectl apply -f -` grants what it needs"
            );
        }
        Ok(missing.len())
    }

    /// How namespaces are classed, followed from now on.
    pub(super) async fn follow_namespaces(
        &self,
        memory: &Arc<dyn Memory>,
        background: &Background,
    ) -> Namespaces {
        let config =
            ClassConfig { own_namespace: self.own_namespace.clone(), ..ClassConfig::default() };
        let (namespaces, follow) = Namespaces::watch(self.own.clone(), config, Arc::clone(memory));
        background.follow(follow);
        if !namespaces.ready(LIST_TIME_MAX).await {
            tracing::warn!(
                "namespaces could not be listed; each is looked up when it is written to"
            );
        }
        namespaces
    }

    /// The policies of the cluster, all of them listed once, and followed from now on.
    ///
    /// # Errors
    /// Where they cannot be listed.
    pub(super) async fn follow_policies(&self, background: &Background) -> Result<PolicyObjects> {
        let (objects, follow) = PolicyObjects::watch(self.own.clone()).await?;
        background.follow(follow);
        if !objects.ready(LIST_TIME_MAX).await {
            bail!(
                "the policies of the cluster could not be listed: nothing starts on half of what somebody wrote"
            );
        }
        Ok(objects)
    }
}

/// The ServiceAccount of the pod that this runs in, and the pod's namespace; `None` outside of a
/// cluster. The token is read again as it rotates.
fn in_cluster(dir: &Path) -> Result<Option<(kube::Config, Option<String>)>> {
    let from = |name: &str| std::env::var(name).ok().filter(|it| !it.is_empty());
    let (Some(host), Some(port)) =
        (from("KUBERNETES_SERVICE_HOST"), from("KUBERNETES_SERVICE_PORT"))
    else {
        return Ok(None);
    };
    let token = dir.join("token");
    if !token.is_file() {
        bail!(
            "this runs in a pod (KUBERNETES_SERVICE_HOST is set), and there is no {}: set automountServiceAccountToken, or give --kubeconfig or --service-account-dir",
            token.display()
        );
    }
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    let url = format!("https://{host}:{port}");
    let mut config = kube::Config::new(url.parse().with_context(|| format!("{url} is not a URL"))?);
    let ca = dir.join("ca.crt");
    config.root_cert = Some(certificates(&ca)?);
    config.root_cert_file = Some(ca);
    config.auth_info.token_file = Some(token.display().to_string());
    let namespace = fs::read_to_string(dir.join("namespace")).ok();
    Ok(Some((config, namespace.map(|it| it.trim().to_owned()).filter(|it| !it.is_empty()))))
}

/// The proxy's own way to the API server, and the namespace of its pod if it runs in one.
async fn kube_config(
    connection: &Connection,
    account: &Path,
) -> Result<(kube::Config, Option<String>)> {
    let options =
        KubeConfigOptions { context: connection.context.clone(), ..KubeConfigOptions::default() };
    let mut pod_namespace = None;
    let config = match &connection.kubeconfig {
        Some(file) => {
            let kubeconfig = Kubeconfig::read_from(file)
                .with_context(|| format!("cannot read the kubeconfig {}", file.display()))?;
            kube::Config::from_custom_kubeconfig(kubeconfig, &options)
                .await
                .with_context(|| format!("cannot use the kubeconfig {}", file.display()))?
        }
        None => match in_cluster(account)? {
            Some((config, namespace)) => {
                pod_namespace = namespace;
                config
            }
            None => kube::Config::from_kubeconfig(&options)
                .await
                .context("not in a pod, and no kubeconfig can be used: give --kubeconfig")?,
        },
    };
    if config.accept_invalid_certs {
        bail!(
            "the kubeconfig has insecure-skip-tls-verify: agents' tokens would go to whoever answers; give certificate-authority instead"
        );
    }
    Ok((config, pod_namespace))
}
