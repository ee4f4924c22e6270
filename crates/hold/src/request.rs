//! The agent's request, as it is judged, held, approved and sent.

use attributes::{Attributes, User};
use bytes::Bytes;
use payload::{DeleteOptions, MediaType, Redactor};
use sha2::{Digest, Sha256};

/// One request as it came, byte for byte.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// What is asked.
    pub attributes: &'a Attributes,
    /// Who asks.
    pub user: &'a User,
    /// What the body says it is.
    pub media: MediaType,
    /// The agent's own bytes.
    pub body: &'a Bytes,
}

/// Digest of what leaves: SHA-256 of method, target and body, each with its length.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) struct SentDigest([u8; 32]);

impl SentDigest {
    pub(crate) fn of(method: &str, target: &str, body: &[u8]) -> Self {
        let mut digest = Sha256::new();
        for part in [method.as_bytes(), target.as_bytes(), body] {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        Self(digest.finalize().into())
    }
}

impl std::fmt::Debug for SentDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A digest of a body with a secret in it would tell whether a guess is right.
        f.write_str("SentDigest([redacted])")
    }
}

impl Request<'_> {
    /// Digest of exactly this.
    pub(crate) fn sent_digest(&self) -> SentDigest {
        SentDigest::of(&self.attributes.method, &self.attributes.target, self.body)
    }

    /// Keyed digest of "the same request": a client that retries sends exactly this again. Without
    /// `extra`, which names the credential and so changes with each token, and without the query
    /// options that change nothing (`timeout`, `pretty`).
    pub fn digest(&self, redactor: &Redactor) -> String {
        let attributes = self.attributes;
        let mut groups = self.user.groups.clone();
        groups.sort();
        let path = attributes.target.split('?').next().unwrap_or_default();
        let mut parts = vec![
            self.user.username.as_str(),
            self.user.uid.as_str(),
            self.intended_method(),
            path,
            attributes.content_type.as_deref().unwrap_or_default(),
        ];
        parts.extend(groups.iter().map(String::as_str));
        parts.push("?");
        for (key, value) in &attributes.query.0 {
            if key != "timeout" && key != "pretty" {
                parts.extend([key.as_str(), value.as_str()]);
            }
        }
        let mut bytes = Vec::new();
        for part in parts.iter().map(|part| part.as_bytes()).chain([self.body.as_ref()]) {
            // Each part carries its length, so that two different requests never make the same bytes.
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part);
        }
        redactor.digest(&bytes)
    }

    /// A client that cannot enter a pod over a WebSocket (`GET`) asks for the same over SPDY (`POST`): it is
    /// one question, and either may fulfil what was answered to the other.
    fn intended_method(&self) -> &str {
        let of = self.attributes;
        let is_session = of.is_connect()
            && of.api_group.is_empty()
            && of.resource == "pods"
            && matches!(of.subresource.as_str(), "exec" | "attach" | "portforward");
        if is_session && of.method == "GET" { "POST" } else { &of.method }
    }

    /// What a delete asks for besides the object; `None` where that cannot be read in one way.
    pub(crate) fn delete_options(&self) -> Option<DeleteOptions> {
        match payload::delete_options(self.media, self.body).ok()? {
            Some(options) => Some(options),
            None => DeleteOptions::from_query(&self.attributes.query.0).ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Method};

    use super::*;

    #[test]
    fn a_session_is_one_question_in_either_protocol() {
        let redactor = Redactor::new(b"key");
        let (user, body) = (User::default(), Bytes::new());
        let digest = |method: &str, target: &str| {
            let method = method.parse::<Method>().expect("a method");
            let attributes = attributes::read(&method, target, &HeaderMap::new());
            let attributes = &attributes.expect("a request");
            Request { attributes, user: &user, media: MediaType::Missing, body: &body }
                .digest(&redactor)
        };
        let pod = "/api/v1/namespaces/prod/pods/web";
        let table = [
            (format!("{pod}/exec?command=ls"), true),
            (format!("{pod}/attach?container=c"), true),
            (format!("{pod}/portforward?ports=80"), true),
            // What they do through a proxy are two things.
            (format!("{pod}/proxy/x"), false),
            (format!("{pod}/log"), false),
        ];
        for (target, want) in table {
            assert_eq!(digest("GET", &target) == digest("POST", &target), want, "{target}");
        }
        let exec = |command: &str| digest("GET", &format!("{pod}/exec?command={command}"));
        assert_ne!(exec("ls"), exec("rm"));
    }
}
