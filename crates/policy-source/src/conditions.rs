//! What policy objects of the cluster are told of themselves: whether they are valid, and whether
//! they are in force.

use std::collections::HashMap;

use jiff::Timestamp;
use policy::Issue;
use serde_json::{Value, json};
use text::Escaped;
use upstream::{PolicyObject, PolicyObjects};

/// Of one message: an object is no place for books.
const MESSAGE_CHARS_MAX: usize = 4_000;

/// Tells objects their conditions.
#[derive(Default)]
pub(crate) struct Conditions {
    /// What is in force: generations by uid.
    in_force: HashMap<String, i64>,
    /// Objects that could not be told, and what their set was refused for or warned of.
    unwritten: (Vec<PolicyObject>, Vec<Issue>),
}

/// One condition, but for its times.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Condition {
    of: &'static str,
    is_met: bool,
    reason: &'static str,
    message: String,
}

impl Conditions {
    /// These objects are in force, and no others.
    pub(crate) fn put_in_force(&mut self, objects: &[PolicyObject]) {
        let versions = objects.iter().map(|it| it.version.clone());
        self.in_force = versions.collect();
    }

    /// Whether some object does not know how it stands.
    pub(crate) fn are_unwritten(&self) -> bool {
        !self.unwritten.0.is_empty()
    }

    /// Tells those that could not be told before.
    pub(crate) async fn write_again(&mut self, cluster: &PolicyObjects) {
        let (objects, issues) = self.unwritten.clone();
        self.write_statuses(cluster, objects, issues).await;
    }

    /// Tells each object how it stands after a set was taken or refused; `issues` are what it was
    /// refused for. What cannot be told now is kept for [`Conditions::write_again`].
    pub(crate) async fn write_statuses(
        &mut self,
        cluster: &PolicyObjects,
        objects: Vec<PolicyObject>,
        issues: Vec<Issue>,
    ) {
        let mut is_known = self.are_unwritten();
        let mut unwritten = Vec::new();
        for object in objects {
            let wanted = self.wanted(&object, &issues);
            if is_written(&object, &wanted) {
                continue;
            }
            let status = status(&object, &wanted, Timestamp::now());
            if let Err(error) = cluster.tell(&object, &status).await {
                if !is_known {
                    tracing::warn!(%error, object = object.name, "a policy's status was not written");
                }
                is_known = true;
                unwritten.push(object);
            }
        }
        self.unwritten = (unwritten, issues);
    }

    fn wanted(&self, object: &PolicyObject, issues: &[Issue]) -> [Condition; 2] {
        let (uid, generation) = &object.version;
        let (its, others): (Vec<&Issue>, Vec<&Issue>) =
            issues.iter().partition(|it| it.file == object.name);
        let is_valid = its.iter().all(|it| it.is_warning);
        let valid = Condition {
            of: "Valid",
            is_met: is_valid,
            reason: match (its.is_empty(), is_valid) {
                (true, _) => "Compiled",
                (false, true) => "CompiledWithWarnings",
                (false, false) => "Mistakes",
            },
            message: joined(its.iter().map(ToString::to_string)),
        };
        let known = self.in_force.get(uid).copied();
        if known == Some(*generation) {
            let message = String::new();
            return [valid, Condition { of: "InForce", is_met: true, reason: "InForce", message }];
        }
        let other = others.iter().find(|it| !it.is_warning).map(ToString::to_string);
        let mut message = match other.as_deref().and_then(|it| it.lines().next()) {
            _ if !is_valid => "its set is refused: see Valid".to_owned(),
            // What stands in another's lines is not for this one's readers.
            Some(first) => format!("its set is refused: {first}"),
            None => "its set is refused".to_owned(),
        };
        if let Some(before) = known {
            message.push_str(&format!("; generation {before} stays in force"));
        }
        let message = joined([message].into_iter());
        [valid, Condition { of: "InForce", is_met: false, reason: "SetRefused", message }]
    }
}

fn joined(messages: impl Iterator<Item = String>) -> String {
    let all: Vec<String> = messages.map(|it| Escaped::lines(&it).to_string()).collect();
    all.join("\n").chars().take(MESSAGE_CHARS_MAX).collect()
}

/// Whether the object says this already.
fn is_written(object: &PolicyObject, wanted: &[Condition; 2]) -> bool {
    let is = |value: &Value, field: &str, wanted: Value| value.get(field) == Some(&wanted);
    is(&object.status, "observedGeneration", json!(object.version.1))
        && wanted.iter().all(|it| {
            known(object, it.of).is_some_and(|known| {
                is(known, "status", json!(it.status()))
                    && is(known, "reason", json!(it.reason))
                    && is(known, "message", json!(it.message))
            })
        })
}

fn known<'o>(object: &'o PolicyObject, of: &str) -> Option<&'o Value> {
    let all = object.status.get("conditions").and_then(Value::as_array);
    all?.iter().find(|it| it.get("type").and_then(Value::as_str) == Some(of))
}

fn status(object: &PolicyObject, wanted: &[Condition; 2], now: Timestamp) -> Value {
    let generation = object.version.1;
    let conditions = wanted.each_ref().map(|it| {
        let unchanged =
            known(object, it.of).filter(|known| known.get("status") == Some(&json!(it.status())));
        let since = unchanged.and_then(|known| known.get("lastTransitionTime")).cloned();
        json!({
            "type": it.of,
            "status": it.status(),
            "reason": it.reason,
            "message": it.message,
            "observedGeneration": generation,
            "lastTransitionTime": since.unwrap_or_else(|| json!(format!("{now:.0}"))),
        })
    });
    json!({"observedGeneration": generation, "conditions": conditions})
}

impl Condition {
    fn status(&self) -> &'static str {
        if self.is_met { "True" } else { "False" }
    }
}
