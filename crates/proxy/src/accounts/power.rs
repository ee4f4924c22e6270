//! What of a rule's rights an agent would be held for.

use k8s_openapi::api::rbac::v1::PolicyRule;

/// A verb, a group, a resource and a subresource.
pub(super) type Telling = (&'static str, &'static str, &'static str, &'static str);

const RBAC: &str = "rbac.authorization.k8s.io";

/// Held wherever it is done.
pub(super) const ANYWHERE: [Telling; 10] = [
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

/// Writes that nobody is held for, wherever: a resource and its verbs.
const HARMLESS: [(&str, &str, &[&str]); 8] = [
    ("", "events", &["create", "patch", "update"]),
    ("events.k8s.io", "events", &["create", "patch", "update"]),
    ("authentication.k8s.io", "selfsubjectreviews", &["create"]),
    ("authentication.k8s.io", "tokenreviews", &["create"]),
    ("authorization.k8s.io", "selfsubjectaccessreviews", &["create"]),
    ("authorization.k8s.io", "selfsubjectrulesreviews", &["create"]),
    ("authorization.k8s.io", "localsubjectaccessreviews", &["create"]),
    ("authorization.k8s.io", "subjectaccessreviews", &["create"]),
];

/// Those of one namespace, unless it is the control plane's: there they are its heartbeats.
const LEASES: (&str, &str, &[&str]) =
    ("coordination.k8s.io", "leases", &["create", "patch", "update"]);

/// Subresources that a read opens a way into.
const WAYS_IN: [&str; 4] = ["exec", "attach", "portforward", "proxy"];

/// Where a rule holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place<'a> {
    /// Everywhere, and outside namespaces.
    Cluster,
    /// In a namespace of production, or a protected one.
    Guarded(&'a str),
    /// In a namespace that is declared to be neither.
    Ordinary(&'a str),
}

/// One right of the rule for which an agent would be held, as `delete secrets in payments`.
pub(super) fn of(rule: &PolicyRule, place: Place<'_>) -> Option<String> {
    let right = match place {
        Place::Ordinary(_) => ANYWHERE.iter().find(|it| covers(rule, **it)).map(|it| words(*it)),
        Place::Cluster | Place::Guarded(_) => outside_reads(rule, place),
    };
    let place = match place {
        Place::Cluster => "everywhere".to_owned(),
        Place::Guarded(namespace) | Place::Ordinary(namespace) => format!("in {namespace}"),
    };
    right.map(|right| format!("{right} {place}"))
}

/// The first right that is neither a read nor known to be harmless.
fn outside_reads(rule: &PolicyRule, place: Place<'_>) -> Option<String> {
    if rule.non_resource_urls.as_ref().is_some_and(|it| !it.is_empty()) {
        let is_read = |verb: &&String| ["get", "head", "options"].contains(&verb.as_str());
        return rule.verbs.iter().find(|verb| !is_read(verb)).map(|verb| format!("{verb} any URL"));
    }
    let groups = rule.api_groups.as_deref().unwrap_or_default();
    let resources = rule.resources.as_deref().unwrap_or_default();
    let all = groups.iter().flat_map(|group| resources.iter().map(move |it| (group, it)));
    all.flat_map(|(group, resource)| rule.verbs.iter().map(move |verb| (verb, group, resource)))
        .find(|(verb, group, resource)| !is_harmless(verb, group, resource, place))
        .map(|(verb, group, resource)| named(verb, group, resource))
}

fn is_harmless(verb: &str, group: &str, resource: &str, place: Place<'_>) -> bool {
    let (main, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    if ["get", "list", "watch"].contains(&verb) {
        // A right to other people's credentials is their right.
        let secrets = ["*", "secrets"].contains(&main) && ["", "*"].contains(&group);
        let opens = subresource == "*" || WAYS_IN.contains(&subresource);
        return !(secrets || opens);
    }
    let is_listed = |(its_group, its_resource, verbs): &(&str, &str, &[&str])| {
        (*its_group, *its_resource) == (group, resource) && verbs.contains(&verb)
    };
    let leases = match place {
        Place::Guarded(namespace) => !namespace.starts_with("kube-") && is_listed(&LEASES),
        _ => false,
    };
    leases || HARMLESS.iter().any(is_listed)
}

/// As RBAC matches a rule; names are not looked at, since any may be the one that matters.
fn covers(rule: &PolicyRule, (verb, group, resource, subresource): Telling) -> bool {
    let has = |list: Option<&[String]>, wanted: &[&str]| {
        let list = list.unwrap_or_default();
        list.iter().any(|it| it == "*" || wanted.contains(&it.as_str()))
    };
    let whole = match subresource {
        "" => resource.to_owned(),
        subresource => format!("{resource}/{subresource}"),
    };
    let any_of_it = format!("*/{subresource}");
    // Who may change many may change one.
    let verbs: &[&str] = match verb {
        "delete" => &["delete", "deletecollection"],
        "update" => &["update", "patch"],
        _ => &[verb],
    };
    has(Some(&rule.verbs), verbs)
        && has(rule.api_groups.as_deref(), &[group])
        && has(rule.resources.as_deref(), &[&whole, &any_of_it])
}

fn words((verb, group, resource, subresource): Telling) -> String {
    match subresource {
        "" => named(verb, group, resource),
        subresource => named(verb, group, &format!("{resource}/{subresource}")),
    }
}

fn named(verb: &str, group: &str, resource: &str) -> String {
    let verb = if verb == "*" { "do anything with" } else { verb };
    let resource = if resource == "*" { "all resources" } else { resource };
    match group {
        "" => format!("{verb} {resource}"),
        "*" => format!("{verb} {resource} of all groups"),
        group => format!("{verb} {resource} of {group}"),
    }
}

#[cfg(test)]
mod tests {
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
            for place in [Place::Cluster, Place::Guarded("shop"), Place::Ordinary("dev")] {
                assert_eq!(of(&rule, place), None, "{rule:?} {place:?}");
            }
        }
        let leases = rule("create,update", "coordination.k8s.io", "leases");
        assert_eq!(of(&leases, Place::Guarded("shop")), None);
        let metrics = PolicyRule {
            verbs: vec!["get".into()],
            non_resource_urls: Some(vec!["/metrics".into()]),
            ..PolicyRule::default()
        };
        assert_eq!(of(&metrics, Place::Cluster), None);
    }

    #[test]
    fn names_what_an_agent_would_be_held_for() {
        let anything = PolicyRule {
            verbs: vec!["*".into()],
            non_resource_urls: Some(vec!["*".into()]),
            ..PolicyRule::default()
        };
        let guarded = Place::Guarded("shop");
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
            (rule("get", "", "nodes/proxy"), Place::Cluster, "get nodes/proxy everywhere"),
            (
                rule("update", "coordination.k8s.io", "leases"),
                Place::Cluster,
                "update leases of coordination.k8s.io everywhere",
            ),
            (
                rule("update", "coordination.k8s.io", "leases"),
                Place::Guarded("kube-system"),
                "update leases of coordination.k8s.io in kube-system",
            ),
            (rule("impersonate", "", "users"), Place::Cluster, "impersonate users everywhere"),
            (
                rule("bind", "rbac.authorization.k8s.io", "clusterroles"),
                Place::Cluster,
                "bind clusterroles of rbac.authorization.k8s.io everywhere",
            ),
            (rule("*", "", "events"), guarded, "do anything with events in shop"),
            (anything, Place::Cluster, "* any URL everywhere"),
            (
                rule("deletecollection", "apps", "deployments"),
                Place::Ordinary("dev"),
                "delete deployments of apps in dev",
            ),
            (
                rule("create", "", "*/eviction"),
                Place::Ordinary("dev"),
                "create pods/eviction in dev",
            ),
            (
                rule("impersonate", "", "serviceaccounts"),
                Place::Ordinary("dev"),
                "impersonate serviceaccounts in dev",
            ),
            (
                rule("patch,bind", "rbac.authorization.k8s.io", "rolebindings"),
                Place::Ordinary("dev"),
                "update rolebindings of rbac.authorization.k8s.io in dev",
            ),
            (rule("*", "*", "*"), Place::Ordinary("dev"), "delete deployments of apps in dev"),
        ];
        for (rule, place, want) in table {
            assert_eq!(of(&rule, place).as_deref(), Some(want), "{rule:?}");
        }
        let ordinary = Place::Ordinary("dev");
        assert_eq!(of(&rule("update,patch,create", "apps", "deployments"), ordinary), None);
        assert_eq!(of(&rule("delete", "", "pods,configmaps"), ordinary), None);
    }
}
