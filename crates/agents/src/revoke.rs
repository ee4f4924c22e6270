//! An agent's end: its rights, its ServiceAccount and with it every token of it.

use std::collections::BTreeSet;

use k8s_openapi::api::{
    core::v1::ServiceAccount,
    rbac::v1::{Role, RoleBinding},
};

use crate::{
    cluster::{Cluster, Object, describe_object, place},
    drift::Grants,
    error::AgentsError,
    manifests::{AgentId, remembered},
    plan::right_to_delete,
};

/// What there is to take of one agent.
pub struct Revocation {
    /// Which agent.
    pub id: AgentId,
    /// Where it had rights, as its ServiceAccount remembers.
    pub namespaces: Vec<String>,
    account: Option<ServiceAccount>,
    bindings: Vec<RoleBinding>,
    roles: Vec<Role>,
}

impl Revocation {
    /// Reads what was made for an agent, and whether the operator may delete all of it.
    ///
    /// # Errors
    /// Where there is no such agent, or several, or a right is missing: nothing is changed then.
    pub async fn prepare(
        cluster: &Cluster,
        name: String,
        home: Option<String>,
    ) -> Result<Self, AgentsError> {
        let home = match home {
            Some(home) => home,
            None => home_of(cluster, &name).await?,
        };
        let id = AgentId { home, name };
        let found: Option<ServiceAccount> = cluster.get(&id.home, &id.name).await?;
        let account = found.filter(|it| AgentId::from_labels(&it.metadata).as_ref() == Some(&id));
        let namespaces = account.as_ref().map(|it| remembered(it).1).unwrap_or_default();
        let bindings: Vec<RoleBinding> = cluster.made_for(&id, &namespaces).await?;
        let roles: Vec<Role> = cluster.made_for(&id, &namespaces).await?;
        // Rights may be left where somebody deleted the ServiceAccount alone.
        if account.is_none() && bindings.is_empty() && roles.is_empty() {
            return Err(AgentsError::NoSuchAgent(format!("{}/{}", id.home, id.name)));
        }
        let mut rights = BTreeSet::new();
        rights.extend(bindings.iter().map(right_to_delete));
        rights.extend(roles.iter().map(right_to_delete));
        rights.extend(account.iter().map(right_to_delete));
        cluster.must_have(&rights).await?;
        Ok(Self { id, namespaces, account, bindings, roles })
    }

    /// Takes rights first, then the identity: whatever stops it half way, less is left than before.
    /// Each object is handed to `deleted` as it goes.
    ///
    /// # Errors
    /// Where the API server refuses a step; those before it are done.
    pub async fn apply(
        &self,
        cluster: &Cluster,
        mut deleted: impl FnMut(&str),
    ) -> Result<(), AgentsError> {
        delete_all(cluster, &self.bindings, &mut deleted).await?;
        delete_all(cluster, &self.roles, &mut deleted).await?;
        delete_all(cluster, self.account.as_slice(), &mut deleted).await
    }

    /// Bindings that others made outlive whom they name: a ServiceAccount that is made again has their
    /// rights. Empty where they cannot be seen.
    pub async fn left_by_others(&self, cluster: &Cluster) -> Vec<String> {
        match (&self.account, Grants::read(cluster).await) {
            (Some(account), Ok(grants)) => grants.naming(account),
            _ => Vec::new(),
        }
    }
}

/// The home of the one agent of this name.
async fn home_of(cluster: &Cluster, name: &str) -> Result<String, AgentsError> {
    let mut homes: Vec<String> =
        cluster.agents_named(name).await?.iter().map(|it| place(it).0).collect();
    if homes.len() > 1 {
        let homes = homes.join(", ");
        return Err(AgentsError::SeveralAgents { name: name.to_owned(), homes });
    }
    homes.pop().ok_or_else(|| AgentsError::NoSuchAgent(name.to_owned()))
}

async fn delete_all<K: Object>(
    cluster: &Cluster,
    objects: &[K],
    deleted: &mut impl FnMut(&str),
) -> Result<(), AgentsError> {
    for object in objects {
        cluster.delete(object).await?;
        let (namespace, name) = place(object);
        deleted(&describe_object::<K>(&namespace, &name));
    }
    Ok(())
}
