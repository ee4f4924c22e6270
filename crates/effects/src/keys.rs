//! Which labels and annotations something may act on. Anybody may give a key with a domain a meaning, so such
//! a key is inert only where exactly this key is known to be: by the lists here, or by the owner of the
//! cluster. So is any label of a ConfigMap or Secret. What is known to act is in [`crate::triggers`]. To take
//! a key away acts as to set it does.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::triggers;

/// Nothing acts on these, on whatever object they are.
const INERT: &[&str] = &[
    "a8r.io/bugs",
    "a8r.io/chat",
    "a8r.io/description",
    "a8r.io/documentation",
    "a8r.io/incidents",
    "a8r.io/logs",
    "a8r.io/owner",
    "a8r.io/repository",
    "a8r.io/runbook",
    "a8r.io/support",
    "agent-shield.io/reason",
    "app.kubernetes.io/component",
    "app.kubernetes.io/created-by",
    "app.kubernetes.io/name",
    "app.kubernetes.io/part-of",
    "app.kubernetes.io/version",
    "app.gitlab.com/app",
    "app.gitlab.com/env",
    "app.openshift.io/vcs-ref",
    "app.openshift.io/vcs-uri",
    "backstage.io/kubernetes-id",
    "deprecated.daemonset.template.generation",
    "helm.sh/chart",
    "io.kompose.service",
    "kompose.cmd",
    "kompose.version",
    "kubectl.kubernetes.io/default-container",
    "kubectl.kubernetes.io/default-logs-container",
    "kubectl.kubernetes.io/restartedAt",
    "kubernetes.io/change-cause",
    "kubernetes.io/description",
    "openshift.io/description",
    "openshift.io/display-name",
    "openshift.io/requester",
    "tags.datadoghq.com/env",
    "tags.datadoghq.com/service",
    "tags.datadoghq.com/version",
];

/// Annotations of a pod template by which people and tools only make it differ, for a restart.
const RESTARTS: &[&str] = &[
    "checksum/config",
    "checksum/config-map",
    "checksum/configmap",
    "checksum/configmaps",
    "checksum/env",
    "checksum/secret",
    "checksum/secrets",
    "checksum/values",
    "configHash",
    "date",
    "redeploy",
    "restart",
    "restartedAt",
    "rollme",
    "timestamp",
];

/// Marks of deploy tools that ordinary objects carry from the start. They say whose a new object is;
/// on one that is there already they would take it away from somebody.
const OF_DEPLOY_TOOLS: &[&str] = &[
    "app.kubernetes.io/instance",
    "app.kubernetes.io/managed-by",
    "helm.sh/hook",
    "helm.sh/hook-delete-policy",
    "helm.sh/hook-weight",
    "helm.sh/resource-policy",
    "kubectl.kubernetes.io/last-applied-configuration",
    "meta.helm.sh/release-name",
    "meta.helm.sh/release-namespace",
];

/// Labels without a domain by which people sort their ConfigMaps and Secrets. Sidecars and operators look for
/// these objects by labels of any name, so that no other label is known to be inert on them.
const SORTING: &[&str] = &[
    "app",
    "application",
    "author",
    "chart",
    "component",
    "contact",
    "cost-center",
    "created-by",
    "customer",
    "department",
    "env",
    "environment",
    "heritage",
    "instance",
    "k8s-app",
    "maintainer",
    "managed-by",
    "name",
    "organization",
    "owner",
    "part-of",
    "phase",
    "product",
    "project",
    "purpose",
    "region",
    "release",
    "run",
    "service",
    "squad",
    "stage",
    "state",
    "subsystem",
    "system",
    "team",
    "tenant",
    "tier",
    "track",
    "unit",
    "version",
    "zone",
];

/// Marks of tools that deploy, back up or count ordinary objects: what is in these is not theirs.
const OF_ORDINARY_OBJECTS: &[&str] = &[
    "argocd.argoproj.io/compare-options",
    "argocd.argoproj.io/instance",
    "argocd.argoproj.io/sync-options",
    "argocd.argoproj.io/sync-wave",
    "argocd.argoproj.io/tracking-id",
    "config.k8s.io/owning-inventory",
    "helm.toolkit.fluxcd.io/name",
    "helm.toolkit.fluxcd.io/namespace",
    "kapp.k14s.io/app",
    "kapp.k14s.io/association",
    "kapp.k14s.io/identity",
    "kustomize.toolkit.fluxcd.io/name",
    "kustomize.toolkit.fluxcd.io/namespace",
    "kustomize.toolkit.fluxcd.io/prune",
    "kustomize.toolkit.fluxcd.io/ssa",
    "objectset.rio.cattle.io/applied",
    "objectset.rio.cattle.io/hash",
    "objectset.rio.cattle.io/id",
    "objectset.rio.cattle.io/owner-name",
    "objectset.rio.cattle.io/owner-namespace",
    "velero.io/backup-name",
    "velero.io/restore-name",
];

/// Where a key stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Map {
    Labels,
    Annotations,
}

impl Map {
    /// By its field of `metadata`.
    pub(crate) fn called(name: &str) -> Self {
        if name == "labels" { Self::Labels } else { Self::Annotations }
    }
}

/// What is known of keys here.
#[derive(Clone, Copy)]
pub(crate) struct Keys<'a> {
    /// Those that the owner of the cluster says are inert.
    inert: &'a BTreeSet<String>,
}

impl<'a> Keys<'a> {
    pub(crate) fn new(inert: &'a BTreeSet<String>) -> Self {
        Self { inert }
    }

    /// Whether something may act on a change of this key of an object of this kind.
    pub(crate) fn acts(self, resource: &str, map: Map, key: &str) -> bool {
        // What selects does so by any key: no list knows whose selectors there are.
        let is_selected = map == Map::Labels && triggers::selected(resource).is_some();
        is_selected || self.may_mean(resource, map, key)
    }

    /// Whether a change of this annotation of a pod template does more than restart its pods.
    pub(crate) fn changes_template(self, key: &str) -> bool {
        !self.is_inert(key) && !RESTARTS.contains(&key)
    }

    /// Whether something may act on a new object for this key, which would be inert without it.
    pub(crate) fn marks(self, resource: &str, map: Map, key: &str) -> bool {
        self.may_mean(resource, map, key) && !OF_DEPLOY_TOOLS.contains(&key)
    }

    /// Whether an object with this key may be what a tool keeps for itself, or is told by.
    pub(crate) fn is_of_record(self, resource: &str, map: Map, key: &str) -> bool {
        self.marks(resource, map, key) && !OF_ORDINARY_OBJECTS.contains(&key)
    }

    /// Whether this key, on an object of this kind, decides what rights whoever may use the object has.
    /// What an annotation of a ServiceAccount says to a cloud is not known of any key with a domain, nor
    /// what one of a Namespace says to whoever decides what may be in it.
    pub(crate) fn grants(self, resource: &str, map: Map, key: &str) -> bool {
        let is_asked = match resource {
            "serviceaccounts" => map == Map::Annotations,
            "namespaces" => !OF_ORDINARY_OBJECTS.contains(&key),
            _ => false,
        };
        let may_grant =
            is_asked && self.marks(resource, map, key) && triggers::known(resource, key).is_none();
        may_grant || triggers::gives_rights(resource, key)
    }

    /// Whether this key only says whose an object is, or nothing that anybody acts on.
    pub(crate) fn only_tells(self, key: &str) -> bool {
        self.is_inert(key) || OF_DEPLOY_TOOLS.contains(&key)
    }

    /// Whether nothing acts on this key, whatever object it is on.
    pub(crate) fn is_inert(self, key: &str) -> bool {
        INERT.contains(&key) || self.inert.contains(key)
    }

    fn may_mean(self, resource: &str, map: Map, key: &str) -> bool {
        let means = has_domain(key)
            || triggers::known(resource, key).is_some()
            || (map == Map::Labels && is_found_by_labels(resource) && !SORTING.contains(&key));
        means && !self.is_inert(key)
    }
}

/// The keys of an object's labels and annotations.
pub(crate) fn of(object: &Value) -> impl Iterator<Item = (Map, &String)> {
    in_metadata(object.get("metadata"))
}

/// The keys of labels and annotations in the metadata of an object or a pod template.
pub(crate) fn in_metadata(metadata: Option<&Value>) -> impl Iterator<Item = (Map, &String)> {
    ["labels", "annotations"].into_iter().flat_map(move |name| {
        let found = metadata.and_then(|it| it.get(name)).and_then(Value::as_object);
        found.into_iter().flat_map(serde_json::Map::keys).map(move |key| (Map::called(name), key))
    })
}

/// Whether this key is known to be of people or deploy tools alone: what it says names no object that
/// something would read.
pub fn is_bookkeeping(key: &str) -> bool {
    [INERT, OF_DEPLOY_TOOLS, OF_ORDINARY_OBJECTS].iter().any(|keys| keys.contains(&key))
}

/// Whether a tool keeps an object with this key as it has it: what comes to it is that tool's to read, or to
/// take away again.
pub(crate) fn is_of_tool(key: &str) -> bool {
    matches!(key, "app.kubernetes.io/managed-by" | "meta.helm.sh/release-name")
        || OF_ORDINARY_OBJECTS.contains(&key)
}

/// Why a key cannot be listed as inert, if it cannot.
pub fn why_not_inert(key: &str) -> Option<&'static str> {
    let fits = |text: &str| {
        !text.is_empty()
            && text.bytes().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'_' | b'.'))
    };
    let is_whole = key.split_once('/').map_or_else(
        || fits(key) && !key.ends_with(['-', '_', '.']),
        |(domain, name)| fits(domain) && fits(name),
    );
    if !is_whole {
        return Some("it is not one whole key, as `example.com/name` is");
    }
    if SORTING.contains(&key) {
        return Some("it need not be listed: it is inert wherever nothing selects by labels");
    }
    let grants = triggers::gives_rights_somewhere(key);
    grants.then_some("it gives rights, and an exception must say to whom that is left")
}

/// Whether tools look for objects of this kind by labels that they choose.
fn is_found_by_labels(resource: &str) -> bool {
    matches!(resource, "configmaps" | "secrets")
}

/// Whether a key is in somebody's name, as `example.com/name` is, or `com.example.name`.
fn has_domain(key: &str) -> bool {
    key.contains(['/', '.'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_keys_that_are_known_are_inert() {
        let own = BTreeSet::from(["example.com/team".to_owned()]);
        let keys = Keys::new(&own);
        let (labels, annotations) = (Map::Labels, Map::Annotations);
        let table = [
            (keys.acts("deployments", annotations, "note"), false),
            (keys.acts("deployments", annotations, "kubernetes.io/change-cause"), false),
            (keys.acts("deployments", annotations, "kubernetes.io/change-causes"), true),
            (keys.acts("services", annotations, "agent-shield.io/reason"), false),
            (keys.acts("services", annotations, "agent-shield.io/hold-open"), true),
            (keys.acts("deployments", annotations, "strimzi.io/delete-pod-and-pvc"), true),
            (keys.acts("deployments", annotations, "example.com/team"), false),
            (keys.acts("deployments", annotations, "example.com/teams"), true),
            (keys.acts("deployments", labels, "example.com/team"), false),
            (keys.acts("pods", labels, "example.com/team"), true),
            (keys.acts("pods", labels, "team"), true),
            (keys.acts("namespaces", labels, "app.kubernetes.io/name"), true),
            (keys.acts("deployments", labels, "istio-injection"), true),
            (keys.changes_template("kubectl.kubernetes.io/restartedAt"), false),
            (keys.changes_template("checksum/config"), false),
            (keys.changes_template("checksum/anything"), true),
            (keys.changes_template("vault.security.banzaicloud.io/vault-addr"), true),
            (keys.changes_template("note"), true),
            (keys.acts("deployments", labels, "com.openfaas.scale.zero"), true),
            (keys.acts("deployments", annotations, "io.example.owner"), true),
            (
                keys.acts("daemonsets", annotations, "deprecated.daemonset.template.generation"),
                false,
            ),
            (keys.acts("deployments", labels, "grafana_dashboard"), false),
            (keys.acts("configmaps", labels, "grafana_dashboard"), true),
            (keys.acts("secrets", labels, "role"), true),
            (keys.acts("configmaps", labels, "team"), false),
            (keys.acts("configmaps", labels, "example.com/team"), false),
            (keys.acts("configmaps", annotations, "note"), false),
            (keys.acts("configmaps", annotations, "grafana_folder"), true),
            (keys.marks("configmaps", labels, "app.kubernetes.io/managed-by"), false),
            (keys.marks("secrets", labels, "sealedsecrets.bitnami.com/sealed-secrets-key"), true),
            (keys.marks("secrets", labels, "istio/multiCluster"), true),
            (keys.marks("configmaps", labels, "shop-jenkins-config"), true),
            (keys.marks("configmaps", labels, "app"), false),
            (keys.marks("serviceaccounts", labels, "anything"), false),
            (keys.marks("pods", labels, "sidecar.istio.io/inject"), true),
            (keys.marks("pods", labels, "team"), false),
            (keys.is_of_record("configmaps", labels, "argocd.argoproj.io/instance"), false),
            (keys.marks("configmaps", labels, "argocd.argoproj.io/instance"), true),
            (keys.grants("serviceaccounts", annotations, "vault.hashicorp.com/role"), true),
            (keys.grants("pods", annotations, "vault.hashicorp.com/role"), false),
            (keys.grants("pods", labels, "aadpodidbinding"), true),
            (keys.grants("serviceaccounts", annotations, "eks.amazonaws.com/role-arn"), true),
            (keys.grants("serviceaccounts", annotations, "another.cloud/role"), true),
            (keys.grants("serviceaccounts", annotations, "meta.helm.sh/release-name"), false),
            (keys.grants("serviceaccounts", annotations, "argocd.argoproj.io/sync-wave"), false),
            (keys.grants("serviceaccounts", labels, "another.cloud/role"), false),
            (keys.grants("configmaps", annotations, "eks.amazonaws.com/role-arn"), false),
        ];
        for (row, (found, want)) in table.into_iter().enumerate() {
            assert_eq!(found, want, "row {row}");
        }
    }

    #[test]
    fn an_owner_cannot_call_a_family_of_keys_or_a_grant_inert() {
        let table = [
            ("example.com/team", true),
            ("team", false),
            ("grafana_dashboard", true),
            ("com.example.team", true),
            ("com.example.", false),
            ("", false),
            ("example.com/", false),
            ("example.com/*", false),
            ("/team", false),
            ("eks.amazonaws.com/role-arn", false),
            ("aadpodidbinding", false),
            ("vault.hashicorp.com/alias-metadata-team", false),
        ];
        for (key, want) in table {
            assert_eq!(why_not_inert(key).is_none(), want, "{key}");
        }
    }
}
