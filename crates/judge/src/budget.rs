//! Whether a PodDisruptionBudget lets a pod go: what a delete must not do, where an eviction would have
//! been refused (k8s.io/kubernetes, pkg/registry/core/pod/storage/eviction.go).

use serde_json::Value;

use crate::{call::Write, pod, selector::selects, view::ClusterView};

/// The budgets of a namespace; `None` where they cannot be read.
pub(crate) async fn all(view: &ClusterView, write: &Write, namespace: &str) -> Option<Vec<Value>> {
    let collection = format!("/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets");
    view.all(write, "poddisruptionbudgets", &collection, "").await
}

/// Whether the budgets let a pod go. `pods` are all of its namespace, as they are now: a budget's own
/// status lags behind deletes that have just been made.
pub(crate) fn lets_go(budgets: &[Value], pods: &[Value], pod: &Value) -> bool {
    if runs_nothing(pod) {
        return true;
    }
    match own(budgets, pod).as_slice() {
        [] => true,
        [budget] => allows(budget, pods, pod),
        // An eviction is refused where there is more than one.
        _ => false,
    }
}

/// The budgets that stand for a pod.
pub(crate) fn own<'b>(budgets: &'b [Value], pod: &Value) -> Vec<&'b Value> {
    let namespace = |it: &Value| it.pointer("/metadata/namespace").cloned();
    let stands = |budget: &&Value| {
        namespace(budget) == namespace(pod)
            && budget.pointer("/spec/selector").is_some_and(|it| selects(it, pod))
    };
    budgets.iter().filter(stands).collect()
}

fn allows(budget: &Value, pods: &[Value], pod: &Value) -> bool {
    let count = |path| budget.pointer(path).and_then(Value::as_i64).unwrap_or(0);
    let desired = count("/status/desiredHealthy");
    if !pod::is_ready(pod) {
        let policy = budget.pointer("/spec/unhealthyPodEvictionPolicy").and_then(Value::as_str);
        let is_healthy = desired > 0 && count("/status/currentHealthy") >= desired;
        if policy == Some("AlwaysAllow") || is_healthy {
            return true;
        }
    }
    let is_current = count("/status/observedGeneration") >= count("/metadata/generation");
    let is_counted =
        |it: &&Value| budget.pointer("/spec/selector").is_some_and(|by| selects(by, it));
    let stays = |it: &&Value| uid(it) != uid(pod) && is_counted(it) && pod::stays_ready(it);
    let staying = i64::try_from(pods.iter().filter(stays).count()).unwrap_or(0);
    is_current && count("/status/disruptionsAllowed") > 0 && staying >= desired
}

/// Whether an eviction takes no notice of budgets: the pod has ended, has not begun, or goes already.
fn runs_nothing(pod: &Value) -> bool {
    let phase = pod.pointer("/status/phase").and_then(Value::as_str);
    let is_going = pod.pointer("/metadata/deletionTimestamp").is_some();
    is_going || pod::has_ended(pod) || phase == Some("Pending")
}

fn uid(pod: &Value) -> Option<&str> {
    pod.pointer("/metadata/uid").and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(uid: &str, ready: &str) -> Value {
        json!({
            "metadata": {"uid": uid, "labels": {"app": "web"}},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]},
        })
    }

    fn budget(desired: i64, healthy: i64, allowed: i64) -> Value {
        json!({
            "metadata": {"generation": 2},
            "spec": {"selector": {"matchLabels": {"app": "web"}}},
            "status": {"observedGeneration": 2, "desiredHealthy": desired,
                "currentHealthy": healthy, "disruptionsAllowed": allowed},
        })
    }

    #[test]
    fn lets_go_what_an_eviction_would() {
        let ready = || vec![pod("a", "True"), pod("b", "True"), pod("c", "True")];
        let with = |mut budget: Value, path: &str, value: Value| {
            *budget.pointer_mut(path).expect("a field") = value;
            vec![budget]
        };
        let mut unready = ready();
        unready[0] = pod("a", "False");
        let mut pending = ready();
        pending[0]["status"]["phase"] = json!("Pending");
        let mut going = ready();
        going[1]["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        let mut always = budget(3, 2, 0);
        always["spec"]["unhealthyPodEvictionPolicy"] = json!("AlwaysAllow");
        let elsewhere = json!({"matchLabels": {"app": "api"}});
        let table = [
            (vec![], ready(), true),
            (vec![budget(2, 3, 1)], ready(), true),
            (vec![budget(3, 3, 0)], ready(), false),
            (vec![budget(2, 3, 1), budget(2, 3, 1)], ready(), false),
            (with(budget(3, 3, 0), "/spec/selector", elsewhere), ready(), true),
            (with(budget(2, 3, 1), "/status/observedGeneration", json!(1)), ready(), false),
            // Its status does not know yet that another pod goes.
            (vec![budget(2, 3, 1)], going, false),
            (vec![budget(2, 2, 0)], unready.clone(), true),
            (vec![budget(3, 2, 0)], unready.clone(), false),
            (vec![always], unready, true),
            (vec![budget(3, 3, 0)], pending, true),
        ];
        for (index, (budgets, pods, want)) in table.into_iter().enumerate() {
            assert_eq!(lets_go(&budgets, &pods, &pods[0]), want, "row {index}");
        }
    }
}
