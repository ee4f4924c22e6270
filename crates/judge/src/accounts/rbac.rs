//! Whom RBAC's bindings name, and the rules of the roles that they give.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Instant,
};

use attributes::User;
use futures_util::{StreamExt, stream};
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, PolicyRule, RoleBinding, RoleRef, Subject};
use tokio::sync::Mutex;
use upstream::ControlClient;

/// Roles read at a time.
const READ_AT_A_TIME: usize = 16;
/// Roles that are read for one judgement; where there are more, nobody knows what they give.
const ROLES_MAX: usize = 1_000;

/// Who has which role where. Who asks while others wait for the list shares theirs.
#[derive(Default)]
pub(crate) struct Bindings {
    /// What came of the last question, and when it was asked.
    listed: Mutex<Option<(Instant, Option<Arc<Listed>>)>>,
}

/// Every binding of the cluster.
pub(super) struct Listed {
    namespaced: Vec<RoleBinding>,
    everywhere: Vec<ClusterRoleBinding>,
}

/// A role that somebody has.
#[derive(Debug)]
pub(super) struct Given {
    /// In this namespace; `None` is everywhere, and outside namespaces too.
    pub(super) namespace: Option<String>,
    role: Role,
}

/// A Role of a namespace, or a ClusterRole.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Role {
    namespace: Option<String>,
    name: String,
}

/// What roles allow: each is read once for a judgement.
#[derive(Default)]
pub(super) struct Roles(HashMap<Role, Vec<PolicyRule>>);

/// The account that a service account is to the API server.
pub(super) fn user_of(namespace: &str, name: &str) -> User {
    User {
        username: format!("{}{name}", username_prefix(namespace)),
        groups: groups_of(namespace).to_vec(),
        ..User::default()
    }
}

impl Bindings {
    /// All of them; `None` where they are not known. As the API server's cache has them once they are
    /// asked for: what was listed before that does not do, so that a role that was just given counts.
    pub(super) async fn list(&self, own: &ControlClient) -> Option<Arc<Listed>> {
        let asked = Instant::now();
        let mut listed = self.listed.lock().await;
        if let Some((at, bindings)) = listed.as_ref()
            && *at >= asked
        {
            return bindings.clone();
        }
        let at = Instant::now();
        let bindings = match own.bindings().await {
            Ok((namespaced, everywhere)) => Some(Arc::new(Listed { namespaced, everywhere })),
            Err(error) => {
                tracing::warn!(%error, "role bindings could not be listed");
                None
            }
        };
        // Also where there is no answer: who waited meanwhile does not wait for the same once more, and
        // so a hundred wait as long as two.
        *listed = Some((at, bindings.clone()));
        bindings
    }
}

impl Listed {
    /// The roles that a user has, by name or as one of a group.
    pub(super) fn of(&self, user: &User) -> Vec<Given> {
        self.given(|subject, namespace| is_of(subject, namespace, user).then_some(()))
            .map(|((), given)| given)
            .collect()
    }

    /// The roles that service accounts of a namespace have, each with one who has it, for people.
    pub(super) fn of_accounts(&self, home: &str) -> Vec<(String, Given)> {
        self.given(|subject, namespace| account_of(subject, namespace, home)).collect()
    }

    /// What the bindings give of which a subject is chosen; `choose` sees the binding's namespace.
    fn given<T>(
        &self,
        choose: impl Fn(&Subject, &str) -> Option<T>,
    ) -> impl Iterator<Item = (T, Given)> {
        let namespaced = self.namespaced.iter().map(|binding| {
            let namespace = binding.metadata.namespace.as_deref().unwrap_or_default();
            (binding.subjects.as_deref(), Some(namespace), &binding.role_ref)
        });
        let everywhere = self.everywhere.iter();
        let everywhere = everywhere.map(|it| (it.subjects.as_deref(), None, &it.role_ref));
        namespaced.chain(everywhere).filter_map(move |(subjects, namespace, role)| {
            let mut subjects = subjects.unwrap_or_default().iter();
            let chosen = subjects.find_map(|it| choose(it, namespace.unwrap_or_default()))?;
            Some((chosen, Given::new(namespace, role)))
        })
    }
}

impl Given {
    fn new(namespace: Option<&str>, RoleRef { kind, name, .. }: &RoleRef) -> Self {
        let namespace = namespace.map(str::to_owned);
        let of_role = namespace.clone().filter(|_| kind == "Role");
        Self { namespace, role: Role { namespace: of_role, name: name.clone() } }
    }
}

impl Roles {
    /// Reads those of the roles that were not read yet; `None` where not all are known then.
    pub(super) async fn read(
        &mut self,
        own: &ControlClient,
        given: impl Iterator<Item = &Given>,
    ) -> Option<()> {
        let new: HashSet<Role> =
            given.map(|it| &it.role).filter(|role| !self.0.contains_key(*role)).cloned().collect();
        if self.0.len() + new.len() > ROLES_MAX {
            tracing::warn!(ROLES_MAX, "an account reaches more roles than are read");
            return None;
        }
        let read: Vec<Option<(Role, Vec<PolicyRule>)>> = stream::iter(new)
            .map(|role| async move {
                let rules = rules(own, &role).await?;
                Some((role, rules))
            })
            .buffer_unordered(READ_AT_A_TIME)
            .collect()
            .await;
        for role in read {
            self.0.extend([role?]);
        }
        Some(())
    }

    /// What a role that was read allows; nothing where it is not there.
    pub(super) fn rules(&self, given: &Given) -> &[PolicyRule] {
        self.0.get(&given.role).map_or(&[], Vec::as_slice)
    }
}

async fn rules(own: &ControlClient, role: &Role) -> Option<Vec<PolicyRule>> {
    let rules = own.rules(role.namespace.as_deref(), &role.name).await;
    rules.inspect_err(|error| tracing::warn!(%error, ?role, "a role could not be read")).ok()
}

fn is_of(subject: &Subject, namespace: &str, user: &User) -> bool {
    match subject.kind.as_str() {
        "Group" => user.groups.contains(&subject.name),
        "ServiceAccount" => {
            let namespace = subject.namespace.as_deref().unwrap_or(namespace);
            user.username == format!("{}{}", username_prefix(namespace), subject.name)
        }
        _ => user.username == subject.name,
    }
}

/// Which service account of `home` a subject is, or that it is each of them, for people.
fn account_of(subject: &Subject, namespace: &str, home: &str) -> Option<String> {
    let name = match subject.kind.as_str() {
        "Group" => {
            let is_theirs = groups_of(home).contains(&subject.name);
            return is_theirs.then(|| format!("any account of {home}"));
        }
        "ServiceAccount" => {
            let namespace = subject.namespace.as_deref().unwrap_or(namespace);
            Some(subject.name.as_str()).filter(|_| namespace == home)
        }
        _ => subject.name.strip_prefix(&username_prefix(home)),
    };
    name.map(|name| format!("{home}/{name}"))
}

/// Before the name of an account in its username (k8s.io/apiserver, `serviceaccount.MakeUsername`).
fn username_prefix(namespace: &str) -> String {
    format!("system:serviceaccount:{namespace}:")
}

/// Groups of every account of a namespace (k8s.io/apiserver, `serviceaccount.MakeGroupNames`).
fn groups_of(namespace: &str) -> [String; 3] {
    [
        "system:serviceaccounts".to_owned(),
        format!("system:serviceaccounts:{namespace}"),
        "system:authenticated".to_owned(),
    ]
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
            let found: Vec<_> = listed.of(&user).into_iter().map(|it| it.namespace).collect();
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
        assert_eq!(listed.of(&user).len(), 1);
        assert_eq!(listed.of(&User::default()).len(), 0);
    }

    #[test]
    fn finds_the_accounts_of_a_namespace() {
        let table = [
            ("prod", "ServiceAccount", "bot", Some("dev"), Some("dev/bot")),
            ("dev", "ServiceAccount", "bot", None, Some("dev/bot")),
            ("prod", "ServiceAccount", "bot", None, None),
            ("prod", "ServiceAccount", "bot", Some("dev2"), None),
            ("prod", "User", "system:serviceaccount:dev:bot", None, Some("dev/bot")),
            ("prod", "User", "system:serviceaccount:dev2:bot", None, None),
            ("prod", "Group", "system:serviceaccounts", None, Some("any account of dev")),
            ("prod", "Group", "system:serviceaccounts:dev", None, Some("any account of dev")),
            ("prod", "Group", "system:authenticated", None, Some("any account of dev")),
            ("prod", "Group", "system:serviceaccounts:dev2", None, None),
            ("prod", "Group", "system:masters", None, None),
        ];
        for (namespace, kind, name, home, want) in table {
            let subjects = subject(kind, name, home).unwrap_or_default();
            let found = subjects.iter().find_map(|it| account_of(it, namespace, "dev"));
            assert_eq!(found.as_deref(), want, "{kind} {name} of {home:?} in {namespace}");
        }
    }
}
