//! What `agent create` has to do: what should be, compared with what is.
//!
//! Everything is read, compared and asked for before the first write, so that what cannot succeed
//! changes nothing. Writes carry the resourceVersion that was read, and rights shrink before they
//! grow. Doing it again mends what was left half done.

use std::collections::BTreeSet;

use k8s_openapi::{
    api::{
        core::v1::ServiceAccount,
        rbac::v1::{Role, RoleBinding},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use crate::{
    cluster::{Cluster, Object, Right, describe_object, place},
    error::AgentsError,
    manifests::{AgentId, Wanted, remembered},
};

/// What has to be done, in the order in which it is done.
pub struct Plan {
    gone_bindings: Vec<RoleBinding>,
    gone_roles: Vec<Role>,
    /// With the labels and annotations that it will have.
    pub account: ServiceAccount,
    roles: Vec<Role>,
    bindings: Vec<RoleBinding>,
}

impl Plan {
    /// Compares what should be with what is.
    ///
    /// # Errors
    /// Where something of the same name was not made by agent-shield for this agent.
    pub async fn make(cluster: &Cluster, wanted: &Wanted) -> Result<Self, AgentsError> {
        let id = &wanted.id;
        let live: Option<ServiceAccount> = cluster.get(&id.home, &id.name).await?;
        let before = live.as_ref().map(|it| remembered(it).1).unwrap_or_default();
        let mut account = wanted.account();
        if let Some(live) = &live {
            account.secrets.clone_from(&live.secrets);
            account.image_pull_secrets.clone_from(&live.image_pull_secrets);
        }
        let mut plan = Self {
            gone_bindings: cluster.made_for(id, &before).await?,
            gone_roles: cluster.made_for(id, &before).await?,
            account: over(live, account, id)?,
            roles: Vec::new(),
            bindings: Vec::new(),
        };
        for namespace in &wanted.namespaces {
            plan.add(cluster, wanted, namespace).await?;
        }
        Ok(plan)
    }

    /// What there should be in one namespace.
    async fn add(
        &mut self,
        cluster: &Cluster,
        wanted: &Wanted,
        namespace: &str,
    ) -> Result<(), AgentsError> {
        let (id, name) = (&wanted.id, wanted.id.role_name());
        let role = wanted.role(namespace);
        self.gone_roles.retain(|it| place(it) != place(&role));
        self.roles.push(over(cluster.get(namespace, &name).await?, role, id)?);
        let binding = wanted.binding(namespace);
        let live: Option<RoleBinding> = cluster.get(namespace, &name).await?;
        self.gone_bindings.retain(|it| place(it) != place(&binding));
        // A roleRef cannot be changed: a binding to something else goes first.
        let refers_elsewhere = live.as_ref().is_some_and(|it| it.role_ref != binding.role_ref);
        let written = over(live.clone(), binding.clone(), id)?;
        if refers_elsewhere {
            self.gone_bindings.extend(live);
            self.bindings.push(binding);
        } else {
            self.bindings.push(written);
        }
        Ok(())
    }

    /// Fails where the operator may not do all of it.
    ///
    /// # Errors
    /// [`AgentsError::MissingRights`] with all that are missing.
    pub async fn check(&self, cluster: &Cluster) -> Result<(), AgentsError> {
        let mut rights = BTreeSet::new();
        rights.extend(self.gone_bindings.iter().map(right_to_delete));
        rights.extend(self.gone_roles.iter().map(right_to_delete));
        rights.insert(right_to_put(&self.account));
        rights.insert(Right::to_make_tokens(&place(&self.account).0));
        rights.extend(self.roles.iter().map(right_to_put));
        rights.extend(self.bindings.iter().map(right_to_put));
        cluster.must_have(&rights).await?;
        // Whether they may give these rights away is known to the API server alone.
        for role in &self.roles {
            cluster.put(role, true).await?;
        }
        Ok(())
    }

    /// Does it: what goes, goes first.
    ///
    /// # Errors
    /// Where the API server refuses a step; those before it are done.
    pub async fn apply(&self, cluster: &Cluster) -> Result<(), AgentsError> {
        for binding in &self.gone_bindings {
            cluster.delete(binding).await?;
        }
        for role in &self.gone_roles {
            cluster.delete(role).await?;
        }
        cluster.put(&self.account, false).await?;
        for role in &self.roles {
            cluster.put(role, false).await?;
        }
        for binding in &self.bindings {
            cluster.put(binding, false).await?;
        }
        Ok(())
    }

    /// What would be applied, as `kubectl apply -f -` takes it.
    ///
    /// # Errors
    /// Where a name in it cannot be written as YAML.
    pub fn manifests(&self) -> Result<String, AgentsError> {
        let mut documents = vec![yaml(&self.account)?];
        for (role, binding) in self.roles.iter().zip(&self.bindings) {
            documents.push(yaml(role)?);
            documents.push(yaml(binding)?);
        }
        Ok(documents.join("---\n"))
    }

    /// What is not wanted any more, as people name it.
    pub fn removals(&self) -> impl Iterator<Item = String> {
        self.gone_bindings.iter().map(describe).chain(self.gone_roles.iter().map(describe))
    }
}

/// What is to be written over a live object: its metadata with our labels, and all else as wanted.
///
/// # Errors
/// Where the live object is not this agent's.
fn over<K: Object>(live: Option<K>, mut want: K, id: &AgentId) -> Result<K, AgentsError> {
    let Some(live) = live else {
        return Ok(want);
    };
    if AgentId::from_labels(live.meta()).as_ref() != Some(id) {
        return Err(AgentsError::Foreign(describe(&live)));
    }
    if live.meta().deletion_timestamp.is_some() {
        return Err(AgentsError::Terminating(describe(&live)));
    }
    let ours = std::mem::take(want.meta_mut());
    let mut metadata = ObjectMeta { managed_fields: None, ..live.meta().clone() };
    metadata.labels.get_or_insert_default().extend(ours.labels.unwrap_or_default());
    metadata.annotations.get_or_insert_default().extend(ours.annotations.unwrap_or_default());
    *want.meta_mut() = metadata;
    Ok(want)
}

fn right_to_put<K: Object>(object: &K) -> Right {
    let verb = if object.meta().resource_version.is_some() { "update" } else { "create" };
    Right::to::<K>(verb, &place(object).0)
}

/// What deleting this object takes.
pub(crate) fn right_to_delete<K: Object>(object: &K) -> Right {
    Right::to::<K>("delete", &place(object).0)
}

fn describe<K: Object>(object: &K) -> String {
    let (namespace, name) = place(object);
    describe_object::<K>(&namespace, &name)
}

/// A manifest without what only the API server sets.
fn yaml<K: Object>(object: &K) -> Result<String, AgentsError> {
    let mut object = object.clone();
    let ObjectMeta { name, namespace, labels, annotations, .. } = std::mem::take(object.meta_mut());
    *object.meta_mut() =
        ObjectMeta { name, namespace, labels, annotations, ..ObjectMeta::default() };
    Ok(serde_saphyr::to_string(&object)?)
}
