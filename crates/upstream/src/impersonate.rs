//! The road of agents with client certificates: the proxy's credential, the agent's name.

use crate::{
    Body, BodyError,
    never_left::never_left,
    own_client::{CredentialSource, OwnClient},
    own_error::OwnError,
    repeat::Repeat,
    send_error::SendError,
};
use attributes::User;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};

/// The group that the API server adds to whoever is impersonated.
const AUTHENTICATED: &str = "system:authenticated";

/// Sends with the proxy's own credential, and only ever in somebody's name.
#[derive(Clone)]
pub(crate) struct Impersonating(OwnClient);

impl Impersonating {
    /// # Errors
    /// [`OwnError`] where the proxy's credential cannot be used.
    pub(crate) fn new(
        config: &kube::Config,
        source: Option<CredentialSource>,
    ) -> Result<Self, OwnError> {
        let mut config = config.clone();
        // A watch may be silent for as long as it likes; what has a deadline sets its own.
        config.read_timeout = None;
        // The library would send a write again that was answered 429, 503 or 504.
        config.default_retry = false;
        // Answers pass as they are.
        config.disable_compression = true;
        // Headers of the proxy's own configuration would stand beside the agent's name, or over it.
        config.headers.clear();
        config.auth_info.impersonate = None;
        config.auth_info.impersonate_uid = None;
        config.auth_info.impersonate_groups = None;
        config.auth_info.impersonate_user_extra = None;
        Ok(Self(OwnClient::new(config, source)?))
    }

    /// # Errors
    /// [`SendError`]: unsent, or unknown.
    ///
    /// # Cancel safety
    /// Dropped before it returns, the request may have run: spawn what mutates.
    pub(crate) async fn send(
        &self,
        user: &User,
        mut request: Request<Full<Bytes>>,
        repeat: Repeat,
    ) -> Result<Response<Body>, SendError> {
        impersonate(request.headers_mut(), user)?;
        let (head, body) = request.into_parts();
        let bytes = match body.collect().await {
            Ok(body) => body.to_bytes(),
            Err(never) => match never {},
        };
        let request = Request::from_parts(head, kube::client::Body::from(bytes));
        match self.0.send(request, repeat).await {
            Ok(answer) => Ok(answer.map(|body| body.map_err(BodyError::new).boxed_unsync())),
            Err(error) if never_left(&error) => {
                Err(SendError::Unsent(OwnError::from(error).into()))
            }
            Err(error) => Err(SendError::Unknown(OwnError::from(error).into())),
        }
    }
}

/// Puts the name on, over whatever stood there.
fn impersonate(headers: &mut HeaderMap, user: &User) -> Result<(), SendError> {
    // INVARIANT: no request takes this road without a name, or it would run as the proxy.
    if user.username.is_empty() {
        return Err(SendError::Unsent("nobody to impersonate".into()));
    }
    let value = |text: &str| {
        HeaderValue::from_str(text).map_err(|error| SendError::Unsent(Box::new(error)))
    };
    headers.remove(http::header::AUTHORIZATION);
    // The client writes it for the URL that it connects to.
    headers.remove(http::header::HOST);
    headers.insert("impersonate-user", value(&user.username)?);
    headers.remove("impersonate-group");
    for group in user.groups.iter().filter(|group| *group != AUTHENTICATED) {
        headers.append("impersonate-group", value(group)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_always_carries_one_name() -> Result<(), SendError> {
        let mut headers = HeaderMap::new();
        for (name, value) in [("authorization", "Bearer x"), ("impersonate-user", "admin")] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        headers.insert("impersonate-group", HeaderValue::from_static("system:masters"));
        let groups = vec!["on-call".to_owned(), AUTHENTICATED.to_owned()];
        let user = User { username: "alice".into(), groups, ..User::default() };
        impersonate(&mut headers, &user)?;
        let all: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value)).collect();
        assert_eq!(all.len(), 2, "{all:?}");
        assert_eq!(headers["impersonate-user"], "alice");
        assert_eq!(headers["impersonate-group"], "on-call");
        let split = User { username: "a\r\nb".into(), ..User::default() };
        for user in [User::default(), split] {
            assert!(impersonate(&mut HeaderMap::new(), &user).is_err(), "{}", user.username);
        }
        Ok(())
    }
}
