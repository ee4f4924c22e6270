//! The head of a request: read once, or refused.

use std::{net::SocketAddr, sync::Arc, time::Instant};

use attributes::{Attributes, AuditId, headers::Credential};
use http::{HeaderMap, Request, Response, Version};
use judge::{Call, decided};
use ledger::{Action, Entry, Outcome, RequestRecord, Stage};
use payload::Redactor;
use status::Status;
use upstream::{Body, RunAs};

use crate::{
    body::{self, Inbound},
    bounds::Bounds,
    credentials::Credentials,
    error::ProxyError,
    in_flight::InFlight,
    peer::Peer,
    recorder::Recorder,
};

/// Longest method that is recorded: HTTP has no bound for them.
const METHOD_CHARS_MAX: usize = 32;

/// Reads heads, and records those that it refuses.
pub(crate) struct HeadReader {
    pub(crate) credentials: Arc<Credentials>,
    pub(crate) recorder: Recorder,
    pub(crate) redactor: Redactor,
    pub(crate) bounds: Bounds,
}

impl HeadReader {
    /// Reads the head once. The agent's own headers and URL are not looked at again.
    pub(crate) fn read(
        &self,
        peer: &Peer,
        received: Instant,
        audit_id: &AuditId,
        request: &Request<Inbound>,
    ) -> Result<(Call, InFlight), ProxyError> {
        let headers = request.headers();
        let bounds = &self.bounds;
        if headers.len() > bounds.headers_max || size_of(headers) > bounds.header_bytes_max {
            let (headers, bytes) = (bounds.headers_max, bounds.header_bytes_max);
            return Err(ProxyError::HeadTooLarge { headers, bytes });
        }
        attributes::headers::check(request.method(), headers)?;
        let attributes = attributes::read(request.method(), &target_of(request), headers)?;
        let (run_as, in_flight) = self.credentials.read(peer, headers)?;
        let call = Call {
            audit_id: audit_id.clone(),
            attributes,
            headers: attributes::headers::upstream_headers(headers),
            run_as,
            source: peer.address,
            received,
        };
        Ok((call, in_flight))
    }

    /// Answers a request whose head is refused.
    pub(crate) fn refuse(
        &self,
        source: SocketAddr,
        received: Instant,
        audit_id: &AuditId,
        request: &Request<Inbound>,
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
                method: request.method().as_str().chars().take(METHOD_CHARS_MAX).collect(),
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
        self.recorder.append_of_nobody(entry, token);
        body::status_response(&status)
    }
}

/// Names and values of headers, in bytes.
fn size_of(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len().saturating_add(value.len())).sum()
}

/// The request target as it was sent; an absolute-form target keeps its authority and is refused.
/// In HTTP/2 the authority is a field of its own beside the path.
fn target_of<B>(request: &Request<B>) -> String {
    match request.uri().authority() {
        Some(_) if request.version() != Version::HTTP_2 => request.uri().to_string(),
        _ => request
            .uri()
            .path_and_query()
            .map_or_else(|| request.uri().to_string(), |it| it.as_str().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn keeps_the_target_as_it_was_sent() {
        let table = [
            (Version::HTTP_11, "/api/v1/pods?limit=1&a=%2F", "/api/v1/pods?limit=1&a=%2F"),
            (Version::HTTP_11, "https://elsewhere/api/v1/pods", "https://elsewhere/api/v1/pods"),
            (Version::HTTP_2, "https://shield/api/v1/pods?limit=1", "/api/v1/pods?limit=1"),
            (Version::HTTP_11, "*", "*"),
        ];
        for (version, uri, want) in table {
            let request = Request::builder().version(version).uri(uri).body(()).expect("a request");
            assert_eq!(target_of(&request), want, "{version:?} {uri}");
        }
    }

    #[test]
    fn counts_names_and_values_of_every_header() {
        let mut headers = HeaderMap::new();
        assert_eq!(size_of(&headers), 0);
        headers.append("accept", HeaderValue::from_static("a/b"));
        headers.append("accept", HeaderValue::from_static("c"));
        assert_eq!(size_of(&headers), 6 + 3 + 6 + 1);
    }
}
