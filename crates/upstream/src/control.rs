//! What the proxy asks with its own credential, and nothing else.

use std::{collections::BTreeMap, time::Duration};

use attributes::User;
use k8s_openapi::api::{
    authentication::v1::{TokenReview, TokenReviewSpec, UserInfo},
    authorization::v1::{
        NonResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
        SubjectAccessReview, SubjectAccessReviewSpec,
    },
    core::v1::{ConfigMap, Namespace},
    rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding},
};
use kube::{
    Api, Client,
    api::{ListParams, PostParams},
};
use serde_json::Value;

use crate::{
    access::Access,
    credential::CredentialEnd,
    own_client::{CredentialSource, OwnClient},
    own_error::OwnError,
    probe::{VALUES_MAX, values},
    probe_error::ProbeError,
    rights::Right,
};

/// The answer to a question of the proxy's own.
const OWN_TIME_MAX: Duration = Duration::from_secs(5);

/// The proxy's own client.
#[derive(Clone)]
pub struct ControlClient {
    client: Client,
    own: OwnClient,
}

/// What a TokenReview said.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reviewed {
    /// The API server knows this token.
    Authenticated(User),
    /// It does not.
    Unauthenticated,
}

impl ControlClient {
    /// The proxy's own credential, as a kubeconfig or the in-cluster files give it; token files are
    /// read again as they rotate.
    ///
    /// # Errors
    /// [`OwnError`] where the credential cannot be used.
    pub fn new(config: kube::Config) -> Result<Self, OwnError> {
        Ok(Self::of(OwnClient::new(config, None)?))
    }

    /// As [`ControlClient::new`], with the credential read anew from where it comes from: when a file of it
    /// has changed, and when the API server does not know it any more.
    ///
    /// # Errors
    /// As [`ControlClient::new`].
    pub fn renewing(config: kube::Config, source: CredentialSource) -> Result<Self, OwnError> {
        Ok(Self::of(OwnClient::new(config, Some(source))?))
    }

    fn of(own: OwnClient) -> Self {
        Self { client: own.clone().for_questions(), own }
    }

    /// Until when its credential of now is valid; `None` where nobody can tell.
    pub fn credential_end(&self) -> Option<CredentialEnd> {
        CredentialEnd::of(&self.own.auth_info())
    }

    /// The client itself, for watches.
    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }

    /// Asks the API server whose token this is.
    ///
    /// # Errors
    /// [`OwnError`] where there was no answer: nobody is authenticated then.
    pub async fn review_token(&self, token: &str) -> Result<Reviewed, OwnError> {
        let review = TokenReview {
            spec: TokenReviewSpec { token: Some(token.to_owned()), audiences: None },
            ..TokenReview::default()
        };
        let api: Api<TokenReview> = Api::all(self.client());
        let answer = within(api.create(&PostParams::default(), &review)).await?;
        let status = answer.status.unwrap_or_default();
        Ok(match status.user {
            Some(user) if status.authenticated == Some(true) => {
                Reviewed::Authenticated(user_of(user))
            }
            _ => Reviewed::Unauthenticated,
        })
    }

    /// Asks the API server's authorizers whether a user may do something.
    ///
    /// # Errors
    /// [`OwnError`] where there was no answer: that is not a yes.
    pub async fn may(&self, user: &User, access: &Access) -> Result<bool, OwnError> {
        let asked = SubjectAccessReviewSpec {
            resource_attributes: Some(access.into()),
            ..SubjectAccessReviewSpec::default()
        };
        self.review_access(user, asked).await
    }

    /// As [`ControlClient::may`], of what is no API resource: a path, and a method in lower case.
    ///
    /// # Errors
    /// [`OwnError`] where there was no answer: that is not a yes.
    pub async fn may_reach(&self, user: &User, verb: &str, path: &str) -> Result<bool, OwnError> {
        let asked = SubjectAccessReviewSpec {
            non_resource_attributes: Some(NonResourceAttributes {
                path: Some(path.to_owned()),
                verb: Some(verb.to_owned()),
            }),
            ..SubjectAccessReviewSpec::default()
        };
        self.review_access(user, asked).await
    }

    async fn review_access(
        &self,
        user: &User,
        asked: SubjectAccessReviewSpec,
    ) -> Result<bool, OwnError> {
        let review = SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some(user.username.clone()),
                uid: Some(user.uid.clone()).filter(|uid| !uid.is_empty()),
                groups: Some(user.groups.clone()),
                extra: Some(user.extra.clone()),
                ..asked
            },
            ..SubjectAccessReview::default()
        };
        let api: Api<SubjectAccessReview> = Api::all(self.client());
        let answer = within(api.create(&PostParams::default(), &review)).await?;
        Ok(answer.status.is_some_and(|status| status.allowed && status.denied != Some(true)))
    }

    /// Those of some rights that the proxy lacks.
    ///
    /// # Errors
    /// [`OwnError`] where the API server does not answer.
    pub async fn missing(&self, rights: &[Right]) -> Result<Vec<Right>, OwnError> {
        let api: Api<SelfSubjectAccessReview> = Api::all(self.client());
        let mut missing = Vec::new();
        for right in rights {
            let access = Access::from(right);
            let review = SelfSubjectAccessReview {
                spec: SelfSubjectAccessReviewSpec {
                    resource_attributes: Some((&access).into()),
                    non_resource_attributes: None,
                },
                ..SelfSubjectAccessReview::default()
            };
            let answer = within(api.create(&PostParams::default(), &review)).await?;
            if !answer.status.is_some_and(|status| status.allowed) {
                missing.push(*right);
            }
        }
        Ok(missing)
    }

    /// Labels of one namespace, read now; `None` where there is no such namespace, as there is none of
    /// a name that is no name: an agent's words must not become a path that we ask for.
    ///
    /// # Errors
    /// [`OwnError`] where there was no answer.
    pub async fn namespace_labels(
        &self,
        name: &str,
    ) -> Result<Option<BTreeMap<String, String>>, OwnError> {
        if !is_label(name) {
            return Ok(None);
        }
        let api: Api<Namespace> = Api::all(self.client());
        let found = within(api.get_metadata_opt(name)).await?;
        Ok(found.map(|namespace| namespace.metadata.labels.unwrap_or_default()))
    }

    /// Every RoleBinding and ClusterRoleBinding, as the API server's cache has them.
    ///
    /// # Errors
    /// [`OwnError`] where there was no answer, or the proxy may not list them.
    pub async fn bindings(&self) -> Result<(Vec<RoleBinding>, Vec<ClusterRoleBinding>), OwnError> {
        let namespaced: Api<RoleBinding> = Api::all(self.client());
        let everywhere: Api<ClusterRoleBinding> = Api::all(self.client());
        // Version 0 is whatever the cache holds: nothing is read from storage.
        let cached = ListParams::default().match_any();
        let both = async { tokio::try_join!(namespaced.list(&cached), everywhere.list(&cached)) };
        let (namespaced, everywhere) = within(both).await?;
        Ok((namespaced.items, everywhere.items))
    }

    /// The rules of a Role, or of a ClusterRole where there is no namespace; none where it is not there.
    ///
    /// # Errors
    /// [`OwnError`] where there was no answer, or the proxy may not read it.
    pub async fn rules(
        &self,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Vec<PolicyRule>, OwnError> {
        let rules = match namespace {
            Some(namespace) => {
                let api: Api<Role> = Api::namespaced(self.client(), namespace);
                within(api.get_opt(name)).await?.and_then(|role| role.rules)
            }
            None => {
                let api: Api<ClusterRole> = Api::all(self.client());
                within(api.get_opt(name)).await?.and_then(|role| role.rules)
            }
        };
        Ok(rules.unwrap_or_default())
    }

    /// The PEM certificates by which the API server knows client certificates.
    ///
    /// # Errors
    /// [`OwnError`] where the ConfigMap cannot be read.
    pub async fn client_ca(&self) -> Result<Option<String>, OwnError> {
        let api: Api<ConfigMap> = Api::namespaced(self.client(), "kube-system");
        let map = within(api.get("extension-apiserver-authentication")).await?;
        Ok(map.data.and_then(|mut data| data.remove("client-ca-file")))
    }

    /// What a path answers: an OpenAPI document, or a live object for a preview where the agent itself
    /// may not read it. Never a Secret.
    ///
    /// # Errors
    /// [`OwnError`] where there was no answer, or the proxy may not read it either.
    pub async fn read(&self, target: &str) -> Result<Value, OwnError> {
        let request =
            http::Request::get(target).body(Vec::new()).map_err(kube::Error::HttpError)?;
        let text = within(self.client.request_text(request)).await?;
        if values(text.as_bytes()) > VALUES_MAX {
            return Err(kube::Error::Service(ProbeError::TooMany(VALUES_MAX).into()).into());
        }
        Ok(serde_json::from_str(&text).map_err(kube::Error::SerdeError)?)
    }
}

/// Whether a text can be a namespace's name (RFC 1123; k8s.io/apimachinery, `IsDNS1123Label`).
pub(crate) fn is_label(name: &str) -> bool {
    let is_inner = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-';
    (1..=63).contains(&name.len())
        && name.bytes().all(is_inner)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

pub(crate) async fn within<T>(
    answer: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, OwnError> {
    match tokio::time::timeout(OWN_TIME_MAX, answer).await {
        Ok(answer) => Ok(answer?),
        Err(elapsed) => Err(kube::Error::Service(Box::new(elapsed)).into()),
    }
}

fn user_of(user: UserInfo) -> User {
    User {
        username: user.username.unwrap_or_default(),
        uid: user.uid.unwrap_or_default(),
        groups: user.groups.unwrap_or_default(),
        extra: user.extra.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_only_for_names_of_namespaces() {
        for name in ["a", "shop", "team-1", "0", &"a".repeat(63)] {
            assert!(is_label(name), "{name}");
        }
        let long = "a".repeat(64);
        let not =
            ["", "-a", "a-", "A", "a.b", "a/secrets/b", "..", "?watch=1", "a%2Fb", "é", &long];
        for name in not {
            assert!(!is_label(name), "{name}");
        }
    }
}
