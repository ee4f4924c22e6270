//! A write: judged by what it would do, then sent, held or refused.

use std::{sync::Arc, time::Instant};

use attributes::User;
use hold::Permit;
use http::{Response, header};
use hyper::body::Incoming;
use judge::{Call, Judge, Judged, Judgement, Write, decided};
use ledger::{Action, Entry, Identity, Outcome, Stage};
use payload::Redactor;
use policy::Decision;
use review::Queue;
use status::Status;
use tokio_util::task::TaskTracker;
use upstream::Body;

use crate::{
    body,
    bounds::Bounds,
    credentials::Credentials,
    error::ProxyError,
    forward::{Forward, Sent},
    held::Holding,
    in_flight::Bodies,
    inbound::InboundWrite,
    recorder::Recorder,
    upgrade::Upgrade,
    warning,
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
    /// Judges a write, and forwards, holds or refuses it.
    pub(crate) async fn write(
        self: &Arc<Self>,
        call: Call,
        upgrade: Option<Upgrade>,
        body: Incoming,
    ) -> Response<Body> {
        let audit_id = call.audit_id.clone();
        let mut refused = Entry {
            request: Some(call.record(&self.redactor)),
            ..call.entry(Stage::ResponseComplete)
        };
        let received = call.received;
        let write = match self.buffer(call, upgrade, body).await {
            Ok(write) => Arc::new(write),
            Err((user, error)) => {
                refused.user = user.as_ref().map(Identity::from);
                return self.refuse(refused, received, &error).await;
            }
        };
        let ended = match self.judge.judge(&write).await {
            Err(error) => Err(error.into()),
            Ok(Judged::Answered(answer)) => return self.answered(&write, answer).await,
            Ok(Judged::Decided(judgement)) => match judgement.verdict.decision() {
                Decision::Allow => self.allow(&write, *judgement).await,
                Decision::Deny => Err(self.judge.refuse(&write, *judgement).await.into()),
                Decision::Hold => {
                    let held = self.holding.hold(Arc::clone(&write), *judgement).await;
                    return match held {
                        Ok(answer) => answer,
                        Err(error) => self.refuse_write(&write, &error).await,
                    };
                }
            },
        };
        match ended {
            Ok(answer) => answer,
            Err(error) => {
                tracing::debug!(%error, auditID = %audit_id, "refused");
                self.refuse_write(&write, &error).await
            }
        }
    }

    /// Waits for all that a judgement needs: the user, the whole body, the namespace's class.
    async fn buffer(
        &self,
        call: Call,
        upgrade: Option<Upgrade>,
        body: Incoming,
    ) -> Result<InboundWrite, (Option<User>, ProxyError)> {
        let user = self.credentials.user_of(&call).await.map_err(|error| (None, error.into()))?;
        match self.queue.frozen(&user.username).await {
            Ok(None) => {}
            Ok(Some(freeze)) => return Err((Some(user), ProxyError::Frozen(Box::new(freeze)))),
            Err(error) => return Err((Some(user), error.into())),
        }
        let mut taken = self.bodies.taken();
        let body = match body::collect(body, &self.bounds, &mut taken).await {
            Ok(body) => body,
            Err(error) => return Err((Some(user), error)),
        };
        let class = self.judge.view.class_of(&call.attributes).await;
        let attributes = &call.attributes;
        let media = payload::media_type(attributes.content_type.as_deref());
        let is_dry_run = payload::is_dry_run(
            &attributes.method,
            &attributes.subresource,
            media,
            &body,
            attributes.query.first("dryRun"),
        );
        let write =
            Write { call, user, body, media, is_dry_run, class, weight: judge::Weight::default() };
        Ok(InboundWrite { write, upgrade, _taken: taken })
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
        // Last of all, as judging and recording took their time: a freeze is in force everywhere once it is
        // stored.
        if let Some(freeze) = self.queue.frozen(&write.user.username).await? {
            return Err(ProxyError::Frozen(Box::new(freeze)));
        }
        self.judge.remember(write, &mut judgement, at).await?;
        // A task of its own: an agent that leaves must not leave an outcome unrecorded.
        let (writes, write) = (Arc::clone(self), Arc::clone(write));
        let sent = self.tasks.spawn(async move { writes.send_allowed(permit, write).await });
        sent.await.unwrap_or_else(|error| {
            tracing::error!(%error, "sending a write ended badly");
            Err(ProxyError::Unsent)
        })
    }

    async fn send_allowed(
        self: Arc<Self>,
        permit: Permit,
        write: Arc<InboundWrite>,
    ) -> Result<Response<Body>, ProxyError> {
        let outgoing = write.call.outgoing(write.body.clone());
        let sent = self.forward.send(permit, &write, outgoing).await;
        let mut entry = write.call.entry(Stage::ResponseComplete);
        let answer = match sent {
            Ok(Sent::Opened(answer)) => return Ok(answer),
            Ok(Sent::Answered(answer)) => answer,
            Err(error) => {
                let audit_id = write.call.audit_id.as_str();
                tracing::error!(%error, auditID = audit_id,
                    source = ?std::error::Error::source(&error), "a write got no answer");
                return Err(ProxyError::sent(&error, audit_id));
            }
        };
        let (mut head, body) = answer.into_parts();
        head.headers = attributes::headers::downstream_headers(head.headers);
        let bytes = http_body::Body::size_hint(&body).exact().unwrap_or(0);
        entry.response = Some(write.call.response(head.status.as_u16(), Outcome::Answered, bytes));
        self.recorder.append_outcome(entry).await;
        if head.status.is_success()
            && let Some(text) = self.judge.forewarning(&write).await
        {
            head.headers.append(header::WARNING, warning::of(&text));
        }
        Ok(Response::from_parts(head, body))
    }

    /// The API server's dry run is the answer.
    async fn answered(&self, write: &Write, answer: upstream::ProbeAnswer) -> Response<Body> {
        let code = answer.status.as_u16();
        let reason = format!("the API server's dry run answered {code}; nothing was sent");
        let mut entry = write.received(&self.redactor, decided(Action::Refuse, reason));
        entry.stage = Stage::ResponseComplete;
        entry.response =
            Some(write.call.response(code, Outcome::Refused, answer.bytes.len() as u64));
        self.recorder.append_outcome(entry).await;
        let mut response = Response::new(body::full(answer.bytes));
        *response.status_mut() = answer.status;
        let headers = attributes::headers::downstream_headers(answer.headers);
        *response.headers_mut() = headers;
        response.headers_mut().remove(header::CONTENT_LENGTH);
        let json = http::HeaderValue::from_static("application/json");
        response.headers_mut().entry(header::CONTENT_TYPE).or_insert(json);
        response
    }

    /// Ends a write before it was judged.
    async fn refuse(
        &self,
        mut entry: Entry,
        received: Instant,
        error: &ProxyError,
    ) -> Response<Body> {
        let status = Status::from(error);
        let latency = u64::try_from(received.elapsed().as_micros()).unwrap_or(u64::MAX);
        entry.decision = Some(decided(Action::Refuse, error));
        entry.response = Some(ledger::ResponseRecord {
            code: status.code(),
            outcome: Outcome::Refused,
            latency_micros: latency,
            bytes: 0,
        });
        self.recorder.append_outcome(entry).await;
        body::status_response(&status)
    }

    /// Ends a write that was judged.
    async fn refuse_write(&self, write: &Write, error: &ProxyError) -> Response<Body> {
        let status = Status::from(error);
        let outcome = match error {
            ProxyError::OutcomeUnknown { .. } => Outcome::Unknown,
            ProxyError::Unsent => Outcome::Unsent,
            _ => Outcome::Refused,
        };
        let mut entry = Entry {
            user: Some(Identity::from(&write.user)),
            request: Some(write.record(&self.redactor)),
            ..write.call.entry(Stage::ResponseComplete)
        };
        entry.decision = match error {
            ProxyError::Denied(refusal) => {
                refusal.basis.clone().add_to(&mut entry);
                Some(refusal.decision.clone())
            }
            ProxyError::StillRejected { .. } | ProxyError::Frozen(_) => {
                Some(decided(Action::Deny, error))
            }
            // The entry before it has the decision.
            _ => None,
        };
        entry.response = Some(write.call.response(status.code(), outcome, 0));
        self.recorder.append_outcome(entry).await;
        body::status_response(&status)
    }
}
