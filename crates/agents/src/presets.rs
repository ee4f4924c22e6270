//! What agents are for: four sets of namespaced rights, each the one before it and more.
//!
//! RBAC stays the outer fence: agent-shield holds what a preset allows and policy finds destructive,
//! and nothing here is a right to anything outside the namespaces that are named. No preset mints
//! tokens, changes RBAC or sees nodes, and none has a wildcard: a kind of object that is installed
//! tomorrow is not in it. Only the widest reads Secrets and enters pods.

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
    /// Deployer, and enter pods, forward ports, copy files and run helm.
    OnCall,
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

/// What is done first when something breaks: delete or evict a pod, restart, scale, leave a note.
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

/// What an incident takes. A session is opened by GET or POST, as the client likes; `kubectl cp` is
/// an exec. helm keeps its releases in Secrets, under names that no Role can choose: whoever runs
/// it can read every Secret of the namespace. What a chart brings beside workloads, helm compares
/// before each upgrade, so it may look at that by name and not change it.
const ON_CALL: &[Grant] = &[
    grant("", &["pods/exec", "pods/portforward"], &["get", "create"]),
    grant("", &["secrets"], &["get", "list", "create", "update", "patch", "delete"]),
    grant("", &["serviceaccounts"], &["get"]),
    grant("rbac.authorization.k8s.io", &["roles", "rolebindings"], &["get"]),
];

impl Preset {
    /// All of them, the narrowest first.
    pub const ALL: [Self; 4] = [Self::ReadOnly, Self::Triage, Self::Deployer, Self::OnCall];

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
            Self::OnCall => "on-call",
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
            Self::OnCall => &[READ_ONLY, TRIAGE, DEPLOYER, ON_CALL],
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
        // Right, and how many of the presets lack it, from the narrowest on.
        let table = [
            ("list", "", "pods", 0),
            ("get", "", "pods/log", 0),
            ("get", "", "namespaces", 0),
            ("watch", "discovery.k8s.io", "endpointslices", 0),
            ("delete", "", "pods", 1),
            ("create", "", "pods/eviction", 1),
            ("patch", "apps", "deployments", 1),
            ("update", "apps", "statefulsets/scale", 1),
            ("create", "", "events", 1),
            ("delete", "apps", "deployments", 2),
            ("create", "batch", "cronjobs", 2),
            ("update", "", "configmaps", 2),
            ("create", "", "persistentvolumeclaims", 2),
            ("create", "", "pods/exec", 3),
            ("get", "", "pods/portforward", 3),
            ("list", "", "secrets", 3),
            ("get", "rbac.authorization.k8s.io", "roles", 3),
            ("delete", "", "persistentvolumeclaims", 4),
            ("create", "", "pods", 4),
            ("delete", "", "namespaces", 4),
            ("patch", "apps", "replicasets", 4),
            ("create", "", "pods/attach", 4),
            ("watch", "", "secrets", 4),
            ("list", "", "serviceaccounts", 4),
        ];
        for (verb, group, resource, lack) in table {
            let got = Preset::ALL.map(|preset| may(preset, verb, group, resource));
            let want = [0, 1, 2, 3].map(|it| it >= lack);
            assert_eq!(got, want, "{verb} {resource}.{group}");
        }
    }

    #[test]
    fn none_reaches_what_no_agent_needs() {
        let never = [
            "nodes",
            "serviceaccounts/token",
            "clusterroles",
            "clusterrolebindings",
            "pods/attach",
            "pods/proxy",
            "pods/ephemeralcontainers",
            "services/proxy",
            "nodes/proxy",
            "certificatesigningrequests",
        ];
        let on_call_alone = [
            "secrets",
            "pods/exec",
            "pods/portforward",
            "serviceaccounts",
            "roles",
            "rolebindings",
        ];
        let verbs = ["get", "list", "watch", "create", "update", "patch", "delete"];
        for preset in Preset::ALL {
            for grant in preset.grants() {
                assert!(!grant.group.contains('*'));
                for resource in grant.resources {
                    assert!(!resource.contains('*') && !never.contains(resource), "{resource}");
                    let is_wide = on_call_alone.contains(resource);
                    assert!(!is_wide || preset == Preset::OnCall, "{preset}: {resource}");
                }
                // Who an account is, and what it may, is looked at by name and never changed.
                let is_account = grant.resources.contains(&"serviceaccounts");
                if is_account || grant.group == "rbac.authorization.k8s.io" {
                    assert_eq!(grant.verbs, ["get"], "{preset}");
                }
                // No `*`, and none of escalate, bind, impersonate, approve, deletecollection.
                assert!(grant.verbs.iter().all(|verb| verbs.contains(verb)), "{:?}", grant.verbs);
            }
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
