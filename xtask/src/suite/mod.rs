//! Builds the control plane and the Rust side by side, starts one cluster, runs every test, counts.

mod counts;
mod failures;
mod full;

use std::{
    env,
    io::{self, BufRead, BufReader, PipeReader},
    path::PathBuf,
    process::{Command, ExitStatus},
    thread,
};

use anyhow::{Context, Result, bail};
use clap::Args;
use counts::Reader;
use failures::Failures;
use testkit::{Cluster, Nodes, testbed};

use crate::root;

/// What `cargo xtask test` is asked.
#[derive(Args)]
pub(crate) struct SuiteArgs {
    /// Also what is too long for CI.
    #[arg(long)]
    full: bool,
    /// Run nothing: write how many tests there are into tests/expected-counts.
    #[arg(long, conflicts_with_all = ["full", "filter"])]
    accept_counts: bool,
    /// Only tests whose name contains this.
    filter: Option<String>,
}

/// Runs the tests, and compares how many there are with what is committed.
///
/// # Errors
/// One fails, fewer pass than are expected, or nothing could be started.
pub(crate) fn run(args: &SuiteArgs) -> Result<()> {
    if args.accept_counts {
        return counts::accept(&expected_counts(), &root());
    }
    let testbed = built()?;
    let mut reader = Reader::new(&root())?;
    let cluster = Cluster::start_attached(&testbed, Nodes::Three)?;
    println!("cluster: {} in {}", cluster.server(), cluster.dir().display());
    let mut failures = Failures::default();
    let status = read(tests(args, &cluster), |line| {
        reader.read(line);
        failures.read(line);
    })?;
    drop(cluster);

    let sum = reader.sum();
    let whole = args.filter.is_none() && sum.failed == 0 && status.success();
    let missing = match whole {
        true => counts::missing(&expected_counts(), &reader.counts, args.full)?,
        false => Vec::new(),
    };
    failures.lines().chain(missing.iter().cloned()).for_each(|line| println!("{line}"));
    println!("{} ignored", sum.ignored);
    println!("{} passed, {} failed", sum.passed, sum.failed);
    if sum.passed + sum.failed == 0 {
        bail!("no test ran");
    }
    if sum.failed > 0 || !status.success() {
        bail!("tests failed");
    }
    if !missing.is_empty() {
        bail!(
            "fewer tests ran than tests/expected-counts lists, see above: bring them back, or run \
             `cargo xtask test --accept-counts` and say in the commit where each one went"
        );
    }
    Ok(())
}

fn expected_counts() -> PathBuf {
    root().join("tests/expected-counts")
}

fn built() -> Result<testbed::Testbed> {
    let testbed = thread::spawn(testbed::build);
    let built = Command::new("cargo")
        .args(["build", "--workspace", "--all-targets"])
        .current_dir(root())
        .status()
        .context("cannot start cargo")?;
    let testbed =
        testbed.join().map_err(|_| anyhow::anyhow!("building the testbed panicked"))??;
    if !built.success() {
        bail!("the workspace does not build");
    }
    Ok(testbed)
}

fn tests(args: &SuiteArgs, cluster: &Cluster) -> Command {
    let mut command = Command::new("cargo");
    command
        .args(["test", "--workspace", "--no-fail-fast"])
        .current_dir(root())
        .env("AGENT_SHIELD_TEST_CLUSTER", cluster.dir())
        .env("AGENT_SHIELD_BIN", root().join("target/debug/agent-shield"));
    command.arg("--").args(&args.filter);
    if args.full {
        command.env("AGENT_SHIELD_FULL", "1").arg("--include-ignored");
    }
    // What was exported to try one row must not shrink the catalogue where it is to be whole.
    let in_ci = env::var_os("CI").is_some_and(|it| it == "true");
    if args.filter.is_none() || in_ci {
        command.env_remove("AGENT_SHIELD_CASES");
    }
    command
}

/// Runs it to its end, showing each line that it prints, and handing it on.
fn read(mut command: Command, each: impl FnMut(&str)) -> Result<ExitStatus> {
    // One pipe for both: cargo names a binary on the one, and the binary counts on the other.
    let (output, writer) = io::pipe()?;
    command.stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn().context("cannot start cargo")?;
    // Its ends of the pipe would keep it open for ever.
    drop(command);
    show(output, each)?;
    Ok(child.wait()?)
}

fn show(output: PipeReader, mut each: impl FnMut(&str)) -> Result<()> {
    for line in BufReader::new(output).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        each(&line);
        println!("{line}");
    }
    Ok(())
}
