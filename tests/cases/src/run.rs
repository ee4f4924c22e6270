//! One row: directly, then through agent-shield.

use std::{
    any::Any,
    collections::HashSet,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use testkit::{
    Agent, Cluster, Nodes, Shield,
    http::{self, Answer},
    testbed, wait_until,
};

use crate::{
    Row, Verdict,
    api::{Api, MERGE},
    fixtures, named, oracle,
    reviewer::Reviewer,
    row::{Operation, Request},
    send::{self, Bytes, Sent},
};

/// How long a held request is watched for an effect that it must not have, in `--full`.
const ORACLE_TIME_MAX: u64 = 6;
/// How long an effect may take that must come: controllers are slow on a busy machine.
const EFFECT_TIME_MAX: u64 = 40;
/// How often a row is tried whose effect did not show: controllers that still work on the last row's
/// objects of the same names can take this one's away. A wrong verdict is never tried again.
const TRIES_MAX: u32 = 8;
const AUTOSCALERS: &str = "/apis/autoscaling/v2/namespaces/prod/horizontalpodautoscalers";
/// Nodes that rows make; one that is not there yet is none to mend.
const NODES: [&str; 2] = ["/api/v1/nodes/n1", "/api/v1/nodes/n2"];
pub(crate) const HOLD_TIME_MAX: Duration = Duration::from_secs(30);
/// How often a reviewer looks again at what drifted.
const APPROVALS_MAX: u32 = 4;

/// A cluster that rows may break, an agent whom RBAC would not stop, and a reviewer.
pub struct Harness {
    pub(crate) cluster: &'static Cluster,
    pub(crate) shield: Shield,
    pub(crate) agent: Agent,
    /// Who writes nothing that a row is about.
    other: Agent,
    pub(crate) reviewer: Reviewer,
    pub(crate) api: Api,
    seen: HashSet<String>,
}

/// What a row got.
#[derive(Debug, Default)]
pub struct Report {
    /// As it was seen.
    pub verdict: Option<Verdict>,
    /// What was wrong, if anything.
    pub failure: Option<String>,
    /// Held only because what would happen could not be worked out.
    pub blind: bool,
}

/// A hold with its preview, as the review API shows it.
pub struct Held(pub Value);

/// Why a row is not as it should be.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Of the control, or of what was approved: no effect was seen.
    NotShown(String),
    /// Of an object that the API server no longer had, or not in the version that was read (404, 409).
    Missed(String),
    /// Of agent-shield.
    Wrong(String),
}

impl Failure {
    /// Of an answer that is not as it should be.
    fn of(answer: &Answer, why: String) -> Self {
        match answer.status {
            404 | 409 => Self::Missed(why),
            // The API server's own: it is not ready for this resource yet.
            429 if !answer.text().contains("agent-shield") => Self::NotShown(why),
            _ => Self::Wrong(why),
        }
    }

    fn into_words(self) -> String {
        match self {
            Self::NotShown(why) | Self::Missed(why) | Self::Wrong(why) => why,
        }
    }
}

impl From<String> for Failure {
    fn from(why: String) -> Self {
        Self::Wrong(why)
    }
}

/// What came first: an answer, or a hold.
#[derive(Debug)]
pub(crate) enum Seen {
    Answered(Answer),
    Held(Value),
}

/// Every right: RBAC is not what stops the harness's agents.
pub(crate) fn all_rights() -> Value {
    json!([
        {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
        {"nonResourceURLs": ["*"], "verbs": ["*"]},
    ])
}

impl Harness {
    /// Starts a cluster of its own.
    ///
    /// # Errors
    /// Where that fails.
    pub fn try_start() -> Result<Self, String> {
        catch_unwind(Self::start).map_err(|panic| words_of(&*panic))
    }

    /// Starts a cluster of its own.
    ///
    /// # Panics
    /// Where that fails.
    pub fn start() -> Self {
        let testbed = testbed::build().expect("the testbed");
        // Leaked: it ends with this process.
        let cluster: &'static Cluster =
            Box::leak(Box::new(Cluster::start_attached(&testbed, Nodes::None).expect("a cluster")));
        let all = all_rights();
        let harness = cluster.cluster_agent("default", "harness", &all).expect("an administrator");
        let agent = cluster.cluster_agent("default", "agent", &all).expect("an agent");
        let person = cluster.cluster_agent("default", "reviewer", &all).expect("a reviewer");
        let api = Api::new(cluster.server(), cluster.ca(), &harness);
        for namespace in ["ns:prod", "ns:dev", "ns:vault", "ns:pay"] {
            fixtures::reset(&api, namespace).expect("a namespace");
        }
        let shield = Shield::start(cluster, &["--allow-reviewer", &person.username]);
        let reviewer = Reviewer::new(&shield, &person.token);
        Self { cluster, shield, agent, other: harness, reviewer, api, seen: HashSet::new() }
    }

    /// Runs a row. A panic is a failure of the row, and the harness is of no use after it.
    ///
    /// # Errors
    /// What the panic said.
    pub fn try_run(&mut self, row: &Row) -> Result<Report, String> {
        catch_unwind(AssertUnwindSafe(|| self.run(row))).map_err(|panic| words_of(&*panic))
    }

    fn run(&mut self, row: &Row) -> Report {
        let mut report = Report::default();
        let mut tries = 0;
        loop {
            tries += 1;
            let ran = match row.steps.is_empty() {
                true => self.single(row, &mut report),
                false => self.sequence(row, &mut report),
            };
            for operation in &row.cleanup {
                self.api.run(&Operation { ignore: true, ..operation.clone() });
            }
            match ran {
                Err(Failure::NotShown(why)) if tries < TRIES_MAX => {
                    println!("{}: again, because {why}", row.id);
                }
                ran => {
                    report.failure = ran.err().map(Failure::into_words);
                    return report;
                }
            }
        }
    }

    fn single(&mut self, row: &Row, report: &mut Report) -> Result<(), Failure> {
        let since = self.cluster.audit_mark();
        let direct = self.direct(row);
        let direct = direct.map_err(|failure| self.unless_disturbed(row, since, failure))?;
        self.prepare(row)?;
        let oracles = row.oracle.clone().unwrap_or_default();
        let before = oracle::snapshot(&self.api, &oracles);
        let ran = self.shielded(row, report, direct.as_ref(), &oracles, &before);
        let ran = ran.map_err(|failure| self.unless_disturbed(row, since, failure));
        // What it made must not stand in the way of the rows after it.
        for path in oracle::paths(&oracles).filter(|path| !before.contains_key(*path)) {
            self.api.ask("DELETE", path, None, "");
        }
        ran
    }

    fn shielded(
        &mut self,
        row: &Row,
        report: &mut Report,
        direct: Option<&Answer>,
        oracles: &[Value],
        before: &oracle::Snapshot,
    ) -> Result<(), Failure> {
        let bytes = send::bytes(&self.api, &row.request, &self.agent.token);
        let mark = self.cluster.audit_mark();
        let sent = self.send(bytes)?;
        match self.first(&sent, |_| true)? {
            Seen::Held(hold) => {
                report.verdict = Some(Verdict::Hold);
                let checked = self.held(row, &hold, mark, oracles, before);
                // What was not seen to work need not; and some would take agent-shield itself away.
                let answer = match row.basis.as_str() {
                    "live" => Some(self.approve(&hold, &sent)?),
                    _ => None,
                };
                checked?;
                if !row.takes(Verdict::Hold) {
                    return Err(Failure::Wrong(format!("held: {}", hold["rules"])));
                }
                report.blind = named::check(row, &hold)?;
                match answer {
                    Some(answer) => self.ran_once(row, &hold, mark, &answer, before),
                    None => {
                        self.leave(sent, &hold);
                        Ok(())
                    }
                }
            }
            Seen::Answered(answer) => {
                let read_as = verdicts(&answer);
                let verdict = read_as.iter().find(|it| row.takes(**it));
                report.verdict = verdict.or(read_as.first()).copied();
                let Some(verdict) = verdict else {
                    let why = format!("{read_as:?}: {} {}", answer.status, short(&answer));
                    return Err(Failure::of(&answer, why));
                };
                if *verdict == Verdict::Allow {
                    return self.allowed(row, direct, &answer, before);
                }
                self.lets_a_later_write_pass()?;
                self.unchanged(oracles, before)?;
                self.ran_nothing(mark, &[self.agent.username.as_str()])
            }
        }
    }

    /// The positive control, and the API server's answer. What must be let through is sent too.
    fn direct(&self, row: &Row) -> Result<Option<Answer>, Failure> {
        if row.basis != "live" && row.expect != Verdict::Allow {
            return Ok(None);
        }
        self.prepare(row)?;
        let oracles = row.oracle.as_deref().unwrap_or_default();
        let before = oracle::snapshot(&self.api, oracles);
        let bytes = send::bytes(&self.api, &row.request, &self.agent.token);
        let sent = send::start(self.cluster.server(), &self.cluster.ca(), bytes);
        let answer = sent
            .and_then(|sent| sent.answer.recv_timeout(HOLD_TIME_MAX).map_err(io::Error::other)?);
        let answer = answer.map_err(|error| format!("direct: {error}"))?;
        if row.basis == "live" && !self.becomes_true(row, &answer, &before) {
            let why = format!("direct: no effect, {}: {}", answer.status, short(&answer));
            return Err(Failure::NotShown(why));
        }
        self.tidy(row, &before);
        Ok(Some(answer))
    }

    /// Takes away what the control has made, so that the request makes it anew.
    fn tidy(&self, row: &Row, before: &oracle::Snapshot) {
        for operation in &row.cleanup {
            self.api.run(&Operation { ignore: true, ..operation.clone() });
        }
        for path in oracle::paths(row.oracle.as_deref().unwrap_or_default()) {
            if !before.contains_key(path) {
                self.api.ask("DELETE", path, None, "");
                wait_until(HOLD_TIME_MAX, "what the control made is gone", || {
                    (self.api.get(path).status == 404).then_some(())
                });
            }
        }
    }

    pub(crate) fn prepare(&self, row: &Row) -> Result<(), String> {
        // One that an earlier row has left would scale this row's workloads.
        if !row.needs.iter().any(|it| it.starts_with("hpa:")) {
            self.api.ask("DELETE", AUTOSCALERS, None, "");
        }
        // A taint that an earlier row has left would evict this row's pods.
        if !row.needs.iter().any(|it| it.starts_with("node:")) {
            for node in NODES {
                self.api.ask("PATCH", node, Some(MERGE), r#"{"spec":{"taints":null}}"#);
            }
        }
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
        let oracles = row.oracle.as_deref().unwrap_or_default();
        oracle::becomes(limit, || {
            oracles.iter().all(|it| oracle::is_true(&self.api, it, Some(answer), before))
        })
    }

    /// Sends through agent-shield.
    pub(crate) fn send(&self, bytes: Bytes) -> Result<Sent, String> {
        let sent = send::start(&self.shield.agent_url, &self.shield.ca(), bytes);
        sent.map_err(|error| format!("shielded: {error}"))
    }

    /// Waits for an answer, or for a hold that was not seen before and is the one that is meant.
    pub(crate) fn first(
        &mut self,
        sent: &Sent,
        is: impl Fn(&Value) -> bool,
    ) -> Result<Seen, String> {
        let started = Instant::now();
        while started.elapsed() < HOLD_TIME_MAX {
            match sent.answer.recv_timeout(Duration::from_millis(50)) {
                Ok(Ok(answer)) => return Ok(Seen::Answered(answer)),
                Ok(Err(error)) => return Err(format!("shielded: {error}")),
                Err(_) => {}
            }
            // Whose agent has left is none that this request waits on.
            let waits = |hold: &Value| hold["waiting"].as_u64() > Some(0);
            for hold in self.reviewer.pending().into_iter().filter(|it| waits(it) && is(it)) {
                let id = hold["id"].as_str().unwrap_or_default().to_owned();
                if self.seen.insert(id) {
                    return Ok(Seen::Held(hold));
                }
            }
        }
        Err("neither answered nor held".to_owned())
    }

    /// A held request has done nothing, though a later one has. Where its
    /// effect is there all the same, though the agent wrote nothing at all, a controller still worked on
    /// what the control had left.
    fn held(
        &self,
        row: &Row,
        hold: &Value,
        mark: u64,
        oracles: &[Value],
        before: &oracle::Snapshot,
    ) -> Result<(), Failure> {
        if full() {
            // This is about time: nothing comes later either.
            thread::sleep(Duration::from_secs(row.wait.unwrap_or(ORACLE_TIME_MAX)));
        }
        self.lets_a_later_write_pass()?;
        let id = hold["auditID"].as_str().unwrap_or_default();
        let ran = self.cluster.audit_events_about(id, |event| event["auditID"] == id);
        if let Some(event) = ran.first() {
            return Err(Failure::Wrong(format!("held, and yet {event}")));
        }
        self.ran_nothing(mark, &[self.agent.username.as_str()])?;
        self.unchanged(oracles, before).map_err(Failure::NotShown)
    }

    /// Another agent's write passes: what was to happen before it by itself has happened.
    fn lets_a_later_write_pass(&self) -> Result<(), Failure> {
        let review = r#"{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}"#;
        let target = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
        let json = Some("application/json");
        let answer = self.shield.request(&self.other, "POST", target, json, review.as_bytes());
        match answer.status {
            201 => Ok(()),
            status => Err(Failure::Wrong(format!("a later write: {status}: {}", short(&answer)))),
        }
    }

    /// A controller that still worked on what the control had left may have taken this try's objects
    /// away or changed them: then the API server's 404 or 409 says nothing of agent-shield.
    fn unless_disturbed(&self, row: &Row, since: u64, failure: Failure) -> Failure {
        let others = self.others(row, since);
        match failure {
            Failure::NotShown(why) | Failure::Missed(why) if !others.is_empty() => {
                Failure::NotShown(format!("{why}, after {others}"))
            }
            failure => failure,
        }
    }

    /// What others than the agent and the harness have done to the objects that the row needs or looks at.
    fn others(&self, row: &Row, since: u64) -> String {
        let needed = row.needs.iter().filter(|it| !it.starts_with("ns:"));
        let needed: Vec<String> = needed.map(|key| fixtures::path_of(key)).collect();
        let paths = || {
            let looked_at = oracle::paths(row.oracle.as_deref().unwrap_or_default());
            needed.iter().map(String::as_str).chain(looked_at)
        };
        let events = self.cluster.audit_since(since, |event| {
            let user = event["user"]["username"].as_str().unwrap_or_default();
            let target = event["requestURI"].as_str().unwrap_or_default();
            let path = target.split('?').next().unwrap_or_default();
            // The object itself, or a subresource of it.
            let is_of = |it: &str| {
                path == it || path.rsplit_once('/').is_some_and(|(object, _)| object == it)
            };
            user != self.agent.username
                && user != self.api.username
                && paths().any(is_of)
                && is_real_write(event)
        });
        let said = events.iter().map(|event| {
            let text = |pointer| event.pointer(pointer).and_then(Value::as_str).unwrap_or("?");
            format!("{} {} by {}", text("/verb"), text("/requestURI"), text("/user/username"))
        });
        said.collect::<Vec<_>>().join(", ")
    }

    pub(crate) fn unchanged(
        &self,
        oracles: &[Value],
        before: &oracle::Snapshot,
    ) -> Result<(), String> {
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

    /// Nothing that these users sent was done for real.
    pub(crate) fn ran_nothing(&self, mark: u64, users: &[&str]) -> Result<(), Failure> {
        let ran = self.cluster.audit_since(mark, |event| {
            let user = event["user"]["username"].as_str().unwrap_or_default();
            users.contains(&user) && is_real_write(event)
        });
        match ran.first() {
            None => Ok(()),
            Some(event) => Err(Failure::Wrong(format!("nobody approved, and yet {event}"))),
        }
    }

    /// An approved request ran exactly once and did what the control did.
    fn ran_once(
        &self,
        row: &Row,
        hold: &Value,
        mark: u64,
        answer: &Answer,
        before: &oracle::Snapshot,
    ) -> Result<(), Failure> {
        // A pinned request that lost a race has been sent, refused, looked at and sent again.
        let ran = self
            .cluster
            .audit_since(mark, |event| event["auditID"] == hold["auditID"] && succeeded(event));
        // An approved collection is sent as each of its objects, once.
        let targets: HashSet<&str> =
            ran.iter().filter_map(|it| it["requestURI"].as_str()).collect();
        if ran.len() > targets.len().max(1) {
            return Err(Failure::Wrong(format!("approved, and ran {} times", ran.len())));
        }
        let shows = || !ran.is_empty() && self.becomes_true(row, answer, before);
        // What may be refused as well need not have an effect.
        if row.expect == Verdict::Hold && !shows() {
            let why = format!("approved: no effect, {}: {}", answer.status, short(answer));
            return Err(Failure::NotShown(why));
        }
        Ok(())
    }

    /// An allowed request is answered as the API server answers, and does what it does there.
    fn allowed(
        &self,
        row: &Row,
        direct: Option<&Answer>,
        answer: &Answer,
        before: &oracle::Snapshot,
    ) -> Result<(), Failure> {
        if let Some(direct) = direct {
            let refused = if direct.status < 400 { answer } else { direct };
            same_answer(direct, answer).map_err(|why| Failure::of(refused, why))?;
        }
        match row.basis != "live" || self.becomes_true(row, answer, before) {
            true => Ok(()),
            false => {
                let why = format!("{}: {}", answer.status, short(answer));
                Err(Failure::NotShown(format!("allowed: no effect, {why}")))
            }
        }
    }

    /// The agent gives up; the same request of a later row will find the same hold.
    fn leave(&mut self, sent: Sent, hold: &Value) {
        let id = hold["id"].as_str().unwrap_or_default();
        sent.leave();
        wait_until(HOLD_TIME_MAX, "nobody waits on the hold", || {
            (self.reviewer.show(id)["waiting"] == 0).then_some(())
        });
        self.seen.remove(id);
    }

    pub(crate) fn approve(&self, hold: &Value, sent: &Sent) -> Result<Answer, String> {
        let id = hold["id"].as_str().unwrap_or_default();
        let started = Instant::now();
        let mut approved = 0;
        while started.elapsed() < HOLD_TIME_MAX {
            // A controller may have changed the object meanwhile: then it is shown anew, and a
            // reviewer decides anew.
            if self.reviewer.show(id)["state"] == "pending" && approved < APPROVALS_MAX {
                approved += 1;
                self.reviewer.approve(id)?;
            }
            match sent.answer.recv_timeout(Duration::from_millis(500)) {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => return Err(format!("approved: {error}")),
                Err(_) => {}
            }
        }
        Err(format!("approved {approved} times, and no answer"))
    }

    /// Makes a fixture anew.
    ///
    /// # Panics
    /// Where that fails.
    pub fn fixture(&self, key: &str) {
        fixtures::reset(&self.api, key).expect("a fixture");
    }

    /// An object as it is now.
    pub fn get(&self, path: &str) -> Value {
        self.api.get(path).json()
    }

    /// What an administrator's dry run answers, in this media type.
    pub fn dry_run(&self, method: &str, path: &str, body: &Value, accept: &str) -> Vec<u8> {
        let authorization = format!("Bearer {}", self.api.token);
        let headers = [
            ("Authorization", authorization.as_str()),
            ("Accept", accept),
            ("Content-Type", "application/json"),
            ("Connection", "close"),
        ];
        let target = format!("{path}?dryRun=All");
        let body = body.to_string().into_bytes();
        let answer =
            http::request(&self.api.server, &self.api.ca, method, &target, &headers, &body);
        answer.unwrap_or_default().body
    }

    /// What a reviewer is shown of a request that must be held; the agent then leaves.
    ///
    /// # Panics
    /// Where it is answered.
    pub fn held_for(&mut self, method: &str, path: &str, content_type: &str, body: &[u8]) -> Held {
        let request = Request {
            method: method.to_owned(),
            path: path.to_owned(),
            content_type: Some(content_type.to_owned()),
            body_b64: Some(testkit::base64(body)),
            ..Request::default()
        };
        let bytes = send::bytes(&self.api, &request, &self.agent.token);
        let sent = self.send(bytes).expect("a connection");
        let seen = self.first(&sent, |_| true).expect("a hold");
        sent.leave();
        match seen {
            Seen::Held(hold) => Held(self.reviewer.show(hold["id"].as_str().unwrap_or_default())),
            Seen::Answered(answer) => panic!("{path}: {} {}", answer.status, answer.text()),
        }
    }

    /// Stops agent-shield, which must end in time, and the cluster.
    ///
    /// # Errors
    /// Where it does not.
    pub fn stop(mut self) -> Result<(), String> {
        let ended = catch_unwind(AssertUnwindSafe(|| {
            let status = self.shield.terminate();
            assert!(status.success(), "agent-shield ended with {status}");
            wait_until(Duration::from_secs(5), "the log is whole", || {
                self.shield.log().contains("stopped").then_some(())
            });
        }));
        ended.map_err(|panic| words_of(&*panic))
    }
}

impl Drop for Harness {
    fn drop(&mut self) {
        // Its processes would slow down the rows that other clusters still run.
        let _ = Cluster::stop(self.cluster.dir());
    }
}

/// What a panic said.
fn words_of(panic: &(dyn Any + Send)) -> String {
    let words = panic.downcast_ref::<String>().cloned();
    words
        .or_else(|| panic.downcast_ref::<&str>().map(|it| (*it).to_owned()))
        .unwrap_or_else(|| "a panic without words".to_owned())
}

/// Whether what is too long for CI runs too.
pub(crate) fn full() -> bool {
    std::env::var_os("AGENT_SHIELD_FULL").is_some()
}

/// How an answer may be read: who decided, and what.
pub(crate) fn verdicts(answer: &Answer) -> Vec<Verdict> {
    let ours = answer.text().contains("agent-shield");
    match answer.status {
        403 if ours => vec![Verdict::Deny],
        400..500 if ours && answer.status != 429 => vec![Verdict::Reject],
        429 | 500.. if ours => vec![],
        // The API server's own refusal, or its parser's: of what it cannot read, or has not.
        400 | 401 | 404 | 405 | 409 | 413 | 415 | 422 | 431 => {
            vec![Verdict::Reject, Verdict::Allow]
        }
        _ => vec![Verdict::Allow],
    }
}

/// Two answers of the API server to the same request: the same but for what differs each time.
fn same_answer(direct: &Answer, answer: &Answer) -> Result<(), String> {
    if direct.status != answer.status {
        return Err(format!("answered {} and directly {}", answer.status, direct.status));
    }
    for name in ["content-type", "cache-control", "warning"] {
        // What agent-shield itself warns of is not the API server's.
        let here = answer.header(name).filter(|it| !it.starts_with("299 agent-shield "));
        let there = direct.header(name);
        if here != there {
            return Err(format!("{name} is {here:?} and directly {there:?}"));
        }
    }
    let shape = |answer: &Answer| {
        let json = answer.json();
        let text = |path| json.pointer(path).cloned().unwrap_or_default();
        ["/kind", "/apiVersion", "/reason", "/metadata/namespace"].map(text)
    };
    let (here, there) = (shape(answer), shape(direct));
    match here == there && answer.body.is_empty() == direct.body.is_empty() {
        true => Ok(()),
        false => Err(format!("answered {here:?} and directly {there:?}")),
    }
}

/// Whether the API server did it for real: neither a read nor a dry run.
pub(crate) fn is_real_write(event: &Value) -> bool {
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
