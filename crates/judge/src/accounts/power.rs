//! What of a rule's rights an agent would be held for, and which lead to other accounts.

use effects::{EffectKind, about::Right, is_builtin, is_builtin_group};
use k8s_openapi::api::rbac::v1::PolicyRule;
use upstream::Access;

use crate::access;

/// A verb, a group, a resource and a subresource.
pub(super) type RightPattern = (&'static str, &'static str, &'static str, &'static str);

const RBAC: &str = "rbac.authorization.k8s.io";

/// Held wherever it is done: those that other authorizers than RBAC are asked about too.
pub(super) const SAMPLED: [RightPattern; 10] = [
    ("delete", "apps", "deployments", ""),
    ("delete", "apps", "statefulsets", ""),
    ("delete", "", "persistentvolumeclaims", ""),
    ("delete", "", "secrets", ""),
    ("create", "", "pods", "eviction"),
    ("create", "", "serviceaccounts", "token"),
    ("impersonate", "", "serviceaccounts", ""),
    ("create", RBAC, "rolebindings", ""),
    ("update", RBAC, "rolebindings", ""),
    ("update", RBAC, "roles", ""),
];

/// The others of Kubernetes' own resources that are held wherever it is done, whatever is written.
const ANYWHERE: [RightPattern; 16] = [
    ("delete", "", "namespaces", ""),
    ("delete", "apps", "daemonsets", ""),
    ("delete", "apps", "replicasets", ""),
    ("delete", "", "replicationcontrollers", ""),
    ("delete", "batch", "jobs", ""),
    ("delete", "batch", "cronjobs", ""),
    ("create", "", "namespaces", "finalize"),
    ("update", "", "namespaces", "finalize"),
    ("create", "", "bindings", ""),
    ("create", "", "pods", "binding"),
    // As constrained impersonation (KEP-5284) names it.
    ("impersonate", "authentication.k8s.io", "serviceaccounts", ""),
    ("create", RBAC, "roles", ""),
    ("create", "certificates.k8s.io", "podcertificaterequests", ""),
    ("update", "certificates.k8s.io", "podcertificaterequests", ""),
    ("create", "certificates.k8s.io", "podcertificaterequests", "status"),
    ("update", "certificates.k8s.io", "podcertificaterequests", "status"),
];

/// What code starts by, as whichever account of its namespace it names; a Secret may name one too, and
/// becomes its token.
const STARTS: [(&str, &str); 10] = [
    ("", "pods"),
    ("apps", "deployments"),
    ("apps", "statefulsets"),
    ("apps", "daemonsets"),
    ("apps", "replicasets"),
    ("apps", "controllerrevisions"),
    ("", "replicationcontrollers"),
    ("batch", "jobs"),
    ("batch", "cronjobs"),
    ("", "secrets"),
];

/// A verb that stands for all: a way into a pod is one by whichever it is opened.
const USE: &str = "use";

/// What else leads to the accounts of a namespace: where code of theirs runs already, or their tokens.
const REACHES: [RightPattern; 7] = [
    ("update", "", "pods", "ephemeralcontainers"),
    (USE, "", "pods", "exec"),
    (USE, "", "pods", "attach"),
    (USE, "", "pods", "portforward"),
    (USE, "", "pods", "proxy"),
    (USE, "", "services", "proxy"),
    ("get", "", "secrets", ""),
];

/// A resource, and verbs that nobody is held for.
type HarmlessRight = (&'static str, &'static str, &'static [&'static str]);

/// Creates that store nothing.
const REVIEWS: [HarmlessRight; 6] = [
    ("authentication.k8s.io", "selfsubjectreviews", &["create"]),
    ("authentication.k8s.io", "tokenreviews", &["create"]),
    ("authorization.k8s.io", "selfsubjectaccessreviews", &["create"]),
    ("authorization.k8s.io", "selfsubjectrulesreviews", &["create"]),
    ("authorization.k8s.io", "localsubjectaccessreviews", &["create"]),
    ("authorization.k8s.io", "subjectaccessreviews", &["create"]),
];

/// Writes that are held in protected namespaces alone, as any is.
const EVENTS: [HarmlessRight; 2] = [
    ("", "events", &["create", "patch", "update"]),
    ("events.k8s.io", "events", &["create", "patch", "update"]),
];

/// As events; everywhere is also where they are the control plane's heartbeats.
const LEASES: [HarmlessRight; 1] =
    [("coordination.k8s.io", "leases", &["create", "patch", "update"])];

/// Subresources that a read opens a way into.
const WAYS_IN: [&str; 4] = ["exec", "attach", "portforward", "proxy"];

/// Verbs of requests that write.
const WRITES: [&str; 5] = ["create", "update", "patch", "delete", "deletecollection"];

/// Where a rule holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Scope<'a> {
    /// Everywhere, and outside namespaces.
    Cluster,
    /// In a namespace where any write is held.
    Protected(&'a str),
    /// In one of production that is not protected.
    Production(&'a str),
    /// In a namespace that is declared to be neither.
    Ordinary(&'a str),
}

/// One right of the rule for which an agent would be held.
pub(super) fn of(rule: &PolicyRule, scope: Scope<'_>) -> Option<Right> {
    let right = match scope {
        Scope::Ordinary(_) => held_anywhere(rule),
        Scope::Cluster | Scope::Protected(_) | Scope::Production(_) => outside_reads(rule, scope),
    };
    let namespace = match scope {
        Scope::Cluster => "",
        Scope::Protected(it) | Scope::Production(it) | Scope::Ordinary(it) => it,
    };
    right.map(|right| Right { namespace: namespace.to_owned(), ..right })
}

/// A right of the rule that leads to the other accounts of its namespace. Elsewhere than in an
/// ordinary one such a right is held by itself.
pub(super) fn way(rule: &PolicyRule, scope: Scope<'_>) -> Option<Right> {
    let Scope::Ordinary(namespace) = scope else { return None };
    let start = |(group, resource)| ["create", "update"].map(|verb| (verb, group, resource, ""));
    let mut all = STARTS.into_iter().flat_map(start).chain(REACHES);
    let found = all.find(|it| covers(rule, *it))?;
    Some(Right { namespace: namespace.to_owned(), ..of_pattern(found) })
}

fn held_anywhere(rule: &PolicyRule) -> Option<Right> {
    let known = SAMPLED.iter().chain(&ANYWHERE).find(|it| covers(rule, **it));
    known.map(|it| of_pattern(*it)).or_else(|| held_custom(rule))
}

/// The first write of the rule to what Kubernetes does not serve itself that is held wherever it is
/// done: a delete, and any to a group that is known to act, or not known at all.
fn held_custom(rule: &PolicyRule) -> Option<Right> {
    let is_held = |verb: &str, group: &str, resource: &str| {
        let (main, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        if group == "*" {
            return true;
        }
        if is_builtin(group, main) || (main == "*" && is_builtin_group(group)) {
            return false;
        }
        let call = access::call_for(&Access {
            verb: verb.to_owned(),
            group: group.to_owned(),
            resource: main.to_owned(),
            subresource: subresource.to_owned(),
            ..Access::default()
        });
        let plan = effects::plan(&call, false);
        plan.effects.iter().any(|effect| effect.kind != EffectKind::WriteCustom)
    };
    rights(rule).find_map(|(verb, group, resource)| {
        let mut verbs = WRITES.into_iter().filter(|it| verb == "*" || *it == verb);
        verbs.find(|it| is_held(it, group, resource)).map(|it| right(it, group, resource))
    })
}

/// Every verb, group and resource that the rule names together.
fn rights(rule: &PolicyRule) -> impl Iterator<Item = (&str, &str, &str)> {
    let groups = rule.api_groups.as_deref().unwrap_or_default();
    let resources = rule.resources.as_deref().unwrap_or_default();
    let pairs = groups.iter().flat_map(move |group| resources.iter().map(move |it| (group, it)));
    pairs.flat_map(|(group, resource)| {
        rule.verbs.iter().map(move |verb| (verb.as_str(), group.as_str(), resource.as_str()))
    })
}

/// The first right that is neither a read nor known to be harmless.
fn outside_reads(rule: &PolicyRule, scope: Scope<'_>) -> Option<Right> {
    if rule.non_resource_urls.as_ref().is_some_and(|it| !it.is_empty()) {
        let is_read = |verb: &&String| ["get", "head", "options"].contains(&verb.as_str());
        return rule.verbs.iter().find(|verb| !is_read(verb)).map(|verb| right(verb, "", ""));
    }
    rights(rule)
        .find(|(verb, group, resource)| !is_harmless(verb, group, resource, scope))
        .map(|(verb, group, resource)| right(verb, group, resource))
}

fn is_harmless(verb: &str, group: &str, resource: &str, scope: Scope<'_>) -> bool {
    let (main, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    if ["get", "list", "watch"].contains(&verb) {
        // Whoever reads credentials has the rights that they give.
        let secrets = ["*", "secrets"].contains(&main) && ["", "*"].contains(&group);
        let opens = subresource == "*" || WAYS_IN.contains(&subresource);
        return !(secrets || opens);
    }
    let is_in = |chores: &[HarmlessRight]| {
        chores.iter().any(|(its_group, its_resource, verbs)| {
            (*its_group, *its_resource) == (group, resource) && verbs.contains(&verb)
        })
    };
    is_in(&REVIEWS)
        || match scope {
            Scope::Protected(_) => false,
            Scope::Production(_) | Scope::Ordinary(_) => is_in(&EVENTS) || is_in(&LEASES),
            Scope::Cluster => is_in(&EVENTS),
        }
}

/// As RBAC matches a rule; names are not looked at, since any may be the one that matters.
fn covers(rule: &PolicyRule, (verb, group, resource, subresource): RightPattern) -> bool {
    let has = |list: Option<&[String]>, is: &dyn Fn(&str) -> bool| {
        list.unwrap_or_default().iter().any(|it| it == "*" || is(it))
    };
    // A right to many objects includes each of them.
    let is_verb = |it: &str| match verb {
        "get" => matches!(it, "get" | "list" | "watch"),
        "update" => matches!(it, "update" | "patch"),
        "delete" => matches!(it, "delete" | "deletecollection"),
        "impersonate" => it.starts_with(verb),
        USE => true,
        verb => it == verb,
    };
    let is_resource = |it: &str| match (subresource, it.split_once('/')) {
        ("", None) => it == resource,
        (_, Some((main, sub))) => (main == "*" || main == resource) && sub == subresource,
        _ => false,
    };
    has(Some(&rule.verbs), &is_verb)
        && has(rule.api_groups.as_deref(), &|it| it == group)
        && has(rule.resources.as_deref(), &is_resource)
}

fn of_pattern((verb, group, resource, subresource): RightPattern) -> Right {
    match subresource {
        "" => right(verb, group, resource),
        subresource => right(verb, group, &format!("{resource}/{subresource}")),
    }
}

/// Wherever it holds.
fn right(verb: &str, api_group: &str, resource: &str) -> Right {
    Right {
        verb: verb.to_owned(),
        api_group: api_group.to_owned(),
        resource: resource.to_owned(),
        namespace: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use attributes::User;
    use effects::{Builtin, ClassConfig, NamespaceClass, Unknown};
    use policy::{Decision, Input, Objects, Pack};
    use serde_json::Value;

    use super::*;

    fn rule(verbs: &str, group: &str, resources: &str) -> PolicyRule {
        let list = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
        PolicyRule {
            verbs: list(verbs),
            api_groups: Some(vec![group.to_owned()]),
            resources: Some(list(resources)),
            ..PolicyRule::default()
        }
    }

    #[test]
    fn lets_reads_and_the_chores_of_controllers_be() {
        let table = [
            rule("get,list,watch", "", "pods,services,pods/log,configmaps,nodes"),
            rule("get,list,watch", "apps", "*"),
            rule("create,patch", "", "events"),
            rule("create", "authentication.k8s.io", "tokenreviews"),
            rule("create", "authorization.k8s.io", "selfsubjectaccessreviews,subjectaccessreviews"),
        ];
        for rule in table {
            for scope in [Scope::Cluster, Scope::Production("shop"), Scope::Ordinary("dev")] {
                assert_eq!(of(&rule, scope), None, "{rule:?} {scope:?}");
            }
        }
        let leases = rule("create,update", "coordination.k8s.io", "leases");
        assert_eq!(of(&leases, Scope::Production("shop")), None);
        let metrics = PolicyRule {
            verbs: vec!["get".into()],
            non_resource_urls: Some(vec!["/metrics".into()]),
            ..PolicyRule::default()
        };
        assert_eq!(of(&metrics, Scope::Cluster), None);
    }

    #[test]
    fn names_what_an_agent_would_be_held_for() {
        let anything = PolicyRule {
            verbs: vec!["*".into()],
            non_resource_urls: Some(vec!["*".into()]),
            ..PolicyRule::default()
        };
        let guarded = Scope::Production("shop");
        let table = [
            (rule("update", "apps", "deployments"), guarded, "update deployments of apps in shop"),
            (
                rule("get,update", "apps", "deployments/scale"),
                guarded,
                "update deployments/scale of apps in shop",
            ),
            (
                rule("patch", "example.com", "widgets"),
                guarded,
                "patch widgets of example.com in shop",
            ),
            (rule("get", "", "pods/exec"), guarded, "get pods/exec in shop"),
            (rule("get", "", "secrets"), guarded, "get secrets in shop"),
            (rule("get", "*", "secrets"), guarded, "get secrets of all groups in shop"),
            (rule("list", "*", "*"), guarded, "list all resources of all groups in shop"),
            (rule("get", "", "nodes/proxy"), Scope::Cluster, "get nodes/proxy everywhere"),
            (
                rule("update", "coordination.k8s.io", "leases"),
                Scope::Cluster,
                "update leases of coordination.k8s.io everywhere",
            ),
            (
                rule("update", "coordination.k8s.io", "leases"),
                Scope::Protected("kube-system"),
                "update leases of coordination.k8s.io in kube-system",
            ),
            (rule("create", "", "events"), Scope::Protected("vault"), "create events in vault"),
            (rule("impersonate", "", "users"), Scope::Cluster, "impersonate users everywhere"),
            (
                rule("bind", "rbac.authorization.k8s.io", "clusterroles"),
                Scope::Cluster,
                "bind clusterroles of rbac.authorization.k8s.io everywhere",
            ),
            (rule("*", "", "events"), guarded, "do anything with events in shop"),
            (anything, Scope::Cluster, "* any URL everywhere"),
            (
                rule("deletecollection", "apps", "deployments"),
                Scope::Ordinary("dev"),
                "delete deployments of apps in dev",
            ),
            (
                rule("create", "", "*/eviction"),
                Scope::Ordinary("dev"),
                "create pods/eviction in dev",
            ),
            (
                rule("impersonate", "", "serviceaccounts"),
                Scope::Ordinary("dev"),
                "impersonate serviceaccounts in dev",
            ),
            (
                rule("patch,bind", "rbac.authorization.k8s.io", "rolebindings"),
                Scope::Ordinary("dev"),
                "update rolebindings of rbac.authorization.k8s.io in dev",
            ),
            (rule("*", "*", "*"), Scope::Ordinary("dev"), "delete deployments of apps in dev"),
            (
                rule("impersonate:serviceaccount", "authentication.k8s.io", "serviceaccounts"),
                Scope::Ordinary("dev"),
                "impersonate serviceaccounts of authentication.k8s.io in dev",
            ),
            (
                rule("get,*", "example.com", "*"),
                Scope::Ordinary("dev"),
                "delete all resources of example.com in dev",
            ),
            (
                rule("patch", "argoproj.io", "*/status"),
                Scope::Ordinary("dev"),
                "patch */status of argoproj.io in dev",
            ),
            // It may be an acting group's.
            (
                rule("create", "*", "services"),
                Scope::Ordinary("dev"),
                "create services of all groups in dev",
            ),
        ];
        for (rule, scope, want) in table {
            let found = of(&rule, scope).as_ref().map(effects::describe::right);
            assert_eq!(found.as_deref(), Some(want), "{rule:?}");
        }
    }

    /// Whether the default pack holds a write to anything of this kind, whatever its body says.
    fn is_held(
        pack: &Pack,
        (verb, group, resource): (&str, &str, &str),
        labels: &[(&str, &str)],
    ) -> Option<bool> {
        let (main, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        let call = access::call_for(&Access {
            verb: verb.into(),
            group: group.into(),
            resource: main.into(),
            subresource: subresource.into(),
            namespace: "dev".into(),
            name: "x".into(),
        });
        let plan = effects::plan(&call, false);
        let mut effects = plan.effects;
        if is_builtin(group, main) {
            // A verb that the resource does not have.
            if effects.iter().any(|it| it.kind == EffectKind::Unknown) {
                return None;
            }
            if effects::decides_access(&call) && !verb.starts_with("delete") {
                effects.extend(effects::of_refused(&call, Unknown::NoPreview));
            }
        }
        let labels = labels.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        let verdict = pack.decide(&Input {
            attributes: &call,
            user: &User::default(),
            class: &NamespaceClass::of("dev", Some(&labels), &ClassConfig::default()),
            is_write: plan.route.stores(),
            effects: &effects,
            objects: Objects::Later,
            changes: &[],
            earlier: &[],
            redact: &Value::clone,
            now: jiff::Timestamp::UNIX_EPOCH,
        });
        Some(verdict.decision() != Decision::Allow)
    }

    /// Every kind that Kubernetes serves in namespaces, and some that it does not, with each verb.
    fn writes() -> Vec<(&'static str, &'static str, String)> {
        let builtin = Builtin::all()
            .iter()
            .filter(|it| it.is_namespaced || it.resource == "namespaces")
            .flat_map(|it| {
                let subs = it.subresources.iter().map(|sub| format!("{}/{sub}", it.resource));
                subs.chain([it.resource.to_owned()]).map(|resource| (it.group, resource))
            });
        let custom = [
            ("example.com", "widgets"),
            ("example.com", "widgets/status"),
            ("argoproj.io", "workflows"),
            ("argoproj.io", "workflows/status"),
            ("serving.knative.dev", "services"),
            ("metrics.k8s.io", "pods"),
            ("subresources.kubevirt.io", "virtualmachines/start"),
        ];
        let custom = custom.into_iter().map(|(group, resource)| (group, resource.to_owned()));
        let all = builtin.chain(custom);
        all.flat_map(|(group, it)| WRITES.map(|verb| (verb, group, it.clone()))).collect()
    }

    #[test]
    fn an_ordinary_namespace_is_held_as_the_default_pack_holds_it() {
        let pack = Pack::default_pack().expect("the default pack");
        let mut held = 0;
        for (verb, group, resource) in writes() {
            let right = (verb, group, resource.as_str());
            let Some(want) = is_held(&pack, right, &[("env", "dev")]) else { continue };
            // One cannot delete many Namespaces by a right in one of them.
            if (verb, resource.as_str()) == ("deletecollection", "namespaces") {
                continue;
            }
            let got = of(&rule(verb, group, &resource), Scope::Ordinary("dev"));
            assert_eq!(got.is_some(), want, "{verb} {resource} of `{group}`: {got:?}");
            held += usize::from(want);
        }
        assert!(held > 40, "{held}: the default pack is asked");
    }

    #[test]
    fn nothing_that_the_default_pack_holds_in_a_guarded_namespace_is_harmless_there() {
        let pack = Pack::default_pack().expect("the default pack");
        let protected = [("env", "dev"), ("agent-shield.io/protected", "true")];
        let production = [("env", "production")];
        for (verb, group, resource) in writes() {
            for (scope, labels) in
                [(Scope::Protected("dev"), &protected[..]), (Scope::Production("dev"), &production)]
            {
                if is_held(&pack, (verb, group, resource.as_str()), labels) == Some(true) {
                    let got = of(&rule(verb, group, &resource), scope);
                    assert!(got.is_some(), "{verb} {resource} of `{group}` {scope:?}");
                }
            }
        }
    }

    #[test]
    fn knows_what_leads_to_other_accounts() {
        let way = |rule: &PolicyRule, scope| {
            way(rule, scope).map(|right| effects::describe::right(&right))
        };
        let table = [
            (rule("create", "", "pods"), "create pods"),
            (rule("patch", "apps", "deployments"), "update deployments of apps"),
            (rule("create", "batch", "cronjobs"), "create cronjobs of batch"),
            (rule("get", "", "pods/exec"), "use pods/exec"),
            (rule("delete", "", "*/proxy"), "use pods/proxy"),
            (rule("patch", "", "pods/ephemeralcontainers"), "update pods/ephemeralcontainers"),
            (rule("watch", "", "secrets"), "get secrets"),
            (rule("list", "*", "*"), "use pods/exec"),
        ];
        for (rule, want) in table {
            let want = format!("{want} in dev");
            assert_eq!(way(&rule, Scope::Ordinary("dev")), Some(want), "{rule:?}");
            assert_eq!(way(&rule, Scope::Production("dev")), None, "held by itself: {rule:?}");
        }
        let none = [
            rule("get,list,watch", "", "pods,pods/log,configmaps"),
            rule("create,update,patch,delete", "", "configmaps,events,services"),
            rule("update", "apps", "deployments/scale,deployments/status"),
            rule("delete", "", "pods"),
            rule("create", "example.com", "pods"),
        ];
        for rule in none {
            assert_eq!(way(&rule, Scope::Ordinary("dev")), None, "{rule:?}");
        }
    }
}
