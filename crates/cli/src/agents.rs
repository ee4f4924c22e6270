//! `agents`: who was seen as an agent, and so cannot review.

use anyhow::Result;
use api::body::{AgentBody, Cleared, List, Reason};
use clap::Subcommand;
use jiff::Timestamp;
use text::Escaped;

use crate::{
    client::Client,
    output::{Output, for_scripts, print},
    pager::page,
    printers,
    urls::segment,
};

#[derive(Debug, Subcommand)]
pub(crate) enum AgentsCommand {
    /// List everybody whose call to the agents' address was let through, held or denied, with the last one.
    #[command(
        after_help = "Examples:\n  agent-shield agents seen\n  agent-shield agents seen -o json"
    )]
    Seen {
        /// How to print.
        #[arg(long, short, value_enum, default_value_t)]
        output: Output,
    },
    /// Let somebody review who used the agents' address by mistake. Needs the verb `clear`.
    #[command(
        after_help = "Examples:\n  agent-shield agents clear alice --reason 'typed the wrong --server'"
    )]
    Clear {
        /// The username, as `agents seen` prints it.
        user: String,
        /// Why; recorded.
        #[arg(long, default_value = "")]
        reason: String,
    },
}

pub(crate) async fn run(command: AgentsCommand, client: &Client) -> Result<()> {
    match command {
        AgentsCommand::Seen { output } => {
            let agents: List<AgentBody> = client.get("/v1/agents/seen").await?;
            let names =
                |list: &List<AgentBody>| list.items.iter().map(|it| it.user.clone()).collect();
            if !for_scripts(output, &agents, names)? {
                page(&printers::agents(&agents.items, Timestamp::now()))?;
            }
        }
        AgentsCommand::Clear { user, reason } => {
            let path = format!("/v1/agents/{}/clear", segment(user.trim()));
            let cleared: Cleared = client.post(&path, &Reason { reason }).await?;
            let name = Escaped::line(user.trim()).to_string();
            print(&match cleared.was_agent {
                true => format!(
                    "{name} does not count as an agent any more, until the next request there"
                ),
                false => format!("{name} was not seen as an agent"),
            })?;
        }
    }
    Ok(())
}
