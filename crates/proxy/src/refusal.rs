//! What the API server would refuse anyway, in its own words: nobody is asked to approve it, and its
//! agent is told no more than those. Rules tell how a namespace is classed.

use attributes::{Attributes, User};
use policy::Verdict;
use upstream::Access;

use crate::Proxy;

impl Proxy {
    /// Why the API server would not let a user do this; `None` where it would, or nobody knows.
    pub(crate) async fn refusal(&self, user: &User, a: &Attributes) -> Option<String> {
        if !a.is_resource_request {
            let may = self.own.may_reach(user, &a.verb, &a.path).await;
            let (name, verb, path) = (&user.username, &a.verb, &a.path);
            return matches!(may, Ok(false))
                .then(|| format!("forbidden: User \"{name}\" cannot {verb} path \"{path}\""));
        }
        let access = Access {
            verb: a.verb.clone(),
            group: a.api_group.clone(),
            resource: a.resource.clone(),
            subresource: a.subresource.clone(),
            namespace: a.namespace.clone(),
            name: a.name.clone(),
        };
        let may = self.own.may(user, &access).await;
        matches!(may, Ok(false)).then(|| words(user, &access))
    }

    /// What the agent is told of a policy's denial.
    pub(crate) async fn denial(&self, user: &User, a: &Attributes, verdict: &Verdict) -> String {
        self.refusal(user, a).await.unwrap_or_else(|| {
            let (rules, reason) = (verdict.rules().join(", "), verdict.reason());
            format!("agent-shield denies this request by rule {rules}: {reason}")
        })
    }
}

fn words(user: &User, access: &Access) -> String {
    let (resource, name) = (&access.resource, &access.name);
    let (username, verb, path) = (&user.username, &access.verb, access.path());
    let dot = if access.group.is_empty() { "" } else { "." };
    let group = &access.group;
    let place = match access.namespace.as_str() {
        "" => " at the cluster scope".to_owned(),
        namespace => format!(" in the namespace \"{namespace}\""),
    };
    format!(
        "{resource}{dot}{group} \"{name}\" is forbidden: User \"{username}\" cannot {verb} resource \
         \"{path}\" in API group \"{group}\"{place}"
    )
}
