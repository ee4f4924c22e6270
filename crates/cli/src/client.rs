//! The review API from a reviewer's side, with the credential of their kubeconfig.

use anyhow::{Context, Result};
use jiff::Timestamp;
use kube::core::Status;
use serde::de::DeserializeOwned;
use upstream::CredentialEnd;

use crate::{
    connection::{self, Connection, Door, certificates},
    hints::{self, Causes, Flags},
    spinner,
};

/// What went wrong, as far as scripts tell it apart. The first line says what, the others what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    #[error("cannot reach {url}: {why}\n{}", hints::on_silence(.why))]
    Unreachable { url: String, why: String },
    #[error("{message}{}", on_its_own_line(.hint.as_deref()))]
    Answered { code: u16, message: String, hint: Option<String> },
    #[error("{0}")]
    NoSuchHold(String),
    #[error("{url} is no review address: {}", hints::on_other_door(.review.as_deref()))]
    OtherDoor { url: String, review: Option<String> },
}

fn on_its_own_line(hint: Option<&str>) -> String {
    hint.map(|hint| format!("\n{hint}")).unwrap_or_default()
}

/// A connection to the review API.
pub(crate) struct Client {
    url: String,
    flags: Flags,
    client: kube::Client,
    is_quiet: bool,
    /// Where the credential is known to end.
    ends: Option<CredentialEnd>,
}

impl Client {
    pub(crate) async fn new(connection: &Connection) -> Result<Self> {
        let (url, ca) = connection.endpoint(Door::Review)?;
        let mut config = connection.config().await?;
        // Only who you are is taken from it: the credential goes to agent-shield and nowhere else.
        config.cluster_url = url.parse().with_context(|| format!("`{url}` is not a URL"))?;
        if config.cluster_url.scheme_str() != Some("https") {
            anyhow::bail!(
                "`{url}` is not an https URL: your credential would be readable on the way"
            );
        }
        // Not the cluster's CA: without one of its own, what the system trusts vouches for agent-shield.
        config.root_cert = ca.map(|it| certificates(&it)).transpose()?;
        config.root_cert_file = None;
        config.accept_invalid_certs = false;
        config.tls_server_name = None;
        config.proxy_url = None;
        // A person waits: they are told at once what does not work, and ask again themselves.
        config.default_retry = false;
        let ends = CredentialEnd::of(&config.auth_info);
        let client = kube::Client::try_from(config)
            .map_err(|error| anyhow::anyhow!(upstream::in_words(&error)))
            .context(
                "cannot use the credential of the kubeconfig's user, or the CAs that are to vouch for the server",
            )?;
        let kubeconfig = connection.kubeconfig.as_ref().map(|it| it.to_string_lossy());
        let flags = Flags::new(kubeconfig.as_deref(), connection.context.as_deref());
        Ok(Self { url, flags, client, is_quiet: false, ends })
    }

    /// Without a spinner: something else draws on the terminal.
    pub(crate) fn quiet(self) -> Self {
        Self { is_quiet: true, ..self }
    }

    /// Where it sends to.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let request = http::Request::get(path).body(Vec::new())?;
        self.send(request).await
    }

    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl serde::Serialize,
    ) -> Result<T> {
        let request = http::Request::post(path)
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(serde_json::to_vec(body)?)?;
        self.send(request).await
    }

    async fn send<T: DeserializeOwned>(&self, request: http::Request<Vec<u8>>) -> Result<T> {
        let answer = self.client.request(request);
        let answer = match self.is_quiet {
            true => answer.await,
            false => spinner::during(format!("waiting for {}", self.url), answer).await,
        };
        match answer {
            Ok(answer) => Ok(answer),
            Err(kube::Error::Api(status)) if is_of_api_server(&status) => {
                let review = connection::review_beside(&self.url);
                Err(ClientError::OtherDoor { url: self.url.clone(), review }.into())
            }
            Err(kube::Error::Api(status)) => Err(self.answered(&status).into()),
            Err(kube::Error::SerdeError(error)) => Err(error).context(
                "the server's answer cannot be read: is it agent-shield's review listener?",
            ),
            Err(error) => {
                let why = upstream::why_no_answer(&error);
                Err(ClientError::Unreachable { url: self.url.clone(), why }.into())
            }
        }
    }

    fn answered(&self, status: &Status) -> ClientError {
        let (code, message) = (status.code, status.message.clone());
        let ended = self.ends.as_ref().filter(|it| code == 401 && it.at < Timestamp::now());
        let hint = match ended {
            Some(end) => Some(hints::on_end(end)),
            None => hints::on_answer(code, &Causes::of_status(status), &self.flags),
        };
        ClientError::Answered { code, message, hint }
    }
}

/// Whether the API server itself has answered, through the agents' address or at its own: the paths of the
/// review API are none of its own, and its 404 is no `Status`.
fn is_of_api_server(status: &Status) -> bool {
    let is_bare = status.reason == "Failed to parse error data" && status.code == 404;
    // Its authorizer's own words (k8s.io/apiserver, pkg/endpoints/handlers/responsewriters/errors.go).
    is_bare || (status.code == 403 && status.message.contains("forbidden: User \""))
}

#[cfg(test)]
mod tests {
    use api::CauseReason;
    use serde_json::json;
    use testkit::one_of_each;

    use super::*;

    /// What is printed of an answer with these causes.
    fn answered(code: u16, message: &str, causes: &[(CauseReason, &str)]) -> ClientError {
        let causes: Vec<_> = causes
            .iter()
            .map(|(reason, value)| json!({"reason": reason.as_str(), "message": value}))
            .collect();
        let status = json!({"status": "Failure", "details": {"causes": causes}});
        let status = serde_json::from_value(status).expect("a Status");
        let hint = hints::on_answer(code, &Causes::of_status(&status), &Flags::default());
        ClientError::Answered { code, message: message.to_owned(), hint }
    }

    fn unreachable(why: &str) -> ClientError {
        ClientError::Unreachable { url: "https://127.0.0.1:8444".into(), why: why.into() }
    }

    #[test]
    fn knows_an_answer_that_is_not_of_the_review_api() {
        let of_api_server = r#"forbidden: User "alice" cannot get path "/v1/holds""#;
        let impersonated = r#"forbidden: User "system:serviceaccount:agent-shield:agent-shield" cannot impersonate-on:user-info:get path "/v1/holds""#;
        let impersonated_by_name = r#"users "alice" is forbidden: User "system:serviceaccount:agent-shield:agent-shield" cannot impersonate resource "users" in API group "" at the cluster scope"#;
        let table = [
            (403, "Forbidden", of_api_server, true),
            (403, "Forbidden", impersonated, true),
            (403, "Forbidden", impersonated_by_name, true),
            (404, "Failed to parse error data", "404 page not found", true),
            (
                403,
                "Forbidden",
                "`alice` may not list holds.agent-shield.io in all namespaces",
                false,
            ),
            (404, "NotFound", "there is no hold `path \"/v1/`", false),
            (502, "Failed to parse error data", "bad gateway", false),
        ];
        for (code, reason, message, want) in table {
            let status = Status::failure(message, reason).with_code(code);
            assert_eq!(is_of_api_server(&status), want, "{message}");
        }
    }

    #[test]
    fn every_error_of_a_command_says_what_to_do() {
        use CauseReason as R;
        use ClientError as E;
        let may_not = "`alice` may not approve holds.agent-shield.io";
        let mut errors = one_of_each!(ClientError:
            E::Unreachable { .. } => unreachable("connection reset"),
            E::Answered { .. } => answered(401, "the API server does not know this credential", &[]),
            E::NoSuchHold(_) => E::NoSuchHold(
                "there is no hold `k3`: `agent-shield holds --state all` lists them".into()
            ),
            E::OtherDoor { .. } => E::OtherDoor {
                url: "https://127.0.0.1:8443".into(),
                review: Some("https://127.0.0.1:8444".into()),
            },
        );
        let of_causes = one_of_each!((R, &str):
            (R::MissingVerb, _) => (R::MissingVerb, "approve"),
            (R::MissingInNamespace, _) => (R::MissingInNamespace, "payments"),
            (R::NeverReviews, _) => (R::NeverReviews, "it is a node"),
            (R::SimilarId, _) => (R::SimilarId, "k3mq7xzw"),
        );
        errors.extend(of_causes.iter().map(|cause| answered(403, may_not, &[*cause])));
        errors.push(answered(403, may_not, &of_causes[..2]));
        let silences =
            ["Connection refused (os error 111)", "invalid peer certificate: UnknownIssuer"];
        errors.extend(silences.map(unreachable));
        errors.push(unreachable("dns error: failed to lookup address"));
        let told: Vec<String> = errors.iter().map(|it| format!("error: {it}")).collect();
        insta::assert_snapshot!(told.join("\n\n"));
    }
}
