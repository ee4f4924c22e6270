//! Who uses what goes or changes: the pods that mount a claim, or take something from a Secret or a
//! ConfigMap.

use effects::{Effect, EffectKind, ObjectRef};
use serde_json::Value;

use super::{Impact, ImpactCount, counted, place, some, text};

impl ImpactCount<'_> {
    pub(super) async fn of_uses(&self, effects: &[Effect], to: &mut Impact) {
        let used = effects.iter().find(|it| {
            matches!(it.kind, EffectKind::Delete | EffectKind::LoseData)
                && is_used_by_pods(&it.object)
        });
        let Some(ObjectRef { resource, namespace, name, .. }) = used.map(|it| &it.object) else {
            return;
        };
        let pods = format!("/api/v1/namespaces/{namespace}/pods");
        let Some(pods) = self.whole("pods", &pods, "").await else {
            let why = self.unseen(&["pods".to_owned()]);
            to.notes.push(format!("which pods use it is unknown: {why}"));
            return;
        };
        let names: Vec<String> =
            pods.iter().filter(|pod| uses(pod, resource, name)).map(place).collect();
        match (resource.as_str(), names.is_empty()) {
            ("persistentvolumeclaims", _) => {
                to.goes_with.push(counted("pods that mount it", &names))
            }
            (_, true) => to.notes.push("no pod uses it now".to_owned()),
            _ => to.notes.push(format!("{} pods use it: {}", names.len(), some(&names))),
        }
    }
}

fn is_used_by_pods(object: &ObjectRef) -> bool {
    object.api_group.is_empty()
        && !object.name.is_empty()
        && matches!(object.resource.as_str(), "secrets" | "configmaps" | "persistentvolumeclaims")
}

/// Fields of a pod spec that name an object of a kind, each with the field in it that holds the name.
fn fields(resource: &str) -> &'static [(&'static str, &'static str)] {
    match resource {
        "persistentvolumeclaims" => &[("persistentVolumeClaim", "claimName")],
        "secrets" => &[
            ("secret", "secretName"),
            ("secret", "name"),
            ("secretRef", "name"),
            ("secretKeyRef", "name"),
            ("nodePublishSecretRef", "name"),
            ("imagePullSecrets", "name"),
            ("azureFile", "secretName"),
        ],
        _ => &[("configMap", "name"), ("configMapRef", "name"), ("configMapKeyRef", "name")],
    }
}

fn uses(pod: &Value, resource: &str, name: &str) -> bool {
    pod.get("spec").is_some_and(|spec| names(spec, "", fields(resource), name))
}

/// Whether a value below `key` names the object.
fn names(value: &Value, key: &str, fields: &[(&str, &str)], name: &str) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|it| names(it, key, fields, name)),
        Value::Object(object) => {
            let here = fields.iter().any(|(field, named)| {
                *field == key && text(value, &format!("/{named}")) == Some(name)
            });
            here || object.iter().any(|(key, value)| names(value, key, fields, name))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn finds_every_way_to_use_it() {
        let pod = json!({"spec": {
            "imagePullSecrets": [{"name": "pull"}],
            "containers": [{
                "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "key", "key": "a"}}}],
                "envFrom": [{"configMapRef": {"name": "all"}}],
            }],
            "volumes": [
                {"name": "v", "secret": {"secretName": "vol"}},
                {"name": "p", "projected": {"sources": [{"secret": {"name": "proj"}}]}},
                {"name": "c", "persistentVolumeClaim": {"claimName": "data"}},
            ],
        }});
        let table = [
            ("secrets", "pull", true),
            ("secrets", "key", true),
            ("secrets", "vol", true),
            ("secrets", "proj", true),
            ("secrets", "all", false),
            ("configmaps", "all", true),
            ("configmaps", "v", false),
            ("persistentvolumeclaims", "data", true),
            ("persistentvolumeclaims", "other", false),
        ];
        for (resource, name, want) in table {
            assert_eq!(uses(&pod, resource, name), want, "{resource} {name}");
        }
    }
}
