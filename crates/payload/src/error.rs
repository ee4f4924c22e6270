//! Why a body is not a tree.

use crate::media_type::MediaType;

/// Why a body is not a tree.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PayloadError {
    /// An encoding that is not read here.
    #[error("{0:?} is not read here")]
    Opaque(MediaType),
    /// Neither JSON nor YAML, or read by two readers in two ways.
    #[error("it is not {format}: {why}")]
    Malformed {
        /// `JSON`, `YAML` or `Kubernetes protobuf`.
        format: &'static str,
        /// What the parser says.
        why: String,
    },
    /// A tree, but not the one that was expected.
    #[error("{0}")]
    Unexpected(String),
}
