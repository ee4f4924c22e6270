//! `agent list`: the agents that agent-shield made, and whether somebody gave them more.

use anyhow::Result;
use clap::Args;
use comfy_table::{Table, presets::NOTHING};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::ListParams;
use serde::Serialize;

use super::{
    cluster::Cluster,
    drift::{self, Grants},
    manifests::{AgentId, dns_label, remembered},
};
use crate::{
    client::Connection,
    escape::Escaped,
    human::age,
    output::{Output, for_scripts, print},
};

#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    /// Only agents whose ServiceAccount is in this namespace.
    #[arg(long, value_name = "NAMESPACE", value_parser = dns_label)]
    home: Option<String>,
    /// How to print.
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
}

#[derive(Serialize)]
struct AgentList {
    items: Vec<AgentBody>,
}

/// An agent, as docs/cli.md describes it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AgentBody {
    name: String,
    home: String,
    username: String,
    preset: String,
    namespaces: Vec<String>,
    created_at: Option<Timestamp>,
    /// Where its rights are not what `agent create` gave it; empty where they are.
    warnings: Vec<String>,
}

/// Lists them by home and name.
pub(crate) async fn run(args: ListArgs, connection: &Connection) -> Result<()> {
    let cluster = Cluster::new(connection).await?;
    let agents = agents(&cluster, args.home.as_deref()).await?;
    let names = |list: &AgentList| list.items.iter().map(|it| it.name.clone()).collect();
    if !for_scripts(args.output, &agents, names)? {
        print(&table(&agents.items, args.output == Output::Wide, Timestamp::now()))?;
    }
    Ok(())
}

async fn agents(cluster: &Cluster, home: Option<&str>) -> Result<AgentList> {
    let params = ListParams::default().labels(&AgentId::selector_of_all());
    let found = match home {
        Some(home) => cluster.api::<ServiceAccount>(home).list(&params).await,
        None => cluster.all::<ServiceAccount>().list(&params).await,
    };
    let what = match home {
        Some(home) => format!("list serviceaccounts in `{home}`"),
        None => "list serviceaccounts in all namespaces (--home limits it to one)".to_owned(),
    };
    let found = found.map_err(|error| cluster.explain(&what, error))?;
    let grants = Grants::read(cluster).await;
    let mut items: Vec<(AgentId, AgentBody)> = Vec::new();
    for account in found.items {
        let Some(id) = AgentId::of(&account.metadata) else { continue };
        // Labels are anybody's to copy: an agent is where its ServiceAccount is.
        let is_at_home = account.metadata.namespace.as_ref() == Some(&id.home)
            && account.metadata.name.as_ref() == Some(&id.name);
        if is_at_home {
            items.push((id.clone(), body(&id, &account, &grants)));
        }
    }
    items.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(AgentList { items: items.into_iter().map(|it| it.1).collect() })
}

fn body(id: &AgentId, account: &ServiceAccount, grants: &Result<Grants>) -> AgentBody {
    let (preset, namespaces) = remembered(account);
    AgentBody {
        name: id.name.clone(),
        home: id.home.clone(),
        username: id.username(),
        preset,
        namespaces,
        created_at: account.metadata.creation_timestamp.as_ref().map(|it| it.0),
        warnings: match grants {
            Ok(grants) => grants.drift_of(account),
            Err(error) => vec![drift::unseen(error)],
        },
    }
}

fn table(agents: &[AgentBody], wide: bool, now: Timestamp) -> String {
    if agents.is_empty() {
        return "There are no agents: `agent-shield agent create` makes one.".to_owned();
    }
    let e = |text: &str| Escaped::line(text).to_string();
    let mut table = Table::new();
    table.load_preset(NOTHING);
    let mut header = vec!["NAME", "HOME", "PRESET", "NAMESPACES", "AGE"];
    header.extend(wide.then_some("USERNAME"));
    table.set_header(header);
    for agent in agents {
        let age = agent.created_at.map_or_else(String::new, |it| age(it, now));
        let namespaces = agent.namespaces.join(", ");
        let mut row = vec![e(&agent.name), e(&agent.home), e(&agent.preset), e(&namespaces), age];
        row.extend(wide.then(|| e(&agent.username)));
        table.add_row(row);
    }
    let mut text = table.trim_fmt();
    for agent in agents {
        for warning in &agent.warnings {
            text.push_str(&format!(
                "\nwarning: {}/{}: {}",
                e(&agent.home),
                e(&agent.name),
                e(warning)
            ));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_agents_and_what_is_wrong_with_them() {
        let agent = |name: &str, warnings: &[&str]| AgentBody {
            name: name.into(),
            home: "agents".into(),
            username: format!("system:serviceaccount:agents:{name}"),
            preset: "triage".into(),
            namespaces: vec!["payments".into(), "dev".into()],
            created_at: Some(Timestamp::UNIX_EPOCH),
            warnings: warnings.iter().map(|it| (*it).to_owned()).collect(),
        };
        let agents = [agent("bot", &[]), agent("on-call", &["ClusterRoleBinding `oops\u{1b}` …"])];
        let now = Timestamp::from_second(7_300).expect("a moment");
        insta::assert_snapshot!(table(&agents, false, now), @r"
         NAME     HOME    PRESET  NAMESPACES     AGE
         bot      agents  triage  payments, dev  2h
         on-call  agents  triage  payments, dev  2h
        warning: agents/on-call: ClusterRoleBinding `oops\u{1b}` …
        ");
        assert!(table(&[], false, now).contains("agent create"));
    }
}
