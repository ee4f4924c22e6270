//! `agent`: what an agent needs before its first request.

mod kubeconfig;

use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;

use crate::client::Connection;

#[derive(Debug, Subcommand)]
pub(crate) enum AgentCommand {
    /// Rewrite a kubeconfig so that it points at agent-shield: server and CA, nothing else.
    #[command(
        after_help = "Example:\n  agent-shield agent kubeconfig --kubeconfig agent.yaml --server https://shield:8443 --ca ca.crt --out agent-shielded.yaml"
    )]
    Kubeconfig {
        /// Where to write it; standard output by default.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

pub(crate) fn run(command: AgentCommand, connection: &Connection) -> Result<()> {
    match command {
        AgentCommand::Kubeconfig { out } => kubeconfig::run(out, connection),
    }
}
