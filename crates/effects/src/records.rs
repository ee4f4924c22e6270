//! ConfigMaps and Secrets in which tools keep what they know, or are told what to do: releases,
//! inventories, keys, settings. Whoever writes one acts by the tool's hand, with its next run.

use attributes::Attributes;
use serde_json::Value;

use crate::{
    about::Record,
    builtin::Builtin,
    keys::{self, Keys, Map},
    triggers,
};

/// Types of Secrets that hold what their users put there.
const PLAIN_TYPES: [&str; 9] = [
    "Opaque",
    "bootstrap.kubernetes.io/token",
    "kubernetes.io/basic-auth",
    "kubernetes.io/dockercfg",
    "kubernetes.io/dockerconfigjson",
    "kubernetes.io/service-account-token",
    "kubernetes.io/ssh-auth",
    "kubernetes.io/tls",
    "",
];

/// Names by which tools find their records, or how these begin where a `-` or `.` ends them.
const NAMES: [&str; 40] = [
    "amazon-vpc-cni",
    "argocd-",
    "aws-auth",
    "cacerts",
    "calico-config",
    "cdi-config",
    "cert-manager-",
    "cilium-config",
    "cluster-autoscaler-",
    "cluster-info",
    "cluster-monitoring-config",
    "coredns",
    "flux-",
    "gatekeeper-",
    "inferenceservice-config",
    "ingress-controller-leader",
    "ingress-nginx-",
    "istio",
    "istio-",
    "karpenter-global-settings",
    "kube-proxy",
    "kube-root-ca.crt",
    "kubeadm-config",
    "kubelet-config",
    "kubevirt-config",
    "kyverno",
    "kyverno-",
    "linkerd-",
    "local-path-config",
    "longhorn-default-setting",
    "rook-",
    "sh.helm.release.",
    "sops-",
    "tfplan-",
    "tfstate-",
    "trivy-operator",
    "trivy-operator-",
    "user-workload-monitoring-config",
    "velero-",
    "workflow-controller-configmap",
];

/// How the names of tools' records end.
const NAME_ENDS: [&str; 2] = [".apps.k14s.io", "-ctrl"];

/// By what an object shows that it is a tool's record; `None` where it shows nothing.
pub(crate) fn of(attributes: &Attributes, keys: Keys<'_>, object: &Value) -> Option<Record> {
    let holds_data = matches!(attributes.resource.as_str(), "configmaps" | "secrets");
    if !attributes.api_group.is_empty() || !holds_data {
        return None;
    }
    let text = |path| object.pointer(path).and_then(Value::as_str).unwrap_or_default();
    if !PLAIN_TYPES.contains(&text("/type")) {
        return Some(Record::Type(text("/type").to_owned()));
    }
    let name = match text("/metadata/name") {
        "" => attributes.name.as_str(),
        name => name,
    };
    if is_record_name(name) {
        return Some(Record::Name(name.to_owned()));
    }
    marked(keys, &attributes.resource, object).or_else(|| owner(object).map(Record::Owner))
}

fn is_record_name(name: &str) -> bool {
    let begins = |known: &&str| match known.ends_with(['-', '.']) {
        true => name.starts_with(*known),
        false => name == *known,
    };
    NAMES.iter().any(begins) || NAME_ENDS.iter().any(|it| name.ends_with(it))
}

fn marked(keys: Keys<'_>, resource: &str, object: &Value) -> Option<Record> {
    let is_looked_for = |key: &str| {
        let value = object.pointer("/metadata/labels").and_then(|it| it.get(key)?.as_str());
        value.is_some_and(|value| triggers::is_looked_for(key, value))
    };
    let is_of_record = |(map, key): &(Map, &String)| keys.is_of_record(resource, *map, key);
    let by_value = keys::of(object).find(|(map, key)| *map == Map::Labels && is_looked_for(key));
    by_value
        .or_else(|| keys::of(object).find(is_of_record))
        .map(|(_, key)| Record::Key(key.clone()))
}

/// The custom resource that controls it: its operator's own state.
fn owner(object: &Value) -> Option<String> {
    let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array)?;
    let controls = |it: &&Value| it.get("controller").and_then(Value::as_bool) == Some(true);
    let owner = owners.iter().find(controls)?;
    let text = |key| owner.get(key).and_then(Value::as_str).unwrap_or_default();
    let group = text("apiVersion").split_once('/').map_or("", |(group, _)| group);
    (!Builtin::serves(group)).then(|| format!("{} {}", text("kind"), text("name")))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    #[test]
    fn knows_tools_records_from_what_applications_keep() {
        let none = BTreeSet::new();
        let object =
            |name: &str, labels: Value| json!({"metadata": {"name": name, "labels": labels}});
        let owned = |version: &str| {
            json!({"metadata": {"name": "x", "ownerReferences": [
                {"apiVersion": version, "kind": "K", "name": "n", "controller": true}]}})
        };
        let typed = |kind: &str| json!({"type": kind, "metadata": {"name": "x"}});
        let table = [
            (
                "configmaps",
                object("app", json!({"app": "web", "app.kubernetes.io/managed-by": "Helm"})),
                false,
            ),
            ("configmaps", object("app", json!({"argocd.argoproj.io/instance": "shop"})), false),
            ("configmaps", object("app", json!({"kapp.k14s.io/is-app": ""})), true),
            ("configmaps", object("app", json!({"owner": "helm"})), true),
            ("configmaps", object("app", json!({"owner": "payments"})), false),
            ("configmaps", object("app", json!({"team": "payments", "tier": "db"})), false),
            ("configmaps", object("app", json!({"app.kubernetes.io/part-of": "shop"})), false),
            ("secrets", object("app", json!({"app.kubernetes.io/part-of": "argocd"})), true),
            ("configmaps", object("app", json!({"grafana_dashboard": "1"})), true),
            ("configmaps", object("app", json!({"web-jenkins-config": "true"})), true),
            ("secrets", object("app", json!({"istio/multiCluster": "true"})), true),
            ("configmaps", object("argocd-rbac-cm", json!({})), true),
            ("configmaps", object("istiox", json!({})), false),
            ("secrets", object("sh.helm.release.v1.web.v2", json!({})), true),
            ("secrets", typed("helm.sh/release.v1"), true),
            ("secrets", typed("kubernetes.io/tls"), false),
            ("secrets", owned("kafka.strimzi.io/v1beta2"), true),
            ("secrets", owned("apps/v1"), false),
            ("deployments", object("argocd-server", json!({})), false),
        ];
        for (resource, object, want) in table {
            let attributes = Attributes { resource: resource.into(), ..Attributes::default() };
            let found = of(&attributes, Keys::new(&none), &object);
            assert_eq!(found.is_some(), want, "{resource} {object}: {found:?}");
        }
    }
}
