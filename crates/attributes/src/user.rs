//! Who asks, as the API server knows them, and the id under which the call is remembered.

use std::{collections::BTreeMap, fmt};

/// Whom the API server takes a request without a credential for.
pub const ANONYMOUS: &str = "system:anonymous";

/// The authenticated user of a request: `k8s.io/apiserver` `user.Info`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct User {
    /// `system:serviceaccount:agents:triage`, `alice`, `system:anonymous`.
    pub username: String,
    /// Empty where the authenticator gives none.
    pub uid: String,
    /// As the authenticator returned them, in its order.
    pub groups: Vec<String>,
    /// Token and node details; changes with each token, so it never identifies anybody.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// What the API server calls a request without credentials.
    pub fn anonymous() -> Self {
        Self {
            username: ANONYMOUS.to_owned(),
            groups: vec!["system:unauthenticated".to_owned()],
            ..Self::default()
        }
    }

    /// Whether this is [`User::anonymous`].
    pub fn is_anonymous(&self) -> bool {
        self.username == ANONYMOUS
    }

    /// `(namespace, name)` of a ServiceAccount user.
    pub fn service_account(&self) -> Option<(&str, &str)> {
        self.username.strip_prefix("system:serviceaccount:")?.split_once(':')
    }
}

/// The `Audit-ID` of one call: ours, sent upstream, so the cluster's audit log joins ours.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct AuditId(String);

impl AuditId {
    /// Takes an id that the caller made (a UUID); this crate has no randomness.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The id as it stands in the header.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AuditId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
