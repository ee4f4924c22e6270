//! What a service account may do that an agent would be held for (DEFAULTS Q11).
//!
//! Code in a pod acts with its service account's rights and not through this proxy, so whoever makes
//! or changes such a pod takes them. The rules of every role that RBAC gives the account are read;
//! one that has only reads and chores in guarded namespaces, and elsewhere nothing that is held there
//! too, is harmless. Who may start code in a namespace, or reach what runs there, may do what any
//! account of that namespace may: their roles are read as well, and so on from there. The API server
//! may ask other authorizers than RBAC, whose rules cannot be read: they are asked
//! (SubjectAccessReview) about a sample of rights.

mod answered;
mod power;
mod rbac;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use attributes::User;
use effects::{
    About, Effect, EffectKind,
    about::{Hop, Right, Rights, RightsPath},
};
use futures_util::{StreamExt, TryStreamExt, stream};
use upstream::{Access, ControlClient, Namespaces};

use self::{
    answered::Answered,
    power::{RightPattern, SAMPLED, Scope},
    rbac::{Bindings, Given, Roles},
};

/// Questions at a time.
const ASKED_AT_A_TIME: usize = 16;
/// Namespaces on the way from an account to a power; what lies further is not known.
const HOPS_MAX: usize = 16;

/// Held in guarded namespaces.
const GUARDED: [RightPattern; 7] = [
    ("create", "", "pods", ""),
    ("delete", "", "pods", ""),
    ("create", "", "pods", "exec"),
    ("patch", "apps", "deployments", ""),
    ("update", "apps", "deployments", ""),
    ("patch", "apps", "statefulsets", ""),
    ("patch", "", "services", ""),
];

/// Held outside namespaces; a right to Secrets everywhere is a right to everybody's.
const CLUSTER: [RightPattern; 14] = [
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

/// What accounts may do, by namespace and name; for reviewers.
#[derive(Default)]
pub(crate) struct Powers(BTreeMap<(String, String), Rights>);

impl Powers {
    /// Adds it to what is told of each account's effect. A decision's reason is read by the agent,
    /// whom others' rights are not to be told: it is made before.
    pub(crate) fn tell(&self, effects: &mut [Effect]) {
        for effect in effects {
            let account = account_of(effect).and_then(|it| self.0.get(&it));
            if let (Some(rights), About::RunsAs(runs_as)) = (account, &mut effect.about) {
                runs_as.rights = rights.clone();
            }
        }
    }
}

/// The service account, by namespace and name, as which code runs by this effect.
fn account_of(effect: &Effect) -> Option<(String, String)> {
    let is_account =
        effect.kind == EffectKind::Borrow && effect.object.resource == "serviceaccounts";
    is_account.then(|| (effect.object.namespace.clone(), effect.object.name.clone()))
}

/// The rights of the cluster's service accounts.
pub(crate) struct Accounts {
    own: ControlClient,
    namespaces: Namespaces,
    bindings: Bindings,
    answered: Answered,
}

impl Accounts {
    /// Asks with the proxy's own credential.
    pub(crate) fn new(own: ControlClient, namespaces: Namespaces) -> Self {
        Self { own, namespaces, bindings: Bindings::default(), answered: Answered::default() }
    }

    /// Drops the effects of running code as a service account that turns out to be harmless; of the
    /// others, what they may do.
    pub(crate) async fn weigh(&self, effects: &mut Vec<Effect>) -> Powers {
        let accounts: BTreeSet<_> = effects.iter().filter_map(account_of).collect();
        let mut roles = Roles::default();
        let mut powers = Powers::default();
        for account in accounts {
            let told = match self.power_of(&account.0, &account.1, &mut roles).await {
                Ok(None) => continue,
                Ok(Some(path)) => Rights::May(path),
                Err(()) => Rights::Unknown,
            };
            powers.0.insert(account, told);
        }
        effects.retain(|it| account_of(it).is_none_or(|account| powers.0.contains_key(&account)));
        powers
    }

    /// One thing that the account may do and an agent would be held for.
    async fn power_of(
        &self,
        namespace: &str,
        name: &str,
        roles: &mut Roles,
    ) -> Result<Option<RightsPath>, ()> {
        let user = rbac::user_of(namespace, name);
        // Both at once: most accounts need both answers.
        let (read, asked) =
            tokio::join!(self.power_in_rbac(&user, roles), self.power_asked_for(&user, namespace));
        match read {
            Ok(None) => asked,
            power => power,
        }
    }

    /// What RBAC lets the account do, itself or as another that its rights lead to, nearest first.
    async fn power_in_rbac(
        &self,
        user: &User,
        roles: &mut Roles,
    ) -> Result<Option<RightsPath>, ()> {
        let listed = self.bindings.list(&self.own).await.ok_or(())?;
        let mut reached = BTreeSet::new();
        let mut held: Vec<(Vec<Hop>, Given)> =
            listed.of(user).into_iter().map(|given| (Vec::new(), given)).collect();
        for _ in 0..HOPS_MAX {
            roles.read(&self.own, held.iter().map(|(_, given)| given)).await.ok_or(())?;
            let rights: Vec<_> = held
                .iter()
                .flat_map(|(way, given)| {
                    let scope =
                        given.namespace.as_deref().map_or(Scope::Cluster, |it| self.scope(it));
                    roles.rules(given).iter().map(move |rule| (way, scope, rule))
                })
                .collect();
            let power = rights
                .iter()
                .find_map(|(way, scope, rule)| Some((Vec::clone(way), power::of(rule, *scope)?)));
            if let Some((through, right)) = power {
                return Ok(Some(RightsPath { through, right }));
            }
            let mut next = Vec::new();
            for (way, scope, rule) in rights {
                let Some(right) = power::way(rule, scope) else { continue };
                if !reached.insert(right.namespace.clone()) {
                    continue;
                }
                let accounts = listed.of_accounts(&right.namespace);
                next.extend(accounts.into_iter().map(|(account, given)| {
                    let hop = Hop { right: right.clone(), account };
                    ([way.as_slice(), &[hop]].concat(), given)
                }));
            }
            if next.is_empty() {
                return Ok(None);
            }
            held = next;
        }
        tracing::warn!(
            username = user.username,
            HOPS_MAX,
            "an account leads through more namespaces"
        );
        Err(())
    }

    fn scope<'a>(&self, namespace: &'a str) -> Scope<'a> {
        // A namespace that the watch has not seen yet may be a guarded one.
        match self.namespaces.known(namespace) {
            Some(class) if !class.protected && !class.production => Scope::Ordinary(namespace),
            Some(class) if !class.protected => Scope::Production(namespace),
            _ => Scope::Protected(namespace),
        }
    }

    async fn power_asked_for(
        &self,
        user: &User,
        namespace: &str,
    ) -> Result<Option<RightsPath>, ()> {
        let now = Instant::now();
        if self.answered.was_refused(&user.username, now) {
            return Ok(None);
        }
        let everywhere = [&SAMPLED[..], &GUARDED[..], &CLUSTER[..]].concat();
        let everywhere = everywhere.into_iter().map(|it| access(it, ""));
        let here = SAMPLED.iter().map(|it| access(*it, namespace));
        let asked: Vec<Access> = everywhere.chain(here).collect();
        let answers = stream::iter(asked)
            .map(async |access| Ok((self.own.may(user, &access).await.map_err(|_| ())?, access)))
            .buffered(ASKED_AT_A_TIME);
        let granted =
            answers.try_filter_map(async |(may, access)| Ok(may.then(|| path_to(&access))));
        let first = std::pin::pin!(granted).try_next().await;
        if let Ok(None) = &first {
            self.answered.refused(&user.username, now);
        }
        first
    }
}

fn access((verb, group, resource, subresource): RightPattern, namespace: &str) -> Access {
    Access {
        verb: verb.to_owned(),
        group: group.to_owned(),
        resource: resource.to_owned(),
        subresource: subresource.to_owned(),
        namespace: namespace.to_owned(),
        name: String::new(),
    }
}

/// A right that the account has itself.
fn path_to(access: &Access) -> RightsPath {
    let resource = match access.subresource.as_str() {
        "" => access.resource.clone(),
        subresource => format!("{}/{subresource}", access.resource),
    };
    let right = Right {
        verb: access.verb.clone(),
        api_group: access.group.clone(),
        resource,
        namespace: access.namespace.clone(),
    };
    RightsPath { through: Vec::new(), right }
}
