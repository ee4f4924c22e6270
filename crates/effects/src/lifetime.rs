//! Fields by which an object goes, or what is kept of it: a delete by another name.

use serde_json::Value;

use crate::{
    about::{Deleted, HistoryOf},
    diff::segments,
    effect::{Change, Effect},
    keys::Keys,
    object::ObjectRef,
    triggers,
};

/// A number that, where it is lowered, takes something away.
struct Limit {
    group: &'static str,
    resource: &'static str,
    path: &'static str,
    /// Where the field is missing; `None`: there is no limit.
    default: Option<i64>,
    goes: Goes,
}

/// What a lower limit takes away.
#[derive(Clone, Copy)]
enum Goes {
    /// The object itself, or what it runs, once it has run for so long or failed so often. A time that
    /// is not yet over is over soon, so that how long it has run already does not matter.
    Itself,
    /// Everything that is kept of earlier runs or revisions, where nothing is left: group, resource.
    History(&'static str, &'static str),
}

const LIMITS: [Limit; 10] = [
    of_job("/spec/ttlSecondsAfterFinished", None),
    of_job("/spec/activeDeadlineSeconds", None),
    of_job("/spec/backoffLimit", Some(6)),
    of_job("/spec/maxFailedIndexes", None),
    Limit { group: "", resource: "pods", ..of_job("/spec/activeDeadlineSeconds", None) },
    of_revisions("deployments", "replicasets"),
    of_revisions("statefulsets", "controllerrevisions"),
    of_revisions("daemonsets", "controllerrevisions"),
    of_jobs("/spec/successfulJobsHistoryLimit", 3),
    of_jobs("/spec/failedJobsHistoryLimit", 1),
];

const fn of_job(path: &'static str, default: Option<i64>) -> Limit {
    Limit { group: "batch", resource: "jobs", path, default, goes: Goes::Itself }
}

const fn of_jobs(path: &'static str, default: i64) -> Limit {
    let goes = Goes::History("batch", "jobs");
    Limit { group: "batch", resource: "cronjobs", path, default: Some(default), goes }
}

const fn of_revisions(resource: &'static str, revisions: &'static str) -> Limit {
    let goes = Goes::History("apps", revisions);
    Limit { group: "apps", resource, path: "/spec/revisionHistoryLimit", default: Some(10), goes }
}

/// What goes by a change of such fields of a live object, or by a key that tells a tool to delete it.
pub(crate) fn of(object: &ObjectRef, keys: Keys<'_>, changes: &[Change]) -> Vec<Effect> {
    let by_key = changes.iter().filter_map(|change| expires(object, keys, change));
    let limits = LIMITS.iter().filter(|it| {
        (it.group, it.resource) == (object.api_group.as_str(), object.resource.as_str())
    });
    let by_field = limits.filter_map(|limit| {
        let change = changes.iter().find(|it| it.path == limit.path)?;
        limit.takes(change).then(|| limit.effect(object, change))
    });
    by_field.chain(by_key).collect()
}

/// The delete that a label or annotation asks of a tool.
fn expires(object: &ObjectRef, keys: Keys<'_>, change: &Change) -> Option<Effect> {
    let maps = ["/metadata/labels/", "/metadata/annotations/"];
    if change.new.is_none() || !maps.iter().any(|map| change.path.starts_with(map)) {
        return None;
    }
    let key = segments(&change.path).pop()?;
    let is_asked = triggers::deletes(&key) && !keys.is_inert(&key);
    is_asked.then(|| Effect::delete(object.clone(), Deleted::Expires(change.of_field(key))))
}

impl Limit {
    fn takes(&self, change: &Change) -> bool {
        let size = |side: &Option<Value>| match side {
            None => self.default,
            // What is no number counts as the least.
            Some(value) => Some(value.as_i64().unwrap_or(0)),
        };
        let Some(new) = size(&change.new) else { return false };
        let is_lower = size(&change.old).is_none_or(|old| new < old);
        match self.goes {
            Goes::Itself => is_lower,
            Goes::History(..) => is_lower && new <= 0,
        }
    }

    fn effect(&self, of: &ObjectRef, change: &Change) -> Effect {
        let change = change.of_field(self.path.trim_start_matches("/spec/").to_owned());
        let (object, what) = match self.goes {
            Goes::Itself => (of.clone(), Deleted::Expires(change)),
            Goes::History(group, resource) => {
                let object = ObjectRef {
                    api_group: group.to_owned(),
                    resource: resource.to_owned(),
                    namespace: of.namespace.clone(),
                    ..ObjectRef::default()
                };
                (object, Deleted::History(HistoryOf { owner: of.into(), change }))
            }
        };
        Effect::delete(object, what)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;
    use crate::EffectKind;

    #[test]
    fn a_lower_limit_is_a_delete() {
        type Side = Option<i64>;
        type Row = (&'static str, &'static str, &'static str, Side, Side, Option<&'static str>);
        let table: [Row; 18] = [
            ("batch", "jobs", "ttlSecondsAfterFinished", None, Some(0), Some("jobs")),
            ("batch", "jobs", "ttlSecondsAfterFinished", Some(9), Some(8), Some("jobs")),
            ("batch", "jobs", "ttlSecondsAfterFinished", Some(8), Some(9), None),
            ("batch", "jobs", "ttlSecondsAfterFinished", Some(8), None, None),
            ("batch", "jobs", "activeDeadlineSeconds", None, Some(1), Some("jobs")),
            ("batch", "jobs", "backoffLimit", None, Some(0), Some("jobs")),
            ("batch", "jobs", "backoffLimit", None, Some(7), None),
            ("batch", "jobs", "backoffLimit", Some(7), None, Some("jobs")),
            ("batch", "jobs", "parallelism", Some(7), Some(1), None),
            ("ex.io", "jobs", "activeDeadlineSeconds", None, Some(1), None),
            ("", "pods", "activeDeadlineSeconds", Some(9), Some(1), Some("pods")),
            ("apps", "deployments", "revisionHistoryLimit", Some(10), Some(0), Some("replicasets")),
            ("apps", "deployments", "revisionHistoryLimit", Some(10), Some(1), None),
            ("apps", "deployments", "revisionHistoryLimit", Some(0), Some(10), None),
            (
                "apps",
                "daemonsets",
                "revisionHistoryLimit",
                None,
                Some(0),
                Some("controllerrevisions"),
            ),
            ("batch", "cronjobs", "successfulJobsHistoryLimit", Some(3), Some(0), Some("jobs")),
            ("batch", "cronjobs", "failedJobsHistoryLimit", Some(1), Some(0), Some("jobs")),
            ("batch", "cronjobs", "failedJobsHistoryLimit", Some(0), None, None),
        ];
        for (group, resource, field, old, new, want) in table {
            let object = ObjectRef {
                api_group: group.into(),
                resource: resource.into(),
                namespace: "dev".into(),
                name: "a".into(),
                uid: "u".into(),
            };
            let side = |it: Side| it.map(|it| json!(it));
            let path = format!("/spec/{field}");
            let found = of(
                &object,
                Keys::new(&BTreeSet::new()),
                &[Change { path, old: side(old), new: side(new) }],
            );
            let found: Vec<&str> = found.iter().map(|it| it.object.resource.as_str()).collect();
            assert_eq!(found.first().copied(), want, "{resource} {field} {old:?} {new:?}");
        }
    }

    #[test]
    fn a_key_that_has_a_tool_delete_it_is_a_delete() {
        let table = [
            ("labels", "cleanup.kyverno.io~1ttl", json!("1s"), true),
            ("annotations", "janitor~1expires", json!("2020-01-01"), true),
            ("annotations", "janitor~1expires", Value::Null, false),
            ("annotations", "ex.io~1ttl", json!("1s"), false),
            // The owner of the cluster says that no such tool is there.
            ("annotations", "janitor~1ttl", json!("1s"), false),
        ];
        let inert = BTreeSet::from(["janitor/ttl".to_owned()]);
        for (map, key, new, want) in table {
            let path = format!("/metadata/{map}/{key}");
            let change = Change { path, old: None, new: Some(new).filter(|it| !it.is_null()) };
            let effects = of(&ObjectRef::default(), Keys::new(&inert), &[change]);
            assert_eq!(effects.iter().any(|it| it.kind == EffectKind::Delete), want, "{map} {key}");
        }
    }
}
