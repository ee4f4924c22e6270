//! `status`: how agent-shield stands, in ten lines, and what needs somebody.

use anyhow::Result;
use api::body::StatusBody;
use clap::Args;

use crate::{
    client::Client,
    exit::NeedsAttention,
    output::{Output, for_scripts, print},
    printers,
};

/// Show how agent-shield stands: which rules are enforced, what it may do itself, what runs out, what waits.
/// Ends with 11 if something needs attention.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  agent-shield status\n  agent-shield status -o json | jq -r '.attention[]'"
)]
pub(crate) struct StatusArgs {
    /// How to print.
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
}

/// Asks the process itself: where nothing answers, that is the answer (5).
pub(crate) async fn run(client: &Client, args: &StatusArgs) -> Result<()> {
    let status: StatusBody = client.get("/v1/status").await?;
    if !for_scripts(args.output, &status, |it| vec![it.mode.clone()])? {
        print(&printers::status(&status, client.url()))?;
    }
    match status.attention.len() {
        0 => Ok(()),
        count => Err(NeedsAttention(count).into()),
    }
}
