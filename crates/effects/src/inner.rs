//! What stands within a custom resource in a shape that Kubernetes knows: pods, containers, volumes and
//! claims, service accounts, whole objects, rules. Wherever it stands, it is judged as it would be alone.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::{
    about::{Act, Power},
    powers, triggers, volumes,
};

/// Deeper than this no tree is looked at; JSON that is read is not.
pub(crate) const DEPTH_MAX: usize = 128;

/// More objects and lists than these are not looked through.
const NODES_MAX: usize = 100_000;

/// Kinds of objects within another that are judged as what they are.
const JUDGED: [&str; 3] = ["Pod", "PodTemplate", "PersistentVolumeClaim"];

/// What was found within an object.
#[derive(Default)]
pub(crate) struct Inner {
    /// What it takes from outside its namespace.
    pub(crate) powers: BTreeSet<Power>,
    /// The service accounts that it runs as.
    pub(crate) accounts: BTreeSet<String>,
    /// Labels and annotations that give rights.
    pub(crate) grants: BTreeSet<String>,
    /// Objects and rules within it, and where.
    pub(crate) acts: BTreeSet<(Act, String)>,
    /// Not all of it was looked at.
    pub(crate) is_cut: bool,
    nodes: usize,
}

impl Inner {
    /// Looks through all of an object but its own metadata and status.
    pub(crate) fn of(object: &Value, namespace: &str) -> Self {
        let mut inner = Self::default();
        let fields = object.as_object().into_iter().flatten();
        for (key, value) in fields.filter(|(key, _)| !matches!(key.as_str(), "metadata" | "status"))
        {
            inner.walk(value, namespace, &mut vec![key]);
        }
        inner
    }

    fn walk<'a>(&mut self, value: &'a Value, namespace: &str, path: &mut Vec<&'a str>) {
        self.nodes = self.nodes.saturating_add(usize::from(value.is_object() || value.is_array()));
        if path.len() > DEPTH_MAX || self.nodes > NODES_MAX {
            self.is_cut = true;
            return;
        }
        match value {
            Value::Object(fields) => {
                self.look_at(value, fields, namespace, path);
                for (key, value) in fields {
                    path.push(key);
                    self.walk(value, namespace, path);
                    path.pop();
                }
            }
            Value::Array(items) => {
                for item in items {
                    path.push("*");
                    self.walk(item, namespace, path);
                    path.pop();
                }
            }
            _ => {}
        }
    }

    fn look_at(
        &mut self,
        object: &Value,
        fields: &Map<String, Value>,
        namespace: &str,
        path: &[&str],
    ) {
        powers::of_inner(object, namespace, &mut self.powers);
        self.volumes(object, fields);
        self.accounts(fields);
        let maps =
            ["labels", "annotations"].into_iter().filter_map(|it| fields.get(it)?.as_object());
        let granting = maps.flat_map(Map::keys).filter(|key| triggers::gives_rights_somewhere(key));
        self.grants.extend(granting.cloned());
        if is_object(fields) {
            self.act(Act::Deploys, path);
        }
        if fields.contains_key("verbs")
            && ["resources", "nonResourceURLs"].iter().any(|it| fields.contains_key(*it))
        {
            self.act(Act::Rights, path);
        }
        for key in ["externalIPs", "loadBalancerIP"] {
            let addresses = fields.get(key).into_iter().flat_map(texts);
            self.powers.extend(addresses.map(|it| Power::Address(it.to_owned())));
        }
    }

    fn volumes(&mut self, object: &Value, fields: &Map<String, Value>) {
        match fields.get("hostPath") {
            Some(Value::String(path)) => drop(self.powers.insert(Power::HostPath(path.clone()))),
            Some(Value::Object(source)) => {
                let path = source.get("path").and_then(Value::as_str).unwrap_or_default();
                self.powers.insert(Power::HostPath(path.to_owned()));
            }
            _ => {}
        }
        if ["accessModes", "storageClassName", "volumeName"]
            .iter()
            .any(|it| fields.contains_key(*it))
        {
            volumes::of_inner_claim(object, &mut self.powers);
        }
        // A pod's own `volumes` are among its powers.
        let lists = fields.iter().filter(|(key, _)| key.ends_with("Volumes"));
        for volume in lists.filter_map(|(_, value)| value.as_array()).flatten() {
            volumes::of_volume(volume, &mut self.powers);
        }
    }

    /// Whom its code runs as; a pod that names nobody runs as `default`.
    fn accounts(&mut self, fields: &Map<String, Value>) {
        let no_token =
            fields.get("automountServiceAccountToken").and_then(Value::as_bool) == Some(false);
        if no_token {
            return;
        }
        let named = fields.iter().filter(|(key, _)| is_account(key)).filter_map(|(_, value)| {
            value.as_str().or_else(|| value.get("name")?.as_str()).filter(|it| !it.is_empty())
        });
        let mut named = named.map(str::to_owned).peekable();
        let runs = fields.get("containers").is_some_and(Value::is_array);
        if runs && named.peek().is_none() {
            self.accounts.insert("default".to_owned());
        }
        self.accounts.extend(named);
    }

    fn act(&mut self, act: Act, path: &[&str]) {
        self.acts.insert((act, format!("/{}", path.join("/"))));
    }
}

/// `serviceAccountName`, `executorServiceAccount`, `serviceAccountRef`.
fn is_account(key: &str) -> bool {
    let key = key.replace(['_', '-'], "").to_lowercase();
    ["serviceaccount", "serviceaccountname", "serviceaccountref"].iter().any(|it| key.ends_with(it))
}

/// Whether these are the fields of a whole object: a reference has neither metadata nor a body.
fn is_object(fields: &Map<String, Value>) -> bool {
    let text = |key| fields.get(key).and_then(Value::as_str).filter(|it| !it.is_empty());
    let has_body = ["metadata", "spec", "data", "stringData", "rules"]
        .iter()
        .any(|it| fields.contains_key(*it));
    text("apiVersion").is_some() && text("kind").is_some_and(|it| !JUDGED.contains(&it)) && has_body
}

fn texts(value: &Value) -> impl Iterator<Item = &str> {
    let items = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    items.iter().filter_map(Value::as_str).filter(|it| !it.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(spec: &Value) -> String {
        let inner =
            Inner::of(&json!({"kind": "X", "metadata": {"labels": {}}, "spec": spec}), "dev");
        let powers = inner.powers.iter().map(|it| it.parts().0.to_owned());
        let accounts = inner.accounts.iter().map(|it| format!("account:{it}"));
        let acts = inner.acts.iter().map(|(act, path)| format!("{}:{path}", act.as_str()));
        let all = powers.chain(accounts).chain(inner.grants.iter().cloned()).chain(acts);
        all.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn finds_what_kubernetes_knows_wherever_it_stands() {
        let table = [
            (json!({"size": 3, "replicas": 1, "env": [{"name": "A", "value": "b"}]}), ""),
            (json!({"containers": [{"name": "c", "image": "x"}]}), "account:default"),
            (json!({"a": {"containers": [{}], "automountServiceAccountToken": false}}), ""),
            (json!({"a": [{"podSpec": {"hostNetwork": true}}]}), "hostNamespace"),
            (json!({"sidecars": [{"securityContext": {"privileged": true}}]}), "privileged"),
            (json!({"podSecurityContext": {"capabilities": {"add": ["SYS_ADMIN"]}}}), "capability"),
            (json!({"extraVolumes": [{"name": "n", "nfs": {"server": "s"}}]}), "volumeSource"),
            (json!({"data": {"hostPath": "/var"}}), "hostPath"),
            (json!({"placement": {"nodeName": "n1"}}), "node"),
            (json!({"pods": {"tolerations": [{"operator": "Exists"}]}}), "toleration"),
            (json!({"pods": {"priorityClassName": "system-node-critical"}}), "priority"),
            (json!({"storage": {"accessModes": [], "volumeName": "pv1"}}), "volume"),
            (json!({"storage": {"storageClassName": "fast", "resources": {}}}), ""),
            (json!({"executorServiceAccount": "admin"}), "account:admin"),
            (json!({"service_account_name": "admin"}), "account:admin"),
            (json!({"serviceAccount": {"create": true, "name": "admin"}}), "account:admin"),
            (json!({"service": {"externalIPs": ["10.0.0.1"]}}), "address"),
            (
                json!({"serviceAccountAnnotations": {}, "a": {"annotations": {"eks.amazonaws.com/role-arn": "x"}}}),
                "eks.amazonaws.com/role-arn",
            ),
            (json!({"rules": [{"verbs": ["*"], "resources": ["*"]}]}), "rights:/spec/rules/*"),
            (
                json!({"objects": [{"apiVersion": "v1", "kind": "Secret", "data": {}}]}),
                "deploys:/spec/objects/*",
            ),
            (json!({"ref": {"apiVersion": "v1", "kind": "Secret", "name": "s"}}), ""),
        ];
        for (spec, want) in table {
            assert_eq!(found(&spec), want, "{spec}");
        }
    }

    #[test]
    fn says_where_it_stopped_looking() {
        let many = json!({"spec": vec![json!([]); NODES_MAX + 1]});
        assert!(Inner::of(&many, "dev").is_cut);
        assert!(!Inner::of(&json!({"spec": [[]]}), "dev").is_cut);
    }
}
