//! Whom RBAC's bindings name, and the rules of the roles that they give.

use std::{sync::Arc, time::Instant};

use attributes::User;
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, PolicyRule, RoleBinding, RoleRef, Subject};
use tokio::sync::Mutex;
use upstream::Own;

/// Who has which role where. Who asks while others wait for the list shares theirs.
#[derive(Default)]
pub(crate) struct Bindings {
    /// The last list, and when it was asked for.
    listed: Mutex<Option<(Instant, Arc<Listed>)>>,
}

struct Listed {
    namespaced: Vec<RoleBinding>,
    everywhere: Vec<ClusterRoleBinding>,
}

/// A role that somebody has.
pub(super) struct Given {
    /// In this namespace; `None` is everywhere, and outside namespaces too.
    pub(super) namespace: Option<String>,
    role: RoleRef,
}

impl Bindings {
    /// The roles that a user has, by name or as one of a group; `None` where they are not known.
    pub(super) async fn of(&self, own: &Own, user: &User) -> Option<Vec<Given>> {
        self.all(own).await.map(|listed| listed.given(user))
    }

    /// As the API server's cache has them once they are asked for: what was listed before that does not
    /// do, so that a role that was just given counts.
    async fn all(&self, own: &Own) -> Option<Arc<Listed>> {
        let asked = Instant::now();
        let mut listed = self.listed.lock().await;
        if let Some((at, bindings)) = listed.as_ref()
            && *at >= asked
        {
            return Some(Arc::clone(bindings));
        }
        let at = Instant::now();
        let bindings = match own.bindings().await {
            Ok((namespaced, everywhere)) => Arc::new(Listed { namespaced, everywhere }),
            Err(error) => {
                tracing::warn!(%error, "role bindings could not be listed");
                return None;
            }
        };
        *listed = Some((at, Arc::clone(&bindings)));
        Some(bindings)
    }
}

impl Listed {
    fn given(&self, user: &User) -> Vec<Given> {
        let namespaced = self.namespaced.iter().map(|binding| {
            let namespace = binding.metadata.namespace.clone().unwrap_or_default();
            (binding.subjects.as_deref(), Some(namespace), &binding.role_ref)
        });
        let everywhere = self.everywhere.iter();
        let everywhere = everywhere.map(|it| (it.subjects.as_deref(), None, &it.role_ref));
        namespaced
            .chain(everywhere)
            .filter(|(subjects, namespace, _)| {
                let mut subjects = subjects.unwrap_or_default().iter();
                subjects.any(|it| is_of(it, namespace.as_deref().unwrap_or_default(), user))
            })
            .map(|(_, namespace, role)| Given { namespace, role: role.clone() })
            .collect()
    }
}

impl Given {
    /// What the role allows, nothing where it is not there; `None` where that is not known.
    pub(super) async fn rules(&self, own: &Own) -> Option<Vec<PolicyRule>> {
        let RoleRef { kind, name, .. } = &self.role;
        let namespace = self.namespace.as_deref().filter(|_| kind == "Role");
        let rules = own.rules(namespace, name).await;
        rules
            .inspect_err(|error| tracing::warn!(%error, kind, name, "a role could not be read"))
            .ok()
    }
}

fn is_of(subject: &Subject, namespace: &str, user: &User) -> bool {
    match subject.kind.as_str() {
        "Group" => user.groups.contains(&subject.name),
        "ServiceAccount" => {
            let namespace = subject.namespace.as_deref().unwrap_or(namespace);
            user.username == format!("system:serviceaccount:{namespace}:{}", subject.name)
        }
        _ => user.username == subject.name,
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

    use super::*;

    fn subject(kind: &str, name: &str, home: Option<&str>) -> Option<Vec<Subject>> {
        Some(vec![Subject {
            kind: kind.into(),
            name: name.into(),
            namespace: home.map(str::to_owned),
            ..Subject::default()
        }])
    }

    #[test]
    fn finds_whom_a_binding_names() {
        let user = User {
            username: "system:serviceaccount:dev:bot".into(),
            groups: vec!["system:serviceaccounts".into()],
            ..User::default()
        };
        let table = [
            ("prod", "ServiceAccount", "bot", Some("dev"), true),
            ("dev", "ServiceAccount", "bot", None, true),
            ("prod", "ServiceAccount", "bot", None, false),
            ("prod", "ServiceAccount", "bot", Some("other"), false),
            ("prod", "User", "system:serviceaccount:dev:bot", None, true),
            ("prod", "User", "bot", None, false),
            ("prod", "Group", "system:serviceaccounts", None, true),
            ("prod", "Group", "system:masters", None, false),
        ];
        for (namespace, kind, name, home, want) in table {
            let metadata =
                ObjectMeta { namespace: Some(namespace.into()), ..ObjectMeta::default() };
            let subjects = subject(kind, name, home);
            let binding = RoleBinding { metadata, subjects, ..RoleBinding::default() };
            let listed = Listed { namespaced: vec![binding], everywhere: Vec::new() };
            let found: Vec<_> = listed.given(&user).into_iter().map(|it| it.namespace).collect();
            let want = if want { vec![Some(namespace.to_owned())] } else { vec![] };
            assert_eq!(found, want, "{kind} {name} of {home:?} in {namespace}");
        }
    }

    #[test]
    fn knows_what_holds_everywhere() {
        let user = User { groups: vec!["g".into()], ..User::default() };
        let binding = ClusterRoleBinding {
            subjects: subject("Group", "g", None),
            ..ClusterRoleBinding::default()
        };
        let listed = Listed { namespaced: Vec::new(), everywhere: vec![binding] };
        assert_eq!(listed.given(&user).len(), 1);
        assert_eq!(listed.given(&User::default()).len(), 0);
    }
}
