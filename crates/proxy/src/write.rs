//! A write: judged by what it would do, then sent, held or refused.

use std::sync::Arc;

use hold::{HoldId, Permit};
use http::{Response, header};
use judge::{Call, Judge, Judged, Judgement, Write, decided};
use ledger::{Action, DecisionRecord, FreezeRecord, Identity, Outcome};
use payload::Redactor;
use policy::Decision;
use review::Queue;
use status::Status;
use text::causes;
use tokio_util::task::TaskTracker;
use upstream::Body;

use crate::{
    body::{self, Inbound},
    bounds::Bounds,
    credentials::Credentials,
    error::ProxyError,
    forward::{Forward, Sent},
    held::{Holding, still_rejected},
    in_flight::Bodies,
    inbound::InboundWrite,
    own_holds,
    recorder::Recorder,
    upgrade::Upgrade,
    warning,
    write_record::WriteRecord,
};

/// What becomes of writes.
pub(crate) struct Writes {
    pub(crate) judge: Arc<Judge>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) credentials: Arc<Credentials>,
    pub(crate) recorder: Recorder,
    pub(crate) redactor: Redactor,
    pub(crate) forward: Forward,
    pub(crate) holding: Arc<Holding>,
    pub(crate) bodies: Bodies,
    pub(crate) bounds: Bounds,
    pub(crate) tasks: TaskTracker,
}

impl Writes {
    /// Begins the record of a write, before anything is waited for.
    pub(crate) fn begin(&self, call: &Call) -> Arc<WriteRecord> {
        WriteRecord::begin(call, &self.recorder, &self.redactor)
    }

    /// Judges a write, and forwards, holds or refuses it.
    pub(crate) async fn write(
        self: &Arc<Self>,
        call: Call,
        record: Arc<WriteRecord>,
        upgrade: Option<Upgrade>,
        body: Inbound,
    ) -> Response<Body> {
        let write = match self.buffer(call, Arc::clone(&record), upgrade, body).await {
            Ok(write) => Arc::new(write),
            Err(error) => return refuse(&record, &error, Some(unjudged(&error))).await,
        };
        let answered = match own_holds::asked(&write.call.attributes) {
            Some(id) => self.cancel(&write, &id).await,
            None => self.judged(&write).await,
        };
        match answered {
            Ok(answer) => answer,
            Err(error) => refuse_judged(&write, &error).await,
        }
    }

    /// What came of judging it.
    async fn judged(
        self: &Arc<Self>,
        write: &Arc<InboundWrite>,
    ) -> Result<Response<Body>, ProxyError> {
        let judgement = match self.judge.judge(write).await? {
            Judged::Answered(answer) => return Ok(answered(write, answer).await),
            Judged::Decided(judgement) => *judgement,
        };
        let decision = judgement.verdict.decision();
        if decision == Decision::Allow && !write.is_dry_run {
            self.is_not_denied(write, &judgement).await?;
        }
        write.record.is_decided(judgement.decision(match decision {
            Decision::Allow => Action::Allow,
            Decision::Hold => Action::Hold,
            Decision::Deny => Action::Deny,
        }));
        match decision {
            Decision::Allow => self.allow(write, judgement).await,
            Decision::Deny => Err(self.judge.refuse(write, judgement).await.into()),
            Decision::Hold => self.holding.hold(Arc::clone(write), judgement).await,
        }
    }

    /// What a person has denied does not pass in a form that no rule holds.
    async fn is_not_denied(
        &self,
        write: &InboundWrite,
        judgement: &Judgement,
    ) -> Result<(), ProxyError> {
        let (username, asked) = (&write.user.username, &judgement.preview.asked);
        match self.queue.denial_of(username, asked).await? {
            Some(hold) => Err(still_rejected(&hold)),
            None => Ok(()),
        }
    }

    /// The agent gives up a request of its own that waits.
    async fn cancel(
        &self,
        write: &InboundWrite,
        id: &HoldId,
    ) -> Result<Response<Body>, ProxyError> {
        let agent = Identity::from(&write.user);
        let (hold, what) = match write.is_dry_run {
            true => (self.queue.own(id, &agent).await, "asked about giving up"),
            false => (self.queue.cancel(id, &agent).await, "gave up"),
        };
        let hold = hold.map_err(own_holds::error)?;
        write.record.is_decided(decided(Action::Allow, format!("its agent {what} hold {id}")));
        write.record.answered(200, Outcome::Refused, 0).await;
        Ok(own_holds::page(&hold, &write.call.attributes))
    }

    /// Waits for all that a judgement needs: the user, the whole body, the namespace's class.
    async fn buffer(
        &self,
        call: Call,
        record: Arc<WriteRecord>,
        upgrade: Option<Upgrade>,
        body: Inbound,
    ) -> Result<InboundWrite, ProxyError> {
        let user = self.credentials.user_of(&call).await?;
        record.is_of(&user);
        if let Some(freeze) = self.queue.frozen(&user.username).await? {
            return Err(ProxyError::Frozen(Box::new(freeze)));
        }
        let mut taken = self.bodies.taken();
        let body = body::collect(body, &self.bounds, &mut taken).await?;
        let (class, no_answer) = self.judge.view.class_of(&call.attributes).await;
        let attributes = &call.attributes;
        let media = payload::media_type(attributes.content_type.as_deref());
        let asks_dry_run = payload::is_dry_run(
            &attributes.method,
            &attributes.subresource,
            media,
            &body,
            attributes.query.first("dryRun"),
        );
        let is_own = own_holds::asked(attributes).is_some();
        let is_dry_run = asks_dry_run && (is_own || self.judge.pretends(attributes).await);
        let (weight, silence) = (judge::Weight::default(), judge::Silence::since(no_answer));
        let write = Write { call, user, body, media, is_dry_run, class, weight, silence };
        record.is_whole(&write, &self.redactor);
        Ok(InboundWrite { write, upgrade, record, _taken: taken })
    }

    /// Records an allowed write durably, then sends it.
    async fn allow(
        self: &Arc<Self>,
        write: &Arc<InboundWrite>,
        mut judgement: Judgement,
    ) -> Result<Response<Body>, ProxyError> {
        let allowed = judgement.verdict.allowed().ok_or(ProxyError::Unsent)?;
        let permit = Permit::allowed(&allowed, &write.body, &write.call.audit_id);
        let mut received = write.received(&self.redactor, judgement.decision(Action::Allow));
        self.judge.facts.basis(write, &mut judgement).add_to(&mut received);
        let at = received.time;
        self.recorder.append_durable(vec![received]).await?;
        write.record.is_recorded();
        // Last of all, as judging and recording took their time: a freeze is in force everywhere once it is
        // stored.
        if let Some(freeze) = self.queue.frozen(&write.user.username).await? {
            return Err(ProxyError::Frozen(Box::new(freeze)));
        }
        self.judge.remember(write, &mut judgement, at).await?;
        write.record.found(judgement.found);
        // A task of its own: an agent that leaves must not cut a send in two.
        let (writes, write) = (Arc::clone(self), Arc::clone(write));
        let sent = self.tasks.spawn(async move { writes.send_allowed(permit, write).await });
        sent.await.unwrap_or_else(|error| {
            tracing::error!(%error, "agent-shield failed while it sent a write");
            Err(ProxyError::Unsent)
        })
    }

    async fn send_allowed(
        self: Arc<Self>,
        permit: Permit,
        write: Arc<InboundWrite>,
    ) -> Result<Response<Body>, ProxyError> {
        let outgoing = write.outgoing(write.body.clone());
        let sent = self.forward.send(permit, &write, outgoing).await;
        let answer = match sent {
            Ok(Sent::Opened(answer)) => return Ok(answer),
            Ok(Sent::Answered(answer)) => answer,
            Err(error) => {
                let audit_id = write.call.audit_id.as_str();
                tracing::error!(
                    error = causes(&error),
                    auditID = audit_id,
                    "a write got no answer"
                );
                let error = ProxyError::sent(&error, audit_id);
                // Here, as whoever waits for this may have gone.
                let code = Status::from(&error).code();
                write.record.answered(code, outcome_of(&error), 0).await;
                return Err(error);
            }
        };
        let (mut head, mut body) = answer.into_parts();
        head.headers = attributes::headers::downstream_headers(head.headers);
        let is_read = judge::leaves_object(&write) || judge::makes_unnamed(&write);
        if head.status.is_success() && is_read {
            let (read, whole) = body::look_ahead(body, judge::LEFT_BYTES_MAX).await;
            if let Some(answer) = read {
                let (view, code) = (&self.judge.view, head.status.as_u16());
                write.record.made(judge::name_made(&write, code, &answer));
                write.record.left(judge::object_left(view, &write, code, &answer).await);
            }
            body = whole;
        }
        let bytes = http_body::Body::size_hint(&body).exact().unwrap_or(0);
        write.record.answered(head.status.as_u16(), Outcome::Answered, bytes).await;
        if head.status.is_success()
            && let Some(text) = self.judge.forewarning(&write).await
        {
            head.headers.append(header::WARNING, warning::of(&text));
        }
        Ok(Response::from_parts(head, body))
    }
}

/// The API server's dry run is the answer.
async fn answered(write: &InboundWrite, answer: upstream::ProbeAnswer) -> Response<Body> {
    let code = answer.status.as_u16();
    let reason = format!("the API server's dry run answered {code}; nothing was sent");
    write.record.is_decided(decided(Action::Refuse, reason));
    write.record.answered(code, Outcome::Refused, answer.bytes.len() as u64).await;
    let mut response = Response::new(body::full(answer.bytes));
    *response.status_mut() = answer.status;
    let headers = attributes::headers::downstream_headers(answer.headers);
    *response.headers_mut() = headers;
    response.headers_mut().remove(header::CONTENT_LENGTH);
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().entry(header::CONTENT_TYPE).or_insert(json);
    // The id of the question belongs to agent-shield: the call has its own, which is the one recorded.
    response.headers_mut().remove(upstream::AUDIT_ID);
    if let Ok(id) = http::HeaderValue::from_str(write.call.audit_id.as_str()) {
        response.headers_mut().insert(upstream::AUDIT_ID, id);
    }
    response
}

/// Ends a write with an answer of ours.
async fn refuse(
    record: &WriteRecord,
    error: &ProxyError,
    decision: Option<DecisionRecord>,
) -> Response<Body> {
    let status = Status::from(error);
    if let Some(decision) = decision {
        record.is_decided(decision);
    }
    record.answered(status.code(), outcome_of(error), 0).await;
    body::status_response(&status)
}

/// Ends a write that was judged, and was not answered by who sent it.
async fn refuse_judged(write: &InboundWrite, error: &ProxyError) -> Response<Body> {
    tracing::debug!(%error, auditID = %write.call.audit_id, "refused");
    let decision = match error {
        ProxyError::Denied(refusal) => {
            write.record.is_judged_by(refusal.basis.clone());
            Some(refusal.decision.clone())
        }
        ProxyError::StillRejected { .. } | ProxyError::Barred { .. } => {
            Some(decided(Action::Deny, error))
        }
        ProxyError::Frozen(freeze) => Some(frozen(freeze, error)),
        // What was decided stands in the record already.
        _ => None,
    };
    refuse(&write.record, error, decision).await
}

/// What is recorded of a write that nothing was judged of.
fn unjudged(error: &ProxyError) -> DecisionRecord {
    match error {
        ProxyError::Frozen(freeze) => frozen(freeze, error),
        error => decided(Action::Refuse, error),
    }
}

/// What a freeze ends is denied in the name of who froze, whether it waited or came later.
fn frozen(freeze: &hold::Freeze, error: &ProxyError) -> DecisionRecord {
    let hold::Freeze { by, reason, at, .. } = freeze.clone();
    let freeze = FreezeRecord { reviewer: by, reason, at };
    DecisionRecord { frozen: Some(freeze), ..decided(Action::Deny, error) }
}

/// How a write ended that this error is the answer to.
fn outcome_of(error: &ProxyError) -> Outcome {
    match error {
        ProxyError::OutcomeUnknown { .. } => Outcome::Unknown,
        ProxyError::Unsent => Outcome::Unsent,
        _ => Outcome::Refused,
    }
}
