//! In whose name a request goes upstream, and who that is.

use std::sync::Arc;

use attributes::{AttributesError, User, headers::Credential};
use authn::{Certificates, TokenError, Tokens};
use http::{HeaderMap, header};
use judge::Call;
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
}

impl Credentials {
    /// Nobody has a request under way yet.
    pub(crate) fn new(certificates: Arc<Certificates>, tokens: Tokens) -> Self {
        Self { certificates, tokens, in_flight: RequestsInFlight::default() }
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
        match (call.known_user(), call.run_as.token()) {
            (Some(user), _) => Ok(user),
            (None, token) => self.tokens.user(token.map_or("", |token| token)).await,
        }
    }
}
