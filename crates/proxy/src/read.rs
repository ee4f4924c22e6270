//! Reads: forwarded at once, and recorded when they have ended, however they end.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use hold::{HoldId, Permit};
use http::Response;
use judge::{Call, Judge, decided};
use ledger::{Action, ClassRecord, DecisionRecord, Entry, Identity, Outcome, Stage};
use payload::Redactor;
use policy::Pack;
use review::Queue;
use status::Status;
use text::causes;
use upstream::{Answer, ApiServer, Body, RunAs, SendError};

use crate::{
    body::{self, Counted, Ended, Inbound},
    bounds::Bounds,
    credentials::Credentials,
    error::ProxyError,
    in_flight::{Bodies, RequestGuard},
    own_holds, own_rules,
    recorder::{Recorder, is_nobodys},
    tunnel::{Asked, Carried, Tunnels},
    upgrade::Upgrade,
};

/// How long the API server lets a read take that does not say so (its `--request-timeout`).
const READ_TIME_MAX: Duration = Duration::from_secs(60);

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
    pub(crate) tunnels: Arc<Tunnels>,
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
            guard: Some(guard),
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

    /// Where a held request of whoever asks stands.
    async fn own_hold(&self, call: &Call, id: &HoldId) -> Result<Response<Body>, ProxyError> {
        let user = self.credentials.user_of(call).await?;
        let hold = self.queue.own(id, &Identity::from(&user)).await.map_err(own_holds::error)?;
        Ok(own_holds::page(&hold, &call.attributes))
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
        let permit = permit(call, &body)?;
        match streams(call) {
            true => Box::pin(self.api.forward_stream(permit, call.outgoing(body))).await,
            false => self.api.forward_read(time_max_of(call), permit, call.outgoing(body)).await,
        }
    }
}

/// INVARIANT: only reads get here; anything else has no permit and is not sent.
fn permit(call: &Call, body: &Bytes) -> Result<Permit, SendError> {
    let permit = Permit::read(&call.attributes, body, &call.audit_id);
    permit.ok_or_else(|| SendError::Unsent("this is not a read".into()))
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
    /// Counts the request; whoever carries it on takes it along.
    guard: Option<RequestGuard>,
}

impl ReadRecord {
    /// Forwards a read at once; upstream authenticates it, and who it was joins the record later.
    pub(crate) async fn answer(mut self, body: Inbound) -> Response<Body> {
        match self.forward(body).await {
            Ok(answer) => self.passed(answer),
            Err(error) => self.failed(&error),
        }
    }

    /// Passes on what the API server answers, and records it when it has ended.
    fn passed(self, answer: Answer) -> Response<Body> {
        answer.map(|body| Counted::wrap(body, move |ended| self.ended(&ended)))
    }

    fn failed(self, error: &ProxyError) -> Response<Body> {
        let status = Status::from(error);
        self.refused(status.code(), error);
        body::status_response(&status)
    }

    /// The answer as the agent gets it, of which the code is recorded.
    fn for_agent(&mut self, answer: Answer) -> Answer {
        let (mut head, body) = answer.into_parts();
        head.headers = attributes::headers::downstream_headers(head.headers);
        self.code = head.status.as_u16();
        Response::from_parts(head, body)
    }

    /// Whether nobody but the API server answers it.
    pub(crate) async fn is_answered_by_api_server(&self) -> bool {
        let Some(call) = &self.call else { return false };
        self.reads.judge.view.is_answered_by_api_server(&call.attributes).await
    }

    /// What is no read, as somebody else may make anything of its connection; nothing is recorded of it here.
    pub(crate) fn into_connect(mut self) -> Option<(Call, RequestGuard)> {
        let mut call = self.call.take()?;
        call.attributes.is_upgrade = true;
        Some((call, self.guard.take()?))
    }

    /// As [`ReadRecord::answer`], on a connection of its own, on which the agent only listens.
    pub(crate) async fn listen(mut self, upgrade: &Upgrade, body: Inbound) -> Response<Body> {
        let (answer, session) = match self.open(upgrade, body).await {
            Ok(Asked::Open(answer, session)) => (answer, session),
            Ok(Asked::Answered(answer)) => {
                let answer = self.for_agent(answer);
                return self.passed(answer);
            }
            Err(error) => return self.failed(&error),
        };
        self.code = 101;
        self.started();
        let tunnels = Arc::clone(&self.reads.tunnels);
        tunnels.listen(*session, move |Carried { note, bytes }| {
            self.publish(Outcome::Answered, bytes, Some(note));
        });
        answer
    }

    async fn open(&mut self, upgrade: &Upgrade, body: Inbound) -> Result<Asked, ProxyError> {
        self.judge().await?;
        let reads = &self.reads;
        let call = self.call.as_ref().ok_or(ProxyError::Unsent)?;
        let mut taken = reads.bodies.taken();
        let body = body::collect(body, &reads.bounds, &mut taken).await?;
        let asked = match permit(call, &body) {
            Ok(permit) => {
                let outgoing = call.outgoing(body);
                reads.tunnels.ask(permit, &call.attributes, upgrade, outgoing).await
            }
            Err(error) => Err(error),
        };
        asked.map_err(|error| unsent(&error))
    }

    /// Most reads concern no rule, and do not wait for their user.
    async fn judge(&mut self) -> Result<(), ProxyError> {
        // INVARIANT: the call is only taken when the record is published, at the end.
        let call = self.call.as_ref().ok_or(ProxyError::Unsent)?;
        if let Some(pack) = self.reads.judge.asked_about_read(&call.attributes) {
            let (decision, class) = Box::pin(self.reads.judge_read(&pack, call)).await?;
            (self.decision, self.class) = (decision, Some(class));
        }
        Ok(())
    }

    async fn forward(&mut self, body: Inbound) -> Result<Answer, ProxyError> {
        self.judge().await?;
        let reads = &self.reads;
        let call = self.call.as_ref().ok_or(ProxyError::Unsent)?;
        if own_rules::is_for_rules(&call.attributes) {
            let answer = reads.own_rules(call).await?;
            (self.code, self.outcome) = (answer.status().as_u16(), Outcome::Refused);
            return Ok(answer);
        }
        if let Some(id) = own_holds::asked(&call.attributes) {
            let answer = reads.own_hold(call, &id).await?;
            (self.code, self.outcome) = (answer.status().as_u16(), Outcome::Refused);
            return Ok(answer);
        }
        // The API server ignores the body of a GET; it is passed on, within the bounds.
        let mut taken = reads.bodies.taken();
        let body = body::collect(body, &reads.bounds, &mut taken).await?;
        let answer = reads.ask_upstream(call, body).await.map_err(|error| unsent(&error))?;
        let is_stream = streams(call);
        let answer = self.for_agent(answer);
        if is_stream {
            self.started();
        }
        Ok(answer)
    }

    /// Records that an answer began which may go on for hours.
    fn started(&mut self) {
        let (Some(call), recorder) = (&mut self.call, &self.reads.recorder) else { return };
        let mut started = Entry {
            request: Some(call.record(&self.reads.redactor)),
            decision: Some(self.decision.clone()),
            class: self.class,
            response: Some(call.response(self.code, Outcome::Answered, 0)),
            ..call.entry(Stage::ResponseStarted)
        };
        started.user = call.known_user().as_ref().map(Identity::from);
        match call.token() {
            // Told of once, when it has ended.
            _ if self.code == 401 => {}
            None if is_nobodys(&started) => recorder.append_of_nobody(started, None),
            token => recorder.append_later(started, token),
        }
        call.let_go_of_head();
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

/// A read changes nothing, so the client may always ask again.
fn unsent(error: &SendError) -> ProxyError {
    tracing::warn!(error = causes(error), "a read failed");
    match error {
        SendError::Silent => ProxyError::Silent,
        SendError::Unsent(_) | SendError::Unknown(_) | SendError::Stale(_) => ProxyError::Unsent,
    }
}

/// How long the API server itself would let a read take, and a second more.
fn time_max_of(call: &Call) -> Duration {
    let asked = call.attributes.query.first("timeout").and_then(go_duration);
    asked.unwrap_or(READ_TIME_MAX).min(READ_TIME_MAX).saturating_add(Duration::from_secs(1))
}

/// `1m30s`, as Go writes it (time, `ParseDuration`), as far as clients use it: `None` for anything else.
fn go_duration(text: &str) -> Option<Duration> {
    let (mut sum, mut rest) = (Duration::ZERO, text);
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|it: char| !it.is_ascii_digit())?);
        let unit = after.find(|it: char| it.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        let millis = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return None,
        };
        let millis = number.parse::<u64>().ok()?.checked_mul(millis)?;
        sum = sum.checked_add(Duration::from_millis(millis))?;
        rest = after;
    }
    (!sum.is_zero()).then_some(sum)
}

impl Drop for ReadRecord {
    fn drop(&mut self) {
        self.publish(Outcome::ClientGone, 0, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_durations_as_clients_write_them() {
        let table = [
            ("10s", Some(10_000)),
            ("1m30s", Some(90_000)),
            ("500ms", Some(500)),
            ("2h", Some(7_200_000)),
            ("0s", None),
            ("0", None),
            ("", None),
            ("s", None),
            ("-1s", None),
            ("1.5s", None),
            ("99999999999999999999s", None),
            ("18446744073709551615h", None),
        ];
        for (text, want) in table {
            assert_eq!(go_duration(text), want.map(Duration::from_millis), "{text}");
        }
    }
}
