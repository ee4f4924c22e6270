//! The one way of a write to the API server: with a permit, which is spent.

use std::{sync::Arc, time::Duration};

use hold::Permit;
use http::Response;
use upstream::{ApiServer, Body, Outgoing, SendError};

use crate::{
    inbound::InboundWrite,
    tunnel::{Asked, Tunnels},
};

/// Sends writes.
#[derive(Clone)]
pub(crate) struct Forward {
    pub(crate) api: ApiServer,
    pub(crate) tunnels: Arc<Tunnels>,
    /// After so long without an answer, the outcome is unknown.
    pub(crate) write_time_max: Duration,
}

/// What came of sending.
pub(crate) enum Sent {
    /// The agent is answered 101, and its tunnel runs.
    Opened(Response<Body>),
    /// The API server's answer.
    Answered(Response<Body>),
}

impl Forward {
    /// Sends `outgoing`, which is the write or what was approved of it.
    ///
    /// # Errors
    /// [`SendError`] where no answer came; whether it arrived is part of the error.
    pub(crate) async fn send(
        &self,
        permit: Permit,
        write: &Arc<InboundWrite>,
        outgoing: Outgoing,
    ) -> Result<Sent, SendError> {
        write.record.set_sent(true);
        let sent = self.send_now(permit, write, outgoing).await;
        if let Err(SendError::Unsent(_)) = sent {
            write.record.set_sent(false);
        }
        sent
    }

    async fn send_now(
        &self,
        permit: Permit,
        write: &Arc<InboundWrite>,
        outgoing: Outgoing,
    ) -> Result<Sent, SendError> {
        let Some(upgrade) = &write.upgrade else {
            let answer = self.api.forward_within(self.write_time_max, permit, outgoing).await?;
            return Ok(Sent::Answered(answer));
        };
        match self.tunnels.ask(permit, write.attributes(), upgrade, outgoing).await? {
            Asked::Open(answer, session) => {
                self.tunnels.run(*session, write).await;
                Ok(Sent::Opened(answer))
            }
            Asked::Answered(answer) => Ok(Sent::Answered(answer)),
        }
    }
}
