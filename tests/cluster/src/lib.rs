//! What the tests against a real control plane share.

pub mod aggregated;
mod replicas;
mod webhook;

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

pub use aggregated::Aggregated;
pub use replicas::{Replica, Replicas};
use serde_json::{Value, json};
use testkit::{Agent, Cluster, Shield, wait_until};
pub use webhook::SlowWebhook;

/// A cluster, an agent-shield before it, an agent that RBAC allows everything, and a reviewer.
pub struct Scene {
    /// The cluster of this process.
    pub cluster: &'static Cluster,
    /// In front of it.
    pub shield: Shield,
    /// Whom RBAC alone would not stop.
    pub agent: Agent,
    /// Kubeconfig of a person who may decide.
    pub reviewer: PathBuf,
    /// A namespace in production.
    pub prod: String,
    /// A namespace declared non-production.
    pub dev: String,
}

impl Scene {
    /// Sets the scene with namespaces of its own.
    pub fn new(name: &str) -> Self {
        let cluster = testkit::cluster();
        let prod = cluster.unique(&format!("{name}-p"));
        let dev = cluster.unique(&format!("{name}-d"));
        let namespaces = [namespace(&prod, "production"), namespace(&dev, "dev")];
        cluster.apply(&list(&namespaces)).expect("namespaces");
        let agent = cluster.cluster_agent(&dev, "agent", &all_rights()).expect("an agent");
        let reviewer = cluster.reviewer(&format!("{name}-reviewer"));
        Self { cluster, shield: Shield::start(cluster, &[]), agent, reviewer, prod, dev }
    }

    /// Starts a command as somebody types it, with kubectl and helm at hand.
    ///
    /// # Panics
    /// Where there is no shell.
    pub fn shell(&self, kubeconfig: &Path, command: &str) -> Child {
        let programs = self.cluster.program("kubectl");
        let programs = programs.parent().expect("a folder").display().to_string();
        let path = std::env::var("PATH").unwrap_or_default();
        Command::new("bash")
            .args(["-c", command])
            .env("PATH", format!("{programs}:{path}"))
            .env("KUBECONFIG", kubeconfig)
            .env("HELM_CACHE_HOME", self.shield.data_dir().join("helm"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("bash")
    }

    /// The pending hold of a namespace and verb.
    pub fn pending(&self, namespace: &str, name: &str) -> Value {
        self.shield.hold(&self.reviewer, &format!("{namespace}/{name}"), |hold| {
            hold["state"] == "pending"
                && hold["request"]["namespace"] == namespace
                && (name.is_empty() || hold["request"]["name"] == name)
        })
    }

    /// Kubeconfig of whoever shows this certificate to agent-shield.
    ///
    /// # Panics
    /// Where there can be none.
    pub fn certified(&self, shield: &Shield, name: &str, groups: &[&str]) -> PathBuf {
        let user = self.cluster.certified_user(name, groups).expect("a certificate");
        let file = shield.data_dir().join(self.cluster.unique(&format!("{name}.kubeconfig")));
        let written = self.cluster.write_kubeconfig(&file, &shield.agent_url, &shield.ca(), &user);
        written.expect("a file");
        file
    }

    /// Decides in the reviewer's name.
    pub fn decide(&self, verb: &str, id: &str, reason: &str) {
        let decided = self.shield.decide(&self.reviewer, verb, id, reason);
        assert!(decided.is_ok(), "{decided:?}");
    }

    /// Lets a harmless write of the agent pass, and returns once it stands in the record: what was
    /// to happen by itself before it has happened, so that what has not, will not.
    ///
    /// # Panics
    /// Where it does not pass.
    pub fn lets_a_later_write_pass(&self) {
        let name = self.cluster.unique("later");
        let target = format!("/api/v1/namespaces/{}/configmaps", self.dev);
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
        let json = Some("application/json");
        let body = map.to_string();
        let answer = self.shield.request(&self.agent, "POST", &target, json, body.as_bytes());
        assert_eq!(answer.status, 201, "{}", answer.text());
        wait_until(Duration::from_secs(20), "a later write is recorded", || {
            let calls = self.shield.cli_json(&self.reviewer, &["timeline", "--verb", "create"]);
            let is_it = |call: &Value| {
                call["request"]["namespace"] == self.dev.as_str() && call["code"] == 201
            };
            calls["items"].as_array()?.iter().any(is_it).then_some(())
        });
    }

    /// What the API server did for real under this audit id.
    pub fn ran(&self, audit_id: &str) -> Vec<Value> {
        self.cluster.audit_events_about(audit_id, |event| event["auditID"] == audit_id)
    }
}

/// Whether a pod takes requests, by its own condition.
pub fn is_ready(pod: &Value) -> bool {
    let is = |it: &Value| it["type"] == "Ready" && it["status"] == "True";
    pod["status"]["conditions"].as_array().is_some_and(|all| all.iter().any(is))
}

/// A `List` to apply.
pub fn list(items: &[Value]) -> Value {
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

/// A Namespace with its declaration.
pub fn namespace(name: &str, env: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": name, "labels": {"env": env}},
    })
}

/// A custom resource in namespaces, of one version.
pub fn definition(group: &str, kind: &str, plural: &str, schema: &Value) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{group}")},
        "spec": {
            "group": group, "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": schema},
            }],
        },
    })
}

/// Makes a definition, and returns once the API server has taken in that it serves this version of it.
///
/// # Panics
/// Where it does not.
pub fn define(cluster: &Cluster, definition: &Value, group: &str, version: &str) {
    cluster.apply(definition).expect("a definition");
    wait_until(Duration::from_secs(60), "the API server serves what is defined", || {
        let at = format!("/apis/apiregistration.k8s.io/v1/apiservices/{version}.{group}");
        let service = cluster.get(&at)?;
        let conditions = service["status"]["conditions"].as_array()?;
        let is_local = |it: &Value| it["reason"] == "Local" && it["status"] == "True";
        conditions.iter().any(is_local).then_some(())?;
        let served = cluster.get(&format!("/apis/{group}/{version}"))?;
        let is_it = |it: &Value| it["name"] == definition["spec"]["names"]["plural"];
        served["resources"].as_array()?.iter().any(is_it).then_some(())
    });
}

/// The rules of whom RBAC alone would not stop.
pub fn all_rights() -> Value {
    json!([
        {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
        {"nonResourceURLs": ["*"], "verbs": ["*"]},
    ])
}

/// A node whose pods run, of no machine.
pub fn node(name: &str, unschedulable: bool) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {
            "name": name, "annotations": {"kwok.x-k8s.io/node": "fake"},
            "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"},
        },
        "spec": {"unschedulable": unschedulable},
    })
}

/// A Deployment of `replicas` pods.
pub fn deployment(namespace: &str, name: &str, replicas: u32) -> Value {
    workload("Deployment", namespace, name, replicas)
}

/// A workload of `replicas` pods.
pub fn workload(kind: &str, namespace: &str, name: &str, replicas: u32) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": kind,
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{
                    "name": "c", "image": "nginx:1.25",
                    "resources": {"limits": {"cpu": "500m"}, "requests": {"cpu": "100m"}},
                }]},
            },
        },
    })
}
