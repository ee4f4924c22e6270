//! What the API server would refuse anyway. No reviewer is asked to approve it, and the agent reads the
//! API server's own words and no rule's: rules reveal how a namespace is classed.

use attributes::{Attributes, User};
use ledger::DecisionRecord;
use policy::PolicyDecision;

use crate::{access, facts::Basis, view::ClusterView};

impl ClusterView {
    /// Whether the API server's authorizers let a user make this call, as it would read it; `None` where
    /// nobody knows.
    pub(crate) async fn may(&self, user: &User, a: &Attributes) -> Option<bool> {
        let may = match a.is_resource_request {
            true => self.own.may(user, &access::needed_for(a)).await,
            false => self.own.may_reach(user, &a.verb, &a.path).await,
        };
        may.ok()
    }

    /// Why the API server would not let a user do this; `None` where it would, or nobody knows.
    pub(crate) async fn refusal(&self, user: &User, a: &Attributes) -> Option<String> {
        (self.may(user, a).await == Some(false)).then(|| forbidden_message(user, a))
    }
}

/// A policy's denial.
#[derive(Debug)]
pub struct Refusal {
    /// What the agent is told: by which rules, and why; or why the API server would refuse it too.
    pub words: String,
    /// As it is recorded.
    pub decision: DecisionRecord,
    /// What it was made from.
    pub basis: Basis,
}

impl ClusterView {
    /// What the agent is told of a policy's denial.
    pub(crate) async fn denial(
        &self,
        user: &User,
        a: &Attributes,
        verdict: &PolicyDecision,
    ) -> String {
        self.refusal(user, a).await.unwrap_or_else(|| {
            let (rules, reason) = (verdict.rules().join(", "), verdict.reason());
            format!("agent-shield denies this request by rule {rules}: {reason}")
        })
    }
}

fn forbidden_message(user: &User, a: &Attributes) -> String {
    let Attributes { verb, api_group, resource, name, .. } = a;
    let username = &user.username;
    if !a.is_resource_request {
        return format!("forbidden: User \"{username}\" cannot {verb} path \"{}\"", a.path);
    }
    let dot = if api_group.is_empty() { "" } else { "." };
    let place = match a.namespace.as_str() {
        "" => " at the cluster scope".to_owned(),
        namespace => format!(" in the namespace \"{namespace}\""),
    };
    format!(
        "{resource}{dot}{api_group} \"{name}\" is forbidden: User \"{username}\" cannot {verb} \
         resource \"{}\" in API group \"{api_group}\"{place}",
        access::needed_for(a).path()
    )
}
