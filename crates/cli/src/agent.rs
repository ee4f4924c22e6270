//! `agent`: what an agent needs before its first request, and its end.
//!
//! These commands ask the API server itself, with the operator's kubeconfig: agent-shield has no
//! rights to give, and no agent-shield need run. Only the kubeconfigs that they write point at it.

mod create;
mod kubeconfig;
mod list;
mod revoke;

use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;

use crate::connection::Connection;

#[derive(Debug, Subcommand)]
pub(crate) enum AgentCommand {
    /// Create an agent with narrow rights, and a kubeconfig that points it at agent-shield.
    ///
    /// Running it again replaces the agent's permissions with exactly those requested, and makes a new token.
    #[command(after_help = "\
Examples:
  agent-shield agent create triage-bot --namespaces payments,dev --preset triage --out triage-bot.yaml
  agent-shield agent create ci --namespaces dev --preset deployer --token-time 8h --out ci.yaml
  agent-shield agent create triage-bot --namespaces payments --preset read-only --dry-run

This command uses your kubeconfig and talks to the API server itself. --server and --ca are for the agent:
agent-shield's URL for agents, by default `agent` of a local endpoints.json.")]
    Create(Box<create::CreateArgs>),
    /// List agents, their permissions, and what others have granted them since.
    #[command(after_help = "\
Examples:
  agent-shield agent list
  agent-shield agent list -o json | jq -r '.items[] | select(.warnings != []) | .username'")]
    List(list::ListArgs),
    /// Delete an agent: its permissions, its ServiceAccount and all its tokens.
    #[command(after_help = "Examples:\n  agent-shield agent revoke triage-bot")]
    Revoke(revoke::RevokeArgs),
    /// Point a kubeconfig at agent-shield: replaces server and CA, and nothing else.
    #[command(
        after_help = "Examples:\n  agent-shield agent kubeconfig --kubeconfig agent.yaml --server https://shield:8443 --ca ca.crt --out agent-shielded.yaml"
    )]
    Kubeconfig {
        /// Where to write it; standard output by default.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

pub(crate) async fn run(command: AgentCommand, connection: &Connection) -> Result<()> {
    match command {
        AgentCommand::Create(args) => create::run(*args, connection).await,
        AgentCommand::List(args) => list::run(args, connection).await,
        AgentCommand::Revoke(args) => revoke::run(args, connection).await,
        AgentCommand::Kubeconfig { out } => kubeconfig::run(out.as_deref(), connection),
    }
}
