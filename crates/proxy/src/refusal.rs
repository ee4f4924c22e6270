//! What the API server would refuse anyway, in its own words: nobody is asked to approve it, and its
//! agent is told no more than those. Rules tell how a namespace is classed.

use attributes::{Attributes, User};
use policy::Verdict;
use upstream::Access;

use crate::Proxy;

impl Proxy {
    /// Whether the API server's authorizers let a user make this call, as it would read it; `None` where
    /// nobody knows.
    pub(crate) async fn may(&self, user: &User, a: &Attributes) -> Option<bool> {
        let may = match a.is_resource_request {
            true => self.own.may(user, &access(a)).await,
            false => self.own.may_reach(user, &a.verb, &a.path).await,
        };
        may.ok()
    }

    /// Why the API server would not let a user do this; `None` where it would, or nobody knows.
    pub(crate) async fn refusal(&self, user: &User, a: &Attributes) -> Option<String> {
        (self.may(user, a).await == Some(false)).then(|| words(user, a))
    }

    /// What the agent is told of a policy's denial.
    pub(crate) async fn denial(&self, user: &User, a: &Attributes, verdict: &Verdict) -> String {
        self.refusal(user, a).await.unwrap_or_else(|| {
            let (rules, reason) = (verdict.rules().join(", "), verdict.reason());
            format!("agent-shield denies this request by rule {rules}: {reason}")
        })
    }
}

fn access(a: &Attributes) -> Access {
    Access {
        verb: a.verb.clone(),
        group: a.api_group.clone(),
        resource: a.resource.clone(),
        subresource: a.subresource.clone(),
        namespace: a.namespace.clone(),
        name: a.name.clone(),
    }
}

fn words(user: &User, a: &Attributes) -> String {
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
        access(a).path()
    )
}
