//! What agents are for: three sets of namespaced rights, each the one before it and more.
//!
//! RBAC stays the outer fence: agent-shield holds what a preset allows and policy finds destructive,
//! and nothing here is a right to anything outside the namespaces that are named. No preset reads
//! Secrets, runs code in pods, mints tokens, touches RBAC or sees nodes, and none has a wildcard:
//! a kind of object that is installed tomorrow is not in it.

use std::fmt;

use k8s_openapi::api::rbac::v1::PolicyRule;

/// What an agent is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Preset {
    /// Look at workloads, their logs, configuration and events.
    ReadOnly,
    /// Look, delete and evict pods, restart and scale workloads.
    Triage,
    /// Triage, and create, change and delete workloads and what belongs to them.
    Deployer,
}

/// One line of a preset: these verbs on these resources of one API group.
struct Grant {
    group: &'static str,
    resources: &'static [&'static str],
    verbs: &'static [&'static str],
}

const fn grant(
    group: &'static str,
    resources: &'static [&'static str],
    verbs: &'static [&'static str],
) -> Grant {
    Grant { group, resources, verbs }
}

const READ: &[&str] = &["get", "list", "watch"];
const WRITE: &[&str] = &["create", "update", "patch", "delete"];

/// Looking at everything that says how a workload does, and at nothing that is a secret by its kind.
/// Environment variables, logs and ConfigMaps are read: what is secret does not belong there.
/// The Namespace is read for its labels; in a Role that is the one namespace.
const READ_ONLY: &[Grant] = &[
    grant(
        "",
        &[
            "pods",
            "services",
            "endpoints",
            "configmaps",
            "events",
            "persistentvolumeclaims",
            "replicationcontrollers",
            "resourcequotas",
            "limitranges",
        ],
        READ,
    ),
    grant("", &["pods/log", "pods/status", "namespaces"], &["get"]),
    grant(
        "apps",
        &["deployments", "statefulsets", "daemonsets", "replicasets", "controllerrevisions"],
        READ,
    ),
    grant(
        "apps",
        &[
            "deployments/scale",
            "deployments/status",
            "statefulsets/scale",
            "statefulsets/status",
            "daemonsets/status",
            "replicasets/scale",
            "replicasets/status",
        ],
        &["get"],
    ),
    grant("batch", &["jobs", "cronjobs"], READ),
    grant("autoscaling", &["horizontalpodautoscalers"], READ),
    grant("policy", &["poddisruptionbudgets"], READ),
    grant("networking.k8s.io", &["ingresses", "networkpolicies"], READ),
    grant("discovery.k8s.io", &["endpointslices"], READ),
    grant("events.k8s.io", &["events"], READ),
    grant("metrics.k8s.io", &["pods"], &["get", "list"]),
];

/// What an on-call engineer does first: delete or evict a pod, restart, scale, leave a note.
/// A restart is a patch of the pod template, and RBAC cannot tell it from another patch of the same
/// object: which of them pass is what agent-shield judges.
const TRIAGE: &[Grant] = &[
    grant("", &["pods"], &["delete"]),
    grant("", &["pods/eviction"], &["create"]),
    grant("apps", &["deployments", "statefulsets", "daemonsets"], &["patch"]),
    grant("apps", &["deployments/scale", "statefulsets/scale"], &["patch", "update"]),
    grant("", &["events"], &["create"]),
    grant("events.k8s.io", &["events"], &["create"]),
];

/// What a release needs. Claims are made, never changed or deleted. Who makes a workload chooses what
/// its pods mount and which ServiceAccount of the namespace they run as, which no Role can narrow:
/// give this in namespaces whose Secrets and ServiceAccounts the agent may use.
const DEPLOYER: &[Grant] = &[
    grant("apps", &["deployments", "statefulsets", "daemonsets"], WRITE),
    grant("", &["services", "configmaps"], WRITE),
    grant("networking.k8s.io", &["ingresses"], WRITE),
    grant("batch", &["jobs", "cronjobs"], WRITE),
    grant("autoscaling", &["horizontalpodautoscalers"], WRITE),
    grant("policy", &["poddisruptionbudgets"], WRITE),
    grant("", &["persistentvolumeclaims"], &["create"]),
];

impl Preset {
    /// All of them, the narrowest first.
    pub const ALL: [Self; 3] = [Self::ReadOnly, Self::Triage, Self::Deployer];

    /// The preset of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.as_str() == name)
    }

    /// Its name, as it is typed and stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReadOnly => "read-only",
            Self::Triage => "triage",
            Self::Deployer => "deployer",
        }
    }

    /// The rules of its Role.
    pub fn rules(self) -> Vec<PolicyRule> {
        self.grants().map(PolicyRule::from).collect()
    }

    fn grants(self) -> impl Iterator<Item = &'static Grant> {
        let parts: &[&'static [Grant]] = match self {
            Self::ReadOnly => &[READ_ONLY],
            Self::Triage => &[READ_ONLY, TRIAGE],
            Self::Deployer => &[READ_ONLY, TRIAGE, DEPLOYER],
        };
        parts.iter().flat_map(|part| part.iter())
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<&Grant> for PolicyRule {
    fn from(grant: &Grant) -> Self {
        let texts = |all: &[&str]| all.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        Self {
            api_groups: Some(vec![grant.group.to_owned()]),
            resources: Some(texts(grant.resources)),
            verbs: texts(grant.verbs),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may(preset: Preset, verb: &str, group: &str, resource: &str) -> bool {
        preset.grants().any(|it| {
            it.group == group && it.resources.contains(&resource) && it.verbs.contains(&verb)
        })
    }

    #[test]
    fn each_allows_more_than_the_one_before() {
        // Right, and whether read-only, triage and deployer have it.
        let table = [
            ("list", "", "pods", [true, true, true]),
            ("get", "", "pods/log", [true, true, true]),
            ("get", "", "namespaces", [true, true, true]),
            ("watch", "discovery.k8s.io", "endpointslices", [true, true, true]),
            ("delete", "", "pods", [false, true, true]),
            ("create", "", "pods/eviction", [false, true, true]),
            ("patch", "apps", "deployments", [false, true, true]),
            ("update", "apps", "statefulsets/scale", [false, true, true]),
            ("create", "", "events", [false, true, true]),
            ("delete", "apps", "deployments", [false, false, true]),
            ("create", "batch", "cronjobs", [false, false, true]),
            ("update", "", "configmaps", [false, false, true]),
            ("create", "", "persistentvolumeclaims", [false, false, true]),
            ("delete", "", "persistentvolumeclaims", [false, false, false]),
            ("create", "", "pods", [false, false, false]),
            ("delete", "", "namespaces", [false, false, false]),
            ("patch", "apps", "replicasets", [false, false, false]),
        ];
        for (verb, group, resource, want) in table {
            let got = [Preset::ReadOnly, Preset::Triage, Preset::Deployer]
                .map(|preset| may(preset, verb, group, resource));
            assert_eq!(got, want, "{verb} {resource}.{group}");
        }
    }

    #[test]
    fn none_reaches_what_no_agent_needs() {
        let never = [
            "secrets",
            "nodes",
            "serviceaccounts",
            "serviceaccounts/token",
            "roles",
            "rolebindings",
            "clusterroles",
            "clusterrolebindings",
            "pods/exec",
            "pods/attach",
            "pods/portforward",
            "pods/proxy",
            "pods/ephemeralcontainers",
            "services/proxy",
            "nodes/proxy",
            "certificatesigningrequests",
        ];
        let verbs = ["get", "list", "watch", "create", "update", "patch", "delete"];
        for grant in Preset::Deployer.grants() {
            assert_ne!(grant.group, "rbac.authorization.k8s.io");
            assert!(!grant.group.contains('*'));
            for resource in grant.resources {
                assert!(!resource.contains('*') && !never.contains(resource), "{resource}");
            }
            // No `*`, and none of escalate, bind, impersonate, approve, deletecollection.
            assert!(grant.verbs.iter().all(|verb| verbs.contains(verb)), "{:?}", grant.verbs);
        }
    }

    #[test]
    fn prints_what_is_typed() {
        for preset in Preset::ALL {
            assert_eq!(Preset::parse(&preset.to_string()), Some(preset));
        }
        assert_eq!(Preset::parse("Triage"), None);
    }
}
