//! Keys that come to a ConfigMap or Secret are harmless where nobody reads them. A workload that takes it
//! whole (`envFrom`, a mounted directory) reads whatever comes, and so does a controller that is told its
//! name: that is a change of its environment, and runs with its next restart at the latest.

use std::{collections::BTreeSet, time::Duration};

use effects::{
    About, Effect, EffectKind,
    about::{Environment, Part, Parts},
};
use serde_json::Value;

use crate::{call::Write, pod, readers::Coming, seen::Seen, view::ClusterView};

/// A write waits so long for this, and then counts as the worst.
const TIME_MAX: Duration = Duration::from_secs(5);
/// Users that an effect names.
const NAMED_MAX: usize = 6;

/// What may read a ConfigMap or Secret of its namespace: its path below a namespace, its plural and its kind.
struct Reader {
    api: &'static str,
    resource: &'static str,
    kind: &'static str,
    /// Where in it the pods are that it makes, or is; `None` where there are none.
    pods: Option<&'static str>,
}

const fn makes_pods(
    api: &'static str,
    resource: &'static str,
    kind: &'static str,
    pods: &'static str,
) -> Reader {
    Reader { api, resource, kind, pods: Some(pods) }
}

const WORKLOADS: [Reader; 8] = [
    makes_pods("/api/v1", "pods", "pod", ""),
    makes_pods("/apis/apps/v1", "deployments", "deployment", "/spec/template"),
    makes_pods("/apis/apps/v1", "statefulsets", "statefulset", "/spec/template"),
    makes_pods("/apis/apps/v1", "daemonsets", "daemonset", "/spec/template"),
    makes_pods("/apis/apps/v1", "replicasets", "replicaset", "/spec/template"),
    makes_pods("/api/v1", "replicationcontrollers", "replicationcontroller", "/spec/template"),
    makes_pods("/apis/batch/v1", "jobs", "job", "/spec/template"),
    makes_pods("/apis/batch/v1", "cronjobs", "cronjob", "/spec/jobTemplate/spec/template"),
];
const INGRESSES: Reader = Reader {
    api: "/apis/networking.k8s.io/v1",
    resource: "ingresses",
    kind: "ingress",
    pods: None,
};
const ACCOUNTS: Reader =
    Reader { api: "/api/v1", resource: "serviceaccounts", kind: "serviceaccount", pods: None };

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
    let Some(coming) = effects.iter().find_map(|it| coming(it, seen)) else { return };
    let found = tokio::time::timeout(TIME_MAX, users(view, write, &coming)).await;
    let environment = match found.ok().flatten() {
        Some(users) if users.is_empty() => return,
        Some(mut users) => {
            let more = users.len().saturating_sub(NAMED_MAX);
            users.truncate(NAMED_MAX);
            Environment { users, more, unknown: false }
        }
        None => Environment { unknown: true, ..Environment::default() },
    };
    let parts = Parts::of(vec![Part::Environment(environment)]);
    let (kind, about) = (EffectKind::ChangeTemplate, About::Parts(parts));
    effects.push(Effect { kind, object: coming.object, about });
}

fn coming(effect: &Effect, seen: &Seen) -> Option<Coming> {
    let object = effect.object.clone();
    let new = seen.new.as_ref();
    // What selects it by a label gets it, or loses it, with all that is in it.
    let labels =
        keys_at(new, "/metadata/labels").chain(keys_at(seen.live.as_ref(), "/metadata/labels"));
    let labels = labels.collect();
    match (effect.kind, &effect.about) {
        (EffectKind::AddData, About::Parts(parts)) => {
            let key = |part: &Part| match part {
                Part::DataAdded(key) => Some(key.clone()),
                _ => None,
            };
            let keys = (parts.more == 0).then(|| parts.parts.iter().filter_map(key).collect());
            Some(Coming { object, keys, labels })
        }
        (EffectKind::ChangeLabels, About::Parts(parts)) => {
            let is_label = |part: &Part| matches!(part, Part::Label(_));
            let is_relabelled = parts.more > 0 || parts.parts.iter().any(is_label);
            is_relabelled.then_some(Coming { object, keys: Some(BTreeSet::new()), labels })
        }
        // Who waits for an object, or does without it, names it before it is there.
        (EffectKind::CreateInert | EffectKind::CreateActive, _) => {
            let data = ["/data", "/stringData", "/binaryData"].into_iter();
            let keys: BTreeSet<String> = data.flat_map(|path| keys_at(new, path)).collect();
            (!keys.is_empty()).then_some(Coming { object, keys: Some(keys), labels })
        }
        _ => None,
    }
}

fn keys_at<'a>(object: Option<&'a Value>, path: &str) -> impl Iterator<Item = String> + use<'a> {
    let map = object.and_then(|it| it.pointer(path)).and_then(Value::as_object);
    map.into_iter().flat_map(serde_json::Map::keys).cloned()
}

/// Who in the namespace reads what comes, as `deployment web`; `None` where not all of them can be seen.
async fn users(view: &ClusterView, write: &Write, coming: &Coming) -> Option<Vec<String>> {
    let namespace = &write.attributes().namespace;
    let accounts = (coming.object.resource == "secrets").then_some(&ACCOUNTS);
    let mut users = Vec::new();
    for reader in WORKLOADS.iter().chain([&INGRESSES]).chain(accounts) {
        let Reader { api, resource, kind, .. } = reader;
        let collection = format!("{api}/namespaces/{namespace}/{resource}");
        for item in view.all(write, resource, &collection, "").await? {
            let name = item.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
            // Its owner says it once, where that is looked at.
            if !is_of_workload(&item) && reader.reads(&item, coming) {
                users.push(format!("{kind} {name}"));
            }
        }
    }
    Some(users)
}

impl Reader {
    fn reads(&self, object: &Value, coming: &Coming) -> bool {
        let pods = self.pods.and_then(|path| object.pointer(path));
        let spec = pods.and_then(|it| it.get("spec"));
        if spec.is_some_and(|spec| coming.is_selected_by_pod(spec)) {
            return true;
        }
        let is_read = || match self.resource {
            "serviceaccounts" => coming.is_read_by_account(object),
            "ingresses" => coming.is_read_by_ingress(object),
            _ => spec.is_some_and(|spec| coming.is_read_by_pod(spec)),
        };
        let metadata = [object.get("metadata"), pods.and_then(|it| it.get("metadata"))];
        let is_named = || metadata.into_iter().any(|it| coming.is_named_in_annotations(it));
        coming.has_keys() && (is_read() || is_named())
    }
}

/// Whether another of [`WORKLOADS`] made it. What an operator makes of a resource of its own is looked at
/// itself.
fn is_of_workload(object: &Value) -> bool {
    pod::controller(object).is_some_and(|owner| {
        let text = |field| owner.get(field).and_then(Value::as_str).unwrap_or_default();
        let (api, kind) = (text("apiVersion"), text("kind").to_ascii_lowercase());
        WORKLOADS.iter().any(|it| {
            let version = it.api.trim_start_matches("/apis/").trim_start_matches("/api/");
            it.kind == kind && version == api
        })
    })
}
