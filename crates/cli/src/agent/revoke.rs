//! `agent revoke`: an agent's rights, its ServiceAccount and with it every token of it.

use std::{
    collections::BTreeSet,
    io::{IsTerminal, Write},
};

use super::{
    cluster::{Cluster, Object, named, place},
    drift::Grants,
    manifests::{AgentId, dns_label, remembered},
    plan::right_to_delete,
};
use crate::{
    client::{ClientError, Connection},
    escape::Escaped,
    output::print,
};
use anyhow::{Result, bail};
use clap::Args;
use k8s_openapi::api::{
    core::v1::ServiceAccount,
    rbac::v1::{Role, RoleBinding},
};

#[derive(Args, Debug)]
pub(crate) struct RevokeArgs {
    /// Name of the agent.
    #[arg(value_parser = dns_label)]
    name: String,
    /// Namespace of its ServiceAccount, where there are several agents of this name.
    #[arg(long, value_name = "NAMESPACE", value_parser = dns_label)]
    home: Option<String>,
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
}

/// Takes rights first, then the identity: whatever stops it half way, less is left than before.
pub(crate) async fn run(args: RevokeArgs, connection: &Connection) -> Result<()> {
    let cluster = Cluster::new(connection).await?;
    let home = match args.home {
        Some(home) => home,
        None => home_of(&cluster, &args.name).await?,
    };
    let id = AgentId { home, name: args.name };
    let found: Option<ServiceAccount> = cluster.get(&id.home, &id.name).await?;
    let account = found.filter(|it| AgentId::of(&it.metadata).as_ref() == Some(&id));
    let namespaces = account.as_ref().map(|it| remembered(it).1).unwrap_or_default();
    let bindings: Vec<RoleBinding> = cluster.made_for(&id, &namespaces).await?;
    let roles: Vec<Role> = cluster.made_for(&id, &namespaces).await?;
    // Rights may be left where somebody deleted the ServiceAccount alone.
    if account.is_none() && bindings.is_empty() && roles.is_empty() {
        return Err(unknown(&format!("{}/{}", id.home, id.name)));
    }
    let mut rights = BTreeSet::new();
    rights.extend(bindings.iter().map(right_to_delete));
    rights.extend(roles.iter().map(right_to_delete));
    rights.extend(account.iter().map(right_to_delete));
    cluster.must_have(&rights).await?;
    if !args.yes && !confirmed(&id, &namespaces)? {
        bail!("nothing was changed");
    }
    delete_all(&cluster, &bindings).await?;
    delete_all(&cluster, &roles).await?;
    delete_all(&cluster, account.as_slice()).await?;
    print(&format!(
        "{}/{} is revoked: its tokens stop at agent-shield within ten seconds",
        id.home, id.name
    ))?;
    warn_of_the_rest(&cluster, account.as_ref()).await;
    Ok(())
}

/// The home of the one agent of this name.
async fn home_of(cluster: &Cluster, name: &str) -> Result<String> {
    let mut homes: Vec<String> =
        cluster.agents_named(name).await?.iter().map(|it| place(it).0).collect();
    if homes.len() > 1 {
        bail!("there are agents `{name}` in {}: say which one with --home", homes.join(", "));
    }
    homes.pop().ok_or_else(|| unknown(name))
}

fn unknown(name: &str) -> anyhow::Error {
    let message = format!("there is no agent `{name}`: `agent-shield agent list` shows all");
    ClientError::Answered { code: 404, message, advice: None }.into()
}

/// Asks, where somebody can answer.
fn confirmed(id: &AgentId, namespaces: &[String]) -> Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!("there is no terminal to ask on: give --yes");
    }
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

async fn delete_all<K: Object>(cluster: &Cluster, objects: &[K]) -> Result<()> {
    for object in objects {
        cluster.delete(object).await?;
        let (namespace, name) = place(object);
        let object = named::<K>(&namespace, &name);
        print(&format!("deleted {}", Escaped::line(&object)))?;
    }
    Ok(())
}

/// Bindings outlive whom they name: a ServiceAccount that is made again has their rights.
async fn warn_of_the_rest(cluster: &Cluster, account: Option<&ServiceAccount>) {
    let (Some(account), Ok(grants)) = (account, Grants::read(cluster).await) else {
        return;
    };
    for left in grants.naming(account) {
        eprintln!("warning: left as it is: {}", Escaped::line(&left));
    }
}
