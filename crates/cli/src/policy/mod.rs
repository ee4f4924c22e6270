//! `policy`: write, check, test, try and understand policies. Nothing here needs a cluster, but for
//! `check --cluster`.

mod conditions;
mod explain;
mod files;
mod init;
mod origin;
mod replay;
mod suggest;
mod test;
mod watch;

use std::{path::PathBuf, sync::Arc};

pub(crate) use self::replay::Differs;
use ::policy::{
    Compiled, Documents, Issue, Pack, Reviewers, Rule, compile,
    document::{Mode, Time},
};
use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde::Serialize;
use upstream::Own;
pub(crate) use watch::start;

use self::origin::ClusterKinds;
pub(crate) use self::origin::Origin;

use crate::{
    client::Connection,
    escape::Escaped,
    human,
    output::{self, Output, print},
};

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Check policy files: syntax, names, types, places; with --cluster also fields of objects.
    #[command(after_help = "\
Examples:
  agent-shield policy check policies/
  agent-shield policy check freeze.yaml images.yaml
  agent-shield policy check --cluster --context staging policies/

It exits with 1 where `serve --policy` would refuse the same files. Without --cluster nothing is asked of
a cluster, and fields of `object` and `oldObject` are not looked at; `serve` looks at them.")]
    Check(CheckArgs),
    /// Print the CustomResourceDefinitions by which policies are kept in the cluster.
    #[command(after_help = "\
Examples:
  agent-shield policy crds | kubectl apply -f -
  agent-shield rbac own --policy-objects | kubectl apply -f -
  agent-shield serve --policy-objects
  kubectl apply -f freeze.yaml && kubectl get agent-shield")]
    Crds,
    /// List the rules that would be in force: the built-in pack's and those of the files.
    #[command(after_help = "\
Examples:
  agent-shield policy list
  agent-shield policy list policies/ -o json | jq -r '.items[].name'")]
    List(ListArgs),
    /// Run the cases of `*.test.yaml` beside policies.
    #[command(after_help = "\
Examples:
  agent-shield policy test policies/
  agent-shield policy test policies/ --junit report.xml")]
    Test(test::TestArgs),
    /// Tell what each rule makes of a request, or of a call in the ledger, and why.
    #[command(after_help = "\
Examples:
  agent-shield policy explain request.yaml policies/
  agent-shield policy explain 019a8f3e-5c1b-7d00-8000-0242ac120002 policies/

A request is written as a case of `policy test`, without what is expected:
  name: a scale to nothing
  request: {verb: patch, resource: deployments.apps, namespace: shop, name: web}
  oldObject: {spec: {replicas: 3}}
  object: {spec: {replicas: 0}}

A call is named by its audit id, as the timeline and the agent's answer have it. What the ledger does not
keep of it is not known, and never guessed.")]
    Explain(explain::ExplainArgs),
    /// Judge the calls in the ledger by other policies: which verdicts would change.
    #[command(after_help = "\
Examples:
  agent-shield policy replay --since 7d --policy policies/
  agent-shield policy replay --policy policies/ -o json | jq '.items[].to'
  agent-shield policy replay --since 30d --policy policies/ --exit-code

What the ledger does not tell (values that are never recorded, calls that nobody previewed) is counted
as not known. Nothing is asked of a cluster, and nothing is changed.")]
    Replay(replay::ReplayArgs),
    /// Print exceptions for holds that were always approved, as narrow as what was approved.
    #[command(after_help = "\
Examples:
  agent-shield policy suggest-exceptions --since 30d
  agent-shield policy suggest-exceptions --policy policies/ --approvals 10 > exceptions.yaml

Nothing is applied: read them, and put those that you want beside your policies.")]
    SuggestExceptions(suggest::SuggestArgs),
    /// Write a first policy with its test.
    #[command(after_help = "Examples:\n  agent-shield policy init policies/")]
    Init {
        /// The directory; made where it is missing.
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
    /// Print the JSON schema of policy files, for editors.
    #[command(after_help = "\
Examples:
  agent-shield policy schema > policy.schema.json

Editors with the YAML language server find it by a first line in a file:
  # yaml-language-server: $schema=policy.schema.json")]
    Schema,
    /// Tell which policies a running agent-shield has in force, and why it refused others.
    #[command(after_help = "\
Examples:
  agent-shield policy status
  agent-shield policy status -o json | jq -r .digest")]
    Status(StatusArgs),
}

#[derive(Args, Debug)]
pub(crate) struct CheckArgs {
    /// Files, and directories of `*.yaml` and `*.yml`.
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// Check fields of objects against what the kubeconfig's cluster serves.
    #[arg(long)]
    cluster: bool,
}

#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    /// Files and directories; without any, the built-in default pack alone.
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Args, Debug)]
pub(crate) struct StatusArgs {
    /// The data directory of `serve`.
    #[arg(long, value_name = "DIR", env = "AGENT_SHIELD_DATA_DIR", default_value_os_t = crate::serve::default_data_dir())]
    data_dir: PathBuf,
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

pub(crate) async fn run(command: PolicyCommand, connection: &Connection) -> Result<()> {
    match command {
        PolicyCommand::Check(args) => check(&args, connection).await,
        PolicyCommand::Crds => crds(),
        PolicyCommand::List(args) => list(&args),
        PolicyCommand::Test(args) => test::run(&args),
        PolicyCommand::Explain(args) => explain::run(&args),
        PolicyCommand::Replay(args) => self::replay::run(&args),
        PolicyCommand::SuggestExceptions(args) => suggest::run(&args),
        PolicyCommand::Init { dir } => init::run(&dir),
        PolicyCommand::Schema => print(::policy::SCHEMA),
        PolicyCommand::Status(args) => status(&args),
    }
}

/// Compiles files; what is wrong with them is printed, and ends the command.
fn compiled(paths: &[PathBuf]) -> Result<Compiled> {
    sound(compile(&files::read(paths)?, Timestamp::now()))
}

/// What was compiled; warnings are printed, and mistakes too, which end the command.
fn sound(compiled: Result<Compiled, Vec<Issue>>) -> Result<Compiled> {
    match compiled {
        Ok(compiled) => {
            for warning in &compiled.warnings {
                anstream::eprintln!("{}", Escaped::lines(&warning.to_string()));
            }
            Ok(compiled)
        }
        Err(issues) => {
            for issue in &issues {
                anstream::eprintln!("{}", Escaped::lines(&issue.to_string()));
            }
            match issues.len() {
                1 => bail!("one thing is wrong: none of it would be in force"),
                count => bail!("{count} things are wrong: none of it would be in force"),
            }
        }
    }
}

async fn check(args: &CheckArgs, connection: &Connection) -> Result<()> {
    let documents = Documents::read(&files::read(&args.paths)?, Timestamp::now());
    let kinds = match args.cluster {
        true => {
            let own = Own::new(connection.config().await?)?;
            ClusterKinds::new(own)
                .of(&documents)
                .await
                .context("the cluster does not tell its kinds")?
        }
        false => Arc::default(),
    };
    let Compiled { pack, .. } = sound(documents.compile(&kinds))?;
    let own = pack.rules().iter().filter(|rule| !pack.is_builtin(rule)).count();
    let builtin = pack.rules().len() - own;
    print(&format!("{own} rules of these files and {builtin} built-in ones would be in force"))
}

fn crds() -> Result<()> {
    let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": ::policy::crds()});
    print(serde_saphyr::to_string(&list)?.trim_end())
}

/// A rule for scripts.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    name: String,
    policy: String,
    action: &'static str,
    #[serde(rename = "where")]
    place: &'static str,
    severity: &'static str,
    mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reviewers: Option<Reviewers>,
    description: String,
    unconditional: bool,
    file: String,
    line: usize,
}

#[derive(Serialize)]
struct Listing {
    digest: String,
    items: Vec<Listed>,
    disabled: Vec<String>,
    exceptions: Vec<ListedException>,
}

#[derive(Serialize)]
struct ListedException {
    name: String,
    rules: Vec<String>,
    reason: String,
    expires: Timestamp,
}

fn listed(pack: &Pack, rule: &Rule) -> Listed {
    Listed {
        name: rule.name.to_string(),
        policy: pack.policy_of(rule).to_owned(),
        action: rule.decision.as_str(),
        place: rule.place.as_str(),
        severity: rule.severity.as_str(),
        mode: match rule.mode {
            Mode::Enforce => "enforce",
            Mode::Shadow => "shadow",
        },
        deadline: rule.deadline.map(|it| Time(it).to_string()),
        reviewers: rule.reviewers.clone(),
        description: rule.description.clone(),
        unconditional: rule.unconditional,
        file: rule.file.clone(),
        line: rule.line,
    }
}

fn list(args: &ListArgs) -> Result<()> {
    let Compiled { pack, .. } = compiled(&args.paths)?;
    let exceptions = pack.exceptions().iter().map(|it| ListedException {
        name: it.name.clone(),
        rules: it.rules.iter().map(ToString::to_string).collect(),
        reason: it.reason.clone(),
        expires: it.expires,
    });
    let listing = Listing {
        digest: pack.digest().to_owned(),
        items: pack.rules().iter().map(|rule| listed(&pack, rule)).collect(),
        disabled: pack.disabled().iter().map(ToString::to_string).collect(),
        exceptions: exceptions.collect(),
    };
    let names = |it: &Listing| it.items.iter().map(|rule| rule.name.clone()).collect();
    if output::for_scripts(args.output, &listing, names)? {
        return Ok(());
    }
    let header = ["RULE", "ASKS FOR", "BY", "WITHIN", "WHERE", "SEVERITY", "MODE", "ABOUT"];
    let mut table = human::table(&header);
    for (rule, compiled) in listing.items.iter().zip(pack.rules()) {
        let by = compiled.reviewers.as_ref().map(ToString::to_string).unwrap_or_default();
        let cells = [
            &*rule.name,
            rule.action,
            by.as_str(),
            rule.deadline.as_deref().unwrap_or_default(),
            rule.place,
            rule.severity,
            rule.mode,
            rule.description.as_str(),
        ];
        table.add_row(cells.map(|cell| Escaped::line(cell).to_string()));
    }
    print(&table.trim_fmt())?;
    for rule in &listing.disabled {
        print(&format!("disabled: {}", Escaped::line(rule)))?;
    }
    for it in &listing.exceptions {
        let line = format!("{} until {}: {}", it.name, it.expires, it.rules.join(", "));
        print(&format!("exception: {}", Escaped::line(&line)))?;
    }
    Ok(())
}

fn status(args: &StatusArgs) -> Result<()> {
    let status = watch::status(&args.data_dir)?;
    if output::for_scripts(args.output, &status, |it| vec![it.digest.clone()])? {
        return Ok(());
    }
    print(&format!("in force since {}: {} rules, {}", status.since, status.rules, status.digest))?;
    for file in &status.files {
        print(&format!("  {}", Escaped::line(file)))?;
    }
    if let Some(refused) = &status.refused {
        print(&format!("refused at {}, and so not in force:", refused.at))?;
        for issue in &refused.issues {
            print(Escaped::lines(issue).as_str())?;
        }
    }
    Ok(())
}
