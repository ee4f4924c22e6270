//! In whose name a request goes upstream, and who that is.

use std::{collections::HashMap, net::IpAddr, sync::Arc, time::Duration};

use attributes::{AttributesError, User, headers::Credential};
use authn::{Certificates, TokenError, Tokens};
use connections::client_of;
use http::{HeaderMap, header};
use judge::Call;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use upstream::{Bearer, RunAs};

use crate::{
    error::ProxyError,
    in_flight::{InFlight, RequestsInFlight},
    peer::Peer,
};

/// Reads what agents show, and asks whose it is.
pub(crate) struct Credentials {
    certificates: Arc<Certificates>,
    tokens: Tokens,
    in_flight: RequestsInFlight,
    questions: Questions,
}

impl Credentials {
    /// Nobody has a request under way yet.
    pub(crate) fn new(certificates: Arc<Certificates>, tokens: Tokens) -> Self {
        Self {
            certificates,
            tokens,
            in_flight: RequestsInFlight::default(),
            questions: Questions::default(),
        }
    }

    /// In whose name a request goes upstream, and what they have under way.
    pub(crate) fn read(
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
            // The API server would use the certificate, while a reader may think of the token.
            (Credential::Bearer(_), Some(_)) => return Err(ProxyError::TwoCredentials),
        };
        let in_flight = self.in_flight.of(&run_as);
        // Only tokens are remembered: a certificate is verified again for each request.
        if let (Some(authorization), RunAs::Bearer(_)) = (authorization, &run_as) {
            peer.remember(authorization, run_as.clone(), in_flight.clone());
        }
        Ok((run_as, in_flight))
    }

    /// Who sends a call; the API server is asked about a token that is not known yet.
    pub(crate) async fn user_of(&self, call: &Call) -> Result<User, TokenError> {
        if let Some(user) = call.known_user() {
            return Ok(user);
        }
        let token = call.run_as.token().map_or("", |token| token);
        if let Some(answer) = self.tokens.remembered(token).await {
            return answer;
        }
        let _turn = self.questions.turn(client_of(call.source.ip()), TURN_TIME_MAX).await?;
        self.tokens.user(token).await
    }
}

/// Questions about tokens at a time that nobody knows yet, by address: whoever makes tokens up waits for
/// their own.
#[derive(Default)]
struct Questions(Mutex<HashMap<IpAddr, Arc<Semaphore>>>);

/// Questions of one address at a time, and how long one waits for its turn.
const QUESTIONS_MAX: usize = 16;
const TURN_TIME_MAX: Duration = Duration::from_secs(5);
/// Addresses that are known at a time; those without a question are forgotten then.
const FORGET_AT: usize = 1_024;

impl Questions {
    async fn turn(
        &self,
        address: IpAddr,
        time_max: Duration,
    ) -> Result<OwnedSemaphorePermit, TokenError> {
        let turns = {
            let mut by_address = self.0.lock();
            if by_address.len() > FORGET_AT {
                by_address.retain(|_, turns| Arc::strong_count(turns) > 1);
            }
            let turns = by_address.entry(address);
            Arc::clone(turns.or_insert_with(|| Arc::new(Semaphore::new(QUESTIONS_MAX))))
        };
        let busy = "it asks the API server about many tokens from this address already; send it again later";
        match tokio::time::timeout(time_max, turns.acquire_owned()).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) | Err(_) => Err(TokenError::Unavailable(busy.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_makes_tokens_up_waits_for_their_own() {
        let questions = Questions::default();
        let turn = |address| questions.turn(address, Duration::from_millis(1));
        let [here, there] = [[10, 0, 0, 1], [10, 0, 0, 2]].map(IpAddr::from);
        let mut turns = Vec::new();
        for _ in 0..QUESTIONS_MAX {
            turns.push(turn(here).await.expect("a turn"));
        }
        assert!(turn(here).await.is_err(), "it is told so after a while");
        assert!(turn(there).await.is_ok(), "another address");
        turns.pop();
        assert!(turn(here).await.is_ok());
        drop(turns);
        for n in 0..2_000_u32 {
            drop(turn(std::net::Ipv4Addr::from_bits(n).into()).await);
        }
        assert!(questions.0.lock().len() <= FORGET_AT + 1);
    }
}
