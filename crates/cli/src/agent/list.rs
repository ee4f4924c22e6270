//! `agent list`: the agents that agent-shield made, and whether somebody gave them more.

use agents::{Agent, Cluster, dns_label};
use anyhow::Result;
use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use text::Escaped;

use crate::{
    connection::Connection,
    output::{Output, for_scripts, print},
    printers::{age, table},
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

impl From<Agent> for AgentBody {
    fn from(agent: Agent) -> Self {
        Self {
            username: agent.id.username(),
            name: agent.id.name,
            home: agent.id.home,
            preset: agent.preset,
            namespaces: agent.namespaces,
            created_at: agent.created_at,
            warnings: agent.warnings,
        }
    }
}

/// Lists them by home and name.
pub(crate) async fn run(args: ListArgs, connection: &Connection) -> Result<()> {
    let cluster = Cluster::new(connection.config().await?)?;
    let agents = agents::list(&cluster, args.home.as_deref()).await?;
    let agents = AgentList { items: agents.into_iter().map(AgentBody::from).collect() };
    let names = |list: &AgentList| list.items.iter().map(|it| it.name.clone()).collect();
    if !for_scripts(args.output, &agents, names)? {
        print(&agents_table(&agents.items, args.output == Output::Wide, Timestamp::now()))?;
    }
    Ok(())
}

fn agents_table(agents: &[AgentBody], wide: bool, now: Timestamp) -> String {
    if agents.is_empty() {
        return "There are no agents: `agent-shield agent create` makes one.".to_owned();
    }
    let e = |text: &str| Escaped::line(text).to_string();
    let mut header = vec!["NAME", "HOME", "PRESET", "NAMESPACES", "AGE"];
    header.extend(wide.then_some("USERNAME"));
    let mut table = table(&header);
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
        insta::assert_snapshot!(agents_table(&agents, false, now), @r"
         NAME     HOME    PRESET  NAMESPACES     AGE
         bot      agents  triage  payments, dev  2h
         on-call  agents  triage  payments, dev  2h
        warning: agents/on-call: ClusterRoleBinding `oops\u{1b}` …
        ");
        assert!(agents_table(&[], false, now).contains("agent create"));
    }
}
