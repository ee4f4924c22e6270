//! The tag by which agent-shields that share a secret know each other's calls in the cluster's audit log.
//!
//! An audit id leaves as `ID.TAG`. The tag is an HMAC over the id, the method, the target and, of a write,
//! the username. No agent ever sees one: the answer that it gets has the id alone. So whoever goes around
//! agent-shield, under whatever id, has no tag for what they do; and who reads one in the audit log has it for
//! a call that has run already.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// What the key is derived for: the same secret also keys digests.
const PURPOSE: &[u8] = b"agent-shield.io/audit-id-tag/v1";

/// 128 bits. With the id, 59 characters: Kubernetes cuts audit ids in its own log after 64.
const TAG_BYTES: usize = 16;

/// A call as it is sent to the API server.
#[derive(Clone, Copy, Debug)]
pub struct Sent<'a> {
    /// Its audit id, without a tag.
    pub audit_id: &'a str,
    /// The HTTP method.
    pub method: &'a str,
    /// Path and query.
    pub target: &'a str,
    /// Whose it is; `None` of reads, which are sent before anybody has asked whose they are.
    pub username: Option<&'a str>,
}

/// Makes tags, and knows them again.
#[derive(Clone)]
pub struct Tagger {
    key: Hmac<Sha256>,
}

impl fmt::Debug for Tagger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tagger([redacted])")
    }
}

impl Tagger {
    /// A tagger whose tags are known to who has the same secret.
    pub fn new(secret: &[u8]) -> Self {
        let derived = keyed(secret).chain_update(PURPOSE).finalize().into_bytes();
        Self { key: keyed(&derived) }
    }

    /// The audit id of a call with its tag.
    pub fn tagged(&self, sent: &Sent<'_>) -> String {
        let mac = self.over(sent).finalize().into_bytes();
        let tag = mac.get(..TAG_BYTES).unwrap_or(&mac);
        format!("{}.{}", sent.audit_id, URL_SAFE_NO_PAD.encode(tag))
    }

    /// Whether this tag was made for this call.
    pub fn knows(&self, sent: &Sent<'_>, tag: &str) -> bool {
        let tag = URL_SAFE_NO_PAD.decode(tag).unwrap_or_default();
        tag.len() == TAG_BYTES && self.over(sent).verify_truncated_left(&tag).is_ok()
    }

    /// Each part with its length before it: no two calls are the same bytes.
    fn over(&self, sent: &Sent<'_>) -> Hmac<Sha256> {
        let mut mac = self.key.clone();
        let parts = [Some(sent.audit_id), Some(sent.method), Some(sent.target), sent.username];
        for part in parts.into_iter().flatten() {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        mac
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    // HMAC takes a key of any length; its constructor can only fail for fixed-size keys.
    Hmac::new_from_slice(key)
        .unwrap_or_else(|_| Hmac::new(&hmac::digest::Key::<Hmac<Sha256>>::default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01a225d5-0000-7000-8000-000000000000";

    fn sent<'a>(method: &'a str, target: &'a str, username: Option<&'a str>) -> Sent<'a> {
        Sent { audit_id: ID, method, target, username }
    }

    #[test]
    fn a_tag_is_good_for_one_call_of_one_user() {
        let tagger = Tagger::new(b"secret");
        let delete = sent("DELETE", "/api/v1/namespaces/prod", Some("bot"));
        let tagged = tagger.tagged(&delete);
        let (id, tag) = tagged.split_once('.').unwrap_or_default();
        assert_eq!((id, tagged.len()), (ID, 59));
        assert!(Tagger::new(b"secret").knows(&delete, tag), "whoever has the secret knows it");
        let others = [
            sent("PATCH", "/api/v1/namespaces/prod", Some("bot")),
            sent("DELETE", "/api/v1/namespaces/prod?x", Some("bot")),
            sent("DELETE", "/api/v1/namespaces/prod", Some("bots")),
            sent("DELETE", "/api/v1/namespaces/prod", None),
            sent("DELETE", "/api/v1/namespaces/prodbot", None),
            Sent { audit_id: "01a225d5-0000-7000-8000-000000000001", ..delete },
        ];
        for other in others {
            assert!(!tagger.knows(&other, tag), "{other:?}");
        }
        assert!(!Tagger::new(b"another").knows(&delete, tag));
        for bad in ["", "A", tag.get(..20).unwrap_or_default(), &format!("{tag}A"), "%%"] {
            assert!(!tagger.knows(&delete, bad), "{bad}");
        }
    }
}
