//! What a label or annotation does. Anybody may give a key with a domain a meaning, so such a key is
//! inert only where exactly this key is known to be: by the lists here, or by the owner of the cluster.

use std::collections::BTreeSet;

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
    "helm.sh/chart",
    "kubectl.kubernetes.io/default-container",
    "kubectl.kubernetes.io/default-logs-container",
    "kubectl.kubernetes.io/restartedAt",
    "kubernetes.io/change-cause",
    "kubernetes.io/description",
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

/// Keys by which whoever may use an object of this kind gets rights: its resource, and the key.
const GRANTS: &[(&str, &str)] = &[
    ("serviceaccounts", "eks.amazonaws.com/audience"),
    ("serviceaccounts", "eks.amazonaws.com/role-arn"),
    ("serviceaccounts", "iam.gke.io/gcp-service-account"),
    ("serviceaccounts", "azure.workload.identity/client-id"),
    ("serviceaccounts", "azure.workload.identity/tenant-id"),
    ("serviceaccounts", "pod-identity.alibabacloud.com/role-name"),
    ("namespaces", "field.cattle.io/projectId"),
    ("namespaces", "iam.amazonaws.com/allowed-roles"),
    ("namespaces", "iam.amazonaws.com/permitted"),
    ("pods", "aadpodidbinding"),
    ("pods", "iam.amazonaws.com/role"),
    ("pods", "k8s.aliyun.com/ram-role-name"),
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
        if map == Map::Labels && triggers::is_selected(resource) {
            return true;
        }
        let known = match map {
            Map::Labels => triggers::label(resource, key),
            Map::Annotations => triggers::annotation(resource, key),
        };
        !self.is_inert(key) && (known.is_some() || has_domain(key))
    }

    /// Whether a change of this annotation of a pod template does more than restart its pods.
    pub(crate) fn changes_template(self, key: &str) -> bool {
        !self.is_inert(key) && !RESTARTS.contains(&key)
    }

    /// Whether something may act on a new object for this key, which would be inert without it.
    pub(crate) fn marks(self, key: &str) -> bool {
        let may_act = has_domain(key) || triggers::on_create(key).is_some();
        may_act && !self.is_inert(key) && !OF_DEPLOY_TOOLS.contains(&key)
    }

    /// Whether this key, on an object of this kind, gives rights to whoever may use the object. What
    /// an annotation of a ServiceAccount says to a cloud is not known of any key with a domain.
    pub(crate) fn grants(self, resource: &str, map: Map, key: &str) -> bool {
        let of_account = resource == "serviceaccounts"
            && map == Map::Annotations
            && self.marks(key)
            && triggers::annotation(resource, key).is_none();
        of_account || is_grant(resource, key)
    }

    /// Whether nothing acts on this key, on whatever object it is.
    pub(crate) fn is_inert(self, key: &str) -> bool {
        INERT.contains(&key) || self.inert.contains(key)
    }
}

/// Why a key cannot be listed as inert, if it cannot.
pub fn why_not_inert(key: &str) -> Option<&'static str> {
    let (domain, name) = key.split_once('/').unwrap_or_default();
    let fits = |text: &str| {
        !text.is_empty()
            && text.bytes().all(|it| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'_' | b'.'))
    };
    if !key.contains('/') {
        return Some("only keys with a domain need to be listed");
    }
    if !fits(domain) || !fits(name) {
        return Some("it is not one whole key, as `example.com/name` is");
    }
    let grants = GRANTS.iter().any(|(_, it)| *it == key);
    grants.then_some("it gives rights, and an exception must say to whom that is left")
}

/// Whether this key is known to give rights on an object of this kind.
fn is_grant(resource: &str, key: &str) -> bool {
    GRANTS.iter().any(|(of, it)| *of == resource && *it == key)
}

fn has_domain(key: &str) -> bool {
    key.contains('/')
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
            (keys.marks("app.kubernetes.io/managed-by"), false),
            (keys.marks("sealedsecrets.bitnami.com/sealed-secrets-key"), true),
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
            ("example.com/", false),
            ("example.com/*", false),
            ("/team", false),
            ("eks.amazonaws.com/role-arn", false),
        ];
        for (key, want) in table {
            assert_eq!(why_not_inert(key).is_none(), want, "{key}");
        }
    }
}
