//! `cargo xtask`: everything that is done with this repository, and all that CI does.

mod bench;
mod check;
mod demo;
mod fuzz;
mod measure;
mod messages;
mod mute;
mod source;
mod suite;
mod tool;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Result;
use clap::{Parser, Subcommand};
use testkit::{Cluster, testbed};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Build, test and try agent-shield")]
enum Task {
    /// Watch a real `kubectl delete namespace` by an agent stop, and decide on it.
    Demo {
        /// Decide by itself, once no and once yes; for CI.
        #[arg(long)]
        script: bool,
    },
    /// Build everything and run all tests against a real control plane.
    Test(suite::SuiteArgs),
    /// Run the catalogue, replay and approvals against a build whose sentences all read `x`.
    Mute,
    /// Format, lints, docs, licences, tiers of the crates, circles of files, messages that nobody has read.
    Check {
        /// Only that no file imports one that imports it.
        #[arg(long)]
        circles: bool,
    },
    /// That what agent-shield tells people is what somebody has read: tests/messages.txt.
    Messages {
        /// Write the list anew; read what changed before you commit it.
        #[arg(long)]
        accept: bool,
    },
    /// Sizes of files and functions, comments, circles: the shape of the sources in numbers.
    Measure {
        /// Another checkout of this repository, to compare with.
        #[arg(long, default_value_os_t = root())]
        checkout: PathBuf,
    },
    /// Look for inputs that break a law of `fuzz/`.
    Fuzz {
        /// One of them alone.
        target: Option<String>,
        /// How long for each: 90s, 5m, 1h.
        #[arg(long, default_value = "1m", value_parser = text::duration::parse)]
        time: Duration,
        /// Put what was found into the corpora of the repository, as few inputs as cover the same.
        #[arg(long)]
        keep: bool,
    },
    /// A cluster to play with.
    #[command(subcommand)]
    Cluster(ClusterTask),
    /// What agent-shield costs, beside nginx and HAProxy; installs these and two load generators.
    Bench(bench::BenchArgs),
    /// What the benchmark's proxies talk to; started by it.
    #[command(hide = true)]
    StandIn(bench::stand_in::StandInArgs),
    /// Build the control plane for tests, and nothing else.
    Testbed,
}

#[derive(Subcommand)]
enum ClusterTask {
    /// Start it and print its kubeconfig.
    Up {
        /// Where its files are kept.
        #[arg(long, default_value_os_t = default_cluster_dir())]
        dir: PathBuf,
    },
    /// Stop it and remove its files.
    Down {
        /// Where its files are kept.
        #[arg(long, default_value_os_t = default_cluster_dir())]
        dir: PathBuf,
    },
}

fn main() -> Result<()> {
    match Task::parse() {
        Task::Demo { script } => demo::run(script),
        Task::Test(args) => suite::run(&args),
        Task::Mute => mute::run(),
        Task::Check { circles } => check::run(circles),
        Task::Messages { accept } => messages::run(accept),
        Task::Measure { checkout } => measure::run(&checkout),
        Task::Fuzz { target, time, keep } => fuzz::run(target.as_deref(), time, keep),
        Task::Cluster(ClusterTask::Up { dir }) => {
            let testbed = testbed::build()?;
            let cluster = Cluster::start_detached(&dir, &testbed)?;
            println!("export KUBECONFIG={}", cluster.kubeconfig().display());
            println!("export PATH={}:$PATH  # kubectl, helm", testbed_dir(&cluster).display());
            Ok(())
        }
        Task::Cluster(ClusterTask::Down { dir }) => Cluster::stop(&dir),
        Task::Bench(args) => bench::run(args),
        Task::StandIn(args) => bench::stand_in::run(args),
        Task::Testbed => testbed::build().map(|_| ()),
    }
}

fn default_cluster_dir() -> PathBuf {
    root().join("target/cluster")
}

fn testbed_dir(cluster: &Cluster) -> PathBuf {
    cluster.program("kubectl").parent().map(Path::to_owned).unwrap_or_default()
}

/// The root of the checkout.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned).unwrap_or_default()
}
