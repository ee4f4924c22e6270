//! The agents that agent-shield made, and whether somebody gave them more.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::ListParams;

use crate::{
    cluster::Cluster,
    drift::{Grants, unseen},
    error::AgentsError,
    manifests::{AgentId, remembered},
};

/// An agent as it is.
#[derive(Clone, Debug)]
pub struct Agent {
    /// Which agent.
    pub id: AgentId,
    /// What its ServiceAccount says it is for.
    pub preset: String,
    /// Where, by its ServiceAccount.
    pub namespaces: Vec<String>,
    /// When its ServiceAccount was made.
    pub created_at: Option<Timestamp>,
    /// Where its rights are not what it was made with; empty where they are.
    pub warnings: Vec<String>,
}

/// The agents of one home, or of all, by home and name.
///
/// # Errors
/// Where the operator may not list ServiceAccounts there.
pub async fn list(cluster: &Cluster, home: Option<&str>) -> Result<Vec<Agent>, AgentsError> {
    let params = ListParams::default().labels(&AgentId::selector_of_all());
    let found = match home {
        Some(home) => cluster.api::<ServiceAccount>(home).list(&params).await,
        None => cluster.all::<ServiceAccount>().list(&params).await,
    };
    let what = match home {
        Some(home) => format!("list serviceaccounts in `{home}`"),
        None => "list serviceaccounts in all namespaces (--home limits it to one)".to_owned(),
    };
    let found = found.map_err(|error| cluster.explain(&what, error))?;
    let grants = Grants::read(cluster).await;
    let mut agents: Vec<Agent> =
        found.items.iter().filter_map(|account| agent(account, &grants)).collect();
    agents.sort_by(|one, other| one.id.cmp(&other.id));
    Ok(agents)
}

fn agent(account: &ServiceAccount, grants: &Result<Grants, AgentsError>) -> Option<Agent> {
    let id = AgentId::from_labels(&account.metadata)?;
    // Labels are anybody's to copy: an agent is where its ServiceAccount is.
    let is_at_home = account.metadata.namespace.as_ref() == Some(&id.home)
        && account.metadata.name.as_ref() == Some(&id.name);
    let (preset, namespaces) = remembered(account);
    is_at_home.then(|| Agent {
        id,
        preset,
        namespaces,
        created_at: account.metadata.creation_timestamp.as_ref().map(|it| it.0),
        warnings: match grants {
            Ok(grants) => grants.drift_of(account),
            Err(error) => vec![unseen(error)],
        },
    })
}
