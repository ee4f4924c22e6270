//! One row: directly, then through agent-shield.

use std::{
    collections::HashSet,
    fs::File,
    io::{BufRead, BufReader, Seek, SeekFrom},
    path::PathBuf,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use testkit::{Agent, Cluster, Nodes, Shield, http::Answer, testbed, wait_until};

use crate::{Row, Verdict, api::Api, fixtures, oracle, row::Operation, send};

/// How long a held request is watched for an effect that it must not have, in `--full`.
const ORACLE_TIME_MAX: u64 = 6;
/// How long an effect may take that must come: controllers are slow on a busy machine.
const EFFECT_TIME_MAX: u64 = 40;
/// How often a row is tried whose effect did not show: controllers that still work on the last row's
/// objects of the same names can take this one's away. A wrong verdict is never tried again.
const TRIES_MAX: u32 = 3;
const HOLD_TIME_MAX: Duration = Duration::from_secs(30);
/// How often a reviewer looks again at what drifted.
const APPROVALS_MAX: u32 = 4;

/// A cluster that rows may break, an agent whom RBAC would not stop, and a reviewer.
pub struct Harness {
    cluster: &'static Cluster,
    shield: Shield,
    agent: Agent,
    reviewer: PathBuf,
    api: Api,
    held: HashSet<String>,
}

/// What a row got.
pub struct Report {
    /// As it was seen.
    pub verdict: Option<Verdict>,
    /// What was wrong, if anything.
    pub failure: Option<String>,
}

/// Why a row is not as it should be.
enum Failure {
    /// Of the control, or of what was approved: no effect was seen.
    NotShown(String),
    /// Of agent-shield.
    Wrong(String),
}

impl Failure {
    fn into_words(self) -> String {
        match self {
            Self::NotShown(why) | Self::Wrong(why) => why,
        }
    }
}

impl From<String> for Failure {
    fn from(why: String) -> Self {
        Self::Wrong(why)
    }
}

/// What came first: an answer, or a hold.
enum Seen {
    Answered(Answer),
    Held(Value),
}

impl Harness {
    /// Starts a cluster of its own.
    ///
    /// # Panics
    /// Where that fails.
    pub fn start() -> Self {
        let testbed = testbed::build().expect("the testbed");
        // Leaked: it ends with this process.
        let cluster: &'static Cluster =
            Box::leak(Box::new(Cluster::start_attached(&testbed, Nodes::None).expect("a cluster")));
        let all = json!([
            {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
            {"nonResourceURLs": ["*"], "verbs": ["*"]},
        ]);
        let harness = cluster.cluster_agent("default", "harness", &all).expect("an administrator");
        let agent = cluster.cluster_agent("default", "agent", &all).expect("an agent");
        let api = Api::new(cluster.server(), cluster.ca(), &harness.token);
        for namespace in ["ns:prod", "ns:dev", "ns:vault", "ns:pay"] {
            fixtures::reset(&api, namespace).expect("a namespace");
        }
        let reviewer = cluster.reviewer("reviewer");
        let shield = Shield::start(cluster, &[]);
        Self { cluster, shield, agent, reviewer, api, held: HashSet::new() }
    }

    /// Runs a row.
    pub fn run(&mut self, row: &Row) -> Report {
        let mut verdict = None;
        let mut tries = 0;
        loop {
            tries += 1;
            let ran = self.direct(row).and_then(|took| self.shielded(row, took, &mut verdict));
            for operation in &row.cleanup {
                self.api.run(&Operation { ignore: true, ..operation.clone() });
            }
            match ran {
                Err(Failure::NotShown(why)) if tries < TRIES_MAX => {
                    println!("{}: again, because {why}", row.id);
                }
                ran => return Report { verdict, failure: ran.err().map(Failure::into_words) },
            }
        }
    }

    /// The positive control; how long the effect took.
    fn direct(&self, row: &Row) -> Result<Duration, Failure> {
        if row.basis != "live" {
            return Ok(Duration::ZERO);
        }
        self.prepare(row)?;
        let oracles = row.oracle.as_deref().unwrap_or_default();
        let before = oracle::snapshot(&self.api, oracles);
        let bytes = send::bytes(&self.api, row, &self.agent.token);
        let started = Instant::now();
        let answer = send::send(self.cluster.server(), &self.cluster.ca(), &bytes);
        let answer = answer.map_err(|error| format!("direct: {error}"))?;
        if !self.becomes_true(row, &answer, &before) {
            let why = format!("direct: no effect, {}: {}", answer.status, short(&answer));
            return Err(Failure::NotShown(why));
        }
        let took = started.elapsed();
        self.tidy(row, &before);
        Ok(took)
    }

    /// Takes away what the control has made, so that the request makes it anew.
    fn tidy(&self, row: &Row, before: &oracle::Snapshot) {
        for operation in &row.cleanup {
            self.api.run(&Operation { ignore: true, ..operation.clone() });
        }
        for path in oracle::paths(row.oracle.as_deref().unwrap_or_default()) {
            if !before.contains_key(path) {
                self.api.ask("DELETE", path, None, "");
                let gone = || self.api.get(path).status == 404;
                while !gone() {
                    thread::sleep(Duration::from_millis(50));
                }
            }
        }
    }

    fn prepare(&self, row: &Row) -> Result<(), String> {
        for key in &row.needs {
            fixtures::reset(&self.api, key)?;
        }
        for operation in &row.pre {
            self.api.run(operation);
        }
        Ok(())
    }

    fn becomes_true(&self, row: &Row, answer: &Answer, before: &oracle::Snapshot) -> bool {
        let limit = Duration::from_secs(row.wait.unwrap_or_default().max(EFFECT_TIME_MAX));
        let started = Instant::now();
        let oracles = row.oracle.as_deref().unwrap_or_default();
        loop {
            if oracles.iter().all(|it| oracle::is_true(&self.api, it, Some(answer), before)) {
                return true;
            }
            if started.elapsed() > limit {
                return false;
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    fn shielded(
        &mut self,
        row: &Row,
        took: Duration,
        verdict: &mut Option<Verdict>,
    ) -> Result<(), Failure> {
        self.prepare(row)?;
        let oracles = row.oracle.clone().unwrap_or_default();
        let before = oracle::snapshot(&self.api, &oracles);
        let bytes = send::bytes(&self.api, row, &self.agent.token);
        let mark = self.audit_end();
        let (url, ca) = (self.shield.agent_url.clone(), self.shield.ca());
        let (sender, answers) = mpsc::channel();
        thread::spawn(move || {
            // Nobody listens any more once the row has failed.
            let _ = sender.send(send::send(&url, &ca, &bytes));
        });
        let seen = self.first(&answers)?;
        let got = match &seen {
            Seen::Held(_) => Verdict::Hold,
            Seen::Answered(answer) => classed(answer),
        };
        *verdict = Some(got);
        let is_wanted = row.expect == got || row.also_ok.contains(&got);
        match seen {
            Seen::Held(hold) => {
                let checked = self.held(row, &hold, took, &oracles, &before);
                let answer = self.approve(&hold, &answers)?;
                checked?;
                if !is_wanted {
                    return Err(Failure::Wrong(format!("held: {}", hold["rules"])));
                }
                // A pinned request that lost a race has been sent, refused, looked at and sent again.
                let ran = self.audit_since(mark, |event| {
                    event["auditID"] == hold["auditID"] && succeeded(event)
                });
                if ran.len() > 1 {
                    return Err(Failure::Wrong(format!("approved, and ran {} times", ran.len())));
                }
                let shows = || !ran.is_empty() && self.becomes_true(row, &answer, &before);
                if row.basis == "live" && !shows() {
                    let why = format!("approved: no effect, {}: {}", answer.status, short(&answer));
                    return Err(Failure::NotShown(why));
                }
                Ok(())
            }
            Seen::Answered(answer) if !is_wanted => {
                Err(Failure::Wrong(format!("{got:?}: {} {}", answer.status, short(&answer))))
            }
            Seen::Answered(answer) if got == Verdict::Allow => {
                match row.basis != "live" || self.becomes_true(row, &answer, &before) {
                    true => Ok(()),
                    false => {
                        let why = format!("{}: {}", answer.status, short(&answer));
                        Err(Failure::NotShown(format!("allowed: no effect, {why}")))
                    }
                }
            }
            Seen::Answered(_) => {
                thread::sleep(took.min(Duration::from_secs(1)));
                self.unchanged(&oracles, &before)?;
                let agent = self.agent.username.clone();
                let ran = self.audit_since(mark, |event| {
                    event["user"]["username"] == agent.as_str() && is_real_write(event)
                });
                match ran.first() {
                    None => Ok(()),
                    Some(event) => Err(Failure::Wrong(format!("refused, and yet {event}"))),
                }
            }
        }
    }

    /// Waits for an answer or a hold.
    fn first(&mut self, answers: &mpsc::Receiver<std::io::Result<Answer>>) -> Result<Seen, String> {
        let started = Instant::now();
        while started.elapsed() < HOLD_TIME_MAX {
            match answers.recv_timeout(Duration::from_millis(100)) {
                Ok(Ok(answer)) => return Ok(Seen::Answered(answer)),
                Ok(Err(error)) => return Err(format!("shielded: {error}")),
                Err(_) => {}
            }
            let holds = self.shield.cli_json(&self.reviewer, &["holds"]);
            for hold in holds["items"].as_array().into_iter().flatten() {
                let id = hold["id"].as_str().unwrap_or_default().to_owned();
                if hold["state"] == "pending" && self.held.insert(id) {
                    return Ok(Seen::Held(hold.clone()));
                }
            }
        }
        Err("neither answered nor held".to_owned())
    }

    /// A held request has done nothing, for longer than it took to show when sent directly.
    fn held(
        &self,
        row: &Row,
        hold: &Value,
        took: Duration,
        oracles: &[Value],
        before: &oracle::Snapshot,
    ) -> Result<(), String> {
        let full = std::env::var_os("AGENT_SHIELD_FULL").is_some();
        let limit = Duration::from_secs(row.wait.unwrap_or(ORACLE_TIME_MAX));
        thread::sleep(if full {
            limit
        } else {
            (took * 2).clamp(Duration::from_millis(300), limit)
        });
        self.unchanged(oracles, before)?;
        let ran = self.cluster.audit_events(|event| event["auditID"] == hold["auditID"]);
        match ran.first() {
            None => Ok(()),
            Some(event) => Err(format!("held, and yet {event}")),
        }
    }

    fn unchanged(&self, oracles: &[Value], before: &oracle::Snapshot) -> Result<(), String> {
        let of_cluster: Vec<&Value> =
            oracles.iter().filter(|it| oracle::is_of_cluster(it)).collect();
        let all = of_cluster.iter().all(|it| oracle::is_true(&self.api, it, None, before));
        if !of_cluster.is_empty() && all {
            return Err("it took effect without an approval".to_owned());
        }
        let kept = |it: &&Value| it["unchanged"].is_string();
        match oracles.iter().filter(kept).all(|it| oracle::is_true(&self.api, it, None, before)) {
            true => Ok(()),
            false => Err("the object changed".to_owned()),
        }
    }

    fn approve(
        &self,
        hold: &Value,
        answers: &mpsc::Receiver<std::io::Result<Answer>>,
    ) -> Result<Answer, String> {
        let id = hold["id"].as_str().unwrap_or_default();
        let started = Instant::now();
        let mut approved = 0;
        while started.elapsed() < HOLD_TIME_MAX {
            // A controller may have changed the object meanwhile: then it is shown anew, and a
            // reviewer decides anew.
            let hold = self.shield.cli_json(&self.reviewer, &["show", id]);
            if hold["state"] == "pending" && approved < APPROVALS_MAX {
                approved += 1;
                let mut command = self.shield.cli(&self.reviewer);
                let output = command.args(["approve", id, "--reason", "test"]).output();
                let output = output.expect("a CLI");
                if !output.status.success() {
                    return Err(format!("approve: {}", String::from_utf8_lossy(&output.stderr)));
                }
            }
            match answers.recv_timeout(Duration::from_millis(500)) {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => return Err(format!("approved: {error}")),
                Err(_) => {}
            }
        }
        Err(format!("approved {approved} times, and no answer"))
    }

    fn audit_end(&self) -> u64 {
        std::fs::metadata(self.cluster.dir().join("audit.log")).map(|it| it.len()).unwrap_or(0)
    }

    fn audit_since(&self, mark: u64, keep: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut file = File::open(self.cluster.dir().join("audit.log")).expect("an audit log");
        file.seek(SeekFrom::Start(mark)).expect("a place in it");
        BufReader::new(file)
            .lines()
            .map_while(Result::ok)
            .filter_map(|line| serde_json::from_str(&line).ok())
            .filter(keep)
            .collect()
    }
}

/// What an answer says of who decided.
fn classed(answer: &Answer) -> Verdict {
    let ours = answer.text().contains("agent-shield");
    match answer.status {
        403 if ours => Verdict::Deny,
        400 | 401 | 404 | 405 | 413 | 415 | 431 if ours => Verdict::Reject,
        // The API server's own refusal of a request that it read as we did, or its parser's.
        400 | 401 => Verdict::Reject,
        _ => Verdict::Allow,
    }
}

/// Whether the API server did it for real: neither a read nor a dry run.
fn is_real_write(event: &Value) -> bool {
    let verb = event["verb"].as_str().unwrap_or_default();
    let target = event["requestURI"].as_str().unwrap_or_default();
    let dry = target.contains("dryRun=All") || event["requestObject"]["dryRun"][0] == "All";
    matches!(verb, "create" | "update" | "patch" | "delete" | "deletecollection")
        && !dry
        && succeeded(event)
}

fn succeeded(event: &Value) -> bool {
    event["stage"] == "ResponseComplete"
        && event["responseStatus"]["code"].as_u64().is_some_and(|code| code < 400)
}

fn short(answer: &Answer) -> String {
    answer.text().chars().take(300).collect()
}

/// For tests that wait on the harness's own agent-shield.
impl Harness {
    /// Stops agent-shield, which must end in time.
    pub fn stop(mut self) {
        let status = self.shield.terminate();
        assert!(status.success(), "agent-shield ended with {status}");
        wait_until(Duration::from_secs(5), "the log is whole", || {
            self.shield.log().contains("stopped").then_some(())
        });
    }
}
