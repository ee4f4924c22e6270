//! `cargo xtask bench`: what agent-shield costs, beside nginx and HAProxy in the same run.
//!
//! Everything is on: policy, identity, and a ledger on disk, which must hold one entry for each
//! request afterwards or the benchmark fails. Numbers of different machines, or of different runs,
//! say little; the ratio to nginx in one run says something.

mod apiserver;
mod attacks;
mod client;
mod decisions;
mod load;
mod paced;
mod policies;
mod previews;
mod process;
mod reads;
mod replay;
mod report;
mod servers;
pub(crate) mod stand_in;
mod tools;
mod watches;

use std::{
    fs,
    io::{IsTerminal, Write},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use load::Protocol;
use report::Row;
use serde_json::{Value, json};
use servers::Place;

use crate::root;

/// A scenario that is a table of its own, with nothing to compare agent-shield with.
struct Table {
    name: &'static str,
    /// Whether agent-shield itself runs, and so has to be built.
    runs_program: bool,
    /// Measures, quickly or well, and says in Markdown what came out.
    measure: fn(quick: bool) -> Result<String>,
}

const TABLES: [Table; 4] = [
    Table { name: "attacks", runs_program: true, measure: attacks::table },
    Table { name: "decisions", runs_program: false, measure: decisions::table },
    Table { name: "previews", runs_program: true, measure: previews::table },
    Table { name: "replay", runs_program: true, measure: replay::table },
];

/// Idle watches that are opened, and fewer for the smoke test.
const WATCHES: [usize; 2] = [10_000, 200];

#[derive(clap::Args)]
pub(crate) struct BenchArgs {
    /// A smoke test of less than half a minute, whose numbers mean nothing.
    #[arg(long)]
    quick: bool,
    /// Only scenarios whose name contains this, like `read/1k/h1`, `watch`, `previews`, `replay` or `attacks`.
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Runs of each scenario on each server; the median counts.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Length of one run in seconds.
    #[arg(long, default_value_t = 2)]
    seconds: u64,
    /// Where the numbers are written as JSON.
    #[arg(long, default_value_os_t = root().join("target/bench.json"))]
    json: PathBuf,
}

/// What is measured, and how long.
struct Options {
    quick: bool,
    only: Option<String>,
    rounds: u32,
    time: Duration,
}

impl Options {
    fn wants(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| name.contains(only.as_str()))
    }
}

/// One line that says what is going on; on a terminal it is written over.
struct Progress {
    started: Instant,
}

impl Progress {
    fn say(&self, what: &str) {
        let seconds = self.started.elapsed().as_secs();
        match std::io::stderr().is_terminal() {
            true => eprint!("\r\x1b[Kbench: {seconds:>3} s  {what}"),
            false => eprintln!("bench: {seconds:>3} s  {what}"),
        }
        let _ = std::io::stderr().flush();
    }

    fn end(&self) {
        if std::io::stderr().is_terminal() {
            eprintln!();
        }
    }
}

pub(crate) fn run(args: BenchArgs) -> Result<()> {
    let table = TABLES.iter().find(|it| args.only.as_deref() == Some(it.name));
    if table.is_none() {
        tools::install()?;
    }
    let runs_program = table.is_none_or(|it| it.runs_program);
    match (args.quick, cfg!(debug_assertions)) {
        // Shows that everything works, with whatever is built already.
        (true, _) if runs_program => build(&["--package", "agent-shield"])?,
        (false, true) => return run_optimised(runs_program),
        _ => {}
    }
    if let Some(Table { measure, .. }) = table {
        println!("{}", measure(args.quick)?);
        return Ok(());
    }
    let options = Options {
        quick: args.quick,
        only: args.only,
        rounds: if args.quick { 1 } else { args.rounds.max(1) },
        time: Duration::from_secs(if args.quick { 1 } else { args.seconds.max(1) }),
    };
    // Both TLS providers could be in the graph one day; which one is used is decided here.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let progress = Progress { started: Instant::now() };
    let mut rows = reads::measure(&options, &progress)?;
    rows.extend(policies::measure(&options, &progress)?);
    rows.extend(memory(&options, &progress)?);
    rows.extend(apiserver::measure(&options, &progress)?);
    progress.end();
    if rows.is_empty() {
        bail!("no scenario has a name like that: see docs/performance.md");
    }
    report::write(&rows, &machine(), &args.json)?;
    println!("{}", report::table(&rows));
    for Table { measure, .. } in TABLES.iter().filter(|it| options.wants(it.name)) {
        println!("{}", measure(options.quick)?);
    }
    println!("each round is in {}", args.json.display());
    Ok(())
}

/// Builds this program with optimisations, and what ships where it runs, and goes on as the former.
fn run_optimised(runs_program: bool) -> Result<()> {
    if runs_program {
        eprintln!("bench: building agent-shield as it ships (minutes, the first time)");
        build(&["--profile", "dist", "--package", "agent-shield"])?;
    }
    build(&["--release", "--package", "xtask"])?;
    as_release()
}

fn as_release() -> Result<()> {
    let target = root().join("target");
    // Another build, to compare with, can be named.
    let ships = || target.join("dist/agent-shield").into_os_string();
    let program = std::env::var_os("AGENT_SHIELD_BIN").unwrap_or_else(ships);
    let error = Command::new(target.join("release/xtask"))
        .args(std::env::args_os().skip(1))
        .env("AGENT_SHIELD_BIN", program)
        .exec();
    Err(error).context("cannot go on as target/release/xtask")
}

fn build(args: &[&str]) -> Result<()> {
    let mut command = Command::new("cargo");
    command.args(["build", "--quiet"]).args(args).current_dir(root());
    if !command.status().context("cannot start cargo")?.success() {
        bail!("cargo build {} failed", args.join(" "));
    }
    Ok(())
}

/// Memory with many idle watches, over a connection each and over shared ones.
fn memory(options: &Options, progress: &Progress) -> Result<Vec<Row>> {
    let [full, smoke] = WATCHES;
    let count = if options.quick { smoke } else { full };
    let mut rows = Vec::new();
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let scenario = format!("watch/{}/{count}", protocol.name());
        if !options.wants(&scenario) {
            continue;
        }
        // A new one each time: what an earlier part has left in memory is not of this one.
        let place = Place::new()?;
        let direct = place.stand_in()?;
        for server in [place.nginx(&direct)?, place.haproxy(&direct)?, place.shield(&direct, &[])?]
        {
            // Over HTTP/1.1 the others take two connections for each, more than a process may have.
            let possible = match protocol {
                Protocol::Http1 => server.data_dir.is_some(),
                Protocol::Http2 => load::speaks_http2(&server.url)?,
            };
            if !possible {
                continue;
            }
            progress.say(&format!("{scenario} {}", server.name));
            let opened = watches::open(&server.url, &place.ca(&server), count, protocol)
                .with_context(|| format!("{scenario} {}", server.name));
            let _watches = match opened {
                // What a rival cannot do is no figure, and no reason to lose those of the others.
                Err(error) if server.data_dir.is_none() => {
                    progress.say(&format!("{error:#}"));
                    continue;
                }
                opened => opened?,
            };
            let row = Row { rss: Some(settled(server.pid)?), ..Row::new(&scenario, server.name) };
            rows.push(row);
        }
    }
    Ok(rows)
}

/// Resident memory once it has stopped to grow: what belongs to the opening is still being written.
fn settled(pid: u32) -> Result<u64> {
    let mut last = 0;
    loop {
        let now = process::rss(pid)?;
        if now <= last {
            return Ok(now);
        }
        last = now;
        thread::sleep(Duration::from_millis(500));
    }
}

fn machine() -> Value {
    let first = |file: &str, start: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(start)).unwrap_or_default();
        line.rsplit(": ").next().unwrap_or_default().trim().to_owned()
    };
    let said = |program: &str, args: &[&str]| {
        let output = Command::new(program).args(args).current_dir(root()).output().ok();
        let text = output.map(|it| it.stdout).unwrap_or_default();
        String::from_utf8_lossy(&text).trim().to_owned()
    };
    json!({
        "cpu": first("/proc/cpuinfo", "model name"),
        "cores": thread::available_parallelism().map_or(0, usize::from),
        "memory": first("/proc/meminfo", "MemTotal"),
        "kernel": said("uname", &["-sr"]),
        "commit": said("git", &["describe", "--always", "--dirty"]),
        "nginx": tools::version("nginx", "-v"),
        "haproxy": tools::version("haproxy", "-v"),
    })
}
