//! Which of what goes with a write an approval binds to: what somebody put there.

use hold::UNCOUNTED;
use serde_json::Value;

use super::{listed::Listed, text};

/// What comes and goes by itself wherever something lives, by group and resource.
const PASSING: [(&str, &str); 6] = [
    ("", "pods"),
    ("", "endpoints"),
    ("", "events"),
    ("events.k8s.io", "events"),
    ("coordination.k8s.io", "leases"),
    ("discovery.k8s.io", "endpointslices"),
];

/// A line for each of these objects of one kind that must not become more.
pub(super) fn lines<'v>(listed: &Listed, items: impl Iterator<Item = &'v Value>) -> Vec<String> {
    let kind = &listed.kind;
    if PASSING.contains(&(kind.group(), kind.resource.as_str())) {
        return Vec::new();
    }
    let collection = kind.collection(None);
    if listed.items.is_none() {
        return vec![format!("{UNCOUNTED}{collection}")];
    }
    let stays = items.filter(|it| !is_made_by_another(it));
    let mut lines: Vec<String> = stays
        .map(|it| format!("{collection} {}", text(it, "/metadata/uid").unwrap_or_default()))
        .collect();
    // Of a kind that controllers make, the number comes and goes too.
    if listed.more > 0 && listed.items.iter().flatten().any(|it| !is_made_by_another(it)) {
        lines.push(format!("{collection} and {} more", listed.more));
    }
    lines
}

/// Whether a controller made it of something else, or it belongs to a pod: it comes again by itself.
fn is_made_by_another(object: &Value) -> bool {
    let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    owners.into_iter().flatten().any(|owner| {
        owner.get("controller") == Some(&Value::Bool(true)) || text(owner, "/kind") == Some("Pod")
    })
}
