//! `policy`: write, check, test, try and understand policies. Nothing here needs a cluster, but for
//! `check --cluster`.

mod check;
mod compiled;
mod explain;
mod init;
mod ledger_args;
mod list;
mod migrate;
mod replay;
mod status;
mod suggest;
mod test;

use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;

pub(crate) use self::replay::Differs;
use crate::{connection::Connection, output::print};

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Check policy files: syntax, names and types; with --cluster also fields of objects.
    #[command(after_help = "\
Examples:
  agent-shield policy check policies/
  agent-shield policy check freeze.yaml images.yaml
  agent-shield policy check --cluster --context staging policies/

It exits with 1 if `serve --policy` would refuse the files. Without --cluster it does not contact a
cluster, and does not check fields of `object` and `oldObject`; `serve` does.")]
    Check(check::CheckArgs),
    /// Print the CustomResourceDefinitions for keeping policies in the cluster.
    #[command(after_help = "\
Examples:
  agent-shield policy crds | kubectl apply -f -
  agent-shield rbac own --policy-objects | kubectl apply -f -
  agent-shield serve --policy-objects
  kubectl apply -f freeze.yaml && kubectl get agent-shield")]
    Crds,
    /// List the rules that would be in force: those of the built-in packs and of the files.
    #[command(after_help = "\
Examples:
  agent-shield policy list
  agent-shield policy list policies/ -o json | jq -r '.items[].name'")]
    List(list::ListArgs),
    /// Run the cases in the `*.test.yaml` files next to the policies.
    #[command(after_help = "\
Examples:
  agent-shield policy test policies/
  agent-shield policy test policies/ --junit report.xml")]
    Test(test::TestArgs),
    /// Show what each rule says about a request, or about a call in the ledger, and why.
    #[command(after_help = "\
Examples:
  agent-shield policy explain request.yaml policies/
  agent-shield policy explain 019a8f3e-5c1b-7d00-8000-0242ac120002 policies/

A request is written like a case of `policy test`, without `expect`:
  name: a scale to nothing
  request: {verb: patch, resource: deployments.apps, namespace: shop, name: web}
  oldObject: {spec: {replicas: 3}}
  object: {spec: {replicas: 0}}

A call is named by its audit id, which is in the timeline and in the agent's answer. What the ledger did
not keep counts as not known and is never guessed.")]
    Explain(explain::ExplainArgs),
    /// Judge the calls in the ledger by other policies: which decisions would change.
    #[command(after_help = "\
Examples:
  agent-shield policy replay --since 7d --policy policies/
  agent-shield policy replay --policy policies/ -o json | jq '.items[].to'
  agent-shield policy replay --since 30d --policy policies/ --exit-code

What the ledger does not contain (values that are never recorded, calls that were not previewed) counts
as not known. No cluster is contacted, and nothing is changed.")]
    Replay(replay::ReplayArgs),
    /// Print exceptions for holds that were always approved, as narrow as what was approved.
    #[command(after_help = "\
Examples:
  agent-shield policy suggest-exceptions --since 30d
  agent-shield policy suggest-exceptions --policy policies/ --approvals 10 > exceptions.yaml

Nothing is applied: read the suggestions, and put those that you want next to your policies.")]
    SuggestExceptions(suggest::SuggestArgs),
    /// Rewrite policies and exceptions that compare `effect.detail` to compare fields.
    #[command(after_help = "\
Examples:
  agent-shield policy migrate policies/
  agent-shield policy migrate --write policies/ exceptions.yaml

What cannot be rewritten is named with its place, and the command exits with 1.")]
    Migrate(migrate::MigrateArgs),
    /// Write a first policy with its test.
    #[command(after_help = "Examples:\n  agent-shield policy init policies/")]
    Init {
        /// Directory; created if missing.
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
    /// Print the JSON schema of policy files, for editors.
    #[command(after_help = "\
Examples:
  agent-shield policy schema > policy.schema.json

For editors with the YAML language server, begin a file with this line:
  # yaml-language-server: $schema=policy.schema.json")]
    Schema,
    /// Show which policies a running agent-shield has in force, and why it refused others.
    #[command(after_help = "\
Examples:
  agent-shield policy status
  agent-shield policy status -o json | jq -r .digest")]
    Status(status::StatusArgs),
}

pub(crate) async fn run(command: PolicyCommand, connection: &Connection) -> Result<()> {
    match command {
        PolicyCommand::Check(args) => check::run(&args, connection).await,
        PolicyCommand::Crds => crds(),
        PolicyCommand::List(args) => list::run(&args),
        PolicyCommand::Test(args) => test::run(&args),
        PolicyCommand::Explain(args) => explain::run(&args),
        PolicyCommand::Replay(args) => self::replay::run(&args),
        PolicyCommand::SuggestExceptions(args) => suggest::run(&args),
        PolicyCommand::Migrate(args) => migrate::run(&args),
        PolicyCommand::Init { dir } => init::run(&dir),
        PolicyCommand::Schema => print(::policy::SCHEMA),
        PolicyCommand::Status(args) => status::run(&args),
    }
}

fn crds() -> Result<()> {
    let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": ::policy::crds()});
    print(serde_saphyr::to_string(&list)?.trim_end())
}
