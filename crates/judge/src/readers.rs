//! What in a pod, a ServiceAccount or an Ingress reads what comes to a ConfigMap or Secret: by Kubernetes' own
//! references, which tell the key, and by names in arguments, environment and annotations, by which
//! programs and controllers find it through the API.

use std::collections::BTreeSet;

use effects::{ObjectRef, is_bookkeeping};
use serde_json::Value;

/// Keys that come to a ConfigMap or Secret.
pub(crate) struct Coming {
    pub(crate) object: ObjectRef,
    /// `None` where there are more than are named.
    pub(crate) keys: Option<BTreeSet<String>>,
    /// The labels that the object has before or then, by their keys.
    pub(crate) labels: BTreeSet<String>,
}

/// What stands around names in arguments, environments and annotations.
const SEPARATORS: [char; 11] = [',', ';', '=', '|', '"', '\'', '[', ']', '{', '}', '@'];
/// What may stand before a name, instead of its namespace.
const KINDS: [&str; 4] = ["configmap", "configmaps", "secret", "secrets"];

impl Coming {
    /// Whether more comes than labels.
    pub(crate) fn has_keys(&self) -> bool {
        self.keys.as_ref().is_none_or(|keys| !keys.is_empty())
    }

    /// Whether what runs in a pod is told to look for objects with one of the labels.
    pub(crate) fn is_selected_by_pod(&self, pod: &Value) -> bool {
        containers(pod).flat_map(said).any(|(called, value)| self.is_selected_by(called, value))
    }

    /// Whether a pod takes the object whole, or names one of the keys that come; or whether what runs in
    /// it is told the object's name.
    pub(crate) fn is_read_by_pod(&self, pod: &Value) -> bool {
        let mut volumes = each(pod, "/volumes").iter();
        let is_told = |it| said(it).into_iter().any(|(_, value)| self.is_named_in(value));
        self.is_pulled_by(pod)
            || containers(pod).any(|it| self.is_in_environment(it) || is_told(it))
            || volumes.any(|it| self.is_read_by_volume(it))
    }

    /// Whether a ServiceAccount gives the Secret to its pods.
    pub(crate) fn is_read_by_account(&self, account: &Value) -> bool {
        let is_it = |it: &Value| text(it, "/name") == Some(&self.object.name);
        self.is_pulled_by(account)
            || (self.is_secret() && each(account, "/secrets").iter().any(is_it))
    }

    /// Whether an Ingress takes its certificate from the Secret.
    pub(crate) fn is_read_by_ingress(&self, ingress: &Value) -> bool {
        let is_it = |it: &Value| text(it, "/secretName") == Some(&self.object.name);
        self.is_secret() && each(ingress, "/spec/tls").iter().any(is_it)
    }

    /// Whether an annotation names the object.
    pub(crate) fn is_named_in_annotations(&self, metadata: Option<&Value>) -> bool {
        let annotations = metadata.and_then(|it| it.get("annotations")).and_then(Value::as_object);
        let others = annotations.into_iter().flatten().filter(|(key, _)| !is_bookkeeping(key));
        others.into_iter().filter_map(|(_, value)| value.as_str()).any(|it| self.is_named_in(it))
    }

    fn is_secret(&self) -> bool {
        self.object.resource == "secrets"
    }

    fn is_pulled_by(&self, of: &Value) -> bool {
        let is_it = |it: &Value| text(it, "/name") == Some(&self.object.name);
        self.is_secret() && each(of, "/imagePullSecrets").iter().any(is_it)
    }

    fn is_in_environment(&self, container: &Value) -> bool {
        let (whole, one) = match self.is_secret() {
            true => ("/secretRef/name", "/valueFrom/secretKeyRef"),
            false => ("/configMapRef/name", "/valueFrom/configMapKeyRef"),
        };
        let name = Some(self.object.name.as_str());
        each(container, "/envFrom").iter().any(|it| text(it, whole) == name)
            || each(container, "/env").iter().filter_map(|it| it.pointer(one)).any(|it| {
                text(it, "/name") == name && text(it, "/key").is_none_or(|key| self.comes(key))
            })
    }

    fn is_read_by_volume(&self, volume: &Value) -> bool {
        let (field, name) = match self.is_secret() {
            true => ("/secret", "/secretName"),
            false => ("/configMap", "/name"),
        };
        let is_it = |source: &Value, name: &str| {
            let items = each(source, "/items");
            text(source, name) == Some(&self.object.name)
                && (items.is_empty()
                    || items.iter().filter_map(|it| text(it, "/key")).any(|key| self.comes(key)))
        };
        let sources = each(volume, "/projected/sources").iter();
        volume.pointer(field).is_some_and(|it| is_it(it, name))
            || sources.filter_map(|it| it.pointer(field)).any(|it| is_it(it, "/name"))
            // What a driver makes of a Secret is not known.
            || (self.is_secret() && names(volume, &self.object.name))
    }

    /// Whether a text has the object's name in it: alone, or behind its namespace, a variable that may
    /// stand for that (`$(POD_NAMESPACE)/name`) or its kind.
    fn is_named_in(&self, said: &str) -> bool {
        // A generated name is not known to anybody before.
        !self.object.name.is_empty() && parts(said).any(|part| self.is_named_by(part))
    }

    fn is_named_by(&self, part: &str) -> bool {
        let mut segments = part.rsplit(['/', ':']);
        let is_name = segments.next() == Some(&self.object.name);
        let before = segments.next();
        let may_be_namespace = before.is_none_or(|it| {
            it == self.object.namespace
                || KINDS.contains(&it)
                || (it.starts_with('$') && segments.next().is_none())
        });
        is_name && may_be_namespace
    }

    /// Whether a flag or variable that is called so makes a program select the object by a label.
    fn is_selected_by(&self, called: &str, value: &str) -> bool {
        let called = called.to_ascii_lowercase();
        let selects = called.contains("label") || called.contains("selector");
        selects && parts(value).any(|part| self.labels.contains(part))
    }

    fn comes(&self, key: &str) -> bool {
        self.keys.as_ref().is_none_or(|keys| keys.contains(key))
    }
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    let lists = ["/containers", "/initContainers", "/ephemeralContainers"];
    lists.into_iter().flat_map(|list| each(pod, list))
}

/// What a container is told in its arguments and environment: what it is called, and the value. A flag
/// stands before its value, or in one word with it.
fn said(container: &Value) -> Vec<(&str, &str)> {
    let words = ["/command", "/args"].into_iter().flat_map(|list| each(container, list));
    let words: Vec<&str> = words.filter_map(Value::as_str).collect();
    let behind = words.iter().copied().zip(words.iter().copied().skip(1));
    let alone = words.iter().map(|word| (*word, *word));
    let set = each(container, "/env").iter();
    let set = set.filter_map(|it| Some((text(it, "/name")?, text(it, "/value")?)));
    alone.chain(behind).chain(set).collect()
}

/// The parts of a text in which names stand by themselves.
fn parts(said: &str) -> impl Iterator<Item = &str> {
    let ends = |it: char| it.is_whitespace() || SEPARATORS.contains(&it);
    said.split(ends).map(|it| it.trim_end_matches(':')).filter(|it| !it.is_empty())
}

/// Whether anything but the sources that Kubernetes itself reads names the Secret.
fn names(volume: &Value, name: &str) -> bool {
    let fields = volume.as_object().into_iter().flatten();
    let others = fields.filter(|(key, _)| !matches!(key.as_str(), "name" | "secret" | "projected"));
    others.into_iter().any(|(_, source)| {
        ["/secretName", "/secretRef/name", "/nodePublishSecretRef/name"]
            .into_iter()
            .any(|path| text(source, path) == Some(name))
    })
}

fn each<'a>(value: &'a Value, path: &str) -> &'a [Value] {
    value.pointer(path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, path: &str) -> Option<&'a str> {
    value.pointer(path).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn finds_who_reads_what_comes() {
        let coming = |resource: &str| Coming {
            object: ObjectRef {
                resource: resource.into(),
                namespace: "shop".into(),
                name: "app".into(),
                ..ObjectRef::default()
            },
            keys: Some(BTreeSet::from(["new".into()])),
            labels: BTreeSet::from(["app".into(), "tier".into()]),
        };
        let pod = |container: Value, volume: Value| json!({"containers": [container], "volumes": [volume]});
        let env = |field: &str, key: &str| {
            pod(
                json!({"env": [{"name": "A", "valueFrom": {field: {"name": "app", "key": key}}}]}),
                json!({}),
            )
        };
        let table = [
            (
                "configmaps",
                pod(json!({"envFrom": [{"configMapRef": {"name": "app"}}]}), json!({})),
                true,
            ),
            (
                "configmaps",
                pod(json!({"envFrom": [{"secretRef": {"name": "app"}}]}), json!({})),
                false,
            ),
            ("secrets", pod(json!({"envFrom": [{"secretRef": {"name": "app"}}]}), json!({})), true),
            ("configmaps", env("configMapKeyRef", "old"), false),
            ("configmaps", env("configMapKeyRef", "new"), true),
            ("secrets", env("secretKeyRef", "new"), true),
            ("configmaps", pod(json!({}), json!({"configMap": {"name": "app"}})), true),
            ("configmaps", pod(json!({}), json!({"configMap": {"name": "other"}})), false),
            (
                "configmaps",
                pod(
                    json!({}),
                    json!({"configMap": {"name": "app",
                "items": [{"key": "old", "path": "x"}]}}),
                ),
                false,
            ),
            (
                "configmaps",
                pod(
                    json!({}),
                    json!({"projected": {"sources": [
                {"configMap": {"name": "app"}}]}}),
                ),
                true,
            ),
            ("secrets", pod(json!({}), json!({"secret": {"secretName": "app"}})), true),
            (
                "secrets",
                pod(json!({}), json!({"csi": {"nodePublishSecretRef": {"name": "app"}}})),
                true,
            ),
            ("secrets", json!({"imagePullSecrets": [{"name": "app"}]}), true),
            ("secrets", json!({"imagePullSecrets": [{"name": "other"}]}), false),
            ("configmaps", json!({"imagePullSecrets": [{"name": "app"}]}), false),
        ];
        for (resource, pod, want) in table {
            assert_eq!(coming(resource).is_read_by_pod(&pod), want, "{resource} {pod}");
        }
    }

    #[test]
    fn finds_who_is_told_of_what_comes() {
        let coming = Coming {
            object: ObjectRef {
                resource: "configmaps".into(),
                namespace: "shop".into(),
                name: "nginx-config".into(),
                ..ObjectRef::default()
            },
            keys: None,
            labels: BTreeSet::from(["app".into()]),
        };
        let args = |words: &[&str]| json!({"containers": [{"args": words}]});
        let env = |name: &str, value: &str| json!({"containers": [{"env": [{"name": name, "value": value}]}]});
        let table = [
            (args(&["--configmap=$(POD_NAMESPACE)/nginx-config"]), true),
            (args(&["-nginx-configmaps", "shop/nginx-config"]), true),
            (args(&["--config-maps=a,nginx-config"]), true),
            (args(&["-c", "exec /run --from configmap/nginx-config"]), true),
            (args(&["--configmap=other/nginx-config"]), false),
            (args(&["--configmap=nginx-config-2"]), false),
            (args(&["/etc/nginx-config/"]), false),
            (args(&["./nginx-config"]), false),
            (env("CONFIG_MAP_NAME", "nginx-config"), true),
            (env("CONFIG", "{\"configMap\": \"nginx-config\"}"), true),
            (env("CONFIG", "configMapName: nginx-config"), true),
            (env("CONFIG", "nginx"), false),
            (args(&["--config=/etc/"]), false),
            (args(&["--from=configmap:nginx-config"]), true),
            (args(&["--from=k8s://shop/nginx-config"]), true),
            (args(&["--from=k8s://other/nginx-config"]), false),
            (env("URL", "http://nginx-config:8080"), false),
            (env("URL", "http://nginx-config"), false),
            (env("URL", "http://$(HOST)/nginx-config"), false),
        ];
        for (pod, want) in table {
            assert_eq!(coming.is_read_by_pod(&pod), want, "{pod}");
        }
        let table = [
            (env("LABEL", "app"), true),
            (env("DATABASE", "app"), false),
            (args(&["--label-selector", "app=web"]), true),
            (args(&["--selector=app"]), true),
            (args(&["--name", "app"]), false),
            (args(&["--selector=tier"]), false),
        ];
        for (pod, want) in table {
            assert_eq!(coming.is_selected_by_pod(&pod), want, "{pod}");
        }
    }

    #[test]
    fn finds_what_routes_or_runs_with_a_secret() {
        let coming = |resource: &str| Coming {
            object: ObjectRef {
                resource: resource.into(),
                namespace: "shop".into(),
                name: "cert".into(),
                ..ObjectRef::default()
            },
            keys: None,
            labels: BTreeSet::new(),
        };
        let ingress = json!({"spec": {"tls": [{"secretName": "cert"}]}});
        let account = |field: &str| json!({field: [{"name": "cert"}]});
        assert!(coming("secrets").is_read_by_ingress(&ingress));
        assert!(!coming("configmaps").is_read_by_ingress(&ingress));
        assert!(coming("secrets").is_read_by_account(&account("imagePullSecrets")));
        assert!(coming("secrets").is_read_by_account(&account("secrets")));
        assert!(!coming("configmaps").is_read_by_account(&account("imagePullSecrets")));
        let annotated = |key: &str, value: &str| {
            let metadata = json!({"annotations": {key: value}});
            coming("secrets").is_named_in_annotations(Some(&metadata))
        };
        assert!(annotated("nginx.ingress.kubernetes.io/auth-tls-secret", "shop/cert"));
        assert!(annotated("nginx.ingress.kubernetes.io/auth-secret", "cert"));
        assert!(!annotated("nginx.ingress.kubernetes.io/auth-secret", "other/cert"));
        assert!(!annotated("kubectl.kubernetes.io/default-container", "cert"));
        assert!(!annotated("meta.helm.sh/release-name", "cert"));
        assert!(annotated("secret.reloader.stakater.com/reload", "a,cert"));
    }
}
