//! One effect, and one differing path.

use crate::{EffectKind, about::About, object::ObjectRef};

/// One thing the request would do, to one object.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Effect {
    /// What happens.
    pub kind: EffectKind,
    /// To what.
    pub object: ObjectRef,
    /// What else is known of it. Never holds the value of a Secret, a ConfigMap or an environment.
    pub about: About,
}

impl Effect {
    /// An effect of which kind and object say everything.
    pub fn plain(kind: EffectKind, object: ObjectRef) -> Self {
        Self { kind, object, about: About::Nothing }
    }

    /// The count before and after, where the kind has one and both are known. Small steps that
    /// add up count from the size before the first of them.
    pub fn count(&self) -> Option<(i64, i64)> {
        match &self.about {
            About::Count(count) => count.sizes(),
            _ => None,
        }
    }
}

/// One differing path of an object (absent: `None`).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Change {
    /// RFC 6901 pointer (`/spec/replicas`), with an item's `name` for the index of named items.
    pub path: String,
    /// Before.
    pub old: Option<serde_json::Value>,
    /// After.
    pub new: Option<serde_json::Value>,
}
