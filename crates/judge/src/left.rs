//! Objects as agents' writes left them: recorded from the API server's answers, and compared when one of
//! them is to go. What an agent made itself and nobody has touched since, it may take away again outside
//! production: that is how whoever tries something cleans up.
//!
//! A uid is never given twice, so neither a name that is used again nor another agent's object passes.

use std::{collections::BTreeSet, time::Duration};

use effects::{
    About, Effect,
    about::{Deleted, Propagation, Routine},
};
use hold::UNCOUNTED;
use jiff::Timestamp;
use ledger::{Call, Filter, Identity, ObjectRecord, ObjectState, StoreError};
use payload::{ObjectIdentity, Redactor};
use serde_json::{Value, json};

use crate::{call::Write, impact, remembered::Remembered, seen::Seen, view::ClusterView};

/// Of a longer answer nothing is recorded.
pub const LEFT_BYTES_MAX: usize = 2 << 20;
/// The call that creates an object begins so long before the object is there.
const CREATE_TIME_MAX: Duration = Duration::from_secs(60);
/// Reading what an answer only names may take so long; the agent waits for its answer meanwhile.
const READ_TIME_MAX: Duration = Duration::from_secs(2);
/// Looking for what goes with an object may take so long.
const COUNT_TIME_MAX: Duration = Duration::from_secs(5);

/// Managers of fields that are Kubernetes itself.
const CONTROLLERS: [&str; 2] = ["kube-controller-manager", "kube-scheduler"];

/// What may be routine to delete: neither claims nor Secrets, nor anything outside a namespace.
const KINDS: [(&str, &str); 10] = [
    ("", "configmaps"),
    ("", "pods"),
    ("", "replicationcontrollers"),
    ("", "services"),
    ("apps", "daemonsets"),
    ("apps", "deployments"),
    ("apps", "replicasets"),
    ("apps", "statefulsets"),
    ("batch", "cronjobs"),
    ("batch", "jobs"),
];

/// Of what else somebody asks how it was left: records of releases, and what its agent may put back.
const ALSO_KEPT: [(&str, &str); 4] = [
    ("", "nodes"),
    ("", "secrets"),
    ("autoscaling", "horizontalpodautoscalers"),
    ("policy", "poddisruptionbudgets"),
];

/// Whether anybody asks later how a write left its object.
pub fn leaves_object(write: &Write) -> bool {
    let a = write.attributes();
    let kind = (a.api_group.as_str(), a.resource.as_str());
    matches!(a.verb.as_str(), "create" | "update" | "patch")
        && matches!(a.subresource.as_str(), "" | "scale")
        && (KINDS.contains(&kind) || ALSO_KEPT.contains(&kind))
        && !write.is_dry_run
}

/// The object that a write left, by the API server's answer to it; `None` where that shows none. An answer
/// in protobuf, which is what kubectl's typed clients ask for, only names it, and so does a `Scale`: it is
/// read as the agent.
pub async fn object_left(
    view: &ClusterView,
    write: &Write,
    code: u16,
    answer: &[u8],
) -> Option<ObjectRecord> {
    let is_shown = leaves_object(write) && (200..300).contains(&code);
    if !is_shown || answer.len() > LEFT_BYTES_MAX {
        return None;
    }
    let json = serde_json::from_slice::<Value>(answer).ok();
    let named = match json {
        Some(object) if write.attributes().subresource.is_empty() => {
            return record(&view.redactor, object);
        }
        Some(scale) => identity(&scale)?,
        None => payload::protobuf_identity(answer)?,
    };
    let read = tokio::time::timeout(READ_TIME_MAX, read_as_left(view, write, &named)).await;
    let unread = || {
        let (uid, resource_version) = (named.uid.clone(), named.resource_version.clone());
        let left = ObjectState { resource_version, ..ObjectState::default() };
        ObjectRecord { uid, left, found: None }
    };
    Some(read.ok().flatten().unwrap_or_else(unread))
}

fn identity(object: &Value) -> Option<ObjectIdentity> {
    let own = |field: &str| text(object, &format!("/metadata/{field}")).map(str::to_owned);
    Some(ObjectIdentity {
        name: own("name")?,
        uid: own("uid")?,
        resource_version: own("resourceVersion")?,
    })
}

/// Reads an object in just the version that an answer names. A controller may have written its status
/// since: then only a list of that one object can ask for a version.
async fn read_as_left(
    view: &ClusterView,
    write: &Write,
    named: &ObjectIdentity,
) -> Option<ObjectRecord> {
    let is_it = |object: Value| {
        let found = record(&view.redactor, object)?;
        let is_same =
            found.uid == named.uid && found.left.resource_version == named.resource_version;
        is_same.then_some(found)
    };
    let collection = write.collection_target()?;
    let ObjectIdentity { name, resource_version, .. } = named;
    let answer = view.read_as_agent(write, &format!("{collection}/{name}")).await.ok()?;
    if let Some(found) = answer.json.and_then(is_it) {
        return Some(found);
    }
    let one = format!(
        "{collection}?fieldSelector=metadata.name%3D{name}&resourceVersion={resource_version}\
         &resourceVersionMatch=Exact"
    );
    let mut list = view.read_as_agent(write, &one).await.ok()?.json?;
    let kind = text(&list, "/kind")?.strip_suffix("List")?.to_owned();
    let mut object = upstream::take_items(&mut list)?.pop()?;
    object.as_object_mut()?.insert("kind".to_owned(), Value::from(kind));
    is_it(object)
}

/// The object of a write as its preview saw it, before and after.
#[derive(Clone, Debug)]
pub struct Found {
    pub(crate) now: ObjectState,
    pub(crate) then: ObjectState,
}

impl Found {
    /// The record of what a write left, with what it found. That is known only where it left what its preview
    /// said: otherwise somebody else has written between the two, and would be taken for its agent.
    pub fn before(self, left: ObjectRecord) -> ObjectRecord {
        let found = is_equal(&self.then, &left.left).then_some(self.now);
        ObjectRecord { found, ..left }
    }
}

/// The object of a write, where anybody asks later how it was left. Of a `/scale`, the workload with its
/// count.
pub(crate) fn found(redactor: &Redactor, write: &Write, seen: &Seen) -> Option<Found> {
    if !leaves_object(write) {
        return None;
    }
    let (now, mut then) = (seen.object(write)?.clone(), seen.new.clone()?);
    if write.attributes().subresource == "scale" {
        let count = then.pointer("/spec/replicas")?.clone();
        then.clone_from(&now);
        let replaced = std::mem::replace(then.pointer_mut("/spec/replicas")?, count);
        let is_changed = then.pointer("/spec/replicas") != Some(&replaced);
        if let Some(generation) = then.pointer_mut("/metadata/generation") {
            *generation = Value::from(generation.as_i64()? + i64::from(is_changed));
        }
    }
    let state = |object: Value| record(redactor, object).map(|it| it.left);
    Some(Found { now: state(now)?, then: state(then)? })
}

fn record(redactor: &Redactor, mut object: Value) -> Option<ObjectRecord> {
    let ObjectIdentity { uid, resource_version, .. } = identity(&object)?;
    let writers = json!({"writers": writers(&object), "generation": generation(&object)});
    remove_what_controllers_write(&mut object);
    let [digest, writers] =
        [object, writers].map(|it| redactor.digest(effects::canonical(&it).as_bytes()));
    let left = ObjectState { resource_version, digest, writers };
    Some(ObjectRecord { uid, left, found: None })
}

/// Who has written the object, by their own word. Whoever takes it over without a change of its values is
/// among them from then on.
fn writers(object: &Value) -> Vec<&str> {
    let entries = object.pointer("/metadata/managedFields").and_then(Value::as_array);
    let whole = entries.into_iter().flatten().filter(|it| text(it, "/subresource").is_none());
    let names = whole.filter_map(|it| text(it, "/manager"));
    let names: BTreeSet<&str> = names.filter(|it| !CONTROLLERS.contains(it)).collect();
    names.into_iter().collect()
}

/// How often somebody has changed what is wanted of the object, where Kubernetes counts that: values that
/// were changed and changed back are not as they were left. A scheduler's choice counts too, so a pod has
/// none here.
fn generation(object: &Value) -> Option<i64> {
    let is_pod = text(object, "/kind") == Some("Pod");
    object.pointer("/metadata/generation").filter(|_| !is_pod)?.as_i64()
}

/// Takes out what differs after any write, and what only reports.
pub(crate) fn remove_bookkeeping(object: &mut Value) {
    let Some(fields) = object.as_object_mut() else { return };
    fields.remove("status");
    if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in ["generation", "managedFields", "resourceVersion"] {
            metadata.remove(field);
        }
    }
}

/// Takes out what Kubernetes itself writes into an object that nobody changes.
fn remove_what_controllers_write(object: &mut Value) {
    let is_pod = object.get("kind").and_then(Value::as_str) == Some("Pod");
    remove_bookkeeping(object);
    let Some(fields) = object.as_object_mut() else { return };
    // A list leaves these two out.
    for field in ["apiVersion", "kind"] {
        fields.remove(field);
    }
    if let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) {
        let annotations = metadata.get_mut("annotations").and_then(Value::as_object_mut);
        let is_empty = annotations.is_some_and(|annotations| {
            annotations.remove("deployment.kubernetes.io/revision");
            annotations.is_empty()
        });
        if is_empty {
            metadata.remove("annotations");
        }
    }
    if let Some(spec) = fields.get_mut("spec").and_then(Value::as_object_mut).filter(|_| is_pod) {
        spec.remove("nodeName");
    }
}

/// Marks a delete of what this agent itself made, and nobody has changed since.
pub(crate) async fn mark_own(
    view: &ClusterView,
    remembered: &Remembered,
    write: &Write,
    seen: &Seen,
    effects: &mut [Effect],
) {
    let a = write.attributes();
    let is_candidate = a.verb == "delete"
        && KINDS.contains(&(a.api_group.as_str(), a.resource.as_str()))
        && !a.namespace.is_empty()
        && !write.class.production
        && takes_one_object(effects);
    let Some(live) = seen.live.as_ref().filter(|_| is_candidate) else { return };
    match is_as_left(remembered, &view.redactor, write, live).await {
        Ok(true) if owns_nothing_of_others(view, write, live, effects).await => {}
        Ok(_) => return,
        Err(error) => {
            tracing::warn!(%error, "the ledger cannot tell what is the agent's own");
            return;
        }
    }
    for effect in effects {
        if let About::Deletion(deletion) = &mut effect.about {
            deletion.routine = Some(Routine::OwnObject);
        }
    }
}

/// Whether the object and what it owns go, and nothing else; not whether that is anybody's.
fn takes_one_object(effects: &[Effect]) -> bool {
    let [Effect { about: About::Deletion(deletion), .. }] = effects else { return false };
    matches!(deletion.what, Deleted::Named | Deleted::Workload(_))
        && matches!(deletion.propagation, Some(Propagation::Background | Propagation::Foreground))
        && deletion.grace_seconds != Some(0)
}

/// Whether the live object is one that this agent created, as one of its writes left it.
pub(crate) async fn is_as_left(
    remembered: &Remembered,
    redactor: &Redactor,
    write: &Write,
    live: &Value,
) -> Result<bool, StoreError> {
    let is_going = ["/metadata/deletionTimestamp", "/metadata/finalizers"];
    if is_going.into_iter().any(|path| live.pointer(path).is_some()) {
        return Ok(false);
    }
    let Some(now) = record(redactor, live.clone()) else { return Ok(false) };
    let Some(calls) = writes_of_own(remembered, write, live).await? else { return Ok(false) };
    Ok(is_untouched(calls.iter().filter_map(object_of), &now.left))
}

/// Whether nobody else has changed an object between these writes, the first of which created it, and
/// since: each found it as the one before had left it.
fn is_untouched<'a>(mut writes: impl Iterator<Item = &'a ObjectRecord>, now: &ObjectState) -> bool {
    let Some(created) = writes.next() else { return false };
    let last = writes.try_fold(&created.left, |before, it| {
        it.found.as_ref().filter(|found| is_same(found, before)).map(|_| &it.left)
    });
    last.is_some_and(|last| is_same(last, now))
}

pub(crate) fn is_same(one: &ObjectState, other: &ObjectState) -> bool {
    one.resource_version == other.resource_version || is_equal(one, other)
}

/// Whether two states are known to be of the same values by the same writers, with no change in between that
/// Kubernetes counts.
fn is_equal(one: &ObjectState, other: &ObjectState) -> bool {
    let is_read = !one.digest.is_empty();
    is_read && (&one.digest, &one.writers) == (&other.digest, &other.writers)
}

/// The writes of this agent that left the object, by its uid, the first first; `None` where it was not this
/// agent that created it, or where there are too many to tell.
async fn writes_of_own(
    remembered: &Remembered,
    write: &Write,
    live: &Value,
) -> Result<Option<Vec<Call>>, StoreError> {
    let a = write.attributes();
    let created = text(live, "/metadata/creationTimestamp").and_then(|it| it.parse().ok());
    let (Some(created), Some(uid)) = (created, text(live, "/metadata/uid")) else {
        return Ok(None);
    };
    let created: Timestamp = created;
    let calls = remembered.all_calls(Filter {
        namespace: Some(a.namespace.clone()),
        resource: Some(a.resource.clone()),
        username: Some(write.user.username.clone()),
        // Without a moment before it, nothing is too old.
        since: created.checked_sub(CREATE_TIME_MAX).ok(),
        writes_only: true,
        ..Filter::default()
    });
    let Some(mut calls) = calls.await? else { return Ok(None) };
    let agent = Identity::from(&write.user);
    calls.retain(|call| {
        let is_agents = call.user.as_ref().is_some_and(|it| it.uid == agent.uid);
        is_agents && object_of(call).is_some_and(|it| it.uid == uid)
    });
    calls.sort_by_key(|call| call.time);
    // Only what was not there before is answered so.
    let creates = |call: &Call| call.response.as_ref().is_some_and(|answer| answer.code == 201);
    Ok(calls.first().is_some_and(creates).then_some(calls))
}

pub(crate) fn object_of(call: &Call) -> Option<&ObjectRecord> {
    call.response.as_ref()?.object.as_ref()
}

/// Whether nothing that somebody else put there goes with the object.
async fn owns_nothing_of_others(
    view: &ClusterView,
    write: &Write,
    live: &Value,
    effects: &[Effect],
) -> bool {
    let impact = impact::taken(view, COUNT_TIME_MAX, write, effects, Some(live)).await;
    !impact.is_late
        && impact.bound.iter().all(|line| is_unseen(line))
        && has_adopted_nothing(view, write, live).await
}

/// Whether this tells of a kind that neither the agent nor the proxy may see, as of most kinds in most
/// clusters: an agent cannot make others' objects its own unheld (rule `change-owners`), so somebody else
/// would have given them to it. Of claims that must be certain: data goes with them.
fn is_unseen(line: &str) -> bool {
    let collection = line.strip_prefix(UNCOUNTED).filter(|it| !it.is_empty());
    collection.is_some_and(|it| it != "/api/v1/persistentvolumeclaims")
}

/// Whether each ReplicaSet of a Deployment was made for it. A selector also takes those that somebody has
/// left without an owner.
async fn has_adopted_nothing(view: &ClusterView, write: &Write, live: &Value) -> bool {
    let a = write.attributes();
    if a.resource != "deployments" {
        return true;
    }
    let collection = format!("/apis/apps/v1/namespaces/{}/replicasets", a.namespace);
    let sets = view.all(write, "replicasets", &collection, "").await;
    sets.is_some_and(|sets| sets.iter().all(|set| !is_owned(set, live) || is_made_for(set, live)))
}

fn is_owned(object: &Value, owner: &Value) -> bool {
    let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    let uid = text(owner, "/metadata/uid");
    owners.into_iter().flatten().any(|it| text(it, "/uid") == uid)
}

/// By its age and by the name that the Deployment controller gives.
fn is_made_for(set: &Value, deployment: &Value) -> bool {
    let time = |it| text(it, "/metadata/creationTimestamp")?.parse::<Timestamp>().ok();
    let is_younger = match (time(deployment), time(set)) {
        (Some(before), Some(after)) => before <= after,
        _ => false,
    };
    let name = text(deployment, "/metadata/name").unwrap_or_default();
    let hash = text(set, "/metadata/labels/pod-template-hash").unwrap_or_default();
    is_younger && text(set, "/metadata/name") == Some(&format!("{name}-{hash}"))
}

fn text<'a>(value: &'a Value, path: &str) -> Option<&'a str> {
    value.pointer(path).and_then(Value::as_str).filter(|it| !it.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_controllers_write_is_no_change() {
        let redactor = Redactor::new(b"key");
        let digest = |object: &Value| {
            record(&redactor, object.clone()).map(|it| (it.left.digest, it.left.writers))
        };
        let left = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 1},
            "metadata": {"uid": "u", "name": "web", "generation": 1, "resourceVersion": "5"},
        });
        let with = |path: &str, value: Value| {
            let mut object = left.clone();
            let (at, field) = path.rsplit_once('/').expect("a path");
            object.pointer_mut(at).expect("an object")[field] = value;
            object
        };
        let managed = |managers: &[(&str, &str)]| {
            let entries = managers.iter().map(|(manager, subresource)| match *subresource {
                "" => json!({"manager": manager}),
                it => json!({"manager": manager, "subresource": it}),
            });
            with("/metadata/managedFields", entries.collect())
        };
        let revision = "deployment.kubernetes.io/revision";
        let table = [
            (with("/status", json!({"replicas": 1})), true),
            (with("/metadata/resourceVersion", json!("9")), true),
            (with("/metadata/generation", json!(2)), false),
            (with("/metadata/managedFields", json!([{}])), true),
            (managed(&[("kube-controller-manager", ""), ("kubelet", "status")]), true),
            (managed(&[("argocd", "")]), false),
            (with("/metadata/annotations", json!({revision: "1"})), true),
            (with("/metadata/annotations", json!({revision: "1", "a": "b"})), false),
            (with("/metadata/labels", json!({"team": "shop"})), false),
            (with("/metadata/finalizers", json!(["x.io/y"])), false),
            (with("/spec/replicas", json!(2)), false),
            (with("/spec/nodeName", json!("n1")), false),
            (with("/metadata/uid", json!("")), false),
        ];
        for (object, want) in table {
            assert_eq!(digest(&object) == digest(&left), want, "{object}");
        }
    }

    #[test]
    fn an_object_is_its_agents_while_each_write_finds_it_as_the_last_left_it() {
        type Write<'a> = (Option<&'a str>, &'a str);
        type Row<'a> = (&'a [Write<'a>], &'a str, bool);
        // A letter is what people decide, the number its version.
        let state = |it: &str| ObjectState {
            resource_version: it.to_owned(),
            digest: it.chars().take(1).collect(),
            writers: String::new(),
        };
        let write = |(found, left): &Write<'_>| ObjectRecord {
            uid: "u".to_owned(),
            left: state(left),
            found: found.map(state),
        };
        let table: [Row<'_>; 8] = [
            (&[(None, "a1")], "a1", true),
            (&[(None, "a1")], "a2", true),
            (&[(None, "a1")], "b2", false),
            (&[(None, "a1"), (Some("a2"), "b3")], "b4", true),
            (&[(None, "a1"), (Some("x2"), "b3")], "b3", false),
            (&[(None, "a1"), (Some("x2"), "a3")], "a3", false),
            (&[(None, "a1"), (None, "b3")], "b3", false),
            (&[], "a1", false),
        ];
        for (writes, now, want) in table {
            let made: Vec<ObjectRecord> = writes.iter().map(write).collect();
            assert_eq!(is_untouched(made.iter(), &state(now)), want, "{writes:?} {now}");
        }
        let unread =
            |it: &str| ObjectState { resource_version: it.to_owned(), ..ObjectState::default() };
        assert!(!is_same(&unread("1"), &unread("2")));
    }

    #[test]
    fn only_claims_must_be_seen() {
        let table = [
            ("?/api/v1/secrets", true),
            ("?/apis/ex.io/v1/widgets", true),
            ("?/api/v1/podtemplates", true),
            ("?/api/v1/persistentvolumeclaims", false),
            ("/apis/ex.io/v1/widgets uid", false),
            ("?", false),
        ];
        for (line, want) in table {
            assert_eq!(is_unseen(line), want, "{line}");
        }
    }

    #[test]
    fn knows_sets_that_a_deployment_did_not_make() {
        let at = |time: &str, name: &str, hash: &str| {
            json!({"metadata": {"name": name, "creationTimestamp": time,
                "labels": {"pod-template-hash": hash}}})
        };
        let deployment = at("2026-01-01T00:00:05Z", "web", "");
        let table = [
            (at("2026-01-01T00:00:05Z", "web-abc", "abc"), true),
            (at("2026-01-01T00:00:04Z", "web-abc", "abc"), false),
            (at("2026-01-01T00:00:06Z", "theirs", "abc"), false),
            (at("", "web-abc", "abc"), false),
        ];
        for (set, want) in table {
            assert_eq!(is_made_for(&set, &deployment), want, "{set}");
        }
    }
}
