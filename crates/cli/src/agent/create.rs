//! `agent create`: an agent with a preset's rights in some namespaces, and the kubeconfig for it.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use agents::{
    AgentId, Cluster, Plan, Preset, Wanted, check_namespaces, dns_label, drift_of_agent, find_home,
    for_agent, make_token, try_out,
};
use anyhow::Result;
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use text::{Escaped, duration};

use super::kubeconfig::{check_out, endpoint, put};
use crate::{connection::Connection, moment, output::print};

const TOKEN_TIME_MIN: Duration = Duration::from_secs(10 * 60);
const TOKEN_TIME_MAX: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Args, Debug)]
pub(crate) struct CreateArgs {
    /// Name of the agent, and of its ServiceAccount.
    #[arg(value_parser = dns_label)]
    name: String,
    /// Namespaces that it may work in, comma-separated; the first is its context's default.
    #[arg(long, short, value_name = "NAMES", required = true, value_delimiter = ',', value_parser = dns_label)]
    namespaces: Vec<String>,
    /// What it may do in them.
    #[arg(long)]
    preset: PresetName,
    /// Namespace of its ServiceAccount; by default where it already is, or the first of --namespaces.
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

/// What an agent is for.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum PresetName {
    /// Look at workloads, their logs, configuration and events.
    ReadOnly,
    /// Look, delete and evict pods, restart and scale workloads.
    Triage,
    /// Triage, and create, change and delete workloads and what belongs to them.
    Deployer,
    /// Deployer, and enter pods, forward ports, copy files and run helm: reads every Secret there.
    OnCall,
}

impl From<PresetName> for Preset {
    fn from(name: PresetName) -> Self {
        match name {
            PresetName::ReadOnly => Self::ReadOnly,
            PresetName::Triage => Self::Triage,
            PresetName::Deployer => Self::Deployer,
            PresetName::OnCall => Self::OnCall,
        }
    }
}

/// Makes the agent, or gives an agent that exists exactly these rights and a new token.
pub(crate) async fn run(mut args: CreateArgs, connection: &Connection) -> Result<()> {
    let mut seen = BTreeSet::new();
    args.namespaces.retain(|it| seen.insert(it.clone()));
    // What could fail without the cluster fails before it is asked.
    let endpoint = match args.dry_run {
        true => None,
        false => Some(endpoint(connection)?),
    };
    check_out(args.out.as_deref())?;
    let cluster = Cluster::new(connection.config().await?)?;
    let home = match &args.home {
        Some(home) => home.clone(),
        None => find_home(&cluster, &args.name, &args.namespaces).await?,
    };
    let id = AgentId { home, name: args.name };
    let wanted = Wanted { id, preset: args.preset.into(), namespaces: args.namespaces };
    check_namespaces(&cluster, &wanted).await?;
    let plan = Plan::make(&cluster, &wanted).await?;
    let Some(endpoint) = endpoint else {
        return show(&plan);
    };
    plan.check(&cluster).await?;
    plan.apply(&cluster).await?;
    let (token, until) = make_token(&cluster, &wanted.id, args.token_time).await?;
    let namespace = wanted.namespaces.first().map_or("", String::as_str);
    let made = for_agent(&endpoint, &wanted.id.name, namespace, &token);
    put(args.out.as_deref(), &made)?;
    report(&wanted, &plan, until);
    if let Some(out) = &args.out {
        eprintln!("Its kubeconfig is {}: it contains the token.", out.display());
    }
    for warning in drift_of_agent(&cluster, &plan.account).await {
        eprintln!("warning: {}", Escaped::line(&warning));
    }
    if let Err(why) = try_out(&made, namespace).await {
        let why = Escaped::line(&why);
        eprintln!("warning: the kubeconfig does not work yet at {}: {why}", endpoint.server);
    }
    Ok(())
}

/// Prints what would be applied.
fn show(plan: &Plan) -> Result<()> {
    print(&plan.manifests()?)?;
    for line in plan.removals() {
        eprintln!("would delete {}", Escaped::line(&line));
    }
    Ok(())
}

/// On standard error: standard output may be the kubeconfig.
fn report(wanted: &Wanted, plan: &Plan, until: Timestamp) {
    for line in plan.removals() {
        eprintln!("Deleted {}.", Escaped::line(&line));
    }
    let until = moment::shown(until);
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
    let time = duration::parse(text).map_err(|error| error.to_string())?;
    if (TOKEN_TIME_MIN..=TOKEN_TIME_MAX).contains(&time) {
        Ok(time)
    } else {
        Err("a token is valid for at least 10m (the API server's own limit) and at most 24h".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_typed_by_its_name() {
        let typed = PresetName::value_variants().iter().map(|name| {
            let value = name.to_possible_value().map(|it| it.get_name().to_owned());
            (value.unwrap_or_default(), Preset::from(*name))
        });
        for (name, preset) in typed {
            assert_eq!(Preset::parse(&name), Some(preset));
        }
        assert_eq!(PresetName::value_variants().len(), Preset::ALL.len());
    }
}
