//! The fuzzer: cargo-fuzz on the pinned stable toolchain (coverage by LLVM alone, no sanitizer: all
//! of our code is safe Rust), each target for a time, and a line of JSON about each run.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::json;

use crate::{root, tool::Tool};

const CARGO_FUZZ: Tool = Tool { name: "cargo-fuzz", version: "0.13.2" };
const TARGETS: [&str; 8] =
    ["attributes", "headers", "query", "body", "protobuf", "diff", "expression", "frames"];
const TRIPLE: &str = "x86_64-unknown-linux-gnu";
/// An input that takes longer is a finding.
const INPUT_TIME_MAX: Duration = Duration::from_secs(10);
const INPUT_BYTES_MAX: usize = 16 << 10;
const MEMORY_MB_MAX: usize = 2048;

/// Runs the targets whose name is given, or all, one after the other, each for `time`.
pub(crate) fn run(target: Option<&str>, time: Duration, keep: bool) -> Result<()> {
    let targets: Vec<&str> =
        TARGETS.into_iter().filter(|it| target.is_none_or(|target| target == *it)).collect();
    if targets.is_empty() {
        bail!("no such target; there are {}", TARGETS.join(", "));
    }
    build()?;
    // Copies, so that a build meanwhile does not take the programs away.
    let runs: Vec<Fuzzing> = targets.into_iter().map(Fuzzing::new).collect::<Result<_>>()?;
    for fuzzing in &runs {
        fuzzing.run(time)?;
        if keep {
            fuzzing.keep()?;
        }
    }
    Ok(())
}

fn build() -> Result<()> {
    let program = CARGO_FUZZ.installed()?;
    let status = Command::new(program)
        .args(["fuzz", "build", "--features", "libfuzzer", "--sanitizer", "none", "--release"])
        .args(["--target", TRIPLE])
        .current_dir(root())
        .status()?;
    if !status.success() {
        bail!("the fuzz targets do not build");
    }
    Ok(())
}

/// One target: its program, and where it works.
struct Fuzzing {
    target: &'static str,
    dir: PathBuf,
    commit: String,
}

impl Fuzzing {
    fn new(target: &'static str) -> Result<Self> {
        let dir = root().join("target/fuzz").join(target);
        fs::create_dir_all(dir.join("corpus"))?;
        let built = root().join("target").join(TRIPLE).join("release").join(target);
        let _ = fs::remove_file(dir.join("program"));
        fs::copy(&built, dir.join("program"))
            .with_context(|| format!("cannot copy {}", built.display()))?;
        let git = Command::new("git")
            .args(["describe", "--always", "--abbrev=12", "--dirty"])
            .current_dir(root())
            .output()?;
        let commit = String::from_utf8_lossy(&git.stdout).trim().to_owned();
        Ok(Self { target, dir, commit })
    }

    /// The corpus in the repository.
    fn committed(&self) -> PathBuf {
        root().join("fuzz/corpus").join(self.target)
    }

    fn run(&self, time: Duration) -> Result<()> {
        println!("fuzz: {} for {} s", self.target, time.as_secs());
        let started = Instant::now();
        let mut executions = 0;
        loop {
            let left = time.saturating_sub(started.elapsed());
            if left.is_zero() {
                break;
            }
            let log = self.dir.join("log");
            let status = self
                .program()
                .arg(format!("-max_total_time={}", left.as_secs().max(1)))
                .arg(format!("-max_len={INPUT_BYTES_MAX}"))
                .args(["-print_final_stats=1"])
                .arg(self.dir.join("corpus"))
                .arg(self.committed())
                .stderr(File::create(&log)?)
                .status()?;
            let log = fs::read_to_string(log)?;
            executions += executed(&log);
            if !status.success() {
                self.judge(&log)?;
            }
        }
        self.record(executions, started.elapsed())
    }

    fn program(&self) -> Command {
        let mut command = Command::new(self.dir.join("program"));
        command
            .arg(format!("-timeout={}", INPUT_TIME_MAX.as_secs()))
            .arg(format!("-rss_limit_mb={MEMORY_MB_MAX}"))
            .arg(format!("-artifact_prefix={}/", self.dir.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }

    /// Whether an input really breaks a law. A machine that stood still makes any input look slow,
    /// so each is tried again by itself.
    fn judge(&self, log: &str) -> Result<()> {
        let written = log.lines().rev().find_map(|line| line.split_once("Test unit written to "));
        let Some((_, input)) = written else { bail!("{} ended badly:\n{log}", self.target) };
        let again = self.program().arg(input).stderr(Stdio::null()).status()?;
        if !again.success() {
            let words: Vec<&str> = log.lines().filter(|line| line.contains("panicked")).collect();
            bail!("{}: {input} breaks a law: {}", self.target, words.join("\n"));
        }
        fs::remove_file(input)?;
        Ok(())
    }

    fn record(&self, executions: u64, took: Duration) -> Result<()> {
        let (mut inputs, mut bytes) = (0, 0);
        for dir in [self.dir.join("corpus"), self.committed()] {
            for file in fs::read_dir(dir)? {
                inputs += 1;
                bytes += file?.metadata()?.len();
            }
        }
        let line = json!({
            "time": now(), "target": self.target, "commit": self.commit,
            "seconds": took.as_secs(), "executions": executions,
            "corpus": inputs, "corpusBytes": bytes, "findings": 0,
        });
        println!("{line}");
        let log = root().join("target/fuzz/runs.jsonl");
        writeln!(File::options().create(true).append(true).open(log)?, "{line}")?;
        Ok(())
    }

    /// Puts what was found into the corpus of the repository, as little as covers the same.
    fn keep(&self) -> Result<()> {
        let smallest = self.dir.join("smallest");
        let _ = fs::remove_dir_all(&smallest);
        fs::create_dir_all(&smallest)?;
        let status = self
            .program()
            // Each edge once, not each count of it: a tenth of the inputs for the same lines.
            .args(["-merge=1", "-use_counters=0"])
            .args([&smallest, &self.committed(), &self.dir.join("corpus")])
            .stderr(Stdio::null())
            .status()?;
        if !status.success() {
            bail!("the corpus of {} cannot be merged", self.target);
        }
        replace(&smallest, &self.committed())
    }
}

fn replace(from: &Path, to: &Path) -> Result<()> {
    fs::remove_dir_all(to)?;
    fs::create_dir_all(to)?;
    for file in fs::read_dir(from)? {
        let file = file?;
        fs::copy(file.path(), to.join(file.file_name()))?;
    }
    Ok(())
}

/// Of `stat::number_of_executed_units: 258546`.
fn executed(log: &str) -> u64 {
    let said = log.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    said.and_then(|it| it.trim().parse().ok()).unwrap_or(0)
}

fn now() -> String {
    let date = Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%SZ"]).output();
    date.map(|it| String::from_utf8_lossy(&it.stdout).trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_counts() {
        assert_eq!(executed("Done\nstat::number_of_executed_units: 690\n"), 690);
    }
}
