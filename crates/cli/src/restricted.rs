//! What somebody is told who may list in some namespaces alone.

use crate::client::ClientError;

/// What somebody can do who may list in some namespaces, and asked for all.
pub(crate) fn hinted(error: anyhow::Error, namespace: Option<&str>) -> anyhow::Error {
    match error.downcast_ref() {
        Some(ClientError::Answered { code: 403, message, hint }) if namespace.is_none() => {
            let more = "If you may list holds in one namespace: -n NAMESPACE";
            let hint = hint.as_ref().map_or(more.to_owned(), |hint| format!("{more}\n{hint}"));
            let (message, hint) = (message.clone(), Some(hint));
            ClientError::Answered { code: 403, message, hint }.into()
        }
        _ => error,
    }
}

/// Tells whoever may list in some namespaces alone that a list is not of all.
pub(crate) fn warn(is_restricted: bool) {
    if is_restricted {
        eprintln!(
            "Only namespaces are listed in which you may list holds; there may be more in others."
        );
    }
}
