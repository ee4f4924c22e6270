//! One pod that its ReplicaSet replaces, while others serve, may go (DEFAULTS Q2): that is how a
//! crash-looping pod is restarted. Many of them in a short time are a scale-down, and are held.

use std::collections::BTreeSet;

use effects::{
    About, Effect, EffectKind, ObjectRef,
    about::{Deleted, Deletion, PodsGone, Replaced},
};
use jiff::Timestamp;
use ledger::{Action, Call, EffectRecord, Filter};
use memory::{PodsGoing, REPLACED_TIME_MAX};
use serde_json::Value;

use crate::{budget, call::Write, deletes, pod, remembered::Remembered, view::ClusterView};

/// So many others must be ready.
const READY_MIN: usize = 2;
/// With so many pods of one ReplicaSet in [`REPLACED_TIME_MAX`], deleting them is a scale-down.
const PODS_MAX: usize = 5;

/// What deleting this pod does, where it is a restart or one too many of them; `None` where it is
/// simply a delete.
pub(crate) async fn pod(
    view: &ClusterView,
    remembered: &Remembered,
    write: &Write,
    pod: &Value,
) -> Option<Vec<Effect>> {
    let owner = replica_set(pod)?;
    if !is_gentle(write) {
        return None;
    }
    let (audit_id, object) = (write.call.audit_id.as_str(), object(pod));
    // Before the others are looked at: of two at the same moment, one counts the other's pod as gone.
    let going = remembered.recent.pod_goes(&owner, &object.uid, audit_id, Timestamp::now());
    let PodsGoing { mut calls, uids } = going.await.ok()?;
    let Some(ready) = ready_beside(view, write, pod, &owner, &uids).await else {
        let _ = remembered.recent.pod_stays(audit_id).await;
        return None;
    };
    let known = calls_before(remembered, &owner).await.ok()??;
    calls.extend(known.into_iter().filter(|id| id != audit_id));
    calls.sort();
    calls.dedup();
    let object = ObjectRef { resource: "pods".to_owned(), ..object };
    if calls.len() + 1 < PODS_MAX {
        let replaced = Replaced { owner: (&owner).into(), ready };
        let about = About::Deletion(Deletion::of(Deleted::Replaced(replaced)));
        return Some(vec![Effect { kind: EffectKind::ReplacePod, object, about }]);
    }
    // Where it cannot be taken back, the next one is held a little too soon.
    let _ = remembered.recent.pod_stays(audit_id).await;
    let about = About::PodsGone(PodsGone { minutes: REPLACED_TIME_MAX.as_secs() / 60, calls });
    let mut effects = effects::of_delete(write.attributes(), std::slice::from_ref(pod));
    effects.push(Effect { kind: EffectKind::ScaleDown, object: owner, about });
    Some(effects)
}

/// How many others are ready where that is enough, and an eviction would let the pod go, too; `going` are
/// uids of pods that others let go.
async fn ready_beside(
    view: &ClusterView,
    write: &Write,
    pod: &Value,
    owner: &ObjectRef,
    going: &BTreeSet<String>,
) -> Option<usize> {
    let collection = format!("/api/v1/namespaces/{}/pods", owner.namespace);
    let (pods, budgets) = tokio::join!(
        view.all(write, "pods", &collection, ""),
        budget::all(view, write, &owner.namespace),
    );
    let mut pods = pods?;
    pods.retain(|it| !going.contains(&object(it).uid));
    let ready = others_ready(&pods, pod, owner);
    (ready >= READY_MIN && budget::lets_go(&budgets?, &pods, pod)).then_some(ready)
}

/// Ready pods of the same ReplicaSet, without this one.
fn others_ready(pods: &[Value], pod: &Value, owner: &ObjectRef) -> usize {
    let uid = |pod: &Value| pod.pointer("/metadata/uid").cloned();
    let others = pods.iter().filter(|other| uid(other) != uid(pod) && pod::stays_ready(other));
    others.filter(|other| replica_set(other).as_ref() == Some(owner)).count()
}

/// Calls that let pods of the same ReplicaSet go, by the ledger; `None` where there are too many to tell.
async fn calls_before(
    remembered: &Remembered,
    owner: &ObjectRef,
) -> Result<Option<Vec<String>>, ledger::StoreError> {
    let calls = remembered.all_calls(Filter {
        namespace: Some(owner.namespace.clone()),
        resource: Some("pods".to_owned()),
        verb: Some("delete".to_owned()),
        action: Some(Action::Allow),
        since: Timestamp::now().checked_sub(REPLACED_TIME_MAX).ok(),
        ..Filter::default()
    });
    let is_of = |call: &Call| call.effects.iter().any(|it| is_pod_of(it, owner));
    let ids = |calls: Vec<Call>| calls.into_iter().filter(is_of).map(|it| it.audit_id).collect();
    Ok(calls.await?.map(ids))
}

/// Whether a recorded effect let a pod of this ReplicaSet go.
fn is_pod_of(effect: &EffectRecord, owner: &ObjectRef) -> bool {
    let about = effect.effect().map(|effect| effect.about);
    matches!(
        about,
        Ok(About::Deletion(Deletion { what: Deleted::Replaced(it), .. }))
            if ObjectRef::from(&it.owner) == *owner
    )
}

/// The ReplicaSet that keeps up the number of a pod.
fn replica_set(pod: &Value) -> Option<ObjectRef> {
    let owner = pod::controller(pod)?;
    let text = |field| owner.get(field).and_then(Value::as_str).unwrap_or_default();
    (text("kind") == "ReplicaSet" && text("apiVersion").starts_with("apps/")).then(|| ObjectRef {
        api_group: "apps".to_owned(),
        resource: "replicasets".to_owned(),
        namespace: object(pod).namespace,
        name: text("name").to_owned(),
        uid: text("uid").to_owned(),
    })
}

fn object(pod: &Value) -> ObjectRef {
    let text = |path| pod.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    ObjectRef {
        namespace: text("/metadata/namespace"),
        name: text("/metadata/name"),
        uid: text("/metadata/uid"),
        ..ObjectRef::default()
    }
}

/// Whether the pod is given its time to end.
fn is_gentle(write: &Write) -> bool {
    deletes::options(write).is_ok_and(|options| options.grace_seconds() != Some(0))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn believes_a_controlling_replica_set_alone() {
        let pod = |owner: Value| json!({"metadata": {"name": "p", "ownerReferences": [owner]}});
        let owned = |kind: &str, api: &str, controller: bool| {
            pod(json!({"kind": kind, "apiVersion": api, "name": "w", "controller": controller}))
        };
        let table = [
            (owned("ReplicaSet", "apps/v1", true), true),
            (owned("ReplicaSet", "apps/v1", false), false),
            (owned("ReplicaSet", "ex.io/v1", true), false),
            (owned("StatefulSet", "apps/v1", true), false),
            (json!({"metadata": {"name": "p"}}), false),
        ];
        for (pod, want) in table {
            assert_eq!(replica_set(&pod).is_some(), want, "{pod}");
        }
    }
}
