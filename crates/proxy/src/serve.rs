//! One request, top to bottom; any line may end it.

use std::{net::SocketAddr, sync::Arc, time::Instant};

use attributes::{Attributes, AttributesError, AuditId, User, headers::Credential};
use authn::TokenError;
use hold::{Hold, Permit};
use http::{HeaderMap, Request, Response, Version, header};
use hyper::body::Incoming;
use judge::{Call, Judged, Judgement, Write, decided};
use ledger::{Action, Entry, Identity, Outcome, RequestRecord, Stage};
use policy::Decision;
use serde_json::Value;
use status::Status;
use tokio_util::task::AbortOnDropHandle;
use upstream::{Bearer, Body, RunAs};

use crate::{
    Proxy, body,
    error::ProxyError,
    in_flight::InFlight,
    inbound::InboundWrite,
    listener::Peer,
    tunnel::{Opening, Upgrade},
    warning,
};

impl Proxy {
    /// Answers one request. Never fails: what goes wrong is a `Status` for the agent and an entry.
    pub(crate) async fn serve(
        self: Arc<Self>,
        peer: &Peer,
        mut request: Request<Incoming>,
    ) -> Response<Body> {
        let received = Instant::now();
        let audit_id = AuditId::new(uuid::Uuid::now_v7().to_string());
        let (call, agent) = match self.read_head(peer, received, &audit_id, &request) {
            Ok(read) => read,
            Err(error) => {
                return self.refuse_head(peer.address, received, &audit_id, &request, &error);
            }
        };
        let max = self.settings.bounds.requests_per_agent_max;
        let Some(load) = agent.take(max) else {
            let error = ProxyError::TooManyRequests { max };
            return self.refuse_head(peer.address, received, &audit_id, &request, &error);
        };
        match call.attributes.is_read() {
            true => self.read(call, load, request.into_body()).await,
            false => {
                // A DELETE that asks for an upgrade is a DELETE, to the API server too.
                let upgrade = match call.attributes.is_connect() {
                    true => Upgrade::of(&mut request),
                    false => None,
                };
                let proxy = Arc::clone(&self);
                let judged = self.home.spawn(async move {
                    let _load = load;
                    proxy.write(call, upgrade, request.into_body()).await
                });
                // Ends when the agent leaves; what must not be cut in two runs on its own.
                AbortOnDropHandle::new(judged).await.unwrap_or_else(|error| {
                    tracing::error!(%error, auditID = %audit_id, "judging a write ended badly");
                    body::status_response(&Status::from(&ProxyError::Broken))
                })
            }
        }
    }

    /// Reads the head once: afterwards nobody looks at the agent's own headers or URL again.
    fn read_head(
        &self,
        peer: &Peer,
        received: Instant,
        audit_id: &AuditId,
        request: &Request<Incoming>,
    ) -> Result<(Call, InFlight), ProxyError> {
        let headers = request.headers();
        let bounds = &self.settings.bounds;
        if headers.len() > bounds.headers_max || size_of(headers) > bounds.header_bytes_max {
            let (headers, bytes) = (bounds.headers_max, bounds.header_bytes_max);
            return Err(ProxyError::HeadTooLarge { headers, bytes });
        }
        attributes::headers::check(request.method(), headers)?;
        let attributes = attributes::read(request.method(), &target_of(request), headers)?;
        let (run_as, agent) = self.credential(peer, headers)?;
        let call = Call {
            audit_id: audit_id.clone(),
            attributes,
            headers: attributes::headers::upstream_headers(headers),
            run_as,
            source: peer.address,
            received,
        };
        Ok((call, agent))
    }

    /// In whose name a request goes upstream, and what they have under way.
    fn credential(
        &self,
        peer: &Peer,
        headers: &HeaderMap,
    ) -> Result<(RunAs, InFlight), ProxyError> {
        let authorization = headers.get(header::AUTHORIZATION);
        if let Some(known) = authorization.and_then(|it| peer.known(it)) {
            return Ok(known);
        }
        let run_as = match (attributes::headers::credential(headers)?, peer.chain()) {
            (Credential::Bearer(token), None) => {
                RunAs::Bearer(Bearer::new(&token).ok_or(AttributesError::Authorization)?)
            }
            (Credential::None, Some(chain)) => {
                RunAs::Impersonated(Box::new(self.certificates.agent(chain)?))
            }
            (Credential::None, None) => RunAs::Nobody,
            // The API server would take the certificate, its reader may think of the token.
            (Credential::Bearer(_), Some(_)) => return Err(ProxyError::TwoCredentials),
        };
        let agent = self.in_flight.of(&run_as);
        // A certificate is verified for each request, whatever else is shown.
        if let (Some(authorization), RunAs::Bearer(_)) = (authorization, &run_as) {
            peer.remember(authorization, run_as.clone(), agent.clone());
        }
        Ok((run_as, agent))
    }

    /// Judges a write, and forwards, holds or refuses it.
    async fn write(
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
            Judged::Answered(answer) => return self.answered(&write, answer).await,
            Judged::Decided(judgement) => match judgement.verdict.decision {
                Decision::Allow => self.allow(&write, *judgement).await,
                Decision::Deny => Err(self.judge.refuse(&write, *judgement).await.into()),
                Decision::Hold => {
                    let held = Arc::clone(self).hold(Arc::clone(&write), *judgement).await;
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

    /// Who sends a call; the API server is asked about a token that is not known yet.
    pub(crate) async fn user_of(&self, call: &Call) -> Result<User, TokenError> {
        match (call.known_user(), call.run_as.token()) {
            (Some(user), _) => Ok(user),
            (None, token) => self.tokens.user(token.map_or("", |token| token)).await,
        }
    }

    /// Waits for all that a judgement needs: the user, the whole body, the namespace's class.
    async fn buffer(
        &self,
        call: Call,
        upgrade: Option<Upgrade>,
        body: Incoming,
    ) -> Result<InboundWrite, (Option<User>, ProxyError)> {
        let user = self.user_of(&call).await.map_err(|error| (None, error.into()))?;
        if let Some(freeze) = self.queue.frozen(&user.username) {
            return Err((Some(user), ProxyError::Frozen(Box::new(freeze))));
        }
        let mut taken = self.bodies.taken();
        let body = match body::collect(body, &self.settings.bounds, &mut taken).await {
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
        let write = Write { call, user, body, media, is_dry_run, class };
        Ok(InboundWrite { write, upgrade, _taken: taken })
    }

    /// Records an allowed write durably, then sends it.
    async fn allow(
        self: &Arc<Self>,
        write: &Arc<InboundWrite>,
        mut judgement: Judgement,
    ) -> Result<Response<Body>, ProxyError> {
        let decision = &judgement.verdict.decision;
        let permit = Permit::allowed(decision, &write.call.audit_id).ok_or(ProxyError::Unsent)?;
        let mut received = write.received(&self.redactor, judgement.decision(Action::Allow));
        self.judge.facts.basis(write, &mut judgement).add_to(&mut received);
        let at = received.time;
        self.recorder.append_durable(vec![received]).await?;
        self.judge.memory.remember(&write.user.username, &judgement.effects, at);
        // On its own: an agent that leaves in the middle must not leave an outcome unrecorded.
        let (proxy, write) = (Arc::clone(self), Arc::clone(write));
        let sent = self.tasks.spawn(async move { proxy.send_allowed(permit, write).await });
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
        let answer = match &write.upgrade {
            Some(upgrade) => match self.open(permit, &write, upgrade).await {
                Ok(Opening::Opened(answer)) => return Ok(answer),
                Ok(Opening::Answered(answer)) => Ok(answer),
                Err(error) => Err(error),
            },
            None => {
                let outgoing = write.call.outgoing(write.body.clone());
                self.api.forward_within(self.settings.write_time_max, permit, outgoing).await
            }
        };
        let mut entry = write.call.entry(Stage::ResponseComplete);
        let answer = match answer {
            Ok(answer) => answer,
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

    fn refuse_head(
        &self,
        source: SocketAddr,
        received: Instant,
        audit_id: &AuditId,
        request: &Request<Incoming>,
        error: &ProxyError,
    ) -> Response<Body> {
        let call = Call {
            audit_id: audit_id.clone(),
            attributes: Attributes::default(),
            headers: attributes::headers::upstream_headers(request.headers()),
            run_as: RunAs::Nobody,
            source,
            received,
        };
        let mut entry = Entry {
            request: Some(RequestRecord {
                method: request.method().to_string(),
                request_uri: self.redactor.redact_target(&target_of(request)),
                ..call.record(&self.redactor)
            }),
            ..call.entry(Stage::ResponseComplete)
        };
        let status = Status::from(error);
        entry.decision = Some(decided(Action::Refuse, error));
        entry.response = Some(call.response(status.code(), Outcome::Refused, 0));
        let token = match attributes::headers::credential(request.headers()) {
            Ok(Credential::Bearer(token)) => Some(token.into()),
            _ => None,
        };
        self.recorder.append_later(entry, token);
        body::status_response(&status)
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
            // The decision that was made before stands.
            _ => None,
        };
        entry.response = Some(write.call.response(status.code(), outcome, 0));
        self.recorder.append_outcome(entry).await;
        body::status_response(&status)
    }

    /// After a lost answer: what the live object says now, for whoever has to find out.
    pub(crate) async fn found_out(&self, write: &Write, hold: &Hold) -> String {
        let attributes = write.attributes();
        let path = attributes.target.split('?').next().unwrap_or_default();
        if attributes.verb != "delete" {
            return "whether it ran is not known".to_owned();
        }
        let answer = self.judge.view.read_as_agent(write, path).await;
        let found = answer.map(|answer| (answer.status.as_u16(), answer.json));
        match found {
            Ok((404, _)) => "afterwards the object was gone".to_owned(),
            Ok((200, Some(object))) => {
                let text = |path| object.pointer(path).and_then(Value::as_str).unwrap_or_default();
                let deleting = !text("/metadata/deletionTimestamp").is_empty();
                match text("/metadata/uid") == hold.preview.uid {
                    true if deleting => "afterwards the object was being deleted".to_owned(),
                    true => "afterwards the object was still there".to_owned(),
                    false => "afterwards another object had its name".to_owned(),
                }
            }
            Ok((code, _)) => format!("afterwards the object could not be read: {code}"),
            Err(error) => format!("afterwards the object could not be read: {error}"),
        }
    }
}

/// Names and values of headers, in bytes.
fn size_of(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len().saturating_add(value.len())).sum()
}

/// The request target as it was sent; an absolute-form target keeps its authority and is refused.
/// In HTTP/2 the authority is a field of its own beside the path.
fn target_of(request: &Request<Incoming>) -> String {
    match request.uri().authority() {
        Some(_) if request.version() != Version::HTTP_2 => request.uri().to_string(),
        _ => request
            .uri()
            .path_and_query()
            .map_or_else(|| request.uri().to_string(), |it| it.as_str().to_owned()),
    }
}
