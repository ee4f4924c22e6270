//! The proxy's own way to the API server: whose credential it has, which rights it lacks, what it
//! follows.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use audit::Tagger;
use effects::ClassConfig;
use memory::Memory;
use upstream::{ApiServer, ControlClient, Namespaces, POLICY_RIGHTS, PolicyObjects, RIGHTS, Right};

use super::{
    args::ServeArgs, background::Background, credential::OwnCredential, descriptors::Descriptors,
};
use crate::connection::Connection;

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
    /// Where the proxy's own credential comes from.
    credential: OwnCredential,
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
        tagger: Tagger,
    ) -> Result<Self> {
        let (credential, config) =
            OwnCredential::find(connection, &args.service_account_dir).await?;
        let own_namespace = args.own_namespace.clone().or_else(|| credential.pod_namespace());
        let source = credential.source(&config);
        Ok(Self {
            descriptors,
            url: config.cluster_url.to_string(),
            own_namespace: own_namespace.unwrap_or_else(|| "agent-shield".to_owned()),
            api: ApiServer::new(&config, descriptors.upstream, Some(source.clone()), tagger)?,
            own: ControlClient::renewing(config, source)
                .context("agent-shield's own credential cannot be used")?,
            credential,
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
            tracing::warn!(right = right.words(), "agent-shield lacks a right: {}", right.without);
        }
        if !missing.is_empty() {
            let flag = if policy_objects { " --policy-objects" } else { "" };
            tracing::warn!(
                "`agent-shield rbac own{flag} | kubectl apply -f -` grants what it needs"
            );
        }
        Ok(missing.len())
    }

    /// Says until when the proxy's own credential is valid, now and some time before it ends.
    pub(super) async fn follow_credential(&self, background: &Background) {
        let watch = self.credential.watch_end().await;
        background.follow(watch);
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
                "the policies of the cluster could not be listed, and agent-shield does not start without them: the log says why"
            );
        }
        Ok(objects)
    }
}
