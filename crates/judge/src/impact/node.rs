//! What a node loses: the pods that a drain evicts, that a taint drives away, or that go with it.

use effects::{Effect, EffectKind};
use serde_json::Value;
use text::plain;

use super::{Impact, ImpactCount, counted, place, some, text};

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
            let (node, why) = (plain(name), self.unseen(&["pods".to_owned()]));
            to.notes.push(format!("the pods on node {node} are unknown: {why}"));
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
        let namespaces = leaving.iter().filter_map(|it| text(it, "/metadata/namespace")).collect();
        let around = self.around(&namespaces, "/apis/policy/v1/poddisruptionbudgets").await;
        self.note_alone(&leaving, &around, to);
        self.note_blocked(&leaving, &around, to);
    }
}

/// Whether `kubectl drain` evicts it.
fn is_drained(pod: &Value) -> bool {
    let owners = pod.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    let is_daemon = owners.into_iter().flatten().any(|it| text(it, "/kind") == Some("DaemonSet"));
    let is_mirror = pod.pointer("/metadata/annotations/kubernetes.io~1config.mirror").is_some();
    !is_daemon && !is_mirror
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
