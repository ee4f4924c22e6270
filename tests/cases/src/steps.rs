//! Sequences: several requests, and what reviewers, administrators and the machine do in between.
//! Each has agents of its own, as a denial stays with its agent for ten minutes.

use std::{collections::HashMap, thread, time::Duration};

use serde_json::{Value, json};
use testkit::{Agent, Cluster, Shield, wait_until};

use crate::{
    Row, Verdict, fixtures, oracle,
    relay::Relay,
    row::{Operation, Request, Step},
    run::{
        Failure, HOLD_TIME_MAX, Harness, Report, Seen, all_rights, full, is_real_write, verdicts,
    },
    send::{self, Sent},
};

/// How often requests race each other: in CI, and where there is time.
const RACES: u32 = 10;
const RACES_FULL: u32 = 200;

/// A request that later steps speak of.
struct Saved {
    request: Request,
    agent: String,
    hold: Value,
    /// Of what was shown of it when it was held.
    digest: Value,
    sent: Option<Sent>,
}

/// Where a sequence stands.
struct Sequence<'a> {
    harness: &'a mut Harness,
    row: &'a Row,
    agents: HashMap<String, Agent>,
    saved: HashMap<String, Saved>,
    /// Connections that stay open until the end.
    open: Vec<Sent>,
    /// Requests that ran: let through, or approved.
    may_run: usize,
}

impl Harness {
    /// Runs a row of several steps.
    pub(crate) fn sequence(&mut self, row: &Row, report: &mut Report) -> Result<(), Failure> {
        self.prepare(row)?;
        let oracles = row.oracle.clone().unwrap_or_default();
        let before = oracle::snapshot(&self.api, &oracles);
        let mark = self.cluster.audit_mark();
        let mut sequence = Sequence {
            harness: self,
            row,
            agents: HashMap::new(),
            saved: HashMap::new(),
            open: Vec::new(),
            may_run: 0,
        };
        let ran = row.steps.iter().enumerate().try_for_each(|(at, step)| {
            let rest = row.steps.get(at + 1..).unwrap_or_default();
            sequence.step(step, rest).map_err(|why| format!("step {}: {why}", at + 1))
        });
        let may_run = sequence.may_run;
        let agents: Vec<String> =
            sequence.agents.values().map(|agent| agent.username.clone()).collect();
        drop(sequence);
        ran?;
        report.verdict = Some(Verdict::Hold);
        self.unchanged(&oracles, &before)?;
        let writes = self.cluster.audit_since(mark, |event| {
            let user = event["user"]["username"].as_str().unwrap_or_default();
            agents.iter().any(|agent| agent == user) && is_real_write(event)
        });
        match writes.len() <= may_run {
            true => Ok(()),
            false => Err(Failure::Wrong(format!("{} ran, {may_run} may run", writes.len()))),
        }
    }
}

impl Sequence<'_> {
    fn step(&mut self, step: &Step, rest: &[Step]) -> Result<(), String> {
        if let Some(key) = &step.recreate {
            return fixtures::reset(&self.harness.api, key);
        }
        if step.admin {
            let Request { method, path, body, content_type, .. } = step.request.clone();
            let operation = Operation { method, path, body, content_type, ..Operation::default() };
            self.harness.api.run(&operation);
            return Ok(());
        }
        if let Some(name) = &step.approve {
            return self.approve(name, step.expect.as_deref(), rest);
        }
        if let Some(name) = &step.deny {
            let id = self.saved(name)?.hold["id"].clone();
            return self.harness.reviewer.deny(id.as_str().unwrap_or_default());
        }
        if let Some(name) = &step.replay {
            let saved = self.saved(name)?;
            let (request, agent) = (saved.request.clone(), saved.agent.clone());
            let again = Step { request, agent: Some(agent), ..step.clone() };
            return self.request(&again);
        }
        if step.restart_proxy {
            return self.restart();
        }
        if let Some(words) = &step.expect_state {
            return self.state(words);
        }
        if step.block_upstream_reads {
            return self.without_upstream(rest);
        }
        if !step.parallel.is_empty() {
            return self.race(&step.parallel);
        }
        if self.agents.contains_key(CUT_OFF) {
            return Ok(()); // Was sent when the road was cut.
        }
        self.request(step)
    }

    fn saved(&self, name: &str) -> Result<&Saved, String> {
        self.saved.get(name).ok_or_else(|| format!("no request is called {name}"))
    }

    /// An agent of this sequence's own.
    fn agent(&mut self, name: &str) -> (String, String) {
        let (cluster, id) = (self.harness.cluster, self.row.id.to_lowercase());
        let agent = self.agents.entry(name.to_owned()).or_insert_with(|| {
            let name = cluster.unique(&format!("{name}-{id}"));
            cluster.cluster_agent("default", &name, &all_rights()).expect("an agent")
        });
        (agent.username.clone(), agent.token.clone())
    }

    fn request(&mut self, step: &Step) -> Result<(), String> {
        let name = step.agent.clone().unwrap_or_else(|| "agent".to_owned());
        let (username, token) = self.agent(&name);
        let bytes = send::bytes(&self.harness.api, &step.request, &token);
        let sent = self.harness.send(bytes)?;
        let seen = self.harness.first(&sent, |hold| hold["user"]["username"] == *username)?;
        let expect = step.expect.as_deref().unwrap_or("hold");
        self.is_wanted(expect, &seen)?;
        match &seen {
            Seen::Held(hold) => {
                is_of_the_request(hold, &step.request)?;
                // Of a build without sentences, no sentence is compared.
                let is_mute = std::env::var_os("AGENT_SHIELD_MUTE").is_some();
                if let Some(words) =
                    step.shows.as_ref().filter(|it| !is_mute && !hold.to_string().contains(*it))
                {
                    return Err(format!("the hold does not say {words}: {hold}"));
                }
            }
            Seen::Answered(_) => self.may_run += usize::from(expect == "allow"),
        }
        match (&step.save, seen) {
            (Some(save), Seen::Held(hold)) => {
                let request = step.request.clone();
                let id = hold["id"].as_str().unwrap_or_default();
                let digest = self.harness.reviewer.show(id)["preview"]["digest"].clone();
                let saved = Saved { request, agent: name, hold, digest, sent: Some(sent) };
                self.saved.insert(save.clone(), saved);
            }
            _ => self.open.push(sent),
        }
        Ok(())
    }

    fn is_wanted(&self, expect: &str, seen: &Seen) -> Result<(), String> {
        let (read_as, words) = match seen {
            Seen::Held(hold) => (vec![Verdict::Hold], format!("held: {}", hold["rules"])),
            Seen::Answered(answer) => {
                (verdicts(answer), format!("{}: {}", answer.status, answer.text()))
            }
        };
        let right = |verdict: &Verdict| match expect {
            "hold" => *verdict == Verdict::Hold,
            // A person may still be asked about what is refused by default.
            "deny" => *verdict == Verdict::Deny || self.row.takes(*verdict),
            "reject" => *verdict == Verdict::Reject,
            "allow" => *verdict == Verdict::Allow,
            _ => false,
        };
        let also = |verdict: &Verdict| self.row.also_ok.contains(verdict);
        match read_as.iter().any(|it| right(it) || also(it)) {
            true => Ok(()),
            false => Err(format!("expected {expect}, and was {words}")),
        }
    }

    fn approve(&mut self, name: &str, expect: Option<&str>, rest: &[Step]) -> Result<(), String> {
        let saved =
            self.saved.get_mut(name).ok_or_else(|| format!("no request is called {name}"))?;
        let id = saved.hold["id"].as_str().unwrap_or_default().to_owned();
        let digest = saved.digest.clone();
        let sent = saved.sent.take().ok_or("its connection has ended")?;
        // What another request could profit from is an approval that waits for its own.
        let waits =
            rest.iter().any(|step| step.replay.is_none() && !step.request.method.is_empty());
        if waits {
            sent.leave();
            wait_until(HOLD_TIME_MAX, "nobody waits on the hold", || {
                (self.harness.reviewer.show(&id)["waiting"] == 0).then_some(())
            });
            return self.harness.reviewer.approve(&id);
        }
        if expect != Some("re-hold") {
            let hold = self.saved(name)?.hold.clone();
            self.may_run += 1;
            return self.harness.approve(&hold, &sent).map(|_| ());
        }
        // What was seen is not there any more: either the approval is refused, or the look before the
        // send finds out.
        self.harness.reviewer.approve_as_shown(&id, &digest)?;
        let again = wait_until(HOLD_TIME_MAX, "it is held again", || {
            let hold = self.harness.reviewer.show(&id);
            let drifted = hold["state"] == "pending" && hold["drifts"].as_u64() > Some(0);
            (drifted || !matches!(hold["state"].as_str(), Some("pending" | "approved" | "running")))
                .then_some(hold)
        });
        self.open.push(sent);
        match again["state"] == "pending" {
            true => Ok(()),
            false => {
                Err(format!("the approval of what was seen before ended as {}", again["state"]))
            }
        }
    }

    fn restart(&mut self) -> Result<(), String> {
        let status = self.harness.shield.terminate();
        if !status.success() {
            return Err(format!("agent-shield ended with {status}"));
        }
        self.harness.shield.restart();
        for saved in self.saved.values_mut() {
            let Some(sent) = saved.sent.take() else { continue };
            let answer = sent.answer.recv_timeout(HOLD_TIME_MAX).map_err(|it| it.to_string())?;
            let status = answer.map_or(0, |answer| answer.status);
            if !matches!(status, 0 | 429 | 503) {
                return Err(format!("its client was answered {status} at the restart"));
            }
        }
        Ok(())
    }

    fn state(&mut self, words: &str) -> Result<(), String> {
        let pending = words.contains("still pending");
        for saved in self.saved.values().filter(|_| pending) {
            let id = saved.hold["id"].as_str().unwrap_or_default();
            let now = self.harness.reviewer.show(id);
            if now["state"] != "pending" {
                return Err(format!("hold {id} is {} and not {words}", now["state"]));
            }
        }
        match pending {
            true => Ok(()),
            false => Err(format!("cannot tell whether {words}")),
        }
    }

    /// Sends the remaining requests to an agent-shield whose road to the API server is cut.
    fn without_upstream(&mut self, rest: &[Step]) -> Result<(), String> {
        let cluster = self.harness.cluster;
        let relay = Relay::to(cluster.server()).map_err(|error| error.to_string())?;
        let shield = behind(cluster, &relay);
        let (_, token) = self.agent(CUT_OFF);
        // Known before: the answer must not hang on who it is alone.
        let known = Request {
            method: "POST".into(),
            path: "/apis/authentication.k8s.io/v1/selfsubjectreviews".into(),
            body: Some(
                json!({"kind": "SelfSubjectReview", "apiVersion": "authentication.k8s.io/v1"}),
            ),
            ..Request::default()
        };
        let ask = |request: &Request| {
            let bytes = send::bytes(&self.harness.api, request, &token);
            let sent = send::start(&shield.agent_url, &shield.ca(), bytes);
            sent.map_err(|error| error.to_string())
        };
        let first = ask(&known)?.answer.recv().map_err(|it| it.to_string())?;
        if !first.as_ref().is_ok_and(|answer| answer.status == 201) {
            return Err(format!("before the cut: {first:?}"));
        }
        self.may_run += 1;
        relay.cut();
        for step in rest {
            let sent = ask(&step.request)?;
            match sent.answer.recv_timeout(HOLD_TIME_MAX) {
                Ok(Ok(answer)) if answer.status != 503 => {
                    return Err(format!("answered {}: {}", answer.status, answer.text()));
                }
                // Refused, or still held.
                _ => {}
            }
        }
        Ok(())
    }

    /// Requests at the same moment, again and again: not one may get through.
    fn race(&mut self, steps: &[Step]) -> Result<(), String> {
        let times = if full() { RACES_FULL } else { RACES };
        let (username, token) = self.agent("agent");
        for _ in 0..times {
            let mut racing = Vec::new();
            for step in steps {
                let bytes = send::bytes(&self.harness.api, &step.request, &token);
                racing.push((step, self.harness.send(bytes)?));
            }
            // The same request joins the hold that it has: who waits there is held.
            wait_until(HOLD_TIME_MAX, "all of them are held", || {
                let pending = self.harness.reviewer.pending();
                let waits = |request: &Request| {
                    pending.iter().any(|hold| {
                        hold["user"]["username"] == *username
                            && hold["waiting"].as_u64() > Some(0)
                            && is_of_the_request(hold, request).is_ok()
                    })
                };
                racing.iter().all(|(step, _)| waits(&step.request)).then_some(())
            });
            for (_, sent) in racing {
                if let Ok(answer) = sent.answer.try_recv() {
                    return Err(format!("one was answered: {answer:?}"));
                }
                sent.leave();
            }
            wait_until(HOLD_TIME_MAX, "they have left", || {
                let pending = self.harness.reviewer.pending();
                let of_these = |hold: &&Value| hold["user"]["username"] == *username;
                pending.iter().filter(of_these).all(|hold| hold["waiting"] == 0).then_some(())
            });
        }
        // What a control plane does late would show by now.
        thread::sleep(Duration::from_millis(300));
        Ok(())
    }
}

/// The agent of the agent-shield whose road is cut.
const CUT_OFF: &str = "cut-off";

fn behind(cluster: &'static Cluster, relay: &Relay) -> Shield {
    let token = cluster.bare_token("agent-shield", "agent-shield").expect("a token");
    let kubeconfig = cluster.dir().join(cluster.unique("relay"));
    let user = json!({"token": token});
    cluster.write_kubeconfig(&kubeconfig, &relay.url, &cluster.ca(), &user).expect("a kubeconfig");
    Shield::start_as(cluster, testkit::Credential::Kubeconfig(kubeconfig), &[])
}

/// A hold shows what was asked: nothing of an agent's own headers decides or speaks for it.
fn is_of_the_request(hold: &Value, request: &Request) -> Result<(), String> {
    let shown = &hold["request"];
    if shown["method"] != request.method.as_str() || shown["requestURI"] != request.path.as_str() {
        return Err(format!("the hold is of {shown}"));
    }
    let text = hold.to_string();
    match request
        .headers
        .iter()
        .find(|(name, value)| name.starts_with("X-") && text.contains(value))
    {
        Some((name, _)) => Err(format!("the hold shows the agent's own {name}")),
        None => Ok(()),
    }
}
