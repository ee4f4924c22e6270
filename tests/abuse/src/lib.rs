//! What the tests share that treat agent-shield as no client would.

mod client;
mod frames;
mod middle;
mod road;

use std::{fs, io, time::Duration};

pub use client::{BYSTANDER, connect, get, reviews, works};
pub use frames::{END, Frame, Frames, Kind, WHOLE, field};
pub use middle::{Middle, Script};
pub use road::Road;
use serde_json::Value;
use testkit::{
    Agent, Cluster, Shield,
    http::{self, Answer, Connection},
};

/// A connection that was answered once, and asks nothing more.
///
/// # Errors
/// It was not answered.
pub fn idle(shield: &Shield) -> io::Result<Connection> {
    let mut connection = Connection::open(&shield.agent_url, &shield.ca())?;
    connection.request("GET", "/version", &[], b"")?;
    match connection.answer()?.status {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(connection),
    }
}

/// One connection, these bytes, and what comes back: up to `most` answers, fewer where the
/// connection ends.
pub fn raw(shield: &Shield, bytes: &[u8], most: usize) -> Vec<Answer> {
    let mut connection = Connection::open(&shield.agent_url, &shield.ca()).expect("a connection");
    // Whoever is refused in the middle may be cut off while writing.
    let _ = connection.send(bytes);
    let mut answers = Vec::new();
    while answers.len() < most {
        match connection.answer() {
            Ok(answer) if answer.status != 0 => answers.push(answer),
            _ => break,
        }
    }
    answers
}

/// Whether an answer is one that a Kubernetes client understands: a `Status` of its own code.
pub fn is_status(answer: &Answer) -> bool {
    let json = answer.json();
    json["kind"] == "Status" && json["code"] == answer.status
}

/// Whether the other end has closed the connection.
pub fn is_closed(connection: &mut Connection) -> bool {
    match connection.answer() {
        Ok(answer) => answer.status == 0,
        Err(error) => !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut),
    }
}

/// Whom the API server takes the agent for, asked with these headers besides its token.
pub fn whoami(shield: &Shield, agent: &Agent, headers: &[(&str, &str)]) -> Answer {
    let authorization = format!("Bearer {}", agent.token);
    let mut all =
        vec![("Authorization", authorization.as_str()), ("Content-Type", "application/json")];
    all.extend(headers);
    let target = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let body = br#"{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}"#;
    http::request(&shield.agent_url, &shield.ca(), "POST", target, &all, body).expect("an answer")
}

/// Writes and deletes of this object that the API server was asked for in earnest.
pub fn writes_to(cluster: &Cluster, namespace: &str, name: &str) -> Vec<Value> {
    let earnest = |event: &Value| {
        let dry = event["requestURI"].as_str().is_some_and(|it| it.contains("dryRun"))
            || event["requestObject"]["dryRun"].is_array();
        let verb = event["verb"].as_str().unwrap_or_default();
        !dry && !matches!(verb, "get" | "list" | "watch")
    };
    cluster.audit_events(|event| {
        event["objectRef"]["namespace"] == namespace
            && event["objectRef"]["name"] == name
            && event["user"]["username"].as_str().is_some_and(|it| it.ends_with(":agent"))
            && earnest(event)
    })
}

/// Memory of a process in MiB.
pub struct Memory(u32);

impl Memory {
    /// Of this agent-shield; its high-water mark begins anew.
    pub fn of(shield: &Shield) -> Self {
        let pid = shield.pid();
        fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("a process of ours");
        Self(pid)
    }

    /// The most that it held since.
    pub fn peak(&self) -> u64 {
        self.read("VmHWM:")
    }

    /// What it holds now.
    pub fn now(&self) -> u64 {
        self.read("VmRSS:")
    }

    fn read(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0)).expect("a process");
        let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("a field");
        let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
        kib / 1024
    }
}

/// Longer than any bound on a request's head, shorter than a test may take.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Bytes that the database and its journal take of the disk.
///
/// # Panics
/// Where the data directory cannot be read.
pub fn database_bytes(shield: &Shield) -> u64 {
    let files = fs::read_dir(shield.data_dir()).expect("a directory").flatten();
    let ours = files.filter(|it| it.file_name().to_string_lossy().starts_with("agent-shield.db"));
    ours.map(|it| it.metadata().map_or(0, |it| it.len())).sum()
}

/// What a refused head may take of the disk, in bytes.
pub const BYTES_PER_HEAD_MAX: u64 = 100;
/// What the store's journal may keep besides, in bytes, whatever is written.
pub const JOURNAL_BYTES_MAX: u64 = 6 << 20;

/// Resident memory under an attack, in MiB.
pub const MEMORY_MAX: u64 = 256;

/// What a flood may cost more than what was there before, in MiB.
pub const GROWTH_MAX: u64 = 128;
