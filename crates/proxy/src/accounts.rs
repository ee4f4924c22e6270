//! What a service account may do that an agent would be held for (DEFAULTS Q11).
//!
//! Code in a pod acts with its service account's rights and not through this proxy, so whoever makes
//! or changes such a pod takes them. RBAC itself is asked (SubjectAccessReview), about a sample of
//! rights from each part of the mission; an account that has none of these is harmless. What it may
//! do in one namespace only is asked where a RoleBinding names it.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use attributes::User;
use effects::{Effect, EffectKind};
use futures_util::{StreamExt, stream};
use k8s_openapi::api::rbac::v1::{RoleBinding, Subject};
use tokio::sync::Mutex;
use upstream::{Access, Own};

use crate::Proxy;

/// Questions at a time.
const ASKED_AT_A_TIME: usize = 16;
/// Guarded namespaces that are looked into one by one; an account with a role in more counts as
/// powerful.
const NAMESPACES_MAX: usize = 100;
/// How long RoleBindings are taken as they were.
const BINDINGS_TIME_MAX: Duration = Duration::from_secs(5);

/// A verb, a group, a resource and a subresource.
type Telling = (&'static str, &'static str, &'static str, &'static str);

const RBAC: &str = "rbac.authorization.k8s.io";

/// Held wherever it is done.
const ANYWHERE: [Telling; 7] = [
    ("delete", "apps", "deployments", ""),
    ("delete", "apps", "statefulsets", ""),
    ("delete", "", "persistentvolumeclaims", ""),
    ("delete", "", "secrets", ""),
    ("create", "", "pods", "eviction"),
    ("create", "", "serviceaccounts", "token"),
    ("create", RBAC, "rolebindings", ""),
];

/// Held in guarded namespaces.
const GUARDED: [Telling; 8] = [
    ("create", "", "pods", ""),
    ("delete", "", "pods", ""),
    ("create", "", "pods", "exec"),
    ("patch", "apps", "deployments", ""),
    ("patch", "apps", "statefulsets", ""),
    ("delete", "apps", "deployments", ""),
    ("delete", "", "secrets", ""),
    ("patch", "", "services", ""),
];

/// Held outside namespaces; a right to Secrets everywhere is a right to everybody's.
const CLUSTER: [Telling; 14] = [
    ("delete", "", "namespaces", ""),
    ("patch", "", "namespaces", ""),
    ("patch", "", "nodes", ""),
    ("delete", "", "nodes", ""),
    ("get", "", "nodes", "proxy"),
    ("delete", "", "persistentvolumes", ""),
    ("get", "", "secrets", ""),
    ("create", RBAC, "clusterrolebindings", ""),
    ("impersonate", "", "users", ""),
    ("update", "certificates.k8s.io", "certificatesigningrequests", "approval"),
    ("patch", "admissionregistration.k8s.io", "validatingwebhookconfigurations", ""),
    ("create", "admissionregistration.k8s.io", "mutatingwebhookconfigurations", ""),
    ("patch", "apiextensions.k8s.io", "customresourcedefinitions", ""),
    ("patch", "apiregistration.k8s.io", "apiservices", ""),
];

/// RoleBindings of the whole cluster, listed at most once in a while.
#[derive(Default)]
pub(crate) struct Bindings {
    listed: Mutex<Option<(Instant, Arc<[RoleBinding]>)>>,
}

impl Bindings {
    async fn all(&self, own: &Own) -> Option<Arc<[RoleBinding]>> {
        let mut listed = self.listed.lock().await;
        if let Some((at, bindings)) = listed.as_ref()
            && at.elapsed() < BINDINGS_TIME_MAX
        {
            return Some(Arc::clone(bindings));
        }
        let bindings = match own.role_bindings().await {
            Ok(bindings) => Arc::from(bindings),
            Err(error) => {
                tracing::warn!(%error, "role bindings could not be listed");
                return None;
            }
        };
        *listed = Some((Instant::now(), Arc::clone(&bindings)));
        Some(bindings)
    }
}

/// Namespaces in which a binding gives a user a role.
fn bound_in(bindings: &[RoleBinding], user: &User) -> BTreeSet<String> {
    let namespace = |binding: &RoleBinding| binding.metadata.namespace.clone().unwrap_or_default();
    let names = |binding: &&RoleBinding| {
        let subjects = binding.subjects.as_deref().unwrap_or_default();
        subjects.iter().any(|subject| is_of(subject, &namespace(binding), user))
    };
    bindings.iter().filter(names).map(namespace).collect()
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

impl Proxy {
    /// Drops the effects of running code as a service account that turns out to be harmless, and
    /// says of the others what they may do.
    pub(crate) async fn weigh_accounts(&self, effects: &mut Vec<Effect>) {
        let mut weighed = Vec::with_capacity(effects.len());
        for mut effect in effects.drain(..) {
            if effect.kind == EffectKind::Borrow && effect.object.resource == "serviceaccounts" {
                let (namespace, name) = (&effect.object.namespace, &effect.object.name);
                match self.power_of(namespace, name).await {
                    Ok(None) => continue,
                    Ok(Some(power)) => effect.detail.push_str(&format!(", which may {power}")),
                    Err(why) => effect.detail.push_str(&format!("; {why}")),
                }
            }
            weighed.push(effect);
        }
        *effects = weighed;
    }

    /// One thing that the account may do and an agent would be held for.
    async fn power_of(&self, namespace: &str, name: &str) -> Result<Option<String>, &'static str> {
        let user = User {
            username: format!("system:serviceaccount:{namespace}:{name}"),
            groups: vec![
                "system:serviceaccounts".to_owned(),
                format!("system:serviceaccounts:{namespace}"),
                "system:authenticated".to_owned(),
            ],
            ..User::default()
        };
        let Some(bindings) = self.bindings.all(&self.own).await else {
            return Err("its rights could not be looked up");
        };
        let mut guarded = bound_in(&bindings, &user);
        // One that the watch does not know yet stays in: nobody knows that it is not guarded.
        guarded.retain(|name| {
            self.namespaces.known(name).is_none_or(|class| class.production || class.protected)
        });
        if guarded.len() > NAMESPACES_MAX {
            return Err("which has roles in more namespaces than were looked into");
        }
        let everywhere = || [&ANYWHERE[..], &GUARDED[..], &CLUSTER[..]].concat();
        let everywhere = everywhere().into_iter().map(|it| access(it, ""));
        let here = ANYWHERE.iter().map(|it| access(*it, namespace));
        let there = guarded.iter().flat_map(|place: &String| GUARDED.map(|it| access(it, place)));
        let asked: Vec<Access> = everywhere.chain(here).chain(there).collect();
        let answers = stream::iter(asked)
            .map(|access| async { (self.own.may(&user, &access).await, access) })
            .buffered(ASKED_AT_A_TIME);
        let mut answers = std::pin::pin!(answers);
        while let Some((may, access)) = answers.next().await {
            match may {
                Ok(false) => {}
                Ok(true) => return Ok(Some(words(&access))),
                Err(_) => return Err("its rights could not be looked up"),
            }
        }
        Ok(None)
    }
}

fn access((verb, group, resource, subresource): Telling, namespace: &str) -> Access {
    Access {
        verb: verb.to_owned(),
        group: group.to_owned(),
        resource: resource.to_owned(),
        subresource: subresource.to_owned(),
        namespace: namespace.to_owned(),
        name: String::new(),
    }
}

fn words(access: &Access) -> String {
    let place = match access.namespace.as_str() {
        "" => "everywhere".to_owned(),
        namespace => format!("in {namespace}"),
    };
    format!("{} {} {place}", access.verb, access.path())
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

    use super::*;

    #[test]
    fn finds_the_namespaces_where_a_binding_names_an_account() {
        let binding = |namespace: &str, kind: &str, name: &str, home: Option<&str>| RoleBinding {
            metadata: ObjectMeta { namespace: Some(namespace.into()), ..ObjectMeta::default() },
            subjects: Some(vec![Subject {
                kind: kind.into(),
                name: name.into(),
                namespace: home.map(str::to_owned),
                ..Subject::default()
            }]),
            ..RoleBinding::default()
        };
        let user = User {
            username: "system:serviceaccount:dev:bot".into(),
            groups: vec!["system:serviceaccounts".into()],
            ..User::default()
        };
        let table = [
            (binding("prod", "ServiceAccount", "bot", Some("dev")), true),
            (binding("dev", "ServiceAccount", "bot", None), true),
            (binding("prod", "ServiceAccount", "bot", None), false),
            (binding("prod", "ServiceAccount", "bot", Some("other")), false),
            (binding("prod", "User", "system:serviceaccount:dev:bot", None), true),
            (binding("prod", "User", "bot", None), false),
            (binding("prod", "Group", "system:serviceaccounts", None), true),
            (binding("prod", "Group", "system:masters", None), false),
            (RoleBinding::default(), false),
        ];
        for (binding, want) in table {
            let found = bound_in(std::slice::from_ref(&binding), &user);
            assert_eq!(!found.is_empty(), want, "{binding:?}");
        }
    }
}
