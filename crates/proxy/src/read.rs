//! Reads: forwarded at once, and recorded when they have ended, however they end.

use std::sync::Arc;

use bytes::Bytes;
use hold::Permit;
use http::Response;
use hyper::body::Incoming;
use judge::{Call, Judge, decided};
use ledger::{Action, ClassRecord, DecisionRecord, Entry, Identity, Outcome, Stage};
use payload::Redactor;
use policy::Pack;
use review::Queue;
use status::Status;
use upstream::{Answer, ApiServer, Body, RunAs, SendError};

use crate::{
    body::{self, Counted, Ended},
    bounds::Bounds,
    credentials::Credentials,
    error::ProxyError,
    in_flight::{Bodies, RequestGuard},
    own_rules,
    recorder::{Recorder, is_nobodys},
};

/// What becomes of reads.
pub(crate) struct Reads {
    pub(crate) api: ApiServer,
    pub(crate) judge: Arc<Judge>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) credentials: Arc<Credentials>,
    pub(crate) recorder: Recorder,
    pub(crate) redactor: Redactor,
    pub(crate) bodies: Bodies,
    pub(crate) bounds: Bounds,
}

impl Reads {
    /// Begins the record of a read.
    pub(crate) fn begin(self: Arc<Self>, call: Call, guard: RequestGuard) -> ReadRecord {
        ReadRecord {
            reads: self,
            call: Some(call),
            decision: decided(Action::Allow, ""),
            class: None,
            code: 0,
            outcome: Outcome::Answered,
            _guard: guard,
        }
    }

    /// Whether policy lets a read pass, what it said, and how the namespace is classed.
    async fn judge_read(
        &self,
        pack: &Pack,
        call: &Call,
    ) -> Result<(DecisionRecord, ClassRecord), ProxyError> {
        let user = self.credentials.user_of(call).await?;
        Ok(self.judge.judge_read(pack, &call.attributes, &user).await?)
    }

    /// The page with the rules that are about whoever asks.
    async fn own_rules(&self, call: &Call) -> Result<Response<Body>, ProxyError> {
        if matches!(call.run_as, RunAs::Nobody) {
            return Err(ProxyError::Unauthenticated);
        }
        let user = self.credentials.user_of(call).await?;
        let is_frozen = self.queue.frozen(&user.username).await?.is_some();
        Ok(own_rules::page(&self.judge.policies(), &call.attributes, &user, is_frozen))
    }

    /// Sends a read; once more where a kept connection turned out dead.
    async fn ask_upstream(&self, call: &Call, body: Bytes) -> Result<Answer, SendError> {
        let again = match self.ask_once(call, body.clone()).await {
            Err(SendError::Stale(_)) => Box::pin(self.ask_once(call, body)),
            answered => return answered,
        };
        again.await
    }

    async fn ask_once(&self, call: &Call, body: Bytes) -> Result<Answer, SendError> {
        let Some(permit) = Permit::read(&call.attributes, &body, &call.audit_id) else {
            // INVARIANT: only reads get here; anything else has no permit and is not sent.
            return Err(SendError::Unsent("this is not a read".into()));
        };
        match streams(call) {
            true => Box::pin(self.api.forward_stream(permit, call.outgoing(body))).await,
            false => self.api.forward(permit, call.outgoing(body)).await,
        }
    }
}

/// Whether an answer may go on for as long as its client likes: a watch, or a log that is followed.
fn streams(call: &Call) -> bool {
    let attributes = &call.attributes;
    attributes.verb == "watch"
        || attributes.query.first("follow").is_some_and(|it| it != "false" && it != "0")
}

/// What will be recorded of a read, once: also of one whose agent leaves before there is an answer.
pub(crate) struct ReadRecord {
    reads: Arc<Reads>,
    /// Taken when it is recorded.
    call: Option<Call>,
    decision: DecisionRecord,
    /// How its namespace is classed, where a rule asked.
    class: Option<ClassRecord>,
    /// Of the answer; 0 while there is none.
    code: u16,
    /// How it ended, once its answer has left whole.
    outcome: Outcome,
    _guard: RequestGuard,
}

impl ReadRecord {
    /// Forwards a read at once; upstream authenticates it, and who it was joins the record later.
    pub(crate) async fn answer(mut self, body: Incoming) -> Response<Body> {
        match self.forward(body).await {
            Ok(answer) => answer.map(|body| Counted::wrap(body, move |ended| self.ended(&ended))),
            Err(error) => {
                let status = Status::from(&error);
                self.refused(status.code(), &error);
                body::status_response(&status)
            }
        }
    }

    async fn forward(&mut self, body: Incoming) -> Result<Answer, ProxyError> {
        let reads = &self.reads;
        // INVARIANT: the call is only taken when the record is published, at the end.
        let call = self.call.as_ref().ok_or(ProxyError::Unsent)?;
        // Most reads concern no rule, and do not wait for their user.
        if let Some(pack) = reads.judge.asked_about_read(&call.attributes) {
            let (decision, class) = Box::pin(reads.judge_read(&pack, call)).await?;
            (self.decision, self.class) = (decision, Some(class));
        }
        if own_rules::is_for_rules(&call.attributes) {
            let answer = reads.own_rules(call).await?;
            (self.code, self.outcome) = (answer.status().as_u16(), Outcome::Refused);
            return Ok(answer);
        }
        // The API server ignores the body of a GET; it is passed on, within the bounds.
        let mut taken = reads.bodies.taken();
        let body = body::collect(body, &reads.bounds, &mut taken).await?;
        let answer = reads.ask_upstream(call, body).await.map_err(|error| {
            tracing::warn!(%error, source = ?std::error::Error::source(&error), "a read failed");
            // A read changes nothing, so the client may always ask again.
            ProxyError::Unsent
        })?;
        let (mut head, body) = answer.into_parts();
        head.headers = attributes::headers::downstream_headers(head.headers);
        self.code = head.status.as_u16();
        if streams(call) {
            let mut started = Entry {
                request: Some(call.record(&reads.redactor)),
                decision: Some(self.decision.clone()),
                class: self.class,
                response: Some(call.response(self.code, Outcome::Answered, 0)),
                ..call.entry(Stage::ResponseStarted)
            };
            started.user = call.known_user().as_ref().map(Identity::from);
            match call.token() {
                // Told of once, when it has ended.
                _ if self.code == 401 => {}
                None if is_nobodys(&started) => reads.recorder.append_of_nobody(started, None),
                token => reads.recorder.append_later(started, token),
            }
            if let Some(call) = self.call.as_mut() {
                call.let_go_of_head();
            }
        }
        Ok(Response::from_parts(head, body))
    }

    fn ended(mut self, ended: &Ended) {
        let outcome = if ended.complete { self.outcome } else { Outcome::ClientGone };
        self.publish(outcome, ended.bytes, None);
    }

    fn refused(mut self, code: u16, error: &ProxyError) {
        self.code = code;
        let outcome = match error {
            ProxyError::Denied(refusal) => {
                self.decision = refusal.decision.clone();
                self.class = refusal.basis.class;
                Outcome::Refused
            }
            _ => Outcome::Unsent,
        };
        self.publish(outcome, 0, Some(error.to_string()));
    }

    fn publish(&mut self, outcome: Outcome, bytes: u64, note: Option<String>) {
        let Some(call) = self.call.take() else { return };
        let mut entry = call.entry(Stage::ResponseComplete);
        entry.decision = Some(self.decision.clone());
        entry.class = self.class;
        entry.response = Some(call.response(self.code, outcome, bytes));
        entry.user = call.known_user().as_ref().map(Identity::from);
        entry.note = note;
        let token = call.token();
        entry.request = Some(call.into_record(&self.reads.redactor));
        let recorder = &self.reads.recorder;
        match token {
            // The API server has said already that it does not know the token.
            Some(token) if self.code == 401 => recorder.append_unauthorized(entry, token),
            None if is_nobodys(&entry) => recorder.append_of_nobody(entry, None),
            token => recorder.append_later(entry, token),
        }
    }
}

impl Drop for ReadRecord {
    fn drop(&mut self) {
        self.publish(Outcome::ClientGone, 0, None);
    }
}
