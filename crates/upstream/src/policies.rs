//! Policies that are kept in the cluster as custom resources, from a watch.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use kube::{
    Api,
    api::{ListParams, Patch, PatchParams},
    core::{ApiResource, DynamicObject, GroupVersionKind},
    runtime::{WatchStreamExt, reflector, watcher},
};
use policy::document::{API_VERSION, KINDS};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::{
    control::{ControlClient, within},
    own_error::{OwnError, in_words},
};

type Store = reflector::Store<DynamicObject>;

/// The policy objects of the cluster, as they were last seen.
#[derive(Clone)]
pub struct PolicyObjects {
    own: ControlClient,
    stores: Arc<[(ApiResource, Store)]>,
    changed: Arc<Notify>,
}

/// Which object it is, and which of its states.
pub type Version = (String, i64);

/// One object.
#[derive(Clone, Debug)]
pub struct PolicyObject {
    /// As people name it: `policies.agent-shield.io/freeze`.
    pub name: String,
    /// Its `uid` and `generation`.
    pub version: Version,
    /// What somebody wrote: without status, and of its metadata the name alone.
    pub document: Value,
    /// What was told of it before.
    pub status: Value,
    kind: &'static str,
}

/// Why policies of the cluster cannot be followed.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {name}: {why}", name = of_group(.resource), why = self.why())]
pub struct PolicyObjectsError {
    resource: &'static str,
    #[source]
    source: OwnError,
}

impl PolicyObjectsError {
    fn why(&self) -> &'static str {
        match self.source.code() {
            Some(404) => {
                "the cluster has no such resource; `agent-shield policy crds | kubectl apply -f -` makes it"
            }
            Some(403) => {
                "agent-shield may not; `agent-shield rbac own --policy-objects | kubectl apply -f -` lets it"
            }
            _ => "the API server does not answer",
        }
    }
}

impl PolicyObjects {
    /// Starts from nothing; the returned future follows the cluster and runs until it is dropped. What
    /// was seen stays while the watch is broken, or the resource is gone.
    ///
    /// # Errors
    /// [`PolicyObjectsError`] where they cannot be read at all.
    pub async fn watch(
        own: ControlClient,
    ) -> Result<(Self, impl Future<Output = ()> + Send), PolicyObjectsError> {
        let mut stores = Vec::new();
        let mut watches = Vec::new();
        for (kind, resource) in KINDS {
            let of = resource_of(kind, resource);
            let api: Api<DynamicObject> = Api::all_with(own.client(), &of);
            // A watch only ever tries again; this tells why.
            within(api.list_metadata(&ListParams::default().limit(1)))
                .await
                .map_err(|source| PolicyObjectsError { resource, source })?;
            let writer = reflector::store::Writer::new(of.clone());
            stores.push((of, writer.as_reader()));
            let slim = |object: &mut DynamicObject| object.metadata.managed_fields = None;
            let watch = watcher(api, watcher::Config::default()).modify(slim);
            // Events, not objects: the end of a list that is read anew changes the store too.
            watches.push(reflector(writer, watch).default_backoff().boxed());
        }
        let changed = Arc::new(Notify::new());
        let told = Arc::clone(&changed);
        let follow = async move {
            let mut all = stream::select_all(watches);
            while let Some(event) = all.next().await {
                if let Err(error) = event {
                    tracing::warn!(
                        error = in_words(&error),
                        "the watch on policies broke; it is taken up again"
                    );
                }
                told.notify_one();
            }
        };
        Ok((Self { own, stores: stores.into(), changed }, follow))
    }

    /// Waits for the first whole list of each kind, but not for longer than `time_max`.
    pub async fn ready(&self, time_max: Duration) -> bool {
        let all = async {
            for (_, store) in &*self.stores {
                store.wait_until_ready().await?;
            }
            Ok::<_, reflector::store::WriterDropped>(())
        };
        matches!(tokio::time::timeout(time_max, all).await, Ok(Ok(())))
    }

    /// Waits until somebody may have written, made or removed one; for one waiter.
    ///
    /// # Cancel safety
    /// A change that was not waited for is found by the next call.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Changes whenever somebody writes, makes or removes one.
    pub fn versions(&self) -> Vec<Version> {
        let stores = self.stores.iter().flat_map(|(_, store)| store.state());
        let mut versions: Vec<_> = stores.map(|it| version_of(&it)).collect();
        versions.sort_unstable();
        versions
    }

    /// Each object, by kind and name.
    pub fn all(&self) -> Vec<PolicyObject> {
        let mut all = Vec::new();
        for ((kind, plural), (_, store)) in KINDS.into_iter().zip(&*self.stores) {
            let mut objects: Vec<_> =
                store.state().iter().map(|it| PolicyObject::of(kind, plural, it)).collect();
            objects.sort_by(|a, b| a.name.cmp(&b.name));
            all.append(&mut objects);
        }
        all
    }

    /// Writes the status of one object.
    ///
    /// # Errors
    /// [`OwnError`] where it was not written: the object may be gone, or the right missing.
    pub async fn tell(&self, object: &PolicyObject, status: &Value) -> Result<(), OwnError> {
        let Some((of, _)) = self.stores.iter().find(|(of, _)| of.kind == object.kind) else {
            return Ok(());
        };
        let api: Api<DynamicObject> = Api::all_with(self.own.client(), of);
        let name = object.name.rsplit('/').next().unwrap_or_default();
        // Of the object that was read, and of no other that took its name.
        let patch = json!({"metadata": {"uid": object.version.0}, "status": status});
        within(api.patch_status(name, &PatchParams::default(), &Patch::Merge(patch))).await?;
        Ok(())
    }
}

impl PolicyObject {
    fn of(kind: &'static str, plural: &str, object: &DynamicObject) -> Self {
        let name = object.metadata.name.clone().unwrap_or_default();
        let spec = object.data.get("spec").cloned().unwrap_or_default();
        Self {
            version: version_of(object),
            document: json!({
                "apiVersion": API_VERSION,
                "kind": kind,
                "metadata": {"name": name},
                "spec": spec,
            }),
            status: object.data.get("status").cloned().unwrap_or_default(),
            name: format!("{}/{name}", of_group(plural)),
            kind,
        }
    }
}

fn version_of(object: &DynamicObject) -> Version {
    let uid = object.metadata.uid.clone().unwrap_or_default();
    (uid, object.metadata.generation.unwrap_or_default())
}

fn resource_of(kind: &str, plural: &str) -> ApiResource {
    let (group, version) = group_and_version();
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
}

/// As RBAC and kubectl name it: `policies.agent-shield.io`.
fn of_group(plural: &str) -> String {
    format!("{plural}.{}", group_and_version().0)
}

fn group_and_version() -> (&'static str, &'static str) {
    API_VERSION.split_once('/').unwrap_or((API_VERSION, ""))
}
