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
use status::Status;

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
    #[error("{0}")]
    BadRequest(String),
    #[error("there is no route `{0}`; see docs/api.md")]
    NoRoute(String),
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
            E::NoRoute(_) => Self::failure(404, "NotFound"),
            E::Unavailable(_) => Self::failure(503, "ServiceUnavailable"),
            E::Review(error) => review(error),
        }
        .message(error)
    }
}

fn review(error: &ReviewError) -> Status {
    match error {
        ReviewError::NotFound { .. } => Status::failure(404, "NotFound"),
        ReviewError::Username | ReviewError::Hold(HoldError::NoReason) => {
            Status::failure(400, "BadRequest")
        }
        ReviewError::Hold(
            HoldError::Settled(_)
            | HoldError::Expired(_)
            | HoldError::Stale
            | HoldError::Twice(_)
            | HoldError::NotApproved,
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
