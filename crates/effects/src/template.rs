//! Pod templates: image, resources, a safe restart (DEFAULTS Q3), or anything else that runs.

use std::collections::HashSet;

use serde_json::Value;

use crate::{
    EffectKind,
    about::{Container, ContainerAdded, ContainerChange, Hazard, Part},
    diff::segments,
    effect::Change,
    keys::{self, Keys, Map},
};

/// What a template makes: its keys mean what they mean on one.
const POD: &str = "pods";
const CONTAINERS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];

/// The path inside a pod template (or a pod), for a path of an object that has one.
pub(crate) fn within<'a>(resource: &str, segments: &'a [String]) -> Option<Vec<&'a str>> {
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let (prefix, rest): (&[&str], &[&str]) = match (resource, segments.as_slice()) {
        ("pods", ["spec", ..]) => (&[], &segments),
        ("cronjobs", [_, _, _, _, rest @ ..]) => {
            (&["spec", "jobTemplate", "spec", "template"], rest)
        }
        ("podtemplates", [_, rest @ ..]) => (&["template"], rest),
        (resource, [_, _, rest @ ..]) if has_template(resource) => (&["spec", "template"], rest),
        _ => return None,
    };
    segments.starts_with(prefix).then(|| rest.to_vec())
}

/// The pod spec of an object that has one.
pub(crate) fn pod_spec<'a>(resource: &str, object: &'a Value) -> Option<&'a Value> {
    match resource {
        "pods" => object.pointer("/spec"),
        "cronjobs" => object.pointer("/spec/jobTemplate/spec/template/spec"),
        "podtemplates" => object.pointer("/template/spec"),
        // By the revision that its status names, a StatefulSet makes pods again.
        "controllerrevisions" => object.pointer("/data/spec/template/spec"),
        resource if has_template(resource) => object.pointer("/spec/template/spec"),
        _ => None,
    }
}

/// The metadata of a pod, or of those that an object makes.
pub(crate) fn of_pods<'a>(resource: &str, object: &'a Value) -> Option<&'a Value> {
    if resource == POD { object.get("metadata") } else { metadata(resource, object) }
}

/// The metadata of the pods that an object makes.
fn metadata<'a>(resource: &str, object: &'a Value) -> Option<&'a Value> {
    match resource {
        "cronjobs" => object.pointer("/spec/jobTemplate/spec/template/metadata"),
        "podtemplates" => object.pointer("/template/metadata"),
        "controllerrevisions" => object.pointer("/data/spec/template/metadata"),
        resource if has_template(resource) => object.pointer("/spec/template/metadata"),
        _ => None,
    }
}

/// The keys of a new object that give rights, also those of the pods that it makes.
pub(crate) fn granting<'o>(
    keys: Keys<'o>,
    resource: &'o str,
    object: &'o Value,
) -> impl Iterator<Item = &'o String> {
    let own = keys::of(object).filter(move |(map, key)| keys.grants(resource, *map, key));
    let of_pods = keys::in_metadata(metadata(resource, object));
    own.chain(of_pods.filter(move |(map, key)| keys.grants(POD, *map, key))).map(|(_, key)| key)
}

fn has_template(resource: &str) -> bool {
    matches!(
        resource,
        "deployments"
            | "statefulsets"
            | "daemonsets"
            | "replicasets"
            | "replicationcontrollers"
            | "jobs"
    )
}

/// The kinds of change to the pod template, with what changes of each.
pub(crate) fn changed(
    keys: Keys<'_>,
    resource: &str,
    changes: &[Change],
    old: &Value,
    new: &Value,
) -> Vec<(EffectKind, Part)> {
    let mut found = Vec::new();
    let mut annotations = Vec::new();
    // By a set, not by a search for each change: an agent decides how many containers there are.
    let (before, after) = (containers(resource, old), containers(resource, new));
    for change in changes {
        let segments = segments(&change.path);
        let Some(inside) = within(resource, &segments) else { continue };
        let found_here = match inside.as_slice() {
            ["metadata", map @ ("labels" | "annotations"), key]
                if keys.grants(POD, Map::called(map), key) =>
            {
                Some((EffectKind::GrantAccess, Part::Grants((*key).to_owned())))
            }
            ["metadata", "annotations", key] => {
                annotations.push((*key).to_owned());
                continue;
            }
            ["spec", list, name, rest @ ..] if CONTAINERS.contains(list) => {
                match (before.contains(&(*list, *name)), after.contains(&(*list, *name))) {
                    (false, true) => added(list, name, rest, change),
                    (true, false) => {
                        let removed = Part::ContainerRemoved(container(list, name));
                        Some((EffectKind::ChangeTemplate, removed))
                    }
                    // Both, or neither where names do not tell them apart.
                    _ => Some(of_container(list, name, rest, change)),
                }
            }
            ["spec", "volumes", name, "image", ..] => {
                Some((EffectKind::ChangeImage, Part::VolumeImage((*name).to_owned())))
            }
            ["spec", "resources", rest @ ..] => {
                let resources = Part::PodResources(change.of_field(rest.join("/")));
                Some((EffectKind::ChangeResources, resources))
            }
            _ => Some((EffectKind::ChangeTemplate, Part::Field(change.path.clone()))),
        };
        found.extend(found_here);
    }
    if !annotations.is_empty() {
        found.push(match unsafe_restart(keys, resource, &annotations, old, new) {
            // With other changes beside it, the annotation is the least of it.
            None => (EffectKind::Restart, Part::Rolls),
            Some(why) => (EffectKind::ChangeTemplate, Part::RestartsUnsafely(why)),
        });
    }
    found
}

/// Its containers, by list and name.
fn containers<'a>(resource: &str, object: &'a Value) -> HashSet<(&'static str, &'a str)> {
    let pod = pod_spec(resource, object);
    let named = |list: &'static str| {
        let items = pod.and_then(|pod| pod.get(list)).and_then(Value::as_array);
        let name = |it: &'a Value| it.get("name").and_then(Value::as_str);
        items.into_iter().flatten().filter_map(name).map(move |name| (list, name))
    };
    CONTAINERS.into_iter().flat_map(named).collect()
}

/// Whether what runs in pods differs: not by labels that sort or a restart, nor by how much it may use.
pub(crate) fn runs_other_code(keys: Keys<'_>, resource: &str, changes: &[Change]) -> bool {
    changes.iter().any(|change| {
        let segments = segments(&change.path);
        match within(resource, &segments).as_deref() {
            None => false,
            Some(["metadata", "annotations", key]) => keys.changes_template(key),
            Some(["metadata", "labels", key]) => keys.marks(POD, Map::Labels, key),
            Some(["metadata", ..] | ["spec", "resources", ..]) => false,
            Some(["spec", list, _, field, ..]) if CONTAINERS.contains(list) => {
                !matches!(*field, "resources" | "resizePolicy")
            }
            Some(_) => true,
        }
    })
}

fn added(list: &str, name: &str, rest: &[&str], change: &Change) -> Option<(EffectKind, Part)> {
    // Named once, by its image, of all the fields that come with it.
    let image = change.new.as_ref().and_then(Value::as_str).filter(|_| rest == ["image"])?;
    let container = container(list, name);
    let added = ContainerAdded { container, image: image.to_owned() };
    Some((EffectKind::ChangeTemplate, Part::ContainerAdded(added)))
}

fn of_container(list: &str, name: &str, rest: &[&str], change: &Change) -> (EffectKind, Part) {
    let of_field = || ContainerChange {
        container: container(list, name),
        change: change.of_field(rest.join("/")),
    };
    match rest {
        ["image"] => (EffectKind::ChangeImage, Part::Image(of_field())),
        ["resources" | "resizePolicy", ..] => {
            (EffectKind::ChangeResources, Part::Resources(of_field()))
        }
        // Of values in here only the path is told: an environment may hold secrets.
        _ => (EffectKind::ChangeTemplate, Part::Field(change.path.clone())),
    }
}

fn container(list: &str, name: &str) -> Container {
    Container { list: list.to_owned(), name: name.to_owned() }
}

/// Why rolling the pods of this workload is not a safe restart; `None` where it is.
fn unsafe_restart(
    keys: Keys<'_>,
    resource: &str,
    annotations: &[String],
    old: &Value,
    new: &Value,
) -> Option<Hazard> {
    let acts = |key: &&String| keys.changes_template(key);
    if let Some(key) = annotations.iter().find(acts) {
        return Some(Hazard::Annotation(key.clone()));
    }
    [old, new].into_iter().find_map(|object| unsafe_strategy(resource, object))
}

fn unsafe_strategy(resource: &str, object: &Value) -> Option<Hazard> {
    let text = |path| object.pointer(path).and_then(Value::as_str);
    let count = |path| object.pointer(path).and_then(Value::as_i64);
    let strategy = match resource {
        "deployments" => "/spec/strategy",
        "statefulsets" | "daemonsets" => "/spec/updateStrategy",
        _ => return Some(Hazard::DoesNotRoll),
    };
    let kind = text(&format!("{strategy}/type"));
    if kind != Some("RollingUpdate") {
        return Some(Hazard::Strategy(kind.map(str::to_owned)));
    }
    let pods = match resource {
        "daemonsets" => count("/status/desiredNumberScheduled").unwrap_or(0),
        _ => count("/spec/replicas").unwrap_or(1),
    };
    if resource != "daemonsets" && pods < 2 {
        return Some(Hazard::FewReplicas(pods));
    }
    let all_at_once = match object.pointer(&format!("{strategy}/rollingUpdate/maxUnavailable")) {
        None => false,
        Some(Value::String(share)) => {
            share.trim_end_matches('%').parse::<u32>().map_or(true, |share| share >= 100)
        }
        Some(value) => match value.as_i64() {
            // One at a time is as gentle as a restart can be, also where there is only one.
            Some(count) => count >= pods && count > 1,
            None => true,
        },
    };
    all_at_once.then_some(Hazard::AllAtOnce)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tells_safe_restarts_from_others() {
        let rolling = |replicas: i64, unavailable: Value| {
            json!({"spec": {"replicas": replicas, "strategy": {"type": "RollingUpdate",
                "rollingUpdate": {"maxUnavailable": unavailable}}}})
        };
        let daemons = |unavailable: Value, desired: i64| {
            json!({"spec": {"updateStrategy": {"type": "RollingUpdate",
                "rollingUpdate": {"maxUnavailable": unavailable}}},
                "status": {"desiredNumberScheduled": desired}})
        };
        let table = [
            ("deployments", rolling(10, json!("25%")), true),
            ("deployments", rolling(2, json!(1)), true),
            ("deployments", rolling(2, json!(2)), false),
            ("deployments", rolling(10, json!("100%")), false),
            ("deployments", rolling(10, json!("x")), false),
            ("deployments", rolling(1, json!("25%")), false),
            ("deployments", rolling(0, json!("25%")), false),
            (
                "deployments",
                json!({"spec": {"replicas": 3, "strategy": {"type": "Recreate"}}}),
                false,
            ),
            ("deployments", json!({"spec": {"replicas": 3}}), false),
            ("daemonsets", daemons(json!(1), 1), true),
            ("daemonsets", daemons(json!(2), 2), false),
            ("daemonsets", daemons(json!("50%"), 2), true),
            ("jobs", json!({}), false),
        ];
        for (resource, object, safe) in table {
            let why = unsafe_strategy(resource, &object);
            assert_eq!(why.is_none(), safe, "{resource} {object}: {why:?}");
        }
    }
}
