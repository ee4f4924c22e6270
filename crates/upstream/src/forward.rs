//! Sending an agent's request for real.
//!
//! It takes a permit:
//! ```no_run
//! async fn with(api: upstream::ApiServer, permit: hold::Permit, outgoing: upstream::Outgoing) {
//!     let _ = api.forward(permit, outgoing).await;
//! }
//! ```
//! Without one it does not compile, nor does any other way around it:
//! ```compile_fail,E0308
//! async fn without(api: upstream::ApiServer, outgoing: upstream::Outgoing) {
//!     let _ = api.forward((), outgoing).await;
//! }
//! ```
//! ```compile_fail,E0624
//! async fn around(
//!     api: upstream::ApiServer,
//!     request: http::Request<http_body_util::Full<bytes::Bytes>>,
//! ) {
//!     let _ = api.send(request).await;
//! }
//! ```
//! ```compile_fail,E0382
//! async fn twice(api: upstream::ApiServer, permit: hold::Permit, outgoing: upstream::Outgoing) {
//!     let _ = api.forward(permit, outgoing.clone()).await;
//!     let _ = api.forward(permit, outgoing).await;
//! }
//! ```
//! ```compile_fail,E0451
//! fn probe() -> upstream::Probe {
//!     upstream::Probe { method: http::Method::DELETE, ..upstream::Probe::get("/api/v1/pods") }
//! }
//! ```

use std::time::Duration;

use attributes::AuditId;
use audit::Sent;
use bytes::Bytes;
use hold::Permit;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};

use crate::{ApiServer, Body, BodyError, RunAs, SendError, repeat::Repeat};

/// By which the API server's audit log names a call.
const AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");

/// What leaves: the agent's target byte for byte, its allow-listed headers, its credential, and
/// its body (or the pinned one).
#[derive(Clone)]
pub struct Outgoing {
    /// The HTTP method.
    pub method: Method,
    /// Path and query as the agent sent them.
    pub target: String,
    /// Headers that were let through; neither identity nor hop-by-hop ones.
    pub headers: HeaderMap,
    /// In whose name.
    pub run_as: RunAs,
    /// Who that is; `None` of reads, which nobody is asked about.
    pub username: Option<String>,
    /// The body.
    pub body: Bytes,
}

/// The API server's answer.
pub type Answer = Response<Body>;

impl ApiServer {
    /// Forwards one request, spending the right to do so. It is sent once, whatever becomes of it.
    ///
    /// # Errors
    /// [`SendError`]: unsent, or unknown.
    ///
    /// # Cancel safety
    /// As `ApiServer::send`.
    pub async fn forward(&self, permit: Permit, outgoing: Outgoing) -> Result<Answer, SendError> {
        let audit_id = spend(permit, &outgoing)?;
        self.deliver(outgoing, audit_id.as_str(), Repeat::Never).await
    }

    /// Like [`ApiServer::forward`], for a read: asked a second time where a kept connection seems dead, and
    /// given up where the head of its answer does not come within `time_max`.
    ///
    /// # Errors
    /// [`SendError`]: no answer came.
    pub async fn forward_read(
        &self,
        time_max: Duration,
        permit: Permit,
        outgoing: Outgoing,
    ) -> Result<Answer, SendError> {
        let audit_id = spend(permit, &outgoing)?;
        self.deliver(outgoing, audit_id.as_str(), Repeat::Harmless(Some(time_max))).await
    }

    /// Like [`ApiServer::forward`], for a read whose answer may stream for hours: on a connection that
    /// it shares with other streams where there can be one, else on one of its own.
    ///
    /// # Errors
    /// [`SendError`]: unsent, or unknown.
    pub async fn forward_stream(
        &self,
        permit: Permit,
        outgoing: Outgoing,
    ) -> Result<Answer, SendError> {
        let audit_id = spend(permit, &outgoing)?;
        if !matches!(outgoing.run_as, RunAs::Impersonated(_)) {
            let request = self.request(outgoing.clone(), audit_id.as_str())?;
            if let Some(answer) = self.send_shared(request).await {
                let answer = answer.map(|body| body.map_err(BodyError::new).boxed_unsync());
                return Ok(without_tag(answer, audit_id.as_str()));
            }
        }
        self.deliver(outgoing, audit_id.as_str(), Repeat::Harmless(None)).await
    }

    /// Picks the road: by token or none, or in the agent's name.
    pub(crate) async fn deliver(
        &self,
        outgoing: Outgoing,
        audit_id: &str,
        repeat: Repeat,
    ) -> Result<Answer, SendError> {
        let run_as = outgoing.run_as.clone();
        let request = self.request(outgoing, audit_id)?;
        let answer = match run_as {
            RunAs::Impersonated(user) => {
                let answer = Box::pin(self.impersonating().send(&user, request, repeat));
                match repeat.time_max() {
                    Some(max) => {
                        tokio::time::timeout(max, answer).await.map_err(|_| SendError::Silent)??
                    }
                    None => answer.await?,
                }
            }
            RunAs::Nobody | RunAs::Bearer(_) => {
                let answer = self.send(request, repeat).await?;
                answer.map(|body| body.map_err(BodyError::new).boxed_unsync())
            }
        };
        // Nobody asked for a tunnel, so nobody has judged one: passed on, it would be one to the agent.
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Err(SendError::Unknown(
                "101 in answer to a request that is not an upgrade".into(),
            ));
        }
        Ok(without_tag(answer, audit_id))
    }

    /// Like [`ApiServer::forward`], but what takes longer than `time_max` counts as unknown.
    ///
    /// # Errors
    /// [`SendError`]: unsent, or unknown.
    pub async fn forward_within(
        &self,
        time_max: Duration,
        permit: Permit,
        outgoing: Outgoing,
    ) -> Result<Answer, SendError> {
        match tokio::time::timeout(time_max, self.forward(permit, outgoing)).await {
            Ok(answer) => answer,
            Err(elapsed) => Err(SendError::Unknown(Box::new(elapsed))),
        }
    }

    /// Builds the request that leaves. Identity is set last, on top of nothing that could remove it.
    pub(crate) fn request(
        &self,
        outgoing: Outgoing,
        audit_id: &str,
    ) -> Result<Request<Full<Bytes>>, SendError> {
        let unsent = |error: http::Error| SendError::Unsent(Box::new(error));
        let tagged = self.tagger().tagged(&Sent {
            audit_id,
            method: outgoing.method.as_str(),
            target: &outgoing.target,
            username: outgoing.username.as_deref(),
        });
        let target = match outgoing.run_as {
            // The client of that road knows where the API server is.
            RunAs::Impersonated(_) => outgoing.target,
            RunAs::Nobody | RunAs::Bearer(_) => self.below(&outgoing.target),
        };
        let mut request = Request::builder()
            .method(&outgoing.method)
            .uri(target)
            .body(Full::new(outgoing.body))
            .map_err(unsent)?;
        let value = |text: &str| HeaderValue::from_str(text).map_err(|error| unsent(error.into()));
        *request.headers_mut() = outgoing.headers;
        let headers = request.headers_mut();
        headers.insert(header::HOST, value(self.authority())?);
        headers.insert(AUDIT_ID, value(&tagged)?);
        headers.remove(header::AUTHORIZATION);
        if let RunAs::Bearer(bearer) = outgoing.run_as {
            headers.insert(header::AUTHORIZATION, bearer.authorization);
        }
        Ok(request)
    }
}

/// INVARIANT: no agent sees a tag, with which it could go around agent-shield unseen.
pub(crate) fn without_tag<B>(mut answer: Response<B>, audit_id: &str) -> Response<B> {
    if answer.headers().contains_key(AUDIT_ID) {
        match HeaderValue::from_str(audit_id) {
            Ok(id) => answer.headers_mut().insert(AUDIT_ID, id),
            Err(_) => answer.headers_mut().remove(AUDIT_ID),
        };
    }
    answer
}

/// Compares what leaves with what the right was given for.
pub(crate) fn spend(permit: Permit, outgoing: &Outgoing) -> Result<AuditId, SendError> {
    let Outgoing { method, target, body, .. } = outgoing;
    permit.spend(method.as_str(), target, body).map_err(|error| {
        // Not to be reached: whoever made the permit made the request of the same bytes.
        tracing::error!(%error, %method, "nothing was sent");
        SendError::Unsent(Box::new(error))
    })
}
