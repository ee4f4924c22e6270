//! Keys that come to a ConfigMap or Secret are harmless where nobody reads them. A workload that takes it
//! whole (`envFrom`, a mounted directory) reads whatever comes: that is a change of its environment, and
//! runs with its next restart.

use std::time::Duration;

use effects::{
    About, Effect, EffectKind,
    about::{Environment, Part, Parts},
};
use serde_json::Value;

use crate::{call::Write, pod, seen::Seen, view::ClusterView};

/// A write waits so long for this, and then counts as the worst.
const TIME_MAX: Duration = Duration::from_secs(5);
/// Users that an effect names.
const NAMED_MAX: usize = 6;

/// What has pods: its path below a namespace, its kind, and where in it a pod's spec is.
const WORKLOADS: [(&str, &str, &str, &str); 8] = [
    ("/api/v1", "pods", "pod", "/spec"),
    ("/apis/apps/v1", "deployments", "deployment", "/spec/template/spec"),
    ("/apis/apps/v1", "statefulsets", "statefulset", "/spec/template/spec"),
    ("/apis/apps/v1", "daemonsets", "daemonset", "/spec/template/spec"),
    ("/apis/apps/v1", "replicasets", "replicaset", "/spec/template/spec"),
    ("/api/v1", "replicationcontrollers", "replicationcontroller", "/spec/template/spec"),
    ("/apis/batch/v1", "jobs", "job", "/spec/template/spec"),
    ("/apis/batch/v1", "cronjobs", "cronjob", "/spec/jobTemplate/spec/template/spec"),
];

/// Adds to the effects that an environment changes, where keys come that somebody reads, or where nobody
/// can tell. Only production asks about it.
pub(crate) async fn weigh(
    view: &ClusterView,
    write: &Write,
    seen: &Seen,
    effects: &mut Vec<Effect>,
) {
    let attributes = write.attributes();
    let holds_data = matches!(attributes.resource.as_str(), "configmaps" | "secrets");
    if !attributes.api_group.is_empty() || !holds_data || !write.class.production {
        return;
    }
    let Some(added) = effects.iter().find_map(|it| added(it, seen)) else { return };
    let found = tokio::time::timeout(TIME_MAX, users(view, write, &added)).await;
    let environment = match found.ok().flatten() {
        Some(users) if users.is_empty() => return,
        Some(mut users) => {
            let more = users.len().saturating_sub(NAMED_MAX);
            users.truncate(NAMED_MAX);
            Environment { users, more, unknown: false }
        }
        None => Environment { unknown: true, ..Environment::default() },
    };
    let parts = Parts { parts: vec![Part::Environment(environment)], more: 0 };
    let (kind, about) = (EffectKind::ChangeTemplate, About::Parts(parts));
    effects.push(Effect { kind, object: added.object, about });
}

/// An object to which keys come.
struct Added {
    object: effects::ObjectRef,
    /// `None` where there are more than are named.
    keys: Option<Vec<String>>,
}

fn added(effect: &Effect, seen: &Seen) -> Option<Added> {
    let object = effect.object.clone();
    match (effect.kind, &effect.about) {
        (EffectKind::AddData, About::Parts(parts)) => {
            let key = |part: &Part| match part {
                Part::DataAdded(key) => Some(key.clone()),
                _ => None,
            };
            let keys = (parts.more == 0).then(|| parts.parts.iter().filter_map(key).collect());
            Some(Added { object, keys })
        }
        // Who waits for an object, or does without it, names it before it is there.
        (EffectKind::CreateInert | EffectKind::CreateActive, _) if !object.name.is_empty() => {
            let maps = ["/data", "/stringData", "/binaryData"].into_iter();
            let maps = maps.filter_map(|path| seen.new.as_ref()?.pointer(path)?.as_object());
            let keys: Vec<String> = maps.flat_map(serde_json::Map::keys).cloned().collect();
            (!keys.is_empty()).then_some(Added { object, keys: Some(keys) })
        }
        _ => None,
    }
}

/// Who in the namespace reads what comes, as `deployment web`; `None` where not all of them can be seen.
async fn users(view: &ClusterView, write: &Write, added: &Added) -> Option<Vec<String>> {
    let namespace = &write.attributes().namespace;
    let mut users = Vec::new();
    for (api, resource, kind, spec) in WORKLOADS {
        let collection = format!("{api}/namespaces/{namespace}/{resource}");
        for item in view.all(write, resource, &collection, "").await? {
            let name = item.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
            // Its owner says it once, where that is looked at.
            if !is_of_workload(&item) && item.pointer(spec).is_some_and(|pod| reads(pod, added)) {
                users.push(format!("{kind} {name}"));
            }
        }
    }
    Some(users)
}

/// Whether another of [`WORKLOADS`] made it. What an operator makes of a resource of its own is looked at
/// itself.
fn is_of_workload(object: &Value) -> bool {
    pod::controller(object).is_some_and(|owner| {
        let text = |field| owner.get(field).and_then(Value::as_str).unwrap_or_default();
        let (api, kind) = (text("apiVersion"), text("kind").to_ascii_lowercase());
        WORKLOADS.iter().any(|(path, _, known, _)| {
            let version = path.trim_start_matches("/apis/").trim_start_matches("/api/");
            *known == kind && version == api
        })
    })
}

/// Whether a pod takes the object whole, or names one of the keys that come.
fn reads(pod: &Value, added: &Added) -> bool {
    let containers = ["/containers", "/initContainers", "/ephemeralContainers"];
    let mut containers = containers.into_iter().flat_map(|list| each(pod, list));
    let mut volumes = each(pod, "/volumes").iter();
    containers.any(|it| container_reads(it, added)) || volumes.any(|it| volume_reads(it, added))
}

fn container_reads(container: &Value, added: &Added) -> bool {
    let (whole, one) = match added.object.resource.as_str() {
        "secrets" => ("/secretRef/name", "/valueFrom/secretKeyRef"),
        _ => ("/configMapRef/name", "/valueFrom/configMapKeyRef"),
    };
    let name = Some(added.object.name.as_str());
    each(container, "/envFrom").iter().any(|it| text(it, whole) == name)
        || each(container, "/env").iter().filter_map(|it| it.pointer(one)).any(|it| {
            text(it, "/name") == name && text(it, "/key").is_none_or(|key| added.comes(key))
        })
}

fn volume_reads(volume: &Value, added: &Added) -> bool {
    let (field, name) = match added.object.resource.as_str() {
        "secrets" => ("/secret", "/secretName"),
        _ => ("/configMap", "/name"),
    };
    let is_it = |source: &Value, name: &str| {
        let items = each(source, "/items");
        text(source, name) == Some(&added.object.name)
            && (items.is_empty()
                || items.iter().filter_map(|it| text(it, "/key")).any(|key| added.comes(key)))
    };
    let sources = each(volume, "/projected/sources").iter();
    volume.pointer(field).is_some_and(|it| is_it(it, name))
        || sources.filter_map(|it| it.pointer(field)).any(|it| is_it(it, "/name"))
        // What a driver makes of a Secret is not known.
        || (added.object.resource == "secrets" && names(volume, &added.object.name))
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

impl Added {
    fn comes(&self, key: &str) -> bool {
        self.keys.as_ref().is_none_or(|keys| keys.iter().any(|it| it == key))
    }
}

fn each<'a>(value: &'a Value, path: &str) -> &'a [Value] {
    value.pointer(path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, path: &str) -> Option<&'a str> {
    value.pointer(path).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use effects::ObjectRef;
    use serde_json::json;

    use super::*;

    #[test]
    fn finds_who_reads_what_comes() {
        let added = |resource: &str| Added {
            object: ObjectRef {
                resource: resource.into(),
                name: "app".into(),
                ..ObjectRef::default()
            },
            keys: Some(vec!["new".into()]),
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
            ("secrets", json!({"imagePullSecrets": [{"name": "app"}]}), false),
        ];
        for (resource, pod, want) in table {
            assert_eq!(reads(&pod, &added(resource)), want, "{resource} {pod}");
        }
    }
}
