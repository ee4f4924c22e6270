//! Every kind of object that the API server serves and that can be deleted, by its own discovery, and
//! what there is of each.

use futures_util::future::join_all;
use hold::{GoesWith, UNCOUNTED};
use serde_json::Value;
use upstream::Probe;

use super::{
    Impact, ImpactCount, LIST_MAX, NAMES_MAX, bound,
    listed::{Kind, Listed},
    some, text,
};

/// Lists that are asked for at the same time.
const AT_A_TIME: usize = 12;
/// Kinds beyond this are not looked at.
const KINDS_MAX: usize = 300;

/// What somebody would miss first.
const FIRST: [&str; 11] = [
    "deployments",
    "statefulsets",
    "daemonsets",
    "cronjobs",
    "jobs",
    "pods",
    "persistentvolumeclaims",
    "services",
    "ingresses",
    "secrets",
    "configmaps",
];

impl ImpactCount<'_> {
    /// Kinds that can be listed and deleted; events, which come and go by themselves, are none.
    pub(super) async fn kinds(&self) -> Option<Vec<Kind>> {
        let (core, groups) = tokio::join!(
            self.read("", Probe::discovery("/api"), "/api"),
            self.read("", Probe::discovery("/apis"), "/apis"),
        );
        let mut kinds: Vec<Kind> = [core?, groups?].iter().flat_map(read).collect();
        let rank = |kind: &Kind| FIRST.iter().position(|it| *it == kind.resource);
        kinds.sort_by_key(|kind| (rank(kind).unwrap_or(FIRST.len()), kind.resource.clone()));
        kinds.truncate(KINDS_MAX);
        Some(kinds)
    }

    /// Names, uids and owners of everything of these kinds.
    pub(super) async fn list(&self, kinds: Vec<Kind>, namespace: Option<&str>) -> Vec<Listed> {
        let mut listed = Vec::with_capacity(kinds.len());
        for some in kinds.chunks(AT_A_TIME) {
            let lists: Vec<_> = some.iter().map(|kind| self.list_one(kind, namespace)).collect();
            listed.extend(join_all(lists).await);
        }
        listed
    }

    async fn list_one(&self, kind: &Kind, namespace: Option<&str>) -> Listed {
        let target = format!("{}?limit={LIST_MAX}", kind.collection(namespace));
        let list = self.read(&kind.resource, Probe::get_metadata(&target), &target).await;
        let more = list.as_ref().and_then(|it| it.pointer("/metadata/remainingItemCount"));
        let more = more.and_then(Value::as_u64).unwrap_or(0);
        let items = list.and_then(|mut list| upstream::take_items(&mut list));
        Listed { kind: kind.clone(), items, more }
    }

    /// Says of which kinds nobody could tell.
    pub(super) fn note_unseen(&self, listed: &[Listed], to: &mut Impact) {
        let unseen: Vec<String> = listed
            .iter()
            .filter(|it| it.items.is_none())
            .map(|it| it.kind.resource.clone())
            .collect();
        if !unseen.is_empty() {
            to.notes.push(format!("not counted: {}", self.unseen(&unseen)));
        }
    }

    pub(super) async fn in_namespace(&self, namespace: &str, to: &mut Impact) {
        let Some(mut kinds) = self.kinds().await else {
            to.bound.push(UNCOUNTED.to_string());
            to.notes.push("what is in it could not be counted: the API server's discovery did not answer in time".to_owned());
            return;
        };
        kinds.retain(|kind| kind.is_namespaced);
        let listed = self.list(kinds, Some(namespace)).await;
        for it in &listed {
            to.bound.extend(bound::lines(it, it.items.iter().flatten()));
        }
        for Listed { kind, items, more } in &listed {
            let names: Vec<String> = items
                .iter()
                .flatten()
                .filter_map(|it| text(it, "/metadata/name").map(str::to_owned))
                .collect();
            let count = items.as_ref().map(|_| names.len() as u64 + more);
            // A reviewer would miss these kinds, so each has a row even if nobody could list it.
            if count == Some(0) || count.is_none() && !FIRST.contains(&kind.resource.as_str()) {
                continue;
            }
            let names = names.into_iter().take(NAMES_MAX).collect();
            to.goes_with.push(GoesWith { resource: kind.resource.clone(), count, names });
        }
        self.note_unseen(&listed, to);
        self.note_running(namespace, to).await;
    }

    /// What counts alone do not say: which of it is in use, and whose data is gone for good.
    async fn note_running(&self, namespace: &str, to: &mut Impact) {
        let within =
            |prefix: &str, resource: &str| format!("{prefix}/namespaces/{namespace}/{resource}");
        let (pods, slices, claims) = (
            within("/api/v1", "pods"),
            within("/apis/discovery.k8s.io/v1", "endpointslices"),
            within("/api/v1", "persistentvolumeclaims"),
        );
        let (pods, slices, claims) = tokio::join!(
            self.whole("pods", &pods, ""),
            self.whole("endpointslices", &slices, ""),
            self.whole("persistentvolumeclaims", &claims, ""),
        );
        let running =
            pods.iter().flatten().filter(|it| text(it, "/status/phase") == Some("Running"));
        let running = running.count();
        if running > 0 {
            to.notes.push(format!("running pods: {running}"));
        }
        let mut services: Vec<String> = slices
            .iter()
            .flatten()
            .filter(|it| it.pointer("/endpoints/0").is_some())
            .filter_map(|it| text(it, "/metadata/labels/kubernetes.io~1service-name"))
            .map(str::to_owned)
            .collect();
        services.sort();
        services.dedup();
        if !services.is_empty() {
            to.notes.push(format!("services with endpoints: {}", some(&services)));
        }
        self.note_volumes(claims.as_deref().unwrap_or_default(), to).await;
    }

    /// A claim that has a volume, and the volume's reclaim policy, where somebody may see it.
    async fn volume_policy(&self, claim: &Value) -> Option<(String, Option<String>)> {
        let (name, volume) = (text(claim, "/metadata/name")?, text(claim, "/spec/volumeName")?);
        let target = format!("/api/v1/persistentvolumes/{volume}");
        let found = self.read("persistentvolumes", Probe::get(&target), &target).await;
        let policy = found.as_ref().and_then(|it| text(it, "/spec/persistentVolumeReclaimPolicy"));
        Some((name.to_owned(), policy.map(str::to_owned)))
    }

    async fn note_volumes(&self, claims: &[Value], to: &mut Impact) {
        let mut policies = Vec::new();
        for some in claims.chunks(AT_A_TIME) {
            let volumes: Vec<_> = some.iter().map(|claim| self.volume_policy(claim)).collect();
            policies.extend(join_all(volumes).await.into_iter().flatten());
        }
        let of = |wanted: Option<&str>| -> Vec<String> {
            let all = policies.iter().filter(|(_, policy)| policy.as_deref() == wanted);
            all.map(|(claim, _)| claim.clone()).collect()
        };
        for (policy, words) in [
            (Some("Delete"), "claims whose volume is deleted with them"),
            (Some("Retain"), "claims whose volume stays"),
            (None, "claims of whose volume nobody could see what becomes"),
        ] {
            let claims = of(policy);
            if !claims.is_empty() {
                to.notes.push(format!("{words}: {}", some(&claims)));
            }
        }
    }
}

/// The kinds of one discovery document, each in its preferred version.
fn read(document: &Value) -> Vec<Kind> {
    let list = |value: &Value, field: &str| -> Vec<Value> {
        value.get(field).and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let mut kinds: Vec<Kind> = Vec::new();
    for group in list(document, "items") {
        let name = text(&group, "/metadata/name").unwrap_or_default();
        if name == "events.k8s.io" {
            continue;
        }
        let mut of_group: Vec<Kind> = Vec::new();
        for version in list(&group, "versions") {
            let version_name = text(&version, "/version").unwrap_or_default();
            let prefix = match name {
                "" => format!("/api/{version_name}"),
                name => format!("/apis/{name}/{version_name}"),
            };
            for resource in list(&version, "resources") {
                let name = text(&resource, "/resource").unwrap_or_default().to_owned();
                let verbs = list(&resource, "verbs");
                let has = |verb: &str| verbs.iter().any(|it| it == verb);
                let is_new = of_group.iter().all(|it| it.resource != name);
                if has("list") && has("delete") && is_new && name != "events" {
                    let is_namespaced = text(&resource, "/scope") == Some("Namespaced");
                    of_group.push(Kind { resource: name, prefix: prefix.clone(), is_namespaced });
                }
            }
        }
        kinds.extend(of_group);
    }
    kinds
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_each_kind_once_in_its_preferred_version() {
        let resource = |name: &str, verbs: &[&str]| json!({"resource": name, "scope": "Namespaced", "verbs": verbs});
        let all = ["list", "delete"];
        let document = json!({"items": [
            {"metadata": {}, "versions": [{"version": "v1", "resources": [
                resource("pods", &all), resource("events", &all), resource("bindings", &["create"]),
            ]}]},
            {"metadata": {"name": "ex.io"}, "versions": [
                {"version": "v2", "resources": [resource("widgets", &all)]},
                {"version": "v1", "resources": [resource("widgets", &all)]},
            ]},
        ]});
        let kinds = read(&document);
        let paths: Vec<String> = kinds.iter().map(|it| it.collection(Some("a"))).collect();
        assert_eq!(paths, ["/api/v1/namespaces/a/pods", "/apis/ex.io/v2/namespaces/a/widgets"]);
    }

    #[test]
    fn an_approval_binds_to_what_somebody_put_there() {
        let kind = |prefix: &str, resource: &str| Kind {
            resource: resource.to_owned(),
            prefix: prefix.to_owned(),
            is_namespaced: true,
        };
        let plain = json!({"metadata": {"uid": "u"}});
        let owned = |owner: Value| json!({"metadata": {"uid": "u", "ownerReferences": [owner]}});
        let (controlled, of_pod, adopted) = (
            owned(json!({"kind": "Widget", "controller": true})),
            owned(json!({"kind": "Pod"})),
            owned(json!({"kind": "ConfigMap"})),
        );
        let table = [
            (
                kind("/api/v1", "configmaps"),
                Some(vec![plain.clone()]),
                0,
                vec!["/api/v1/configmaps u"],
            ),
            (
                kind("/apis/ex.io/v2", "widgets"),
                Some(vec![adopted]),
                0,
                vec!["/apis/ex.io/v2/widgets u"],
            ),
            (kind("/apis/ex.io/v2", "widgets"), Some(vec![controlled.clone(), of_pod]), 0, vec![]),
            // A group may have pods of its own; those of Kubernetes come and go.
            (
                kind("/apis/ex.io/v2", "pods"),
                Some(vec![plain.clone()]),
                0,
                vec!["/apis/ex.io/v2/pods u"],
            ),
            (kind("/api/v1", "pods"), Some(vec![plain.clone()]), 3, vec![]),
            (kind("/apis/coordination.k8s.io/v1", "leases"), None, 0, vec![]),
            (kind("/api/v1", "secrets"), None, 0, vec!["?/api/v1/secrets"]),
            (
                kind("/api/v1", "secrets"),
                Some(vec![plain]),
                7,
                vec!["/api/v1/secrets u", "/api/v1/secrets and 7 more"],
            ),
            (kind("/apis/apps/v1", "replicasets"), Some(vec![controlled]), 7, vec![]),
        ];
        for (kind, items, more, want) in table {
            let listed = Listed { kind, items, more };
            assert_eq!(
                bound::lines(&listed, listed.items.iter().flatten()),
                want,
                "{:?}",
                listed.kind
            );
        }
    }
}
