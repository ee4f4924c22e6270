//! What goes with a deleted object: counted as the agent sees it, by names only, within a second.

use std::time::Duration;

use effects::{Effect, EffectKind};
use hold::GoesWith;
use serde_json::Value;
use upstream::Probe;

use crate::{Proxy, call::Write};

const TIME_MAX: Duration = Duration::from_secs(1);
const NAMES_MAX: usize = 8;
/// Objects of one kind that are counted; more are given as that many and a note.
const LIST_MAX: usize = 500;

/// What a namespace holds that somebody would miss, and where it is read.
const IN_NAMESPACE: [(&str, &str); 8] = [
    ("deployments", "/apis/apps/v1"),
    ("statefulsets", "/apis/apps/v1"),
    ("daemonsets", "/apis/apps/v1"),
    ("pods", "/api/v1"),
    ("persistentvolumeclaims", "/api/v1"),
    ("services", "/api/v1"),
    ("configmaps", "/api/v1"),
    ("secrets", "/api/v1"),
];

/// Counts what goes with a delete. What cannot be seen is said, never left out.
pub(crate) async fn goes_with(
    proxy: &Proxy,
    write: &Write,
    effects: &[Effect],
    live: Option<&Value>,
    notes: &mut Vec<String>,
) -> Vec<GoesWith> {
    let deletes: Vec<&Effect> =
        effects.iter().filter(|effect| effect.kind == EffectKind::Delete).collect();
    let [delete] = deletes.as_slice() else { return Vec::new() };
    let object = &delete.object;
    let found = tokio::time::timeout(TIME_MAX, async {
        match object.resource.as_str() {
            "namespaces" => in_namespace(proxy, write, &object.name).await,
            "persistentvolumeclaims" => {
                vec![mounting_pods(proxy, write, &object.namespace, &object.name).await]
            }
            "deployments"
            | "statefulsets"
            | "replicasets"
            | "daemonsets"
            | "replicationcontrollers" => live.map(running_pods).into_iter().collect(),
            _ => Vec::new(),
        }
    });
    found.await.unwrap_or_else(|_| {
        notes.push("what goes with it could not be counted within a second".to_owned());
        Vec::new()
    })
}

async fn in_namespace(proxy: &Proxy, write: &Write, namespace: &str) -> Vec<GoesWith> {
    let lists = IN_NAMESPACE.map(|(resource, prefix)| async move {
        let target = format!("{prefix}/namespaces/{namespace}/{resource}?limit={LIST_MAX}");
        named(resource, items(proxy, write, resource, &target).await)
    });
    futures_util::future::join_all(lists)
        .await
        .into_iter()
        .filter(|found| found.count != Some(0))
        .collect()
}

async fn mounting_pods(proxy: &Proxy, write: &Write, namespace: &str, claim: &str) -> GoesWith {
    let target = format!("/api/v1/namespaces/{namespace}/pods?limit={LIST_MAX}");
    let read = proxy.read_for_preview(write, "pods", Probe::get(&target), &target).await;
    let pods = read.map(|list| {
        let pods = list.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
        pods.into_iter().filter(|pod| mounts(pod, claim)).collect()
    });
    named("pods that mount it", pods)
}

fn mounts(pod: &Value, claim: &str) -> bool {
    let volumes = pod.pointer("/spec/volumes").and_then(Value::as_array);
    volumes.into_iter().flatten().any(|volume| {
        let name = volume.pointer("/persistentVolumeClaim/claimName").and_then(Value::as_str);
        name == Some(claim)
    })
}

fn running_pods(workload: &Value) -> GoesWith {
    let count = ["/status/replicas", "/status/currentNumberScheduled"]
        .iter()
        .find_map(|path| workload.pointer(path).and_then(Value::as_u64));
    GoesWith { resource: "pods".into(), count: Some(count.unwrap_or(0)), names: Vec::new() }
}

async fn items(proxy: &Proxy, write: &Write, resource: &str, target: &str) -> Option<Vec<Value>> {
    let read = proxy.read_for_preview(write, resource, Probe::get_metadata(target), target).await;
    read.map(|list| list.get("items").and_then(Value::as_array).cloned().unwrap_or_default())
}

fn named(resource: &str, items: Option<Vec<Value>>) -> GoesWith {
    let count = items.as_ref().map(|items| items.len() as u64);
    let names = items
        .unwrap_or_default()
        .iter()
        .filter_map(|item| item.pointer("/metadata/name").and_then(Value::as_str))
        .take(NAMES_MAX)
        .map(str::to_owned)
        .collect();
    GoesWith { resource: resource.to_owned(), count, names }
}
