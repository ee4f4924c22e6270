//! Who may review at all, before RBAC is asked what.

use attributes::User;
use hold::{Hold, is_same_person};
use ledger::Identity;
use upstream::Access;

use crate::{Queue, Reviewer, ReviewerError};

impl Queue {
    /// Takes an authenticated user as a reviewer, if such a user can be one.
    ///
    /// # Errors
    /// [`ReviewerError::Never`] for agents and machines; [`ReviewerError::Store`] where the ledger
    /// cannot tell.
    pub async fn admit(&self, user: User) -> Result<Reviewer, ReviewerError> {
        let never = |why| ReviewerError::Never { username: user.username.clone(), why };
        if user.is_anonymous() || user.username.is_empty() {
            return Err(never("nobody has authenticated"));
        }
        let listed = self.settings.reviewers_allowed.contains(&user.username);
        if user.username.starts_with("system:serviceaccount:") && !listed {
            return Err(never("it is a ServiceAccount, and agents are ServiceAccounts"));
        }
        if user.username.starts_with("system:node:") {
            return Err(never("it is a node"));
        }
        // No allow-list here: whoever sends requests as an agent must not decide on them.
        if self.ledger.is_agent(&user.username).await? {
            return Err(never("it has sent requests as an agent"));
        }
        Ok(Reviewer(user))
    }

    /// Asks RBAC about the virtual resource `holds.agent-shield.io`.
    ///
    /// # Errors
    /// [`ReviewerError::Forbidden`], or [`ReviewerError::Unavailable`] where there was no answer.
    pub async fn authorize(
        &self,
        reviewer: &Reviewer,
        verb: &str,
        namespace: &str,
        name: &str,
    ) -> Result<(), ReviewerError> {
        let access = Access {
            verb: verb.to_owned(),
            group: "agent-shield.io".to_owned(),
            resource: "holds".to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            ..Access::default()
        };
        match self.own.may(reviewer.user(), &access).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(ReviewerError::Forbidden {
                username: reviewer.user().username.clone(),
                verb: verb.to_owned(),
                namespace: namespace.to_owned(),
            }),
            Err(error) => Err(ReviewerError::Unavailable(error.to_string())),
        }
    }

    /// The agent of a hold never decides on it, whatever RBAC says.
    pub(crate) fn not_own(reviewer: &Reviewer, hold: &Hold) -> Result<(), ReviewerError> {
        if is_same_person(&Identity::from(reviewer.user()), &hold.summary().user) {
            return Err(ReviewerError::Never {
                username: hold.summary().user.username.clone(),
                why: "it is the hold's own agent",
            });
        }
        Ok(())
    }
}
