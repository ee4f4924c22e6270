//! Errors as `metav1.Status`, as the API server's clients know them.

use authn::CertificateError;
use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use hold::HoldError;
use ledger::StoreError;
use review::{ReviewError, ReviewerError};
use status::{Cause, Status};

use crate::cause::CauseReason;

/// Why a route has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    #[error("give a bearer token or a client certificate of the cluster")]
    Unauthenticated,
    #[error("the API server does not know this credential")]
    UnknownCredential,
    #[error(transparent)]
    Certificate(CertificateError),
    #[error("give a bearer token or a client certificate, not both")]
    TwoCredentials,
    #[error("reviewers never act as somebody else: remove the header `{0}`")]
    Impersonates(String),
    #[error("the API server could not be asked who this is: {0}")]
    Unavailable(String),
    #[error(
        "agent-shield has too many connections of reviewers, from this address or in total: try again later"
    )]
    Crowded,
    #[error("{0}")]
    BadRequest(String),
    #[error("there is no route `{0}`; see docs/api.md")]
    NoRoute(String),
    #[error("{0}")]
    NotKnown(String),
    #[error(transparent)]
    Review(#[from] ReviewError),
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::Review(error.into())
    }
}

impl From<ReviewerError> for ApiError {
    fn from(error: ReviewerError) -> Self {
        Self::Review(error.into())
    }
}

impl From<&ApiError> for Status {
    fn from(error: &ApiError) -> Self {
        use ApiError as E;
        match error {
            E::TwoCredentials | E::BadRequest(_) => Self::failure(400, "BadRequest"),
            E::Unauthenticated | E::UnknownCredential | E::Certificate(_) => {
                Self::failure(401, "Unauthorized")
            }
            E::Impersonates(_) => Self::failure(403, "Forbidden"),
            E::NoRoute(_) | E::NotKnown(_) => Self::failure(404, "NotFound"),
            E::Unavailable(_) | E::Crowded => Self::failure(503, "ServiceUnavailable"),
            E::Review(error) => review(error).causes(causes(error)),
        }
        .message(error)
    }
}

/// What led to it, as far as a client does something about it.
fn causes(error: &ReviewError) -> Vec<Cause> {
    match error {
        ReviewError::Reviewer(ReviewerError::Forbidden { verb, namespace, .. }) => {
            let verb = CauseReason::MissingVerb.with(verb.as_str());
            let namespace = (!namespace.is_empty())
                .then(|| CauseReason::MissingInNamespace.with(namespace.as_str()));
            [verb].into_iter().chain(namespace).collect()
        }
        ReviewError::Reviewer(ReviewerError::Never { why, .. }) => {
            vec![CauseReason::NeverReviews.with(*why)]
        }
        ReviewError::NotFound { near, .. } => {
            near.iter().map(|id| CauseReason::SimilarId.with(id.to_string())).collect()
        }
        _ => Vec::new(),
    }
}

fn review(error: &ReviewError) -> Status {
    match error {
        ReviewError::NotFound { .. } | ReviewError::NeverSeen(_) => {
            Status::failure(404, "NotFound")
        }
        ReviewError::Frozen(_) => Status::failure(409, "Conflict"),
        ReviewError::Username
        | ReviewError::NeverCleared(_)
        | ReviewError::Hold(HoldError::NoReason) => Status::failure(400, "BadRequest"),
        ReviewError::Hold(
            HoldError::Settled(_)
            | HoldError::Expired(_)
            | HoldError::Stale
            | HoldError::Twice(_)
            | HoldError::NotApproved
            | HoldError::NotDue
            | HoldError::NotDenied(_)
            | HoldError::LiftedAlready
            | HoldError::OtherRequest
            | HoldError::NotMet,
        )
        | ReviewError::Store(StoreError::Conflict) => Status::failure(409, "Conflict"),
        ReviewError::Hold(HoldError::NotAsked { .. }) => Status::failure(403, "Forbidden"),
        ReviewError::Reviewer(ReviewerError::Never { .. } | ReviewerError::Forbidden { .. }) => {
            Status::failure(403, "Forbidden")
        }
        ReviewError::Reviewer(ReviewerError::Unavailable(_) | ReviewerError::Store(_))
        | ReviewError::Store(StoreError::Unavailable(_) | StoreError::Corrupt(_)) => {
            Status::failure(503, "ServiceUnavailable")
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = Status::from(&self);
        let code = StatusCode::from_u16(status.code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (code, Json(status.to_json())).into_response()
    }
}

#[cfg(test)]
mod messages;

#[cfg(test)]
mod tests {
    use hold::HoldId;

    use super::*;

    #[test]
    fn says_what_led_to_it() {
        let forbidden = |namespace: &str| ReviewerError::Forbidden {
            username: "alice".into(),
            verb: "approve".into(),
            namespace: namespace.into(),
        };
        let never = ReviewerError::Never { username: "bot".into(), why: "it is an agent" };
        let unknown = ReviewError::NotFound {
            id: HoldId::parse("k3mq7xzv"),
            near: vec![HoldId::parse("k3mq7xzw"), HoldId::parse("k3mq7xzx")],
        };
        let table = [
            (forbidden("prod").into(), "MissingVerb=approve MissingInNamespace=prod"),
            (forbidden("").into(), "MissingVerb=approve"),
            (never.into(), "NeverReviews=it is an agent"),
            (ApiError::Review(unknown), "SimilarId=k3mq7xzw SimilarId=k3mq7xzx"),
            (ApiError::Unauthenticated, ""),
        ];
        for (error, want) in table {
            let document = Status::from(&error).to_json();
            let causes = document.pointer("/details/causes").and_then(|it| it.as_array()).cloned();
            let told: Vec<String> = causes
                .unwrap_or_default()
                .iter()
                .map(|it| {
                    let text = |field: &str| it[field].as_str().unwrap_or_default().to_owned();
                    format!("{}={}", text("reason"), text("message"))
                })
                .collect();
            assert_eq!(told.join(" "), want, "{error}");
        }
    }
}
