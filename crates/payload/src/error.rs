//! Why a body is not a tree.

use crate::media_type::MediaType;

/// Why a body is not a tree.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PayloadError {
    /// An encoding that is not read here.
    #[error("{} is not read here", .0.words())]
    Opaque(MediaType),
    /// Neither JSON nor YAML, or read by two readers in two ways. Nothing of the body stands in it: that
    /// may be a secret, and whoever sent it has it.
    #[error("it is not {format}: {why}{}", place(.at))]
    Malformed {
        /// `JSON`, `YAML` or `Kubernetes protobuf`.
        format: &'static str,
        /// What is wrong with it.
        why: &'static str,
        /// Line and column, from 1, where they are known.
        at: Option<(u64, u64)>,
    },
    /// A tree, but not the one that was expected. In words of ours alone, as it may hold secrets.
    #[error("{0}")]
    Unexpected(&'static str),
}

fn place(at: &Option<(u64, u64)>) -> String {
    at.map(|(line, column)| format!(" at line {line}, column {column}")).unwrap_or_default()
}
