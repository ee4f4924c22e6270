//! One kind of object, and what was seen of it.

use serde_json::Value;

/// One kind of object.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Kind {
    pub(super) resource: String,
    /// `/api/v1`, `/apis/apps/v1`.
    pub(super) prefix: String,
    pub(super) is_namespaced: bool,
}

impl Kind {
    /// Its API group; empty for the core.
    pub(super) fn group(&self) -> &str {
        let group = self.prefix.strip_prefix("/apis/").and_then(|it| it.split('/').next());
        group.unwrap_or_default()
    }

    pub(super) fn collection(&self, namespace: Option<&str>) -> String {
        match namespace {
            Some(namespace) => format!("{}/namespaces/{namespace}/{}", self.prefix, self.resource),
            None => format!("{}/{}", self.prefix, self.resource),
        }
    }
}

/// What was seen of one kind: names, uids and owners.
pub(super) struct Listed {
    pub(super) kind: Kind,
    /// `None` where nobody who was asked may see them, or it came too late.
    pub(super) items: Option<Vec<Value>>,
    /// Beside those.
    pub(super) more: u64,
}
