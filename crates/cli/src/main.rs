//! The binary: `serve`, and the reviewer's commands. Reads configuration and picks implementations.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod account;
mod agent;
mod agents;
mod approve;
mod client;
mod completion;
mod connection;
mod context;
mod contexts;
mod data_dir;
mod exit;
mod freeze;
mod group;
mod hints;
mod holds;
mod joined_timeline;
mod live_names;
mod man;
mod moment;
mod outcome;
mod output;
mod pager;
mod pick;
mod policy;
mod printers;
mod program;
mod rbac;
mod report;
mod restricted;
mod review;
mod sentences;
mod serve;
mod spinner;
mod status;
mod timeline;
mod urls;
mod usage;
mod version;
mod watch;

use std::{ffi::OsString, process::ExitCode};

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use connection::Connection;
use exit::Outcome;
use program::Program;
use text::{Escaped, causes};

/// A request makes some hundred small allocations: docs/performance.md has what each allocator costs.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Approval proxy between AI agents and Kubernetes.
#[derive(Debug, Parser)]
#[command(
    name = "agent-shield",
    version,
    after_help = "\
Examples:
  agent-shield serve --kubeconfig ~/.kube/config
  agent-shield holds
  agent-shield show k3mq7xzw
  agent-shield approve k3mq7xzw --reason 'agreed in #incidents'

Exit codes:
  0  done
  1  refused by the server, or something unexpected
  2  wrong usage
  3  no such hold, agent or reviewer
  4  not authenticated, or not allowed
  5  the server cannot be reached
  6  already decided, or changed since it was shown, or before it ran
  7  with `policy replay --exit-code`: decisions would change, or are not known
  9  with `approve`: recorded, and somebody else must approve too
  10 with `approve`: recorded, and it has not run yet
  11 with `status`: something needs attention"
)]
struct Cli {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    look: output::Look,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(Box<serve::ServeArgs>),
    #[command(flatten)]
    Review(review::ReviewCommand),
    /// Create, list and revoke agents.
    #[command(
        subcommand,
        after_help = "Examples:\n  agent-shield agent create triage-bot --namespaces payments --preset triage --out triage.yaml\n  agent-shield agent list"
    )]
    Agent(agent::AgentCommand),
    /// Print the Kubernetes rights that agent-shield itself and its reviewers need.
    #[command(
        subcommand,
        after_help = "Examples:\n  agent-shield rbac own | kubectl apply -f -\n  agent-shield rbac reviewer | kubectl apply -f -"
    )]
    Rbac(rbac::RbacCommand),
    /// Give servers names, so that --server and --ca need not be typed.
    #[command(
        subcommand,
        after_help = "Examples:\n  agent-shield context set prod --server https://shield.example:8444 --ca prod-ca.crt\n  agent-shield context use prod"
    )]
    Context(context::ContextCommand),
    /// Write, check, test and explain policies.
    #[command(
        subcommand,
        after_help = "Examples:\n  agent-shield policy init policies/\n  agent-shield policy test policies/\n  agent-shield serve --policy policies/"
    )]
    Policy(policy::PolicyCommand),
    /// Print a shell's completion script: it completes commands, and ids, agents and names that exist now.
    #[command(after_help = "\
Examples:
  echo 'source <(agent-shield completion bash)' >> ~/.bashrc
  echo 'source <(agent-shield completion zsh)' >> ~/.zshrc
  echo 'agent-shield completion fish | source' >> ~/.config/fish/config.fish")]
    Completion {
        /// bash, zsh, fish, elvish or powershell.
        shell: clap_complete::Shell,
    },
    Man(man::ManArgs),
    Version(version::VersionArgs),
}

fn main() -> ExitCode {
    // Both providers could be in the graph one day; which one is used is decided here.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        eprintln!("error: cannot start: TLS is set up already");
        return ExitCode::FAILURE;
    }
    let mut arguments = std::env::args_os();
    let program = Program::from_argument(&arguments.next().unwrap_or_default());
    program.remember();
    moment::remember_reader();
    if program == Program::KubectlCompletion {
        let words: Vec<OsString> = arguments.collect();
        prepare_completion([OsString::from(program.name())].into_iter().chain(words.clone()));
        println!("{}", completion::for_kubectl(program.dress(completed()), words));
        return ExitCode::SUCCESS;
    }
    if let Some(line) = completion::line() {
        prepare_completion(line);
        completion::answer(|| program.dress(completed()));
        return ExitCode::SUCCESS;
    }
    let matches = program.dress(Cli::command()).get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    cli.look.apply();
    if cli.look.no_pager {
        pager::turn_off();
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Causes may quote what the server, and so an agent, said.
            let text = Escaped::lines(&causes(&*error));
            match error.downcast_ref::<Outcome>() {
                Some(outcome) if outcome.is_open() => anstream::println!("{text}"),
                _ => anstream::eprintln!("error: {text}"),
            }
            exit::code(&error)
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Serve(args) => serve::serve(*args, &cli.connection).await,
        Command::Review(command) => review::run(command, cli.connection).await,
        Command::Agent(command) => agent::run(command, &cli.connection).await,
        Command::Rbac(command) => rbac::run(command),
        Command::Context(command) => context::run(command, &cli.connection),
        Command::Policy(command) => policy::run(command, &cli.connection).await,
        Command::Completion { shell } => output::print(&completion::script(shell)?),
        Command::Man(args) => man::run(&args, Cli::command()),
        Command::Version(args) => version::run(&args, &cli.connection).await,
    }
}

/// The command line with names for what every command takes; each command names its own.
fn completed() -> clap::Command {
    Cli::command()
        .mut_arg("context_name", |it| it.add(live_names::contexts()))
        .mut_arg("context", |it| it.add(live_names::kubeconfig_contexts()))
}

/// Has names that exist now asked for at the server that an unfinished command line names, without a word about
/// what cannot be asked.
fn prepare_completion(line: impl IntoIterator<Item = OsString>) {
    completion::silence();
    let matches = Cli::command().ignore_errors(true).try_get_matches_from(line);
    if let Some(connection) = matches.ok().and_then(|it| Connection::from_arg_matches(&it).ok()) {
        live_names::ask_at(connection);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_well_formed() {
        Cli::command().debug_assert();
        Program::KubectlPlugin.dress(Cli::command()).debug_assert();
    }

    #[test]
    fn every_command_has_examples() {
        let mut waiting = vec![Cli::command(), Program::KubectlPlugin.dress(Cli::command())];
        while let Some(mut command) = waiting.pop() {
            let help = command.render_long_help().to_string();
            assert!(help.contains("\nExamples:\n  "), "{}", command.get_name());
            // `help` is clap's own.
            let its = command.get_subcommands().filter(|it| it.get_name() != "help");
            waiting.extend(its.cloned());
        }
    }
}
