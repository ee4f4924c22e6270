//! A held request: in the store before it waits, run once on an approval of exactly what was seen.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use hold::{Hold, HoldFilter, HoldId, Permit, Preview, Quorum, State};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use jiff::Timestamp;
use judge::{Judge, Judged, Judgement, Write};
use ledger::{
    Action, DecisionRecord, EffectRecord, HoldEvent, HoldRecord, Identity, Outcome, Stage,
    StoreError,
};
use payload::Redactor;
use policy::Decision;
use review::{Queue, Waiter};
use tokio::sync::Mutex;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use upstream::{Body, Outgoing, SendError};

use crate::{
    answers::{Answers, Kept},
    error::ProxyError,
    forward::{Forward, Sent},
    inbound::InboundWrite,
    lost_answer, preconditions,
    recorder::Recorder,
    settings::Settings,
    warning,
};

/// Sent again after a 409 for so many times, then it goes back to the queue.
const RUN_TRIES: usize = 5;
/// Answers of approved requests are read whole, up to here, so that they can be given again.
const ANSWER_BYTES_MAX: usize = 32 << 20;
/// The store is looked at again so often, should a wake-up get lost.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
const RETRY_SOON: Duration = Duration::from_secs(1);
const STILL_DENIED: Duration = Duration::from_secs(10 * 60);
const PAYLOAD_CHARS_MAX: usize = 32 << 10;

/// What came of one attempt to run an approved hold.
enum Run {
    /// Answered; the answer is kept under the hold's id.
    Answered,
    /// The agent's connection becomes a tunnel.
    Opened(Response<Body>),
    /// Somebody else ran, denied or expired it, or it drifted: look at it again.
    Again,
    /// It failed in a way that the agent must know.
    Failed(ProxyError),
}

/// Writes down that the agent's connection ended while its hold was open: dropped in the middle of
/// waiting, this is all that is left of the connection.
struct Left<'a> {
    recorder: &'a Recorder,
    write: &'a Write,
    id: &'a HoldId,
    answered: bool,
}

impl Drop for Left<'_> {
    fn drop(&mut self) {
        if self.answered {
            return;
        }
        let mut entry = self.write.call.entry(Stage::ResponseComplete);
        entry.hold = Some(HoldRecord {
            id: self.id.to_string(),
            event: HoldEvent::Left,
            reviewer: None,
            reason: String::new(),
            digest: String::new(),
        });
        entry.response = Some(self.write.call.response(0, Outcome::ClientGone, 0));
        self.recorder.append_later(entry, None);
    }
}

/// Holds requests, and runs those that are approved.
pub(crate) struct Holding {
    pub(crate) judge: Arc<Judge>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) recorder: Recorder,
    pub(crate) redactor: Redactor,
    pub(crate) forward: Forward,
    pub(crate) answers: Answers,
    /// One request at a time is looked for and inserted.
    pub(crate) enqueueing: Mutex<()>,
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
        let id = self.enqueue(&write, judgement).await?;
        let open_until = Instant::now() + self.open_time(&write);
        let mut waiter = self.queue.wait_on(&id);
        let mut left = Left { recorder: &self.recorder, write: &write, id: &id, answered: false };
        let ended = self.wait(&id, &write, open_until, &mut waiter).await;
        left.answered = true;
        ended
    }

    async fn wait(
        self: &Arc<Self>,
        id: &HoldId,
        write: &Arc<InboundWrite>,
        open_until: Instant,
        waiter: &mut Waiter,
    ) -> Result<Response<Body>, ProxyError> {
        loop {
            let hold = self.queue.load(id).await?;
            let hold = hold.ok_or_else(|| StoreError::Corrupt(format!("hold `{id}` is gone")))?;
            match &hold.state {
                State::Pending { .. } | State::Running { .. } => {
                    let settings = &self.settings;
                    let retry = tokio::select! {
                        () = waiter.changed() => continue,
                        freeze = self.queue.until_frozen(&write.user.username) => {
                            return Err(ProxyError::Frozen(Box::new(freeze)));
                        }
                        () = tokio::time::sleep(LOOK_AGAIN) => continue,
                        () = tokio::time::sleep_until(open_until.into()) => RETRY_SOON,
                        () = self.stopping.cancelled() => settings.restart_time,
                    };
                    return Err(pending(&hold, retry));
                }
                State::Approved { .. } => {
                    // On its own: an agent that leaves in the middle must not cut a send in two.
                    let run = self.tasks.spawn(Arc::clone(self).run(hold, Arc::clone(write)));
                    match run.await {
                        Ok(Run::Answered | Run::Again) => {}
                        Ok(Run::Opened(answer)) => return Ok(answer),
                        Ok(Run::Failed(error)) => return Err(error),
                        Err(error) => {
                            tracing::error!(%error, hold = %id, "running a hold ended badly");
                            let audit_id = write.call.audit_id.to_string();
                            return Err(ProxyError::OutcomeUnknown { audit_id });
                        }
                    }
                }
                State::Denied { verdict } => {
                    let (rule, verdict) = (hold.rules.join(", "), Box::new(verdict.clone()));
                    return Err(ProxyError::Rejected { id: id.clone(), rule, verdict });
                }
                State::Expired { .. } => {
                    let (rule, needed) = (hold.rules.join(", "), needed(&hold));
                    return Err(ProxyError::Expired { id: id.clone(), rule, needed });
                }
                State::Done { code, .. } => {
                    return match self.answers.give(id) {
                        Some(answer) => Ok(answer),
                        None => Err(ProxyError::AlreadyRun { id: id.clone(), code: *code }),
                    };
                }
                State::Unknown { audit_id, .. } => {
                    return Err(ProxyError::OutcomeUnknown { audit_id: audit_id.clone() });
                }
            }
        }
    }

    /// Joins the open hold of the same request, or makes one; it is in the store on return.
    async fn enqueue(&self, write: &Write, mut judgement: Judgement) -> Result<HoldId, ProxyError> {
        let request_digest = write.request_digest(&self.redactor);
        // One at a time per process, or two identical requests would make two holds.
        let _one = self.enqueueing.lock().await;
        let same = self.queue.list(HoldFilter {
            request_digest: Some(request_digest.clone()),
            limit: Some(1),
            ..HoldFilter::default()
        });
        if let Some(hold) = same.await?.into_iter().next()
            && self.rejoins(write, &hold)
        {
            return self.join(write, hold, judgement).await;
        }
        let effects = judgement.effect_records();
        self.refuse_if_denied_lately(write, &effects).await?;
        self.refuse_if_too_many(write).await?;
        let mut received = write.received(&self.redactor, judgement.decision(Action::Hold));
        let facts_ref = self.judge.facts.reference(write, &judgement);
        self.judge.facts.basis(write, &mut judgement).add_to(&mut received);
        let hold = self.new_hold(write, request_digest, effects, judgement);
        let id = hold.id.clone();
        tracing::info!(
            hold = %id, user = hold.user.username, rules = hold.rules.join(","),
            reason = %hold.reason, "held"
        );
        self.queue.insert(hold, vec![received]).await?;
        facts_ref.into_iter().for_each(|it| self.judge.facts.remember(&id, it));
        Ok(id)
    }

    async fn refuse_if_too_many(&self, write: &Write) -> Result<(), ProxyError> {
        let max = self.settings.bounds.holds_per_agent_max;
        let open = self.queue.list(HoldFilter {
            states: State::OPEN.to_vec(),
            username: Some(write.user.username.clone()),
            limit: Some(max),
            ..HoldFilter::default()
        });
        match open.await?.len() >= max {
            true => Err(ProxyError::TooManyHolds { max }),
            false => Ok(()),
        }
    }

    fn rejoins(&self, write: &Write, hold: &Hold) -> bool {
        match &hold.state {
            // Two creates with a generated name are two objects, unless the first one's client
            // has gone and this is its retry.
            _ if write.attributes().verb == "create"
                && write.attributes().name.is_empty()
                && self.queue.waiting_on(&hold.id) > 0 =>
            {
                false
            }
            state if !state.is_settled() => true,
            // A settled one only where its answer never reached anybody.
            State::Done { .. } => self.answers.is_waiting(&hold.id),
            _ => false,
        }
    }

    async fn join(
        &self,
        write: &Write,
        hold: Hold,
        mut judgement: Judgement,
    ) -> Result<HoldId, ProxyError> {
        let id = hold.id.clone();
        let decision = DecisionRecord {
            rules: hold.rules.clone(),
            reason: hold.reason.clone(),
            ..judgement.decision(Action::Hold)
        };
        let mut received = write.received(&self.redactor, decision);
        let facts_ref = self.judge.facts.refer(&id, write, &mut judgement);
        self.judge.facts.basis(write, &mut judgement).add_to(&mut received);
        received.hold = Some(HoldRecord {
            id: id.to_string(),
            event: HoldEvent::Joined,
            reviewer: None,
            reason: String::new(),
            digest: String::new(),
        });
        // What a reviewer looks at is what would happen now.
        let drifted = matches!(hold.state, State::Pending { .. })
            && hold.preview.digest != judgement.preview.digest;
        if drifted {
            self.drift(hold, judgement).await?;
        }
        self.recorder.append_durable(vec![received]).await?;
        facts_ref.into_iter().for_each(|it| self.judge.facts.remember(&id, it));
        Ok(id)
    }

    fn new_hold(
        &self,
        write: &Write,
        request_digest: String,
        effects: Vec<EffectRecord>,
        judgement: Judgement,
    ) -> Hold {
        let now = Timestamp::now();
        let mut random = [0; 8];
        let uuid = uuid::Uuid::new_v4();
        for (to, from) in random.iter_mut().zip(uuid.as_bytes().iter().skip(8)) {
            *to = *from;
        }
        // The first byte of the second half of a UUID carries its variant.
        if let (Some(to), Some(from)) = (random.first_mut(), uuid.as_bytes().first()) {
            *to = *from;
        }
        Hold {
            id: HoldId::from_random(random),
            revision: 0,
            created_at: now,
            changed_at: now,
            deadline: now + self.deadline(&judgement),
            user: Identity::from(&write.user),
            request_digest,
            audit_id: write.call.audit_id.to_string(),
            request: write.record(&self.redactor),
            content_type: write.attributes().content_type.clone().unwrap_or_default(),
            payload: self.payload_for_people(write),
            rules: judgement.verdict.rules(),
            reason: judgement.verdict.reason(),
            severity: judgement.verdict.severity().as_str().to_owned(),
            effects,
            quorum: Quorum::of(judgement.verdict.reviewers()),
            preview: judgement.preview,
            drifts: 0,
            state: State::PENDING,
        }
    }

    /// The proxy's own deadline, or an earlier one that a rule gives.
    fn deadline(&self, judgement: &Judgement) -> Duration {
        let own = self.queue.settings().deadline;
        judgement.verdict.deadline().map_or(own, |it| it.min(own))
    }

    fn payload_for_people(&self, write: &Write) -> String {
        if write.body.is_empty() {
            return match write.attributes().is_connect() {
                true => self.session_for_people(write),
                false => String::new(),
            };
        }
        let text = match payload::read(write.media, &write.body) {
            Ok(mut document) => {
                self.redactor.redact_object(&write.attributes().resource, &mut document);
                serde_json::to_string_pretty(&document).unwrap_or_default()
            }
            Err(why) => format!(
                "({} bytes that are not shown: {why}; digest {})",
                write.body.len(),
                self.redactor.digest(&write.body)
            ),
        };
        let mut short: String = text.chars().take(PAYLOAD_CHARS_MAX).collect();
        if short.len() < text.len() {
            short.push_str("\n… (cut)");
        }
        short
    }

    /// What a session would run: its options are its payload.
    fn session_for_people(&self, write: &Write) -> String {
        let mut options = serde_json::Map::new();
        for (key, value) in &write.attributes().query.0 {
            match key.as_str() {
                "command" | "ports" => {
                    let words = options.entry(key).or_insert_with(|| serde_json::json!([]));
                    if let Some(words) = words.as_array_mut() {
                        words.push(serde_json::json!(value));
                    }
                }
                _ => {
                    options.entry(key).or_insert_with(|| serde_json::json!(value));
                }
            }
        }
        let mut options = serde_json::Value::Object(options);
        self.redactor.redact_object(&write.attributes().resource, &mut options);
        let text = serde_json::to_string_pretty(&options).unwrap_or_default();
        text.chars().take(PAYLOAD_CHARS_MAX).collect()
    }

    /// The same effects on the same object, denied a short while ago, stay denied, whatever the
    /// bytes: one request that is asked for in ten ways is one question.
    async fn refuse_if_denied_lately(
        &self,
        write: &Write,
        effects: &[EffectRecord],
    ) -> Result<(), ProxyError> {
        let now = Timestamp::now();
        let denied = self.queue.list(HoldFilter {
            states: vec!["denied"],
            username: Some(write.user.username.clone()),
            changed_since: Some(now - STILL_DENIED),
            ..HoldFilter::default()
        });
        for hold in denied.await? {
            let State::Denied { verdict } = &hold.state else { continue };
            let again =
                hold.effects.iter().any(|denied| effects.iter().any(|it| it.same_as(denied)));
            if again && now - STILL_DENIED < verdict.at {
                let minutes = now.duration_since(verdict.at).as_mins();
                return Err(ProxyError::StillRejected {
                    id: hold.id,
                    verdict: Box::new(verdict.clone()),
                    minutes,
                });
            }
        }
        Ok(())
    }

    /// Looks once more, spends the approval, sends, and keeps the answer.
    async fn run(self: Arc<Self>, mut hold: Hold, write: Arc<InboundWrite>) -> Run {
        for _ in 0..RUN_TRIES {
            let judgement = match self.judge.judge(&write).await {
                Judged::Decided(judgement) => judgement,
                Judged::Answered(answer) => {
                    return self.settle_unsent(hold, &write, answer.status, answer.bytes).await;
                }
            };
            if judgement.verdict.decision() == Decision::Deny {
                // The policies are others now, and this is what they are for.
                return Run::Failed(self.judge.refuse(&write, *judgement).await.into());
            }
            // Nor does an approval answer what nobody asked when it was given, or what takes more of
            // them by the policies of now.
            let digest = &judgement.preview.digest;
            let asks_more = judgement.verdict.rules().iter().any(|rule| !hold.rules.contains(rule))
                || !Quorum::of(judgement.verdict.reviewers())
                    .is_met(hold.state.approvals(), digest);
            if asks_more || *digest != hold.preview.digest {
                return match self.drift(hold, *judgement).await {
                    Ok(()) => Run::Again,
                    Err(error) => Run::Failed(error),
                };
            }
            if let Some(freeze) = self.queue.frozen(&write.user.username) {
                return Run::Failed(ProxyError::Frozen(Box::new(freeze)));
            }
            match self.queue.strike(hold.clone()).await {
                Ok(false) => {}
                Ok(true) => return Run::Again,
                Err(error) => return Run::Failed(error.into()),
            }
            let audit_id = write.call.audit_id.clone();
            hold = match self.start(hold, audit_id.as_str()).await {
                Ok(Some(hold)) => hold,
                Ok(None) => return Run::Again,
                Err(error) => return Run::Failed(error.into()),
            };
            self.judge.memory.remember(&write.user.username, &judgement.effects, hold.changed_at);
            let Some(permit) = Permit::approved(&hold, &audit_id) else { return Run::Again };
            let (outgoing, is_pinned) = outgoing(&write, &judgement.preview);
            let answer = match self.forward.send(permit, &write, outgoing).await {
                Ok(Sent::Answered(answer)) => answer,
                Ok(Sent::Opened(answer)) => {
                    self.opened(hold).await;
                    return Run::Opened(answer);
                }
                Err(error) => return self.lose(hold, &write, error).await,
            };
            if is_pinned && matches!(answer.status().as_u16(), 409 | 422) {
                // The object changed after the last look; nothing ran. Look again.
                match self.unspend(hold).await {
                    Ok(unspent) => hold = unspent,
                    Err(error) => return Run::Failed(error.into()),
                }
                continue;
            }
            return self.settle(hold, &write, answer).await;
        }
        // It keeps changing under the approval: a person should look again.
        match self.judge.judge(&write).await {
            Judged::Decided(judgement) => match self.drift(hold, *judgement).await {
                Ok(()) => Run::Again,
                Err(error) => Run::Failed(error),
            },
            Judged::Answered(answer) => {
                self.settle_unsent(hold, &write, answer.status, answer.bytes).await
            }
        }
    }

    /// Writes down that the bytes leave now. `None` where somebody else was first.
    async fn start(&self, mut hold: Hold, audit_id: &str) -> Result<Option<Hold>, StoreError> {
        match hold.state.start(audit_id.to_owned(), Timestamp::now()) {
            Ok(state) => hold.state = state,
            Err(_) => return Ok(None),
        }
        match self.queue.change(hold, HoldEvent::Running, None, Vec::new()).await {
            Ok(hold) => Ok(Some(hold)),
            Err(StoreError::Conflict) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The session runs: the approval is spent, and its answer is for this connection alone.
    async fn opened(&self, mut hold: Hold) {
        let id = hold.id.clone();
        match hold.state.clone().finish(101, Timestamp::now()) {
            Ok(state) => hold.state = state,
            Err(error) => tracing::error!(%error, hold = %id, "a hold cannot be finished"),
        }
        if let Err(error) = self.queue.change(hold, HoldEvent::Done, None, Vec::new()).await {
            tracing::error!(%error, hold = %id, "a session runs whose hold is not settled");
        }
    }

    /// The API server refused the pinned request: the approval is whole again.
    async fn unspend(&self, mut hold: Hold) -> Result<Hold, StoreError> {
        let until = Timestamp::now() + self.queue.settings().grant_time;
        match hold.state.unspend(until) {
            Ok(state) => hold.state = state,
            Err(error) => return Err(StoreError::Corrupt(error.to_string())),
        }
        self.queue.change(hold, HoldEvent::Refreshed, None, Vec::new()).await
    }

    /// Back to the queue with what it would do now.
    async fn drift(&self, mut hold: Hold, judgement: Judgement) -> Result<(), ProxyError> {
        match hold.state.drift() {
            Ok(state) => hold.state = state,
            Err(_) => return Ok(()),
        }
        hold.drifts = hold.drifts.saturating_add(1);
        hold.deadline = Timestamp::now() + self.deadline(&judgement);
        hold.effects = judgement.effects.iter().map(Into::into).collect();
        hold.preview = judgement.preview;
        let rules = judgement.verdict.rules();
        if !rules.is_empty() {
            hold.rules = rules;
            hold.reason = judgement.verdict.reason();
            judgement.verdict.severity().as_str().clone_into(&mut hold.severity);
            hold.quorum = Quorum::of(judgement.verdict.reviewers());
        }
        match self.queue.change(hold, HoldEvent::Drifted, None, Vec::new()).await {
            Ok(_) | Err(StoreError::Conflict) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Records the API server's answer and keeps it for whoever waits.
    async fn settle(&self, mut hold: Hold, write: &Write, answer: Response<Body>) -> Run {
        let (head, body) = answer.into_parts();
        let (bytes, complete) = match Limited::new(body, ANSWER_BYTES_MAX).collect().await {
            Ok(collected) => (collected.to_bytes(), true),
            Err(error) => {
                tracing::warn!(%error, hold = %hold.id, "an answer could not be read whole");
                (Bytes::new(), false)
            }
        };
        let code = head.status.as_u16();
        let mut headers = attributes::headers::downstream_headers(head.headers);
        headers.remove(header::CONTENT_LENGTH);
        headers.append(header::WARNING, approved_by(&hold));
        if complete {
            let kept = Kept { status: head.status, headers, body: bytes.clone() };
            self.answers.keep(&hold.id, kept);
        }
        let mut entry = write.call.entry(Stage::ResponseComplete);
        entry.response = Some(write.call.response(code, Outcome::Answered, bytes.len() as u64));
        entry.note = excess(&hold, &bytes);
        if let Some(note) = &entry.note {
            tracing::error!(hold = %hold.id, note, "more was deleted than was approved");
        }
        match hold.state.clone().finish(code, Timestamp::now()) {
            Ok(state) => hold.state = state,
            Err(error) => tracing::error!(%error, hold = %hold.id, "a hold cannot be finished"),
        }
        self.finish(hold, HoldEvent::Done, entry).await;
        Run::Answered
    }

    /// The API server's dry run refuses now what was approved: that is the answer; nothing is sent.
    async fn settle_unsent(
        &self,
        hold: Hold,
        write: &Write,
        status: StatusCode,
        bytes: Bytes,
    ) -> Run {
        let mut hold = match self.start(hold, write.call.audit_id.as_str()).await {
            Ok(Some(hold)) => hold,
            Ok(None) => return Run::Again,
            Err(error) => return Run::Failed(error.into()),
        };
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let mut entry = write.call.entry(Stage::ResponseComplete);
        entry.response =
            Some(write.call.response(status.as_u16(), Outcome::Refused, bytes.len() as u64));
        entry.note = Some("the dry run refused it; nothing was sent".to_owned());
        self.answers.keep(&hold.id, Kept { status, headers, body: bytes });
        if let Ok(state) = hold.state.clone().finish(status.as_u16(), Timestamp::now()) {
            hold.state = state;
        }
        self.finish(hold, HoldEvent::Done, entry).await;
        Run::Answered
    }

    /// No answer: unsent leaves the approval whole, sent makes the outcome unknown for good.
    async fn lose(&self, mut hold: Hold, write: &Write, error: SendError) -> Run {
        tracing::error!(%error, hold = %hold.id, source = ?std::error::Error::source(&error),
            "an approved request got no answer");
        if let SendError::Unsent(_) = error {
            return match self.unspend(hold).await {
                Ok(_) => Run::Failed(ProxyError::Unsent),
                Err(error) => Run::Failed(error.into()),
            };
        }
        let audit_id = write.call.audit_id.to_string();
        if let Ok(state) = hold.state.clone().lose(error.to_string(), Timestamp::now()) {
            hold.state = state;
        }
        let mut entry = write.call.entry(Stage::ResponseComplete);
        entry.response = Some(write.call.response(504, Outcome::Unknown, 0));
        entry.note = Some(lost_answer::found_out(&self.judge.view, write, &hold).await);
        self.finish(hold, HoldEvent::Unknown, entry).await;
        Run::Failed(ProxyError::OutcomeUnknown { audit_id })
    }

    /// Stores a settled hold with its outcome. Where the store does not take it now, the hold stays
    /// running there and is found as unknown after a restart; the outcome is kept and written later.
    async fn finish(&self, hold: Hold, event: HoldEvent, entry: ledger::Entry) {
        let id = hold.id.clone();
        if let Err(error) = self.queue.change(hold, event, None, vec![entry.clone()]).await {
            tracing::error!(%error, hold = %id, "the outcome of a hold is kept in memory");
            self.recorder.append_later(entry, None);
        }
    }

    fn open_time(&self, write: &Write) -> Duration {
        let timeout = write.attributes().query.first("timeout").and_then(request_timeout);
        let open = self.settings.open_time_max;
        // A little before the client gives up, so that it hears why.
        timeout.map_or(open, |timeout| open.min(timeout.saturating_sub(Duration::from_millis(500))))
    }
}

/// What is sent for an approved write, and whether the API server refuses it once the object has changed.
/// A session cannot be bound to what was seen.
fn outgoing(write: &InboundWrite, preview: &Preview) -> (Outgoing, bool) {
    if write.upgrade.is_some() {
        return (write.call.outgoing(write.body.clone()), false);
    }
    let pinned = preconditions::add(write, &preview.uid, &preview.resource_version);
    let mut outgoing = write.call.outgoing(pinned.body);
    if let Some(content_type) = pinned.content_type {
        outgoing.headers.insert(header::CONTENT_TYPE, content_type);
    }
    (outgoing, pinned.is_pinned)
}

fn pending(hold: &Hold, retry: Duration) -> ProxyError {
    ProxyError::Pending {
        id: hold.id.clone(),
        rule: hold.rules.join(", "),
        reason: hold.reason.clone(),
        needed: needed(hold),
        retry,
    }
}

/// Whose approvals a hold still needs, for the agent; that one of anybody does goes without saying.
fn needed(hold: &Hold) -> String {
    match hold.missing() {
        missing if missing.is_empty() || hold.quorum == Quorum::default() => String::new(),
        missing => format!("; still needed: {missing}"),
    }
}

/// `Warning: 299 - "…"`, which kubectl prints (k8s.io/apimachinery, pkg/util/net/http.go).
fn approved_by(hold: &Hold) -> HeaderValue {
    let approvals = hold.state.approvals();
    let names: Vec<&str> = approvals.iter().map(|it| it.reviewer.username.as_str()).collect();
    let reasons = approvals.iter().map(|it| it.reason.as_str()).filter(|it| !it.is_empty());
    let said = match reasons.collect::<Vec<_>>() {
        reasons if reasons.is_empty() => String::new(),
        reasons => format!(": {}", reasons.join("; ")),
    };
    warning::of(&format!("approved by {} (hold {}){said}", names.join(" and "), hold.id))
}

/// What a collection's answer shows deleted that nobody approved.
fn excess(hold: &Hold, answer: &[u8]) -> Option<String> {
    if hold.request.verb != "deletecollection" {
        return None;
    }
    let answer: serde_json::Value = serde_json::from_slice(answer).ok()?;
    let uid = |item: &serde_json::Value| {
        item.pointer("/metadata/uid").and_then(|uid| uid.as_str()).map(str::to_owned)
    };
    let more: Vec<String> = answer
        .get("items")?
        .as_array()?
        .iter()
        .filter(|item| {
            let uid = uid(item).unwrap_or_default();
            !hold.preview.targets.iter().any(|target| target.uid == uid)
        })
        .filter_map(|item| item.pointer("/metadata/name")?.as_str().map(str::to_owned))
        .collect();
    (!more.is_empty())
        .then(|| format!("deleted but never shown to a reviewer: {}", more.join(", ")))
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
