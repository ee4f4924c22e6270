//! Running what was approved: looked at once more, the approval spent, sent, and its answer kept.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use hold::{Answer, Hold, HoldError, Permit, Preview, Quorum, Spent, Target, Unchanged};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use jiff::Timestamp;
use judge::{Judge, Judged, Judgement, Write};
use ledger::{EffectRecord, Entry, HoldEvent, Outcome, StoreError};
use payload::Redactor;
use policy::{Decision, PolicyDecision};
use review::Queue;
use text::causes;
use upstream::{Body, Outgoing, SendError};

use crate::{
    answers,
    error::ProxyError,
    forward::{Forward, Sent},
    inbound::InboundWrite,
    lost_answer,
    recorder::Recorder,
    warning,
};

/// Sent again after a 409 for so many times, then it goes back to the queue. What is written so often is
/// mostly written in its status: the last try of a delete is of the object that was looked at a moment
/// before, whatever version of it that is.
const RUN_TRIES: usize = 5;
/// Answers of approved requests are read whole, up to here, so that they can be given again.
pub(crate) const ANSWER_BYTES_MAX: usize = 32 << 20;
/// They are kept for so long.
const ANSWER_TIME: Duration = Duration::from_secs(60);

/// What came of one attempt to run an approved hold.
pub(crate) enum Run {
    /// Answered; the answer is kept under the hold's id.
    Answered,
    /// The agent's connection becomes a tunnel.
    Opened(Response<Body>),
    /// Somebody else ran, denied or expired it, or it drifted: look at it again.
    Again,
    /// It failed in a way that the agent must know.
    Failed(ProxyError),
}

/// One try of it.
pub(crate) enum Try {
    Ended(Run),
    /// The object changed after the last look; nothing ran, and the approval is whole again.
    Refused(Box<Hold>),
}

/// Runs what was approved.
pub(crate) struct Runner {
    pub(crate) judge: Arc<Judge>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) recorder: Recorder,
    pub(crate) redactor: Redactor,
    pub(crate) forward: Forward,
}

impl Runner {
    /// Looks once more, spends the approval, sends, and keeps the answer.
    pub(crate) async fn run(self: Arc<Self>, mut hold: Hold, write: Arc<InboundWrite>) -> Run {
        for tried in 1..=RUN_TRIES {
            let is_last = tried == RUN_TRIES;
            hold = match self.try_once(hold, &write, is_last).await {
                Ok(Try::Ended(run)) => return run,
                Ok(Try::Refused(hold)) => *hold,
                Err(error) => return Run::Failed(error),
            };
        }
        // The object keeps changing under the approval, so a person has to look again.
        let run = match self.judge.judge_again(&write).await {
            Ok(Judged::Decided(judgement)) => self.drift_by(hold, *judgement).await,
            Ok(Judged::Answered(answer)) => {
                self.settle_unsent(hold, &write, answer.status, answer.bytes).await
            }
            Err(error) => Err(error.into()),
        };
        run.unwrap_or_else(Run::Failed)
    }

    async fn try_once(
        &self,
        hold: Hold,
        write: &Arc<InboundWrite>,
        is_last: bool,
    ) -> Result<Try, ProxyError> {
        let mut judgement = match self.judge.judge_again(write).await? {
            Judged::Decided(judgement) => judgement,
            Judged::Answered(answer) => {
                let ended = self.settle_unsent(hold, write, answer.status, answer.bytes).await?;
                return Ok(Try::Ended(ended));
            }
        };
        if judgement.verdict.decision() == Decision::Deny {
            // The policies have changed since the approval, and a denial is stronger.
            return Err(self.judge.refuse(write, *judgement).await.into());
        }
        self.seal_as_shown(&hold, &mut judgement.preview).await?;
        if !is_approved(&hold, &judgement) {
            return Ok(Try::Ended(self.drift_by(hold, *judgement).await?));
        }
        if let Some(freeze) = self.queue.frozen(&write.user.username).await? {
            return Err(ProxyError::Frozen(Box::new(freeze)));
        }
        if self.queue.revoke_agent_approvals(hold.clone()).await? {
            return Ok(Try::Ended(Run::Again));
        }
        let Some((hold, spent)) = self.start(hold, write).await? else {
            return Ok(Try::Ended(Run::Again));
        };
        let counted = self.judge.remember(write, &mut judgement, hold.changed_at()).await;
        if let Err(error) = counted {
            // INVARIANT: a request that rules could not count is not sent.
            self.unspend(hold).await?;
            return Err(error.into());
        }
        write.record.found(judgement.found.take());
        if is_last && write.attributes().verb == "delete" {
            judgement.preview.resource_version.clear();
        }
        match is_each_sent(write, &judgement) {
            true => self.send_each(hold, spent, write, &judgement.preview.targets).await,
            false => self.send(hold, spent, write, &judgement.preview).await,
        }
    }

    /// Where no more goes with it than is shown, it is what is shown.
    async fn seal_as_shown(&self, hold: &Hold, now: &mut Preview) -> Result<(), StoreError> {
        if now.digest != hold.summary().digest {
            let shown = self.queue.shown(hold.id()).await?.preview;
            let is_it = shown.digest == hold.summary().digest;
            if is_it && shown.covers(now, &self.redactor, false) {
                now.digest = shown.digest;
            }
        }
        Ok(())
    }

    async fn send(
        &self,
        hold: Hold,
        spent: Spent,
        write: &Arc<InboundWrite>,
        preview: &Preview,
    ) -> Result<Try, ProxyError> {
        let (permit, outgoing, is_pinned) = match outgoing(&hold, spent, write, preview) {
            Ok(made) => made,
            Err(error) => {
                tracing::error!(%error, hold = %hold.id(), "nothing was sent");
                self.unspend(hold).await?;
                return Err(ProxyError::Unsent);
            }
        };
        let answer = match self.forward.send(permit, write, outgoing).await {
            Ok(Sent::Answered(answer)) => answer,
            Ok(Sent::Opened(answer)) => {
                self.opened(hold).await;
                return Ok(Try::Ended(Run::Opened(answer)));
            }
            Err(error) => return Ok(Try::Ended(self.lose(hold, write, error).await?)),
        };
        if is_pinned && matches!(answer.status().as_u16(), 409 | 422) {
            write.record.set_sent(false);
            return Ok(Try::Refused(Box::new(self.unspend(hold).await?)));
        }
        let more = |answer: &[u8]| excess(write, &preview.targets, answer);
        Ok(Try::Ended(self.settle(hold, write, answer, more).await))
    }

    /// Writes down that the bytes leave now. `None` where somebody else was first.
    async fn start(&self, hold: Hold, write: &Write) -> Result<Option<(Hold, Spent)>, StoreError> {
        let (request, audit_id) = (write.request(), &write.call.audit_id);
        let (hold, spent) = match hold.start(&request, &self.redactor, audit_id, Timestamp::now()) {
            Ok(started) => started,
            Err(Unchanged { error: HoldError::Settled(_) | HoldError::Expired(_), .. }) => {
                return Ok(None);
            }
            // The store holds approved requests in no other state: the row is damaged.
            Err(Unchanged { error, .. }) => return Err(StoreError::Corrupt(error.to_string())),
        };
        match self.queue.change(hold, None, HoldEvent::Running, Vec::new()).await {
            Ok(hold) => Ok(Some((hold, spent))),
            Err(StoreError::Conflict) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The session runs: the approval is spent, and its answer is for this connection alone.
    async fn opened(&self, hold: Hold) {
        let id = hold.id().clone();
        let stored = match hold.finish(101, Timestamp::now()) {
            Ok(hold) => self.queue.change(hold, None, HoldEvent::Done, Vec::new()).await,
            Err(Unchanged { error, .. }) => Err(StoreError::Corrupt(error.to_string())),
        };
        if let Err(error) = stored {
            tracing::error!(%error, hold = %id, "a session runs whose hold is not settled");
        }
    }

    /// Nothing ran: the approval is whole again.
    pub(crate) async fn unspend(&self, hold: Hold) -> Result<Hold, StoreError> {
        let now = Timestamp::now();
        let until = now.saturating_add(self.queue.settings().grant_time).unwrap_or(Timestamp::MAX);
        let corrupt = |it: Unchanged| StoreError::Corrupt(it.to_string());
        let hold = hold.unspend(until, now).map_err(corrupt)?;
        self.queue.change(hold, None, HoldEvent::Refreshed, Vec::new()).await
    }

    /// The proxy's own deadline, or an earlier one that a rule gives.
    pub(crate) fn deadline(&self, decision: &PolicyDecision, now: Timestamp) -> Timestamp {
        let own = self.queue.settings().deadline;
        let time = decision.deadline().map_or(own, |it| it.min(own));
        now.saturating_add(time).unwrap_or(Timestamp::MAX)
    }

    async fn drift_by(&self, hold: Hold, judgement: Judgement) -> Result<Run, ProxyError> {
        let effects = judgement.effect_records();
        self.drift(hold, &judgement.verdict, effects, judgement.preview).await?;
        Ok(Run::Again)
    }

    /// Back to the queue with what it would do now; what somebody else has settled stays as it is.
    pub(crate) async fn drift(
        &self,
        hold: Hold,
        decision: &PolicyDecision,
        effects: Vec<EffectRecord>,
        preview: Preview,
    ) -> Result<(), StoreError> {
        let now = Timestamp::now();
        let deadline = self.deadline(decision, now);
        let hold = match hold.drift(decision, effects, &preview, deadline, now) {
            Ok(hold) => hold,
            Err(Unchanged { hold, error }) => {
                tracing::debug!(%error, hold = %hold.id(), "it cannot drift any more");
                return Ok(());
            }
        };
        match self.queue.change(hold, Some(preview), HoldEvent::Drifted, Vec::new()).await {
            Ok(_) | Err(StoreError::Conflict) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Records the API server's answer and keeps it for whoever waits.
    pub(crate) async fn settle(
        &self,
        hold: Hold,
        write: &InboundWrite,
        answer: Response<Body>,
        note: impl FnOnce(&[u8]) -> Option<String>,
    ) -> Run {
        let (head, body) = answer.into_parts();
        let (bytes, complete) = match Limited::new(body, ANSWER_BYTES_MAX).collect().await {
            Ok(collected) => (collected.to_bytes(), true),
            Err(error) => {
                tracing::warn!(%error, hold = %hold.id(), "an answer could not be read whole");
                (Bytes::new(), false)
            }
        };
        let code = head.status.as_u16();
        let mut headers = attributes::headers::downstream_headers(head.headers);
        headers.remove(header::CONTENT_LENGTH);
        headers.append(header::WARNING, approved_by(&hold));
        if complete {
            self.keep(&hold, answers::kept(head.status, &headers, bytes.clone())).await;
        }
        let note = note(&bytes);
        if let Some(note) = &note {
            tracing::warn!(hold = %hold.id(), note, "not all that ran was all that was shown");
        }
        write.record.made(judge::name_made(write, code, &bytes));
        write.record.left(judge::object_left(&self.judge.view, write, code, &bytes).await);
        let entry = write.record.end(code, Outcome::Answered, bytes.len() as u64);
        let entry = entry.map(|entry| Entry { note, ..entry });
        self.finish(hold.finish(code, Timestamp::now()), HoldEvent::Done, entry).await;
        Run::Answered
    }

    /// The API server's dry run refuses now what was approved: that is the answer; nothing is sent. One that
    /// fails refuses nothing.
    async fn settle_unsent(
        &self,
        hold: Hold,
        write: &InboundWrite,
        status: StatusCode,
        bytes: Bytes,
    ) -> Result<Run, ProxyError> {
        // What is wrong with the API server, or with what it asks, says nothing of the request: the approval
        // waits until that is over.
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            tracing::warn!(hold = %hold.id(), code = status.as_u16(), "an approved request could not be looked at once more");
            return Err(ProxyError::NotNow { id: hold.id().clone(), code: status.as_u16() });
        }
        // The approval is spent, and the permit that it gives is dropped unused.
        let Some((hold, _)) = self.start(hold, write).await? else { return Ok(Run::Again) };
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let code = status.as_u16();
        let note = Some("the dry run refused it; nothing was sent".to_owned());
        let entry = write.record.end(code, Outcome::Refused, bytes.len() as u64);
        let entry = entry.map(|entry| Entry { note, ..entry });
        self.keep(&hold, answers::kept(status, &headers, bytes)).await;
        self.finish(hold.finish(code, Timestamp::now()), HoldEvent::Done, entry).await;
        Ok(Run::Answered)
    }

    /// No answer: unsent leaves the approval whole, sent makes the outcome unknown for good.
    pub(crate) async fn lose(
        &self,
        hold: Hold,
        write: &InboundWrite,
        error: SendError,
    ) -> Result<Run, ProxyError> {
        tracing::error!(error = causes(&error), hold = %hold.id(),
            "an approved request got no answer");
        if let SendError::Unsent(_) = error {
            self.unspend(hold).await?;
            return Err(ProxyError::Unsent);
        }
        let audit_id = write.call.audit_id.to_string();
        let note = Some(lost_answer::found_out(&self.judge.view, write, &hold).await);
        let entry = write.record.end(504, Outcome::Unknown, 0);
        let entry = entry.map(|entry| Entry { note, ..entry });
        let lost = hold.lose(error.to_string(), Timestamp::now());
        self.finish(lost, HoldEvent::Unknown, entry).await;
        Err(ProxyError::OutcomeUnknown { audit_id })
    }

    async fn keep(&self, hold: &Hold, answer: Answer) {
        if let Err(error) = self.queue.holds().keep_answer(hold.id(), answer, ANSWER_TIME).await {
            tracing::error!(%error, hold = %hold.id(), "nobody will get the answer");
        }
    }

    /// Stores a settled hold with its outcome. Where the store does not take it now, the hold stays
    /// running there and is found as unknown after a restart; the outcome is kept and written later.
    async fn finish(
        &self,
        settled: Result<Hold, Unchanged>,
        event: HoldEvent,
        entry: Option<Entry>,
    ) {
        let stored = match settled {
            Ok(hold) => self.queue.change(hold, None, event, entry.iter().cloned().collect()).await,
            Err(Unchanged { error, .. }) => Err(StoreError::Corrupt(error.to_string())),
        };
        if let Err(error) = stored {
            let audit_id = entry.as_ref().map(|it| it.audit_id.as_str());
            tracing::error!(%error, auditID = audit_id, "the outcome of a hold cannot be recorded yet, and is kept in memory");
            entry.into_iter().for_each(|entry| self.recorder.append_later(entry, None));
        }
    }
}

/// Whether the approvals are of what would happen now. They are void if a rule asks that did not, or if
/// the policies of now require more approvers.
fn is_approved(hold: &Hold, judgement: &Judgement) -> bool {
    let (of, decision, digest) = (hold.summary(), &judgement.verdict, &judgement.preview.digest);
    *digest == of.digest
        && decision.rules().iter().all(|rule| of.rules.contains(rule))
        && Quorum::of(decision.reviewers()).is_met(hold.state().approvals(), digest)
}

/// What is sent for an approved write, the right to send it, and whether the API server refuses it once
/// the object has changed. A session cannot be bound to what was seen.
fn outgoing(
    hold: &Hold,
    spent: Spent,
    write: &InboundWrite,
    preview: &Preview,
) -> Result<(Permit, Outgoing, bool), hold::OtherRequest> {
    let (uid, version) = match write.upgrade {
        Some(_) => ("", ""),
        None => (preview.uid.as_str(), preview.resource_version.as_str()),
    };
    let (permit, pinned) = hold.permit(spent, &write.request(), uid, version)?;
    let mut outgoing = write.write.outgoing(pinned.body);
    if let Some(content_type) = pinned.content_type {
        outgoing.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    Ok((permit, outgoing, pinned.is_pinned))
}

/// `Warning: 299 - "…"`, which kubectl prints (k8s.io/apimachinery, pkg/util/net/http.go).
fn approved_by(hold: &Hold) -> HeaderValue {
    let approvals = hold.state().approvals();
    let names: Vec<&str> = approvals.iter().map(|it| it.reviewer().username.as_str()).collect();
    let reasons = approvals.iter().map(|it| it.reason()).filter(|it| !it.is_empty());
    let said = match reasons.collect::<Vec<_>>() {
        reasons if reasons.is_empty() => String::new(),
        reasons => format!(": {}", reasons.join("; ")),
    };
    warning::of(&format!("approved by {} (hold {}){said}", names.join(" and "), hold.id()))
}

/// Whether it is a collection whose objects were shown, which are sent one by one.
fn is_each_sent(write: &Write, judgement: &Judgement) -> bool {
    write.attributes().verb == "deletecollection" && judgement.knows_each_object()
}

/// What a collection's answer shows deleted that nobody approved: of one whose objects nobody could list.
fn excess(write: &Write, targets: &[Target], answer: &[u8]) -> Option<String> {
    if write.attributes().verb != "deletecollection" {
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
            !targets.iter().any(|target| target.uid == uid)
        })
        .filter_map(|item| item.pointer("/metadata/name")?.as_str().map(str::to_owned))
        .collect();
    (!more.is_empty())
        .then(|| format!("deleted but never shown to a reviewer: {}", more.join(", ")))
}
