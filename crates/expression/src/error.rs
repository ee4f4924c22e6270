//! Why an expression or a function of it has no value.

use crate::problem::Span;

/// Why a function has no value.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    Exhausted,
    Error(String),
}

impl Fault {
    pub(crate) fn error(message: impl Into<String>) -> Self {
        Self::Error(message.into())
    }
}

/// Why an expression has no value.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct EvalError {
    /// What went wrong.
    pub message: String,
    /// Where in the expression.
    pub span: Span,
    /// Whether it is the budget that ended it.
    pub is_exhausted: bool,
}

impl EvalError {
    /// One without a place.
    pub(crate) fn new(message: String) -> Self {
        Self { message, span: Span::default(), is_exhausted: false }
    }
}

impl From<Fault> for EvalError {
    /// Without a place, which whoever knows the node adds.
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Exhausted => {
                Self { is_exhausted: true, ..Self::new("costs more than it may".to_owned()) }
            }
            Fault::Error(message) => Self::new(message),
        }
    }
}
