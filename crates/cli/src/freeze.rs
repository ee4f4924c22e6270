//! `freeze`, `thaw` and `frozen`: all writes of one agent, at once.

use anyhow::Result;
use api::{
    agent_name::{self, Meant},
    body::{FreezeBody, List, Reason, Thawed},
};
use clap::Subcommand;
use text::Escaped;

use crate::{
    client::Client,
    live_names,
    output::{Output, for_scripts, print},
    printers, program,
    urls::segment,
    usage::WrongUsage,
};

#[derive(Debug, Subcommand)]
pub(crate) enum FreezeCommand {
    /// Refuse all writes of an agent from now on, including those that wait, and cut its sessions.
    #[command(
        after_help = "Examples:\n  agent-shield freeze dev/triage --reason 'deletes what it should restart'\n  agent-shield freeze system:serviceaccount:dev:triage"
    )]
    Freeze {
        /// The agent: NAMESPACE/NAME or NAMESPACE:NAME of a ServiceAccount, its name where only one has it, or a
        /// full username.
        #[arg(add = live_names::agents())]
        agent: String,
        /// Why; shown to the agent and recorded.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Let a frozen agent write again; its requests are judged as before.
    #[command(after_help = "Examples:\n  agent-shield thaw dev/triage --reason 'prompt mended'")]
    Thaw {
        /// The agent: NAMESPACE/NAME or NAMESPACE:NAME of a ServiceAccount, its name where only one has it, or a
        /// full username.
        #[arg(add = live_names::frozen_agents())]
        agent: String,
        /// Why; recorded.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// List the agents that are frozen.
    #[command(
        after_help = "Examples:\n  agent-shield frozen\n  agent-shield frozen -o json | jq -r '.items[].user'"
    )]
    Frozen {
        /// How to print.
        #[arg(long, short, value_enum, default_value_t)]
        output: Output,
    },
}

pub(crate) async fn run(command: FreezeCommand, client: &Client) -> Result<()> {
    match command {
        FreezeCommand::Freeze { agent, reason } => {
            let username = meant(client, &agent).await?;
            let path = format!("/v1/agents/{}/freeze", segment(&username));
            let frozen: FreezeBody = client.post(&path, &Reason { reason }).await?;
            let name = Escaped::line(&frozen.user);
            let thaw = format!("`{} thaw {agent}` ends that", program::name());
            print(&format!("{name} is frozen: all its writes are refused; {thaw}"))?;
            if frozen.is_known == Some(false) {
                anstream::eprintln!(
                    "warning: no request of {name} was ever seen here: is that its name?"
                );
            }
        }
        FreezeCommand::Thaw { agent, reason } => {
            let username = meant(client, &agent).await?;
            let path = format!("/v1/agents/{}/thaw", segment(&username));
            let thawed: Thawed = client.post(&path, &Reason { reason }).await?;
            let name = Escaped::line(&username).to_string();
            print(&match thawed.was_frozen {
                true => format!("{name} may write again; its requests are judged as always"),
                false => format!("{name} was not frozen"),
            })?;
        }
        FreezeCommand::Frozen { output } => {
            let freezes: List<FreezeBody> = client.get("/v1/freezes").await?;
            let names =
                |list: &List<FreezeBody>| list.items.iter().map(|it| it.user.clone()).collect();
            if !for_scripts(output, &freezes, names)? {
                print(&printers::freezes(&freezes.items))?;
            }
        }
    }
    Ok(())
}

/// Whom somebody means: as for a filter, by those who were seen as agents, where the caller may list them.
async fn meant(client: &Client, typed: &str) -> Result<String> {
    let known = client.get::<List<String>>("/v1/agents").await;
    let known = known.map(|it| it.items).unwrap_or_default();
    match agent_name::meant(typed, &known) {
        Meant::One(username) => Ok(username),
        Meant::Many(usernames) => {
            let (typed, all) = (Escaped::line(typed), usernames.join(", "));
            let text = format!("`{typed}` is the name of several agents: {all}. Give one of these");
            Err(WrongUsage(text).into())
        }
        Meant::Unknown(spellings) => {
            Ok(spellings.into_iter().next_back().unwrap_or_else(|| typed.trim().to_owned()))
        }
    }
}
