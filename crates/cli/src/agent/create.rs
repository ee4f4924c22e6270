//! `agent create`: an agent with a preset's rights in some namespaces, and the kubeconfig for it.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use anyhow::{Result, bail};
use clap::Args;
use jiff::Timestamp;
use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::{Namespace, ServiceAccount},
};
use kube::api::PostParams;

use super::{
    cluster::{Cluster, code, named, place},
    drift,
    kubeconfig::{self, Door},
    manifests::{AgentId, Wanted, dns_label, remembered},
    plan::Plan,
    presets::Preset,
};
use crate::{client::Connection, escape::Escaped, serve::parse_time};

const TOKEN_TIME_MIN: Duration = Duration::from_secs(10 * 60);
const TOKEN_TIME_MAX: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Args, Debug)]
pub(crate) struct CreateArgs {
    /// Name of the agent, and of its ServiceAccount.
    #[arg(value_parser = dns_label)]
    name: String,
    /// Where it may work, comma-separated; the first is its context's default namespace.
    #[arg(long, short, value_name = "NAMES", required = true, value_delimiter = ',', value_parser = dns_label)]
    namespaces: Vec<String>,
    /// What it may do there.
    #[arg(long)]
    preset: Preset,
    /// Namespace of its ServiceAccount; by default where it is, or the first of --namespaces.
    #[arg(long, value_name = "NAMESPACE", value_parser = dns_label)]
    home: Option<String>,
    /// How long its token is valid: 10m to 24h.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = token_time)]
    token_time: Duration,
    /// Where to write its kubeconfig (mode 0600); standard output by default.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print the manifests as YAML, and change nothing.
    #[arg(long)]
    dry_run: bool,
}

/// Makes the agent, or gives an agent that exists exactly these rights and a new token.
pub(crate) async fn run(mut args: CreateArgs, connection: &Connection) -> Result<()> {
    let mut seen = BTreeSet::new();
    args.namespaces.retain(|it| seen.insert(it.clone()));
    // What could fail without the cluster fails before it is asked.
    let door = match args.dry_run {
        true => None,
        false => Some(Door::read(connection)?),
    };
    kubeconfig::check_out(args.out.as_deref())?;
    let cluster = Cluster::new(connection).await?;
    let home = match &args.home {
        Some(home) => home.clone(),
        None => home(&cluster, &args.name, &args.namespaces).await?,
    };
    let id = AgentId { home, name: args.name };
    let wanted = Wanted { id, preset: args.preset, namespaces: args.namespaces };
    namespaces_exist(&cluster, &wanted).await?;
    let plan = Plan::make(&cluster, &wanted).await?;
    let Some(door) = door else {
        return plan.show();
    };
    plan.check(&cluster).await?;
    plan.apply(&cluster).await?;
    let (token, until) = token(&cluster, &wanted.id, args.token_time).await?;
    let namespace = wanted.namespaces.first().map_or("", String::as_str);
    let made = kubeconfig::for_agent(&door, &wanted.id.name, namespace, &token);
    kubeconfig::put(args.out.as_deref(), &made)?;
    report(&wanted, &plan, until);
    if let Some(out) = &args.out {
        eprintln!("Its kubeconfig is {}: it holds the token.", out.display());
    }
    for warning in drift::of_one(&cluster, &plan.account).await {
        eprintln!("warning: {}", Escaped::line(&warning));
    }
    if let Err(why) = kubeconfig::try_out(&made, namespace).await {
        let why = Escaped::line(&why);
        eprintln!("warning: the kubeconfig does not work yet at {}: {why}", door.server);
    }
    Ok(())
}

/// The home of the agent that is meant: one that has to do with these namespaces, or a new one.
///
/// # Errors
/// Where others may have chosen the same name: an agent is never taken from them by accident.
async fn home(cluster: &Cluster, name: &str, namespaces: &[String]) -> Result<String> {
    let agents = cluster.agents_named(name).await?;
    let homes: Vec<String> = agents.iter().map(|it| place(it).0).collect();
    let is_meant = |it: &&ServiceAccount| {
        namespaces.contains(&place(*it).0)
            || remembered(it).1.iter().any(|it| namespaces.contains(it))
    };
    let meant: Vec<&ServiceAccount> = agents.iter().filter(is_meant).collect();
    match (meant.as_slice(), homes.as_slice()) {
        ([agent], _) => Ok(place(*agent).0),
        ([], []) => Ok(namespaces.first().cloned().unwrap_or_default()),
        _ => bail!(
            "there is an agent `{name}` already, in {}: --home with that namespace changes it, with another it makes one more",
            homes.join(", ")
        ),
    }
}

/// Says which of the namespaces do not exist, all at once.
async fn namespaces_exist(cluster: &Cluster, wanted: &Wanted) -> Result<()> {
    let api = cluster.all::<Namespace>();
    let mut missing = Vec::new();
    let names: BTreeSet<&String> = wanted.namespaces.iter().chain([&wanted.id.home]).collect();
    for name in names {
        match api.get_metadata(name).await {
            Ok(_) => {}
            Err(error) if code(&error) == Some(404) => missing.push(format!("`{name}`")),
            Err(error) => return Err(cluster.explain(&format!("read Namespace `{name}`"), error)),
        }
    }
    match missing.as_slice() {
        [] => Ok(()),
        [one] => bail!("there is no namespace {one}: nothing was changed"),
        many => bail!("there are no namespaces {}: nothing was changed", many.join(", ")),
    }
}

/// A new token, and until when it is valid: the API server may shorten it.
async fn token(
    cluster: &Cluster,
    id: &AgentId,
    time: Duration,
) -> Result<(String, Option<Timestamp>)> {
    let seconds = i64::try_from(time.as_secs()).ok();
    let request = TokenRequest {
        spec: TokenRequestSpec { expiration_seconds: seconds, ..TokenRequestSpec::default() },
        ..TokenRequest::default()
    };
    let api = cluster.api::<ServiceAccount>(&id.home);
    let answer = api.create_token_request(&id.name, &PostParams::default(), &request).await;
    let what = format!("make a token of {}", named::<ServiceAccount>(&id.home, &id.name));
    let answer = answer.map_err(|error| cluster.explain(&what, error))?;
    match answer.status {
        Some(status) => Ok((status.token, Some(status.expiration_timestamp.0))),
        None => bail!("the API server answered without a token"),
    }
}

/// On standard error: standard output may be the kubeconfig.
fn report(wanted: &Wanted, plan: &Plan, until: Option<Timestamp>) {
    for line in plan.removals() {
        eprintln!("Deleted {}.", Escaped::line(&line));
    }
    let until = until.map_or_else(String::new, |it| it.strftime("%F %T UTC").to_string());
    eprintln!(
        "Agent {}/{} has the rights of `{}` in {}, and a token until {until}.",
        wanted.id.home,
        wanted.id.name,
        wanted.preset,
        wanted.namespaces.join(", "),
    );
}

/// `10m` to `24h`.
fn token_time(text: &str) -> Result<Duration, String> {
    let time = parse_time(text)?;
    if (TOKEN_TIME_MIN..=TOKEN_TIME_MAX).contains(&time) {
        Ok(time)
    } else {
        Err("a token is valid for at least 10m (the API server's own limit) and at most 24h".into())
    }
}
