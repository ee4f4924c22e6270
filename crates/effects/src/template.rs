//! Pod templates: image, resources, a safe restart (DEFAULTS Q3), or anything else that runs.

use serde_json::Value;

use crate::{Change, EffectKind, triggers};

/// The path inside a pod template (or a pod), for a path of an object that has one.
pub(crate) fn within<'a>(resource: &str, segments: &'a [&'a str]) -> Option<&'a [&'a str]> {
    match (resource, segments) {
        (
            "deployments" | "statefulsets" | "daemonsets" | "replicasets"
            | "replicationcontrollers" | "jobs",
            ["spec", "template", rest @ ..],
        ) => Some(rest),
        ("cronjobs", ["spec", "jobTemplate", "spec", "template", rest @ ..]) => Some(rest),
        ("podtemplates", ["template", rest @ ..]) => Some(rest),
        ("pods", ["spec", ..]) => Some(segments),
        _ => None,
    }
}

/// The kinds of change to the pod template, with the details of each.
pub(crate) fn changed(
    resource: &str,
    changes: &[Change],
    old: &Value,
    new: &Value,
) -> Vec<(EffectKind, String)> {
    let mut found = Vec::new();
    let mut annotations = Vec::new();
    for change in changes {
        let segments: Vec<&str> = change.path.split('/').skip(1).collect();
        let Some(inside) = within(resource, &segments) else { continue };
        match inside {
            ["metadata", "annotations", ..] => annotations.push(change),
            [
                "spec",
                list @ ("containers" | "initContainers" | "ephemeralContainers"),
                name,
                "image",
            ] => {
                let text = |side: &Option<Value>| {
                    side.as_ref().and_then(Value::as_str).unwrap_or("none").to_owned()
                };
                let (old, new) = (text(&change.old), text(&change.new));
                let list = list.trim_end_matches('s');
                found.push((EffectKind::ChangeImage, format!("{list} {name}: {old} -> {new}")));
            }
            ["spec", "volumes", name, "image", ..] => {
                found.push((EffectKind::ChangeImage, format!("image volume {name}")));
            }
            [
                "spec",
                list @ ("containers" | "initContainers" | "ephemeralContainers"),
                name,
                "resources" | "resizePolicy",
                ..,
            ] => {
                let text = |side: &Option<Value>| {
                    side.as_ref().map_or("none".to_owned(), Value::to_string)
                };
                let (old, new) = (text(&change.old), text(&change.new));
                let what = inside.get(3..).unwrap_or_default().join("/");
                let list = list.trim_end_matches('s');
                let detail = format!("{list} {name} {what}: {old} -> {new}");
                found.push((EffectKind::ChangeResources, detail));
            }
            ["spec", "resources", ..] => {
                found.push((EffectKind::ChangeResources, "resources of the pod".to_owned()));
            }
            _ => found.push((EffectKind::ChangeTemplate, format!("{} differs", change.path))),
        }
    }
    if !annotations.is_empty() {
        let unsafe_because = unsafe_restart(resource, &annotations, old, new);
        match unsafe_because {
            // With other changes beside it, the annotation is the least of it.
            None => found.push((EffectKind::Restart, "rolls its pods, one after another".into())),
            Some(why) => found.push((EffectKind::ChangeTemplate, format!("restarts all pods: {why}"))),
        }
    }
    found
}

/// Why rolling the pods of this workload is not a safe restart; `None` where it is.
fn unsafe_restart(
    resource: &str,
    annotations: &[&Change],
    old: &Value,
    new: &Value,
) -> Option<String> {
    for change in annotations {
        let keys: Vec<String> = match change.path.split("/metadata/annotations").last() {
            Some(key) if !key.is_empty() => {
                vec![key.trim_start_matches('/').replace("~1", "/").replace("~0", "~")]
            }
            _ => [&change.old, &change.new]
                .into_iter()
                .flatten()
                .filter_map(Value::as_object)
                .flat_map(|map| map.keys().cloned())
                .collect(),
        };
        if let Some((key, why)) =
            keys.iter().find_map(|key| triggers::annotation(key).map(|why| (key, why)))
        {
            return Some(format!("template annotation {key}: {why}"));
        }
    }
    [old, new].into_iter().find_map(|object| unsafe_strategy(resource, object))
}

fn unsafe_strategy(resource: &str, object: &Value) -> Option<String> {
    let text = |path| object.pointer(path).and_then(Value::as_str);
    let replicas = object.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1);
    let (strategy, unavailable) = match resource {
        "deployments" => (
            text("/spec/strategy/type"),
            object.pointer("/spec/strategy/rollingUpdate/maxUnavailable"),
        ),
        "statefulsets" | "daemonsets" => (
            text("/spec/updateStrategy/type"),
            object.pointer("/spec/updateStrategy/rollingUpdate/maxUnavailable"),
        ),
        _ => return Some("it is not a workload that rolls".to_owned()),
    };
    if strategy != Some("RollingUpdate") {
        return Some(format!("its strategy is {}", strategy.unwrap_or("unknown")));
    }
    if resource != "daemonsets" && replicas < 2 {
        return Some(format!("it has {replicas} replicas"));
    }
    let all_at_once = match unavailable {
        None => false,
        Some(Value::String(share)) => {
            share.trim_end_matches('%').parse::<u32>().map_or(true, |share| share >= 100)
        }
        Some(Value::Number(count)) => {
            resource != "daemonsets" && count.as_i64().is_none_or(|count| count >= replicas)
        }
        Some(_) => true,
    };
    all_at_once.then(|| "all of its pods may be unavailable at once".to_owned())
}
