//! What a service account may do that an agent would be held for (DEFAULTS Q11).
//!
//! Code in a pod acts with its service account's rights and not through this proxy, so whoever makes
//! or changes such a pod takes them. The rules of every role that RBAC gives the account are read;
//! one that has only reads and chores in guarded namespaces, and none of the mission's deletes
//! elsewhere, is harmless. The API server may ask other authorizers than RBAC, whose rules cannot be
//! read: they are asked (SubjectAccessReview) about a sample of rights.

mod power;
mod rbac;

use attributes::User;
use effects::{Effect, EffectKind};
use futures_util::{StreamExt, TryStreamExt, stream};
use upstream::Access;

use self::power::{ANYWHERE, Place, Telling};
pub(crate) use self::rbac::Bindings;
use crate::Proxy;

/// Questions at a time.
const ASKED_AT_A_TIME: usize = 16;

/// Held in guarded namespaces.
const GUARDED: [Telling; 7] = [
    ("create", "", "pods", ""),
    ("delete", "", "pods", ""),
    ("create", "", "pods", "exec"),
    ("patch", "apps", "deployments", ""),
    ("update", "apps", "deployments", ""),
    ("patch", "apps", "statefulsets", ""),
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
    ("create", "rbac.authorization.k8s.io", "clusterrolebindings", ""),
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
        match self.power_in_rbac(&user).await {
            Ok(None) => self.power_asked_for(&user, namespace).await,
            power => power,
        }
        .map_err(|_| "its rights could not be looked up")
    }

    async fn power_in_rbac(&self, user: &User) -> Result<Option<String>, ()> {
        let given = self.bindings.of(&self.own, user).await.ok_or(())?;
        let powers = stream::iter(given)
            .map(async |given| {
                let rules = given.rules(&self.own).await.ok_or(())?;
                let place = given.namespace.as_deref().map_or(Place::Cluster, |it| self.place(it));
                Ok(rules.iter().find_map(|rule| power::of(rule, place)))
            })
            .buffered(ASKED_AT_A_TIME);
        let mut powers = std::pin::pin!(powers.try_filter_map(async |it| Ok(it)));
        powers.try_next().await
    }

    fn place<'a>(&self, namespace: &'a str) -> Place<'a> {
        // One that the watch does not know yet: nobody knows that it is not guarded.
        let known = self.namespaces.known(namespace);
        match known.is_none_or(|class| class.production || class.protected) {
            true => Place::Guarded(namespace),
            false => Place::Ordinary(namespace),
        }
    }

    async fn power_asked_for(&self, user: &User, namespace: &str) -> Result<Option<String>, ()> {
        let everywhere = [&ANYWHERE[..], &GUARDED[..], &CLUSTER[..]].concat();
        let everywhere = everywhere.into_iter().map(|it| access(it, ""));
        let here = ANYWHERE.iter().map(|it| access(*it, namespace));
        let asked: Vec<Access> = everywhere.chain(here).collect();
        let answers = stream::iter(asked)
            .map(async |access| Ok((self.own.may(user, &access).await.map_err(|_| ())?, access)))
            .buffered(ASKED_AT_A_TIME);
        let granted = answers.try_filter_map(async |(may, access)| Ok(may.then(|| words(&access))));
        std::pin::pin!(granted).try_next().await
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
