//! A held request: in the store before it waits, and what its agent is told of it.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use hold::{Hold, HoldId, Insertion, Join, Preview, Quorum, Shown, State, Summary};
use http::Response;
use jiff::Timestamp;
use judge::{Judged, Judgement, Write};
use ledger::{
    Action, DecisionRecord, Entry, HoldEvent, HoldRecord, Identity, Outcome, Stage, StoreError,
};
use payload::Redactor;
use policy::{Decision, PolicyDecision};
use review::{Queue, Queued, Saw, Waiter, Woken};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use upstream::Body;

use crate::{
    answers,
    error::ProxyError,
    inbound::InboundWrite,
    recorder::Recorder,
    run::{Run, Runner},
    settings::Settings,
    shown,
};

/// The store is looked at again so often, should a wake-up get lost.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
const RETRY_SOON: Duration = Duration::from_secs(1);
/// So long before its client gives up, a request is answered.
const BEFORE_TIMEOUT: Duration = Duration::from_millis(500);

/// Holds requests until they are decided.
pub(crate) struct Holding {
    pub(crate) runner: Arc<Runner>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) recorder: Recorder,
    pub(crate) redactor: Redactor,
    pub(crate) tasks: TaskTracker,
    pub(crate) stopping: CancellationToken,
    pub(crate) settings: Settings,
}

impl Holding {
    /// Holds a request until a person decides, the client's patience ends, or the proxy stops.
    pub(crate) async fn hold(
        self: &Arc<Self>,
        write: Arc<InboundWrite>,
        judgement: Judgement,
    ) -> Result<Response<Body>, ProxyError> {
        let mut waiter = self.enqueue(&write, judgement).await?;
        write.record.is_recorded();
        write.record.waits_on(waiter.id());
        let open = self.open_time(&write);
        self.wait(&write, open, &mut waiter).await
    }

    async fn wait(
        self: &Arc<Self>,
        write: &Arc<InboundWrite>,
        open: Open,
        waiter: &mut Waiter,
    ) -> Result<Response<Body>, ProxyError> {
        let id = waiter.id().clone();
        loop {
            let hold = self.queue.load(&id).await?;
            let hold = hold.ok_or_else(|| StoreError::Corrupt(format!("hold `{id}` is gone")))?;
            match hold.state() {
                State::Pending { .. } | State::Running { .. } => {
                    self.wait_for_change(write, &hold, open, waiter).await?;
                }
                State::Approved { .. } => {
                    if let Some(answer) = self.run(hold, write).await? {
                        return Ok(answer);
                    }
                }
                State::Done { code, audit_id, .. } => {
                    let Some(answer) = answers::give(self.queue.holds(), &id).await? else {
                        return Err(ProxyError::AlreadyRun { id, code: *code });
                    };
                    shared(write, *code, audit_id, &self.recorder).await;
                    return Ok(answer);
                }
                State::Expired { .. } => {
                    // Asked again, it is asked anew.
                    self.queue.holds().delivered(&id);
                    return Err(ended(&hold));
                }
                State::Denied { .. } | State::Cancelled { .. } | State::Unknown { .. } => {
                    return Err(ended(&hold));
                }
            }
        }
    }

    /// Returns once the hold should be looked at again.
    async fn wait_for_change(
        &self,
        write: &Write,
        hold: &Hold,
        open: Open,
        waiter: &mut Waiter,
    ) -> Result<(), ProxyError> {
        let retry = tokio::select! {
            woken = waiter.woken() => return match woken {
                Woken::Changed => Ok(()),
                Woken::Look => self.look(write, hold, waiter).await,
            },
            freeze = self.queue.until_frozen(&write.user.username) => {
                return Err(ProxyError::Frozen(Box::new(freeze)));
            }
            () = tokio::time::sleep(LOOK_AGAIN) => return Ok(()),
            () = tokio::time::sleep_until(open.until.into()) => match open.is_clients {
                true => return Err(undecided(hold)),
                false => RETRY_SOON,
            },
            () = self.stopping.cancelled() => self.settings.restart_time,
        };
        let of = hold.summary();
        Err(ProxyError::Pending {
            id: of.id.clone(),
            rule: of.rules.join(", "),
            reason: of.reason.clone(),
            needed: needed(hold),
            retry,
        })
    }

    /// Has a reviewer shown what the request would do now, not what it would have done when it came.
    async fn look(&self, write: &Write, hold: &Hold, waiter: &Waiter) -> Result<(), ProxyError> {
        if !matches!(hold.state(), State::Pending { .. }) {
            return Ok(());
        }
        let saw = match self.runner.judge.judge(write).await {
            Ok(Judged::Answered(answer)) => Saw::Refused(answer.status.as_u16()),
            Ok(Judged::Decided(judgement)) => match judgement.verdict.decision() {
                Decision::Hold => {
                    self.refresh(hold.clone(), &judgement.verdict, &judgement.preview).await?;
                    Saw::Shown
                }
                Decision::Allow | Decision::Deny => Saw::NotHeld,
            },
            // Whoever looks is shown what there is, and that it is not of now.
            Err(error) => {
                tracing::debug!(%error, hold = %hold.id(), "it could not be looked at again");
                return Ok(());
            }
        };
        waiter.looked(saw);
        Ok(())
    }

    /// Runs an approved hold; `None` where it should be looked at again.
    async fn run(
        &self,
        hold: Hold,
        write: &Arc<InboundWrite>,
    ) -> Result<Option<Response<Body>>, ProxyError> {
        let id = hold.id().clone();
        // A task of its own: an agent that leaves must not cut a send in two.
        let run = Arc::clone(&self.runner).run(hold, Arc::clone(write));
        match self.tasks.spawn(run).await {
            Ok(Run::Answered | Run::Again) => Ok(None),
            Ok(Run::Opened(answer)) => Ok(Some(answer)),
            Ok(Run::Failed(error)) => Err(error),
            Err(error) => {
                tracing::error!(%error, hold = %id, "agent-shield failed while it ran an approved request");
                let audit_id = write.call.audit_id.to_string();
                Err(ProxyError::OutcomeUnknown { audit_id })
            }
        }
    }

    /// Joins the open hold of the same request, or makes one; it is in the store on return.
    async fn enqueue(&self, write: &Write, mut judgement: Judgement) -> Result<Waiter, ProxyError> {
        let facts = &self.runner.judge.facts;
        let request_digest = write.request().digest(&self.redactor);
        // The facts of a retry need not repeat those of the hold that it will most likely join.
        let facts_ref = match self.queue.open_of(&request_digest).await? {
            Some(id) => facts.refer(&id, write, &mut judgement),
            None => facts.reference(write, &judgement),
        };
        let mut received = write.received(&self.redactor, judgement.decision(Action::Hold));
        facts.basis(write, &mut judgement).add_to(&mut received);
        let hold = self.new_hold(write, request_digest, &judgement);
        let decision = judgement.verdict;
        let (payload, cut) = shown::payload(write, &self.redactor);
        let mut preview = judgement.preview;
        preview.cut.extend(cut);
        let shown = Shown {
            content_type: write.attributes().content_type.clone().unwrap_or_default(),
            payload,
            preview,
        };
        let insertion = Insertion {
            hold,
            shown,
            join: join_of(write),
            open_max: self.settings.bounds.holds_per_agent_max,
            entries: vec![received],
        };
        let waiter = match self.queue.insert(insertion).await? {
            Queued::New(waiter) => waiter,
            Queued::Joined(waiter, hold, insertion) => {
                self.join(*hold, &decision, &insertion).await?;
                waiter
            }
            Queued::Denied(hold) => return Err(still_rejected(&hold)),
            Queued::Barred(hold, until) => return Err(barred(&hold, until)),
            Queued::TooMany => {
                let max = self.settings.bounds.holds_per_agent_max;
                return Err(ProxyError::TooManyHolds { max });
            }
        };
        facts_ref.into_iter().for_each(|it| facts.remember(waiter.id(), it));
        Ok(waiter)
    }

    /// Records that a request came again for its hold; what a reviewer looks at is what would happen now.
    async fn join(
        &self,
        hold: Hold,
        decision: &PolicyDecision,
        insertion: &Insertion,
    ) -> Result<(), ProxyError> {
        let (id, of) = (hold.id().clone(), hold.summary().clone());
        if matches!(hold.state(), State::Pending { .. }) {
            self.refresh(hold, decision, &insertion.shown.preview).await?;
        }
        self.joined(&id, &of, insertion).await
    }

    /// A pending hold shows from now on what its request would do now.
    async fn refresh(
        &self,
        hold: Hold,
        decision: &PolicyDecision,
        now: &Preview,
    ) -> Result<(), ProxyError> {
        let digest = &hold.summary().digest;
        if *digest == now.digest {
            return Ok(());
        }
        let shown = self.queue.shown(hold.id()).await?.preview;
        // Less is no news, and what could not be counted now is counted before it runs.
        if shown.digest == *digest && shown.covers(now, &self.redactor, true) {
            return Ok(());
        }
        Ok(self.runner.drift(hold, decision, now.effects.clone(), now.clone()).await?)
    }

    async fn joined(
        &self,
        id: &HoldId,
        of: &Summary,
        insertion: &Insertion,
    ) -> Result<(), ProxyError> {
        let joined = |received: &Entry| Entry {
            decision: received.decision.clone().map(|decision| DecisionRecord {
                rules: of.rules.clone(),
                reason: of.reason.clone(),
                ..decision
            }),
            hold: Some(step(id, HoldEvent::Joined)),
            ..received.clone()
        };
        let received = insertion.entries.iter().filter(|it| it.stage == Stage::RequestReceived);
        self.recorder.append_durable(received.map(joined).collect()).await?;
        Ok(())
    }

    fn new_hold(&self, write: &Write, request_digest: String, judgement: &Judgement) -> Hold {
        let (now, decision) = (Timestamp::now(), &judgement.verdict);
        let hold = Hold::new(Summary {
            id: new_id(),
            created_at: now,
            deadline: self.runner.deadline(decision, now),
            user: Identity::from(&write.user),
            request_digest,
            audit_id: write.call.audit_id.to_string(),
            request: write.record(&self.redactor),
            rules: decision.rules(),
            reason: decision.reason_by_rules(),
            severity: decision.severity(),
            effects: judgement.effect_records(),
            more_effects: BTreeMap::new(),
            digest: judgement.preview.digest.clone(),
            uid: judgement.preview.uid.clone(),
            quorum: Quorum::of(decision.reviewers()),
            denial_seconds: decision.denial_time().map(|it| it.as_secs()),
            drifts: 0,
        });
        let of = hold.summary();
        tracing::info!(
            hold = %of.id, user = of.user.username, rules = of.rules.join(","),
            reason = of.reason, "to be held"
        );
        hold
    }

    /// How long a connection is kept open: where its client gives up sooner, until a little before that, so that
    /// it learns why.
    fn open_time(&self, write: &Write) -> Open {
        let timeout = write.attributes().query.first("timeout").and_then(request_timeout);
        let (ours, now) = (self.settings.open_time_max, Instant::now());
        let clients = timeout.map(|it| it.saturating_sub(BEFORE_TIMEOUT)).filter(|it| *it < ours);
        let until = now.checked_add(clients.unwrap_or(ours)).unwrap_or(now);
        Open { until, is_clients: clients.is_some() }
    }
}

/// How long a connection waits.
#[derive(Clone, Copy)]
struct Open {
    until: Instant,
    /// Whether its client would wait no longer.
    is_clients: bool,
}

/// Records that a request was answered here, by what another call of the same hold got; the call that
/// ran has its outcome already.
async fn shared(write: &InboundWrite, code: u16, ran_as: &str, recorder: &Recorder) {
    if let Some(mut entry) = write.record.end(code, Outcome::Refused, 0) {
        entry.note = Some(format!("it ran once, as call {ran_as}, and this is that call's answer"));
        recorder.append_outcome(entry).await;
    }
}

fn new_id() -> HoldId {
    let mut random = [0; 8];
    let uuid = uuid::Uuid::new_v4();
    for (to, from) in random.iter_mut().zip(uuid.as_bytes().iter().skip(8)) {
        *to = *from;
    }
    // The first byte of the second half of a UUID carries its variant.
    if let (Some(to), Some(from)) = (random.first_mut(), uuid.as_bytes().first()) {
        *to = *from;
    }
    HoldId::from_random(random)
}

/// Two creates with a generated name are two objects.
fn join_of(write: &Write) -> Join {
    let attributes = write.attributes();
    if attributes.verb == "create" && attributes.name.is_empty() {
        Join::Unwaited
    } else {
        Join::Open
    }
}

/// A step of a hold that nobody's name stands behind.
fn step(id: &HoldId, event: HoldEvent) -> HoldRecord {
    HoldRecord::step(id.as_str(), event)
}

/// Why a hold ended without an answer, for its agent.
fn ended(hold: &Hold) -> ProxyError {
    let (id, rule) = (hold.id().clone(), hold.summary().rules.join(", "));
    match hold.state() {
        State::Denied { denial } => {
            ProxyError::Rejected { id, rule, denial: Box::new(denial.clone()) }
        }
        State::Unknown { audit_id, .. } => {
            ProxyError::OutcomeUnknown { audit_id: audit_id.clone() }
        }
        State::Cancelled { .. } => ProxyError::Cancelled { id },
        State::Expired { at, .. } if hold.missing().is_empty() => {
            ProxyError::Lapsed { id, rule, until: *at }
        }
        _ => ProxyError::Expired { id, rule, needed: needed(hold) },
    }
}

/// Nobody has decided, and the client's own time is over: an answer that no client sends again by itself.
fn undecided(hold: &Hold) -> ProxyError {
    let of = hold.summary();
    ProxyError::Undecided {
        id: of.id.clone(),
        rule: of.rules.join(", "),
        reason: of.reason.clone(),
        needed: needed(hold),
        deadline: of.deadline,
    }
}

/// What was denied a short while ago stays denied, whatever the bytes: one request that is asked for in ten
/// ways is one question.
pub(crate) fn still_rejected(hold: &Hold) -> ProxyError {
    let State::Denied { denial } = hold.state() else { return ended(hold) };
    ProxyError::StillRejected { id: hold.id().clone(), denial: Box::new(denial.clone()) }
}

/// Whoever was told no so often about one object is not to ask on.
fn barred(hold: &Hold, until: Timestamp) -> ProxyError {
    let State::Denied { denial } = hold.state() else { return ended(hold) };
    let of = hold.summary();
    tracing::warn!(
        user = of.user.username, hold = %of.id, %until,
        "an agent is barred from an object: it was denied too often within an hour"
    );
    ProxyError::Barred { id: of.id.clone(), denial: Box::new(denial.clone()), until }
}

/// Whose approvals a hold still needs, for the agent; that one of anybody does goes without saying.
fn needed(hold: &Hold) -> String {
    match hold.missing() {
        missing if missing.is_empty() || hold.summary().quorum == Quorum::default() => {
            String::new()
        }
        missing => format!("; still needed: {missing}"),
    }
}

/// A `timeout` of a request, as the API server reads it: `5s`, `1m30s`, or a bare number of seconds.
fn request_timeout(text: &str) -> Option<Duration> {
    match text.parse::<u64>() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => text::duration::parse(text).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_durations_as_go_writes_them() {
        let table = [
            ("5s", Some(5_000)),
            ("1m30s", Some(90_000)),
            ("500ms", Some(500)),
            ("32", Some(32_000)),
            ("0s", None),
            ("", None),
            ("x", None),
            ("5", Some(5_000)),
        ];
        for (text, want) in table {
            assert_eq!(request_timeout(text), want.map(Duration::from_millis), "{text}");
        }
    }
}
