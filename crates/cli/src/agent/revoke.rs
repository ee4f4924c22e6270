//! `agent revoke`: an agent's rights, its ServiceAccount and with it every token of it.

use std::io::{IsTerminal, Write};

use agents::{Cluster, Revocation, dns_label};
use anyhow::{Result, bail};
use clap::Args;
use text::Escaped;

use crate::{connection::Connection, output::print};

#[derive(Args, Debug)]
pub(crate) struct RevokeArgs {
    /// Name of the agent.
    #[arg(value_parser = dns_label)]
    name: String,
    /// Namespace of its ServiceAccount, if several agents have this name.
    #[arg(long, value_name = "NAMESPACE", value_parser = dns_label)]
    home: Option<String>,
    /// Do not ask for confirmation.
    #[arg(long, short)]
    yes: bool,
}

/// Asks, then takes rights and identity.
pub(crate) async fn run(args: RevokeArgs, connection: &Connection) -> Result<()> {
    let cluster = Cluster::new(connection.config().await?)?;
    let revocation = Revocation::prepare(&cluster, args.name, args.home).await?;
    if !args.yes && !confirmed(&revocation)? {
        bail!("nothing was changed");
    }
    let mut printed = Ok(());
    let done = revocation.apply(&cluster, |object| {
        // A terminal that is gone is no reason to stop half way.
        printed = print(&format!("deleted {}", Escaped::line(object)));
    });
    done.await?;
    printed?;
    let id = &revocation.id;
    print(&format!(
        "{}/{} is revoked: its tokens stop at agent-shield within ten seconds",
        id.home, id.name
    ))?;
    for left in revocation.left_by_others(&cluster).await {
        eprintln!("warning: left as it is: {}", Escaped::line(&left));
    }
    Ok(())
}

/// Asks, where somebody can answer.
fn confirmed(revocation: &Revocation) -> Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!("there is no terminal to ask on: give --yes");
    }
    let Revocation { id, namespaces, .. } = revocation;
    let namespaces = Escaped::line(&namespaces.join(", ")).to_string();
    eprint!(
        "Revoke agent {}/{}, with its rights in {namespaces} and all its tokens? [y/N] ",
        id.home, id.name
    );
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
