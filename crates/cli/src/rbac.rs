//! `rbac own`: the proxy's own rights, and no others. `rbac reviewer`: what reviewers are given.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use upstream::{POLICY_RIGHTS, RIGHTS, Right};

use crate::output::print;

const API: &str = "rbac.authorization.k8s.io";

/// What a reviewer may be given: name of the role, and verbs on `holds.agent-shield.io`. Only the verbs of
/// one person's daily work stand together: who freezes or clears acts on agents everywhere.
const REVIEWER_ROLES: [(&str, &[&str]); 4] = [
    ("agent-shield-viewer", &["get", "list"]),
    ("agent-shield-reviewer", &["get", "list", "approve", "deny"]),
    ("agent-shield-freezer", &["freeze"]),
    ("agent-shield-clearer", &["clear"]),
];

#[derive(Debug, Subcommand)]
pub(crate) enum RbacCommand {
    /// Print the ServiceAccount, roles and bindings that agent-shield itself needs.
    #[command(after_help = "\
Examples:
  agent-shield rbac own | kubectl apply -f -
  agent-shield rbac own --certificate-user build-bot | kubectl apply -f -
  agent-shield rbac own --policy-objects | kubectl apply -f -

`serve` checks these rights at startup, and names those that are missing and what does not work without them.")]
    Own(OwnArgs),
    /// Print the roles that reviewers are given.
    ///
    /// agent-shield-viewer sees holds and the timeline; agent-shield-reviewer also approves and denies;
    /// agent-shield-freezer freezes and thaws agents; agent-shield-clearer lets somebody review who was seen as an
    /// agent. They bind nobody.
    #[command(after_help = "\
Examples:
  agent-shield rbac reviewer | kubectl apply -f -
  kubectl create clusterrolebinding reviewers --clusterrole agent-shield-reviewer --group sre
  kubectl -n payments create rolebinding reviewers --clusterrole agent-shield-reviewer --group payments

The right to freeze or to clear counts only where it is given for the whole cluster.")]
    Reviewer,
}

#[derive(Args, Debug)]
pub(crate) struct OwnArgs {
    /// Namespace of agent-shield.
    #[arg(long, value_name = "NAME", default_value = "agent-shield")]
    namespace: String,
    /// Its ServiceAccount; the roles get the same name.
    #[arg(long, value_name = "NAME", default_value = "agent-shield")]
    service_account: String,
    /// A user in agents' client certificates, whom agent-shield may then impersonate.
    #[arg(long, value_name = "NAME")]
    certificate_user: Vec<String>,
    /// A group in agents' client certificates, which agent-shield may then impersonate.
    #[arg(long, value_name = "NAME")]
    certificate_group: Vec<String>,
    /// Also the rights that `serve --policy-objects` needs to follow policies in the cluster.
    #[arg(long)]
    policy_objects: bool,
}

pub(crate) fn run(command: RbacCommand) -> Result<()> {
    let items = match command {
        RbacCommand::Own(args) => own(&args),
        RbacCommand::Reviewer => REVIEWER_ROLES.iter().map(reviewer_role).collect(),
    };
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    print(&serde_saphyr::to_string(&list)?)
}

fn reviewer_role((name, verbs): &(&str, &[&str])) -> Value {
    // No label that adds it up into `view`, `edit` or `admin`: agents may have those.
    json!({
        "apiVersion": format!("{API}/v1"), "kind": "ClusterRole", "metadata": {"name": name},
        "rules": [{
            "apiGroups": ["agent-shield.io"], "resources": ["holds"], "verbs": verbs,
        }],
    })
}

fn own(args: &OwnArgs) -> Vec<Value> {
    let OwnArgs { namespace, service_account: name, .. } = args;
    let mut items = vec![
        json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": namespace, "labels": {"agent-shield.io/protected": "true"}},
        }),
        json!({
            "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": name, "namespace": namespace},
        }),
    ];
    let mut places: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    let of_policies: &[Right] = if args.policy_objects { &POLICY_RIGHTS } else { &[] };
    for right in RIGHTS.iter().chain(of_policies) {
        places.entry(right.namespace).or_default().push(rule(right));
    }
    let cluster = places.entry("").or_default();
    for (resource, names) in
        [("users", &args.certificate_user), ("groups", &args.certificate_group)]
    {
        if !names.is_empty() {
            // Never without names: that would be the right to be anybody.
            cluster.push(json!({
                "apiGroups": [""], "resources": [resource], "verbs": ["impersonate"],
                "resourceNames": names,
            }));
        }
    }
    for (place, rules) in places {
        items.extend(role(args, place, &rules));
    }
    items
}

fn rule(right: &Right) -> Value {
    let (groups, resources, verbs) = ([right.group], [right.path()], [right.verb]);
    match right.name {
        "" => json!({"apiGroups": groups, "resources": resources, "verbs": verbs}),
        name => json!({
            "apiGroups": groups, "resources": resources, "verbs": verbs, "resourceNames": [name],
        }),
    }
}

fn role(args: &OwnArgs, place: &str, rules: &[Value]) -> [Value; 2] {
    let OwnArgs { namespace, service_account: name, .. } = args;
    let (prefix, metadata) = match place {
        "" => ("Cluster", json!({"name": name})),
        place => ("", json!({"name": name, "namespace": place})),
    };
    let role = format!("{prefix}Role");
    [
        json!({
            "apiVersion": format!("{API}/v1"), "kind": role, "metadata": metadata, "rules": rules,
        }),
        json!({
            "apiVersion": format!("{API}/v1"), "kind": format!("{role}Binding"),
            "metadata": metadata,
            "roleRef": {"apiGroup": API, "kind": role, "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
        }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_nothing_without_a_name_or_with_a_wildcard() {
        let mut args = OwnArgs {
            namespace: "agent-shield".into(),
            service_account: "agent-shield".into(),
            certificate_user: Vec::new(),
            certificate_group: Vec::new(),
            policy_objects: false,
        };
        let without = json!(own(&args)).to_string();
        assert!(!without.contains("impersonate"), "{without}");
        args.certificate_user.push("bot".into());
        let with = json!(own(&args));
        assert!(!with.to_string().contains('*'), "{with}");
        let rules: Vec<&Value> = with
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|it| it["rules"].as_array())
            .flatten()
            .collect();
        assert_eq!(rules.len(), RIGHTS.len() + 1);
        let impersonating: Vec<_> =
            rules.iter().filter(|rule| rule["verbs"][0] == "impersonate").collect();
        assert_eq!(impersonating.len(), 1);
        assert_eq!(impersonating[0]["resourceNames"], json!(["bot"]));
        let secrets = rules.iter().filter(|rule| rule["resources"][0] == "secrets").count();
        assert_eq!(secrets, 0);
        args.policy_objects = true;
        let more = json!(own(&args)).to_string();
        assert!(more.contains("policies/status") && !more.contains('*'), "{more}");
        assert!(!with.to_string().contains("\"policies"), "{with}");
    }
}
