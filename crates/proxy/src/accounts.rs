//! What a service account may do that an agent would be held for (DEFAULTS Q11).
//!
//! Code in a pod acts with its service account's rights and not through this proxy, so whoever makes
//! or changes such a pod takes them. RBAC itself is asked (SubjectAccessReview), about a sample of
//! rights from each part of the mission; an account that has none of these is harmless.

use attributes::User;
use effects::{Effect, EffectKind};
use futures_util::{StreamExt, stream};
use upstream::Access;

use crate::Proxy;

/// Questions at a time.
const ASKED_AT_A_TIME: usize = 16;
/// Guarded namespaces that are looked into one by one; beyond, the account counts as powerful.
const NAMESPACES_MAX: usize = 100;

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
        let guarded: Vec<String> = self
            .namespaces
            .all()
            .into_iter()
            .filter(|(_, class)| class.production || class.protected)
            .map(|(name, _)| name)
            .collect();
        if guarded.len() > NAMESPACES_MAX {
            return Err("its rights in so many namespaces were not looked up");
        }
        let everywhere = || [&ANYWHERE[..], &GUARDED[..], &CLUSTER[..]].concat();
        let everywhere = everywhere().into_iter().map(|it| access(it, ""));
        let here = ANYWHERE.iter().map(|it| access(*it, namespace));
        let there = guarded.iter().flat_map(|place| GUARDED.map(|it| access(it, place)));
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
    let subresource = match access.subresource.as_str() {
        "" => String::new(),
        subresource => format!("/{subresource}"),
    };
    let place = match access.namespace.as_str() {
        "" => "everywhere".to_owned(),
        namespace => format!("in {namespace}"),
    };
    format!("{} {}{subresource} {place}", access.verb, access.resource)
}
