//! What a node loses: the pods that a drain evicts, that a taint drives away, or that go with it.

use std::collections::BTreeMap;

use effects::{Effect, EffectKind};
use serde_json::Value;

use super::{Impact, ImpactCount, counted, place, some, text};
use crate::{pod, selector::selects};

impl ImpactCount<'_> {
    /// Pods on a node that is cordoned, tainted or deleted; of one that is evicted, what it leaves.
    pub(super) async fn of_nodes(&self, effects: &[Effect], live: Option<&Value>, to: &mut Impact) {
        let node = effects.iter().find(|it| {
            it.object.resource == "nodes"
                && matches!(it.kind, EffectKind::Cordon | EffectKind::Taint | EffectKind::Delete)
        });
        let Some(node) = node else { return };
        let name = node.object.name.as_str();
        // Node names are DNS subdomains and need no percent-encoding.
        let query = format!("&fieldSelector=spec.nodeName%3D{name}");
        let Some(pods) = self.whole("pods", "/api/v1/pods", &query).await else {
            to.notes.push(format!(
                "the pods on node {name} are not visible, or were not counted in time"
            ));
            return;
        };
        let is_delete = node.kind == EffectKind::Delete;
        // A drain leaves pods of DaemonSets and static pods; the delete of a node takes them too.
        let leaving: Vec<&Value> = pods.iter().filter(|pod| is_delete || is_drained(pod)).collect();
        let names: Vec<String> = leaving.iter().map(|pod| place(pod)).collect();
        match node.kind {
            EffectKind::Cordon => {
                to.notes.push(format!(
                    "a drain would then evict {} pods: {}",
                    names.len(),
                    some(&names)
                ));
            }
            _ => to.goes_with.push(counted("pods", &names)),
        }
        if live.is_some_and(|it| it.pointer("/spec/unschedulable") == Some(&Value::Bool(true))) {
            to.notes.push("the node takes no pods already".to_owned());
        }
        self.note_alone(&leaving, to).await;
        self.note_blocked(&leaving, to).await;
    }

    /// Pods whose controller has no other one that is ready elsewhere.
    async fn note_alone(&self, leaving: &[&Value], to: &mut Impact) {
        let mut others: BTreeMap<String, Option<Vec<Value>>> = BTreeMap::new();
        for pod in leaving {
            let Some(namespace) = text(pod, "/metadata/namespace") else { continue };
            if !others.contains_key(namespace) && !self.is_late() {
                let collection = format!("/api/v1/namespaces/{namespace}/pods");
                let pods = self.whole("pods", &collection, "").await;
                others.insert(namespace.to_owned(), pods);
            }
        }
        let (mut alone, mut unknown) = (Vec::new(), Vec::new());
        for pod in leaving {
            let namespace = text(pod, "/metadata/namespace").unwrap_or_default();
            let Some(Some(all)) = others.get(namespace) else {
                unknown.push(place(pod));
                continue;
            };
            let stays = |other: &&Value| {
                text(other, "/spec/nodeName") != text(pod, "/spec/nodeName")
                    && owner(other).is_some()
                    && owner(other) == owner(pod)
                    && pod::is_ready(other)
            };
            if !all.iter().any(|other| stays(&other)) {
                alone.push(place(pod));
            }
        }
        if !alone.is_empty() {
            to.notes
                .push(format!("pods without another that is ready elsewhere: {}", some(&alone)));
        }
        if !unknown.is_empty() {
            to.notes.push(format!("not known whether there is another of: {}", some(&unknown)));
        }
    }

    /// Pods that no eviction takes now: their disruption budget has nothing left.
    async fn note_blocked(&self, leaving: &[&Value], to: &mut Impact) {
        let budgets =
            self.whole("poddisruptionbudgets", "/apis/policy/v1/poddisruptionbudgets", "");
        let Some(budgets) = budgets.await else {
            to.notes
                .push("disruption budgets are not visible, or were not read in time".to_owned());
            return;
        };
        let blocks = |budget: &Value, pod: &Value| {
            text(budget, "/metadata/namespace") == text(pod, "/metadata/namespace")
                && budget.pointer("/status/disruptionsAllowed").and_then(Value::as_i64) == Some(0)
                && budget.pointer("/spec/selector").is_some_and(|it| selects(it, pod))
        };
        let blocked: Vec<String> = leaving
            .iter()
            .filter(|pod| budgets.iter().any(|budget| blocks(budget, pod)))
            .map(|pod| place(pod))
            .collect();
        if !blocked.is_empty() {
            to.notes.push(format!("pods that a disruption budget holds back: {}", some(&blocked)));
        }
    }
}

/// Whether `kubectl drain` evicts it.
fn is_drained(pod: &Value) -> bool {
    let owners = pod.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    let is_daemon = owners.into_iter().flatten().any(|it| text(it, "/kind") == Some("DaemonSet"));
    let is_mirror = pod.pointer("/metadata/annotations/kubernetes.io~1config.mirror").is_some();
    !is_daemon && !is_mirror
}

fn owner(pod: &Value) -> Option<&str> {
    text(pod::controller(pod)?, "/uid")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_drain_leaves_daemons_and_mirrors() {
        let owned = |kind: &str| json!({"metadata": {"ownerReferences": [{"kind": kind}]}});
        assert!(is_drained(&owned("ReplicaSet")));
        assert!(!is_drained(&owned("DaemonSet")));
        let mirror = json!({"metadata": {"annotations": {"kubernetes.io/config.mirror": "x"}}});
        assert!(!is_drained(&mirror));
    }
}
