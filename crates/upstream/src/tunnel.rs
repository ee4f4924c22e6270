//! Connections that are upgraded: exec, attach, port-forward and proxied WebSockets.
//!
//! Each has a connection of its own that is never used for anything else, so that what an agent
//! writes into it can never be read as another request. Only a 101 makes a tunnel of it.

use bytes::Bytes;
use hold::Permit;
use http::{Request, Response, StatusCode, response};
use http_body_util::{BodyExt, Full};
use hyper::upgrade::Upgraded;

use crate::{
    Answer, ApiServer, Body, BodyError, Outgoing, RunAs, SendError,
    forward::{spend, without_tag},
    repeat::Repeat,
};

/// What the API server made of a request to upgrade.
pub enum Upgrading {
    /// 101, and the other end of the tunnel.
    Open(Box<response::Parts>, Upgraded),
    /// Anything else is an ordinary answer.
    Refused(Answer),
}

impl ApiServer {
    /// Sends a request that asks for an upgrade, spending the right to do so. The headers must hold
    /// `Connection` and `Upgrade`.
    ///
    /// # Errors
    /// [`SendError`]: unsent, or unknown.
    ///
    /// # Cancel safety
    /// Dropped before it returns, the request may have run: spawn it.
    pub async fn upgrade(
        &self,
        permit: Permit,
        outgoing: Outgoing,
    ) -> Result<Upgrading, SendError> {
        let run_as = outgoing.run_as.clone();
        let audit_id = spend(permit, &outgoing)?;
        let request = self.request(outgoing, audit_id.as_str())?;
        let answer = match run_as {
            RunAs::Impersonated(user) => {
                self.impersonating().send(&user, request, Repeat::Never).await?
            }
            RunAs::Nobody | RunAs::Bearer(_) => self.send_alone(request).await?,
        };
        let answer = without_tag(answer, audit_id.as_str());
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Ok(Upgrading::Refused(answer));
        }
        let (head, body) = answer.into_parts();
        let mut answer = Response::from_parts(head, body);
        let upgraded = hyper::upgrade::on(&mut answer).await;
        let upgraded = upgraded.map_err(|error| SendError::Unknown(Box::new(error)))?;
        Ok(Upgrading::Open(Box::new(answer.into_parts().0), upgraded))
    }

    /// On a connection of its own, which ends with the answer or becomes the tunnel.
    async fn send_alone(&self, request: Request<Full<Bytes>>) -> Result<Response<Body>, SendError> {
        let (mut sender, connection) = self.handshake().await.map_err(SendError::Unsent)?;
        #[expect(clippy::disallowed_methods, reason = "the connection ends when its sender drops")]
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "a connection for an upgrade ended");
            }
        });
        match sender.try_send_request(request).await {
            Ok(answer) => Ok(answer.map(|body| body.map_err(BodyError::new).boxed_unsync())),
            Err(mut error) => match error.take_message() {
                Some(_) => Err(SendError::Unsent(Box::new(error.into_error()))),
                None => Err(SendError::Unknown(Box::new(error.into_error()))),
            },
        }
    }
}
