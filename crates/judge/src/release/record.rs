//! One revision of a release, as helm keeps it. Every field is known, or it is no record that is
//! understood: what is not looked at might be what acts.

use std::collections::BTreeMap;

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Map, Value, json};

use super::{
    manifest::{self, Document},
    values,
};

/// Fields that the API server or helm itself puts there.
const OBJECT: [&str; 5] = ["apiVersion", "data", "kind", "metadata", "type"];
const METADATA: [&str; 7] =
    ["creationTimestamp", "labels", "managedFields", "name", "namespace", "resourceVersion", "uid"];
/// Labels that helm sets itself.
const LABELS: [&str; 6] = ["createdAt", "modifiedAt", "name", "owner", "status", "version"];
const RELEASE: [&str; 9] = [
    "apply_method",
    "chart",
    "config",
    "hooks",
    "info",
    "manifest",
    "name",
    "namespace",
    "version",
];
/// What of it says how far it is.
const STATE: [&str; 4] = ["deleted", "description", "last_deployed", "status"];
const INFO: [&str; 3] = ["first_deployed", "notes", "rollback_revision"];
const CHART: [&str; 8] =
    ["files", "lock", "metadata", "modtime", "schema", "schemamodtime", "templates", "values"];
const HOOK: [&str; 9] = [
    "delete_policies",
    "events",
    "kind",
    "last_run",
    "manifest",
    "name",
    "output_log_policies",
    "path",
    "weight",
];
/// Hooks that only whoever installs or upgrades runs, from a chart of their own. All others are run out
/// of the record, by whoever comes next.
const OWN_EVENTS: [&str; 4] = ["post-install", "post-upgrade", "pre-install", "pre-upgrade"];
const BEFORE_CREATION: &str = "before-hook-creation";

/// One revision.
pub(super) struct Record {
    pub(super) name: String,
    pub(super) version: i64,
    pub(super) status: String,
    pub(super) documents: Vec<Document>,
    /// Labels that are not helm's own.
    pub(super) labels: BTreeMap<String, String>,
    /// The Secret or ConfigMap.
    pub(super) object: Value,
    release: Map<String, Value>,
}

impl Record {
    /// Reads a Secret or ConfigMap; `None` where anything of it is not as helm writes it.
    pub(super) fn of(resource: &str, object: &Value) -> Option<Self> {
        let fields = only(object, &OBJECT)?;
        let metadata = only(fields.get("metadata")?, &METADATA)?;
        let release = release(resource, fields)?;
        let text = |field: &str| release.get(field).and_then(Value::as_str);
        let info = release.get("info")?.as_object()?;
        let (name, version) = (text("name")?, release.get("version")?.as_i64()?);
        let status = info.get("status")?.as_str()?;
        let known = metadata.get("name")?.as_str()?;
        let namespace = metadata.get("namespace")?.as_str()?;
        let is_in_place = known == format!("sh.helm.release.v1.{name}.v{version}")
            && text("namespace") == Some(namespace);
        let labels = labels(metadata, name, status, version).filter(|_| is_in_place)?;
        let documents = manifest::documents(text("manifest").unwrap_or_default(), namespace)?;
        Some(Self {
            name: name.to_owned(),
            version,
            status: status.to_owned(),
            documents,
            labels,
            object: object.clone(),
            release,
        })
    }

    pub(super) fn is_pending(&self) -> bool {
        self.status.starts_with("pending-")
    }

    /// Whether it was once all there, or is.
    pub(super) fn was_deployed(&self) -> bool {
        matches!(self.status.as_str(), "deployed" | "superseded")
    }

    /// Whether both are one revision, at whatever step.
    pub(super) fn is_same_revision(&self, other: &Self) -> bool {
        self.labels == other.labels && self.revision(&STATE) == other.revision(&STATE)
    }

    /// Whether both say the same of it, too; how its hooks went aside.
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        self.labels == other.labels && self.revision(&[]) == other.revision(&[])
    }

    /// Whether it is of the same chart and values, with the same outcome, as another revision.
    pub(super) fn repeats(&self, other: &Self) -> bool {
        let of = |record: &Self| {
            let field = |name: &str| record.release.get(name).cloned();
            let (chart, config) = (field("chart"), field("config"));
            let (manifest, method) = (field("manifest"), field("apply_method"));
            effects::canonical(&json!([chart, config, manifest, method, record.hooks()]))
        };
        self.labels == other.labels && of(self) == of(other)
    }

    /// Whether its next user applies it as that of the other.
    pub(super) fn applies_as(&self, other: &Self) -> bool {
        let method = |it: &Self| it.release.get("apply_method").cloned();
        method(self) == method(other)
    }

    /// Objects that only one of both names.
    pub(super) fn other_objects(&self, other: &Self) -> Vec<String> {
        let mut only_one: Vec<String> = Vec::new();
        for (some, others) in [(self, other), (other, self)] {
            let is_missing =
                |it: &&Document| others.documents.iter().all(|at| at.identity() != it.identity());
            only_one.extend(some.documents.iter().filter(is_missing).map(Document::title));
        }
        only_one
    }

    /// Whether it has the same hooks that others run out of the record.
    pub(super) fn acts_as(&self, other: &Self) -> bool {
        self.acting_hooks() == other.acting_hooks()
    }

    /// Values that differ and do not show in what the revision names: only who renders its chart knows
    /// what becomes of them, with the next upgrade that takes them over.
    pub(super) fn hidden_values(&self, other: &Self) -> Vec<String> {
        let shown = values::shown(&self.documents);
        values::differing(&self.values(), &other.values(), &shown)
    }

    fn values(&self) -> Value {
        let of_chart = self.release.get("chart").and_then(|it| it.get("values"));
        let mut values = of_chart.cloned().unwrap_or_default();
        values::lay_over(&mut values, self.release.get("config").unwrap_or(&Value::Null));
        values
    }

    /// What does not change from step to step, in a canonical form.
    fn revision(&self, state: &[&str]) -> String {
        let mut release = self.release.clone();
        if let Some(info) = release.get_mut("info").and_then(Value::as_object_mut) {
            info.retain(|key, _| !state.contains(&key.as_str()));
        }
        release.insert("hooks".to_owned(), Value::Array(self.hooks()));
        effects::canonical(&Value::Object(release))
    }

    /// Its hooks, without how they went.
    fn hooks(&self) -> Vec<Value> {
        let hooks = self.release.get("hooks").and_then(Value::as_array);
        let mut hooks: Vec<Value> = hooks.into_iter().flatten().cloned().collect();
        for hook in hooks.iter_mut().filter_map(Value::as_object_mut) {
            hook.remove("last_run");
            // Helm writes down what goes without saying, once a hook has run.
            if hook.get("delete_policies") == Some(&json!([BEFORE_CREATION])) {
                hook.remove("delete_policies");
            }
        }
        hooks
    }

    fn acting_hooks(&self) -> Vec<String> {
        let is_own = |event: &Value| event.as_str().is_some_and(|it| OWN_EVENTS.contains(&it));
        let acts = |hook: &&Value| {
            let events = hook.get("events").and_then(Value::as_array);
            events.is_none_or(|events| !events.iter().all(is_own))
        };
        let mut acting: Vec<String> =
            self.hooks().iter().filter(acts).map(effects::canonical).collect();
        acting.sort();
        acting
    }
}

fn release(resource: &str, object: &Map<String, Value>) -> Option<Map<String, Value>> {
    let data = only(object.get("data")?, &["release"])?.get("release")?.as_str()?;
    let read = match (resource, object.get("type").and_then(Value::as_str)) {
        ("secrets", Some("helm.sh/release.v1")) => {
            payload::release(&BASE64_STANDARD.decode(data).ok()?).ok()?
        }
        ("configmaps", None) => payload::release(data.as_bytes()).ok()?,
        _ => return None,
    };
    only(&read, &RELEASE)?;
    let info: Vec<&str> = STATE.into_iter().chain(INFO).collect();
    only(read.get("info")?, &info)?;
    if let Some(chart) = read.get("chart") {
        only(chart, &CHART)?;
    }
    let hooks = match read.get("hooks") {
        None | Some(Value::Null) => &[],
        Some(hooks) => hooks.as_array()?.as_slice(),
    };
    for hook in hooks {
        let hook = only(hook, &HOOK)?;
        if let Some(run) = hook.get("last_run") {
            only(run, &["completed_at", "phase", "started_at"])?;
        }
    }
    match read {
        Value::Object(fields) => Some(fields),
        _ => None,
    }
}

/// An object that has no other fields.
fn only<'v>(value: &'v Value, known: &[&str]) -> Option<&'v Map<String, Value>> {
    value.as_object().filter(|it| it.keys().all(|key| known.contains(&key.as_str())))
}

/// The labels that are not helm's own, where its own say what the record says.
fn labels(
    metadata: &Map<String, Value>,
    name: &str,
    status: &str,
    version: i64,
) -> Option<BTreeMap<String, String>> {
    let all = metadata.get("labels")?.as_object()?;
    let text = |key: &str| all.get(key).and_then(Value::as_str);
    let is_time = |key: &str| {
        text(key).is_none_or(|it| it.len() < 20 && it.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let says_the_same = text("name") == Some(name)
        && text("owner") == Some("helm")
        && text("status") == Some(status)
        && text("version") == Some(&version.to_string())
        && is_time("createdAt")
        && is_time("modifiedAt");
    let others = all.iter().filter(|(key, _)| !LABELS.contains(&key.as_str()));
    let others = others.map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
    others.collect::<Option<_>>().filter(|_| says_the_same)
}
