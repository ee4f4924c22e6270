//! Namespaces that others' network policies select by their labels: whoever writes a label of its own
//! namespace chooses which of them let it in.

use effects::{
    About, Effect, EffectKind,
    about::{Part, Parts, Power},
};
use serde_json::{Value, json};

use crate::{call::Write, selector::selects, view::ClusterView};

/// Policies that one effect names.
const POLICIES_NAMED_MAX: usize = 32;

/// What a write to a namespace gains by its labels: policies of other namespaces that select it then,
/// and did not before.
pub(crate) async fn gained(
    view: &ClusterView,
    write: &Write,
    old: Option<&Value>,
    new: &Value,
) -> Option<Effect> {
    let attributes = write.attributes();
    let is_namespace = attributes.api_group.is_empty() && attributes.resource == "namespaces";
    let name = new.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    // One that is new has gained nothing by the label that the API server gives to each.
    let bare = json!({"metadata": {"labels": {"kubernetes.io/metadata.name": name}}});
    let old = old.unwrap_or(&bare);
    if !is_namespace || labels(old) == labels(new) {
        return None;
    }
    let collection = "/apis/networking.k8s.io/v1/networkpolicies";
    let policies = view.all(write, "networkpolicies", collection, "").await;
    let gained: Vec<String> = match &policies {
        None => vec!["that could not be looked up".to_owned()],
        Some(policies) => {
            let others = policies.iter().filter(|it| text(it, "/metadata/namespace") != name);
            let selecting = others.filter(|it| selects_anew(it, old, new));
            selecting.take(POLICIES_NAMED_MAX).map(place).collect()
        }
    };
    let parts: Vec<Part> = gained.into_iter().map(|it| Part::Power(Power::PolicyOf(it))).collect();
    (!parts.is_empty()).then(|| Effect {
        kind: EffectKind::Borrow,
        object: effects::object_of(attributes),
        about: About::Parts(Parts::of(parts)),
    })
}

fn selects_anew(policy: &Value, old: &Value, new: &Value) -> bool {
    let rules = |way: &'static str, peers: &'static str| {
        let rules = policy.pointer(&format!("/spec/{way}")).and_then(Value::as_array);
        let peers = rules.into_iter().flatten().filter_map(move |it| it.get(peers)?.as_array());
        peers.flatten().filter_map(|it| it.get("namespaceSelector"))
    };
    let mut selectors = rules("ingress", "from").chain(rules("egress", "to"));
    selectors.any(|it| selects(it, new) && !selects(it, old))
}

fn labels(namespace: &Value) -> Option<&Value> {
    namespace.pointer("/metadata/labels")
}

fn place(policy: &Value) -> String {
    format!("{}/{}", text(policy, "/metadata/namespace"), text(policy, "/metadata/name"))
}

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sees_who_lets_it_in_now() {
        let namespace = |team: &str| json!({"metadata": {"labels": {"team": team}}});
        let policy = |way: &str, peers: &str, selector: Value| {
            let peer = json!({"namespaceSelector": selector, "podSelector": {}});
            json!({"spec": {way: [{}, {peers: [{"podSelector": {}}, peer]}]}})
        };
        let of_team = json!({"matchLabels": {"team": "pay"}});
        let not_dev = json!({"matchExpressions":
            [{"key": "team", "operator": "NotIn", "values": ["dev"]}]});
        let table = [
            (policy("ingress", "from", of_team.clone()), "dev", "pay", true),
            (policy("egress", "to", of_team.clone()), "dev", "pay", true),
            (policy("ingress", "from", of_team.clone()), "pay", "dev", false),
            (policy("ingress", "from", of_team.clone()), "dev", "qa", false),
            (policy("ingress", "from", not_dev), "dev", "qa", true),
            (policy("ingress", "from", json!({})), "dev", "pay", false),
            (json!({"spec": {"podSelector": {}}}), "dev", "pay", false),
        ];
        for (policy, old, new, want) in table {
            let found = selects_anew(&policy, &namespace(old), &namespace(new));
            assert_eq!(found, want, "{policy} {old} -> {new}");
        }
    }
}
