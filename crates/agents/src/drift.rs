//! What an agent may beyond, or short of, what `agent create` gave it.
//!
//! Only Kubernetes' own RBAC is looked at, and only at who is named: a binding of a role to the
//! ServiceAccount, to its username, or to a group that it is in.

use std::fmt;

use k8s_openapi::api::{
    core::v1::ServiceAccount,
    rbac::v1::{ClusterRoleBinding, Role, RoleBinding, RoleRef, Subject},
};
use kube::{ResourceExt, api::ListParams};

use crate::{
    cluster::Cluster,
    error::AgentsError,
    manifests::{AgentId, Wanted, remembered},
    presets::Preset,
};

/// What every cluster gives to everybody who is authenticated: discovery and who they are.
const GIVEN_TO_ALL: [&str; 5] = [
    "system:basic-user",
    "system:cluster-trust-bundle-discovery",
    "system:discovery",
    "system:public-info-viewer",
    "system:service-account-issuer-discovery",
];

/// Everybody's rights, as far as RBAC objects say.
pub(crate) struct Grants {
    roles: Vec<Role>,
    bindings: Vec<RoleBinding>,
    cluster_bindings: Vec<ClusterRoleBinding>,
}

impl Grants {
    /// Reads them all.
    ///
    /// # Errors
    /// Where the operator may not list them in all namespaces.
    pub(crate) async fn read(cluster: &Cluster) -> Result<Self, AgentsError> {
        let ours = ListParams::default().labels(&AgentId::selector_of_all());
        let any = ListParams::default();
        let fail =
            |what: &str, error| cluster.explain(&format!("list {what} in all namespaces"), error);
        let roles = cluster.all::<Role>().list(&ours).await;
        let bindings = cluster.all::<RoleBinding>().list(&any).await;
        let cluster_bindings = cluster.all::<ClusterRoleBinding>().list(&any).await;
        Ok(Self {
            roles: roles.map_err(|error| fail("roles", error))?.items,
            bindings: bindings.map_err(|error| fail("rolebindings", error))?.items,
            cluster_bindings: cluster_bindings
                .map_err(|error| fail("clusterrolebindings", error))?
                .items,
        })
    }

    /// Where an agent's rights are not what its ServiceAccount remembers, a sentence each.
    pub(crate) fn drift_of(&self, account: &ServiceAccount) -> Vec<String> {
        let Some(id) = AgentId::from_labels(&account.metadata) else {
            return Vec::new();
        };
        let mut found: Vec<String> = self.given_elsewhere(&id, account).map(|it| it.1).collect();
        let (preset, namespaces) = remembered(account);
        match Preset::parse(&preset) {
            Some(preset) => {
                let wanted = Wanted { id, preset, namespaces };
                found.extend(wanted.namespaces.iter().filter_map(|it| self.changed(&wanted, it)));
            }
            None => found.push(format!("its ServiceAccount names no known preset: `{preset}`")),
        }
        found
    }

    /// Bindings that are not ours and name the agent itself: they outlive it.
    pub(crate) fn naming(&self, account: &ServiceAccount) -> Vec<String> {
        let Some(id) = AgentId::from_labels(&account.metadata) else {
            return Vec::new();
        };
        let given = self.given_elsewhere(&id, account);
        given.filter(|it| it.0 == Named::Itself).map(|it| it.1).collect()
    }

    /// Bindings that give it something and are not ours.
    fn given_elsewhere(
        &self,
        id: &AgentId,
        account: &ServiceAccount,
    ) -> impl Iterator<Item = (Named, String)> {
        let (_, namespaces) = remembered(account);
        let role_name = id.role_name();
        let is_ours = move |binding: &RoleBinding| {
            binding.name_any() == role_name
                && namespaces.contains(&binding.namespace().unwrap_or_default())
        };
        let everywhere = self.cluster_bindings.iter().filter_map(|it| {
            let who = Named::by(id, &it.subjects, &it.role_ref)?;
            let (name, role) = (it.name_any(), role(&it.role_ref));
            let text = format!(
                "ClusterRoleBinding `{name}` gives {who} {role} in every namespace; agent-shield did not make it"
            );
            Some((who, text))
        });
        let somewhere = self.bindings.iter().filter(move |it| !is_ours(it)).filter_map(|it| {
            let who = Named::by(id, &it.subjects, &it.role_ref)?;
            let (name, role) = (it.name_any(), role(&it.role_ref));
            let namespace = it.namespace().unwrap_or_default();
            let text = format!(
                "RoleBinding `{name}` in namespace `{namespace}` gives {who} {role}; `agent create` did not ask for it"
            );
            Some((who, text))
        });
        everywhere.chain(somewhere)
    }

    /// Whether Role and RoleBinding of a namespace are no longer what they were made as.
    fn changed(&self, wanted: &Wanted, namespace: &str) -> Option<String> {
        let name = wanted.id.role_name();
        let role = self.roles.iter().find(|it| is_at(*it, namespace, &name));
        let binding = self.bindings.iter().find(|it| is_at(*it, namespace, &name));
        let (Some(role), Some(binding)) = (role, binding) else {
            return Some(format!("its Role or RoleBinding in namespace `{namespace}` is missing"));
        };
        let made = wanted.binding(namespace);
        if role.rules != wanted.role(namespace).rules {
            return Some(format!(
                "its Role in namespace `{namespace}` is not what `{}` is now",
                wanted.preset
            ));
        }
        (binding.role_ref != made.role_ref || binding.subjects != made.subjects)
            .then(|| format!("its RoleBinding in namespace `{namespace}` was changed"))
    }
}

/// The drift of one agent; that it cannot be seen is worth a warning too.
pub async fn drift_of_agent(cluster: &Cluster, account: &ServiceAccount) -> Vec<String> {
    match Grants::read(cluster).await {
        Ok(grants) => grants.drift_of(account),
        Err(error) => vec![unseen(&error)],
    }
}

/// For operators who may not see all bindings.
pub(crate) fn unseen(error: &AgentsError) -> String {
    format!("whether others gave it more rights is not known: {error}")
}

fn is_at(object: &impl ResourceExt, namespace: &str, name: &str) -> bool {
    object.name_any() == name && object.namespace().as_deref() == Some(namespace)
}

/// How a binding names the agent.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Named {
    Itself,
    InGroup(String),
}

impl Named {
    fn by(id: &AgentId, subjects: &Option<Vec<Subject>>, role: &RoleRef) -> Option<Self> {
        let account_group = format!("system:serviceaccounts:{}", id.home);
        let groups = ["system:authenticated", "system:serviceaccounts", &account_group];
        let to_all = GIVEN_TO_ALL.contains(&role.name.as_str());
        subjects.iter().flatten().find_map(|it| match it.kind.as_str() {
            "ServiceAccount" if it.name == id.name && it.namespace.as_ref() == Some(&id.home) => {
                Some(Self::Itself)
            }
            "User" if it.name == id.username() => Some(Self::Itself),
            "Group" if groups.contains(&it.name.as_str()) && !to_all => {
                Some(Self::InGroup(it.name.clone()))
            }
            _ => None,
        })
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Itself => f.write_str("it"),
            Self::InGroup(group) => write!(f, "the group `{group}`, which it is in,"),
        }
    }
}

fn role(role: &RoleRef) -> String {
    format!("{} `{}`", role.kind, role.name)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

    use super::*;

    fn wanted() -> Wanted {
        Wanted {
            id: AgentId { home: "home".into(), name: "bot".into() },
            preset: Preset::ReadOnly,
            namespaces: vec!["a".into(), "b".into()],
        }
    }

    fn grants() -> Grants {
        let wanted = wanted();
        Grants {
            roles: ["a", "b"].map(|it| wanted.role(it)).into(),
            bindings: ["a", "b"].map(|it| wanted.binding(it)).into(),
            cluster_bindings: Vec::new(),
        }
    }

    fn cluster_binding(role: &str, kind: &str, name: &str) -> ClusterRoleBinding {
        let namespace = (kind == "ServiceAccount").then(|| "home".to_owned());
        ClusterRoleBinding {
            metadata: ObjectMeta { name: Some("oops".into()), ..ObjectMeta::default() },
            role_ref: RoleRef {
                kind: "ClusterRole".into(),
                name: role.into(),
                ..RoleRef::default()
            },
            subjects: Some(vec![Subject {
                kind: kind.into(),
                name: name.into(),
                namespace,
                api_group: None,
            }]),
        }
    }

    #[test]
    fn as_made_is_no_drift() {
        assert_eq!(grants().drift_of(&wanted().account()), Vec::<String>::new());
    }

    #[test]
    fn who_is_named_has_the_role() {
        let table = [
            ("cluster-admin", "ServiceAccount", "bot", true),
            ("cluster-admin", "ServiceAccount", "other", false),
            ("cluster-admin", "User", "system:serviceaccount:home:bot", true),
            ("cluster-admin", "User", "bot", false),
            ("cluster-admin", "Group", "system:authenticated", true),
            ("cluster-admin", "Group", "system:serviceaccounts", true),
            ("cluster-admin", "Group", "system:serviceaccounts:home", true),
            ("cluster-admin", "Group", "system:serviceaccounts:other", false),
            ("system:discovery", "Group", "system:authenticated", false),
            ("system:discovery", "ServiceAccount", "bot", true),
        ];
        for (role, kind, name, want) in table {
            let grants =
                Grants { cluster_bindings: vec![cluster_binding(role, kind, name)], ..grants() };
            let drift = grants.drift_of(&wanted().account());
            assert_eq!(drift.len(), usize::from(want), "{role} {kind} {name}: {drift:?}");
            assert!(drift.iter().all(|it| it.contains("`oops`") && it.contains(role)), "{drift:?}");
        }
    }

    #[test]
    fn what_was_changed_is_said() {
        let account = wanted().account();
        let mut wider = grants();
        wider.roles[1].rules = Some(Preset::Deployer.rules());
        assert!(wider.drift_of(&account).concat().contains("its Role in namespace `b`"));
        let mut shared = grants();
        shared.bindings[0].subjects.get_or_insert_default().push(Subject::default());
        assert!(shared.drift_of(&account).concat().contains("`a` was changed"));
        let mut gone = grants();
        gone.roles.clear();
        assert_eq!(gone.drift_of(&account).len(), 2);
        // Where it was not asked for, not even a binding with our name and labels is ours.
        let mut copied = grants();
        copied.bindings.push(wanted().binding("c"));
        assert!(copied.drift_of(&account).concat().contains("namespace `c` gives it"));
    }
}
