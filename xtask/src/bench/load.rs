//! One run of load against one server: wrk for HTTP/1.1, h2load for HTTP/2.

use std::{fs, path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::tools;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

impl Protocol {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Http1 => "h1",
            Self::Http2 => "h2",
        }
    }
}

/// What is sent: one request at a time on each connection, for so long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load<'a> {
    pub(super) protocol: Protocol,
    pub(super) connections: u32,
    pub(super) target: &'a str,
    pub(super) token: &'a str,
    pub(super) time: Duration,
}

/// What came back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answered {
    pub(super) requests: u64,
    pub(super) per_second: f64,
    pub(super) p50_micros: f64,
    pub(super) p99_micros: f64,
}

impl Answered {
    /// Of the time that each answer took, in microseconds, all of them within `took`.
    ///
    /// # Errors
    /// Where nothing was answered.
    pub(super) fn of(mut micros: Vec<u64>, took: Duration) -> Result<Self> {
        micros.sort_unstable();
        let at = |percent: usize| {
            let found = percentile(&micros, percent);
            found.map(|it| *it as f64).context("nothing was answered")
        };
        Ok(Self {
            requests: micros.len() as u64,
            per_second: micros.len() as f64 / took.as_secs_f64(),
            p50_micros: at(50)?,
            p99_micros: at(99)?,
        })
    }
}

/// Of sorted values, the one that so many in a hundred do not exceed; `None` where there is none.
pub(super) fn percentile<T>(sorted: &[T], percent: usize) -> Option<&T> {
    sorted.get(sorted.len().saturating_sub(1) * percent / 100)
}

/// Whether a server speaks HTTP/2.
pub(super) fn speaks_http2(url: &str) -> Result<bool> {
    let output = Command::new(tools::program("h2load")?).args(["-n1", "-c1", url]).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).contains("Application protocol: h2"))
}

/// Runs it to its end; any request that fails makes the run worthless, and an error.
pub(super) fn run(load: Load<'_>, url: &str, dir: &Path) -> Result<Answered> {
    match load.protocol {
        Protocol::Http1 => wrk(load, url, dir),
        Protocol::Http2 => h2load(load, url, dir),
    }
}

fn wrk(load: Load<'_>, url: &str, dir: &Path) -> Result<Answered> {
    let script = dir.join("wrk.lua");
    fs::write(&script, include_str!("templates/wrk.lua"))?;
    let output = Command::new(tools::program("wrk")?)
        .args(["--threads=1", &format!("--connections={}", load.connections)])
        // It takes whole seconds; less is for the smoke test, which can take one.
        .arg(format!("--duration={}s", load.time.as_secs().max(1)))
        .arg("--script")
        .arg(script)
        .args(["--header", &format!("Authorization: Bearer {}", load.token)])
        .arg(format!("{url}{}", load.target))
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().rev().find(|line| line.starts_with('{'));
    let said: Value = serde_json::from_str(line.with_context(|| format!("wrk said: {text}"))?)?;
    let number = |key: &str| said[key].as_f64().unwrap_or_default();
    if number("failed") > 0.0 || number("requests") < 1.0 {
        bail!("{url}: {} of {} requests failed (wrk)", said["failed"], said["requests"]);
    }
    Ok(Answered {
        requests: said["requests"].as_u64().unwrap_or_default(),
        per_second: number("requests") * 1e6 / number("micros"),
        p50_micros: number("p50"),
        p99_micros: number("p99"),
    })
}

fn h2load(load: Load<'_>, url: &str, dir: &Path) -> Result<Answered> {
    let log = dir.join("h2load.log");
    let _ = fs::remove_file(&log);
    let connections = load.connections.to_string();
    let output = Command::new(tools::program("h2load")?)
        .args(["--threads=1", "--max-concurrent-streams=1", "--clients", &connections])
        .arg(format!("--duration={}ms", load.time.as_millis()))
        .args(["--header", &format!("Authorization: Bearer {}", load.token)])
        .arg("--log-file")
        .arg(&log)
        .arg(format!("{url}{}", load.target))
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !text.contains("Application protocol: h2") {
        bail!("{url}: h2load could not speak HTTP/2:\n{text}");
    }
    let (mut micros, mut cut) = (Vec::new(), 0);
    for line in fs::read_to_string(&log)?.lines() {
        let mut columns = line.split('\t').skip(1);
        let (status, time) = (columns.next(), columns.next().and_then(|it| it.parse().ok()));
        match (status, time) {
            (Some("200"), Some(time)) => micros.push(time),
            // Under way at the end.
            (Some("-1"), _) if cut < load.connections => cut += 1,
            _ => bail!("{url}: a request failed (h2load): {line}"),
        }
    }
    Answered::of(micros, load.time).with_context(|| format!("h2load said: {text}"))
}
