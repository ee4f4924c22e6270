//! Somebody who may decide, and why somebody may not.

use attributes::User;
use ledger::StoreError;

/// Somebody who may decide, as far as RBAC lets them.
#[derive(Clone, Debug)]
pub struct Reviewer(pub(crate) User);

/// Why somebody may not do what they asked.
#[derive(Debug, thiserror::Error)]
pub enum ReviewerError {
    /// No person, or an agent.
    #[error("`{username}` can never review: {why}")]
    Never {
        /// Who.
        username: String,
        /// Why.
        why: &'static str,
    },
    /// RBAC says no.
    #[error(
        "`{username}` may not {verb} holds.agent-shield.io {}; to allow it, bind a role with \
         apiGroups [agent-shield.io], resources [holds], verbs [{verb}]",
        place(.namespace)
    )]
    Forbidden {
        /// Who.
        username: String,
        /// What.
        verb: String,
        /// Where; empty for all namespaces.
        namespace: String,
    },
    /// Nobody could be asked, so the answer is no.
    #[error("the API server could not be asked: {0}")]
    Unavailable(String),
    /// The ledger could not be asked whether this is an agent, so the answer is no.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn place(namespace: &str) -> String {
    match namespace {
        "" => "in all namespaces".to_owned(),
        namespace => format!("in namespace `{namespace}`"),
    }
}

impl Reviewer {
    /// Who it is.
    pub fn user(&self) -> &User {
        &self.0
    }
}
