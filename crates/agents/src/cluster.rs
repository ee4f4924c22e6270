//! The cluster as the operator sees it: the API server itself, asked with the operator's own
//! credential, and errors that say what was tried and which right is missing.

use std::{collections::BTreeSet, fmt, time::Duration};

use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        authorization::v1::{
            ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
        },
        core::v1::ServiceAccount,
    },
};
use kube::{
    Api, Client, Resource,
    api::{DeleteParams, ListParams, PostParams, Preconditions},
};
use serde::{Serialize, de::DeserializeOwned};
use upstream::why_no_answer;

use crate::{error::AgentsError, manifests::AgentId};

const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);

/// Objects that agents are made of.
pub(crate) trait Object:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + DeserializeOwned
    + Serialize
    + fmt::Debug
{
}

impl<K> Object for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + Serialize
        + fmt::Debug
{
}

/// The API server, and who the operator is there.
pub struct Cluster {
    client: Client,
    url: String,
}

impl Cluster {
    /// The cluster of a kubeconfig's context.
    ///
    /// # Errors
    /// Where its credential cannot be used.
    pub fn new(mut config: kube::Config) -> Result<Self, AgentsError> {
        config.connect_timeout = Some(CONNECT_TIME_MAX);
        config.read_timeout = Some(ANSWER_TIME_MAX);
        let url = config.cluster_url.to_string();
        let client = Client::try_from(config).map_err(|source| AgentsError::Unreadable {
            what: "use the kubeconfig".to_owned(),
            source: Box::new(source),
        })?;
        Ok(Self { client, url })
    }

    /// Objects of one namespace.
    pub(crate) fn api<K: Object>(&self, namespace: &str) -> Api<K> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Objects of every namespace, or of none.
    pub(crate) fn all<K: Resource<DynamicType = ()>>(&self) -> Api<K> {
        Api::all(self.client.clone())
    }

    /// An object as it is now; `None` where there is none.
    pub(crate) async fn get<K: Object>(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<Option<K>, AgentsError> {
        let found = self.api::<K>(namespace).get_opt(name).await;
        found.map_err(|error| {
            self.explain(&format!("read {}", describe_object::<K>(namespace, name)), error)
        })
    }

    /// Makes an object, or replaces the one whose resourceVersion it has: what came between is a
    /// conflict, never overwritten. A rehearsal changes nothing.
    pub(crate) async fn put<K: Object>(
        &self,
        object: &K,
        rehearse: bool,
    ) -> Result<(), AgentsError> {
        let (namespace, name) = place(object);
        let api = self.api::<K>(&namespace);
        let params = PostParams { dry_run: rehearse, ..PostParams::default() };
        let (verb, answer) = match object.meta().resource_version {
            Some(_) => ("update", api.replace(&name, &params, object).await),
            None => ("create", api.create(&params, object).await),
        };
        let what = format!("{verb} {}", describe_object::<K>(&namespace, &name));
        answer.map(|_| ()).map_err(|error| self.explain(&what, error))
    }

    /// Deletes exactly the object that was read; gone already is as good.
    pub(crate) async fn delete<K: Object>(&self, object: &K) -> Result<(), AgentsError> {
        let (namespace, name) = place(object);
        let preconditions =
            Preconditions { uid: object.meta().uid.clone(), resource_version: None };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        match self.api::<K>(&namespace).delete(&name, &params).await {
            Err(error) if code(&error) != Some(404) => {
                Err(self
                    .explain(&format!("delete {}", describe_object::<K>(&namespace, &name)), error))
            }
            _ => Ok(()),
        }
    }

    /// What was made for an agent: in all namespaces, or, where these may not be listed, in those
    /// that are remembered.
    pub(crate) async fn made_for<K: Object>(
        &self,
        id: &AgentId,
        remembered: &[String],
    ) -> Result<Vec<K>, AgentsError> {
        let params = ListParams::default().labels(&AgentId::selector(&id.name));
        let is_its = |object: &K| AgentId::from_labels(object.meta()).as_ref() == Some(id);
        // All namespaces are asked first, as what is remembered may have been changed by hand.
        match self.all::<K>().list(&params).await {
            Ok(list) => return Ok(list.items.into_iter().filter(is_its).collect()),
            Err(error) if code(&error) == Some(403) => {}
            Err(error) => return Err(self.explain(&format!("list {}", plural::<K>()), error)),
        }
        let mut made = Vec::new();
        for namespace in remembered {
            let list = self.api::<K>(namespace).list(&params).await.map_err(|error| {
                self.explain(&format!("list {} in `{namespace}`", plural::<K>()), error)
            })?;
            made.extend(list.items.into_iter().filter(is_its));
        }
        Ok(made)
    }

    /// The ServiceAccounts of the agents of this name, each in its home.
    pub(crate) async fn agents_named(
        &self,
        name: &str,
    ) -> Result<Vec<ServiceAccount>, AgentsError> {
        let params = ListParams::default().labels(&AgentId::selector(name));
        let list = self.all::<ServiceAccount>().list(&params).await.map_err(|error| {
            self.explain(
                "look for the agent in all namespaces (give its namespace with --home)",
                error,
            )
        })?;
        let is_agent = |it: &ServiceAccount| {
            AgentId::from_labels(&it.metadata).is_some_and(|id| (id.home, id.name) == place(it))
        };
        Ok(list.items.into_iter().filter(is_agent).collect())
    }

    /// Fails with all rights that the operator lacks, before anything is changed.
    pub(crate) async fn must_have(&self, rights: &BTreeSet<Right>) -> Result<(), AgentsError> {
        let api: Api<SelfSubjectAccessReview> = self.all();
        let mut missing = Vec::new();
        for right in rights {
            let review = SelfSubjectAccessReview {
                spec: SelfSubjectAccessReviewSpec {
                    resource_attributes: Some(right.into()),
                    non_resource_attributes: None,
                },
                ..SelfSubjectAccessReview::default()
            };
            let answer = api.create(&PostParams::default(), &review).await;
            let answer = answer
                .map_err(|error| self.explain("ask the API server for your rights", error))?;
            if !answer.status.is_some_and(|status| status.allowed) {
                missing.push(format!("\n  {right}"));
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        Err(AgentsError::MissingRights(missing))
    }

    /// An error in the operator's words: what was tried, what the API server said, what helps.
    pub(crate) fn explain(&self, what: &str, error: kube::Error) -> AgentsError {
        let kube::Error::Api(status) = error else {
            return match error {
                kube::Error::SerdeError(_) | kube::Error::BuildRequest(_) => {
                    AgentsError::Unreadable { what: what.to_owned(), source: Box::new(error) }
                }
                error => {
                    AgentsError::NoAnswer { url: self.url.clone(), why: why_no_answer(&error) }
                }
            };
        };
        let said = &status.message;
        let hint = match status.code {
            401 => "; the API server does not know your credential (--kubeconfig, --context)",
            403 if said.contains("not currently held") => {
                "; you can give away only rights that you have yourself, unless you hold the verbs `escalate` and `bind` on roles"
            }
            409 => "; it was changed meanwhile: run the command again",
            _ => "",
        };
        let message = format!("cannot {what}: {said}{hint}");
        match status.code {
            // Exit codes say "there is none" and "already decided" of what was asked for alone.
            404 | 409 => AgentsError::Conflict(message),
            code => AgentsError::Refused { code, message },
        }
    }
}

/// A right of the operator in one namespace.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Right {
    namespace: String,
    resource: String,
    group: String,
    verb: &'static str,
    subresource: &'static str,
}

impl Right {
    /// To do something with objects of this kind.
    pub(crate) fn to<K: Object>(verb: &'static str, namespace: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            resource: K::plural(&()).into_owned(),
            group: K::group(&()).into_owned(),
            verb,
            subresource: "",
        }
    }

    /// To make tokens of ServiceAccounts.
    pub(crate) fn to_make_tokens(namespace: &str) -> Self {
        Self { subresource: "token", ..Self::to::<ServiceAccount>("create", namespace) }
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { namespace, resource, group, verb, subresource } = self;
        let dot = if group.is_empty() { "" } else { "." };
        let slash = if subresource.is_empty() { "" } else { "/" };
        write!(f, "{verb} {resource}{dot}{group}{slash}{subresource} in namespace {namespace}")
    }
}

impl From<&Right> for ResourceAttributes {
    fn from(right: &Right) -> Self {
        Self {
            namespace: Some(right.namespace.clone()),
            verb: Some(right.verb.to_owned()),
            group: Some(right.group.clone()),
            resource: Some(right.resource.clone()),
            subresource: Some(right.subresource.to_owned()),
            ..Self::default()
        }
    }
}

/// Namespace and name of an object.
pub(crate) fn place<K: Object>(object: &K) -> (String, String) {
    let meta = object.meta();
    (meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default())
}

/// An object as messages name it.
pub(crate) fn describe_object<K: Object>(namespace: &str, name: &str) -> String {
    format!("{} `{name}` in namespace `{namespace}`", K::kind(&()))
}

/// The HTTP status that the API server answered with.
pub(crate) fn code(error: &kube::Error) -> Option<u16> {
    match error {
        kube::Error::Api(status) => Some(status.code),
        _ => None,
    }
}

fn plural<K: Object>() -> String {
    K::plural(&()).into_owned()
}
