//! One effect, and one differing path.

use serde_json::Value;

use crate::{
    EffectKind,
    about::{About, Deleted, Deletion, FieldChange},
    object::ObjectRef,
};

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

    /// That something goes.
    pub(crate) fn delete(object: ObjectRef, what: Deleted) -> Self {
        let about = About::Deletion(Deletion::of(what));
        Self { kind: EffectKind::Delete, object, about }
    }

    /// The count before and after, where the kind has one and both are known. Small steps that
    /// add up count from the size before the first of them.
    pub fn count(&self) -> Option<(i64, i64)> {
        match &self.about {
            About::Count(count) => count.sizes(),
            _ => None,
        }
    }

    /// Whether its agent takes back its own last step by it.
    pub fn undoes(&self) -> bool {
        match &self.about {
            About::Count(count) => count.undoes,
            About::Parts(parts) => parts.undoes,
            _ => false,
        }
    }

    /// Its agent takes back its own last step by it.
    pub fn set_undoes(&mut self) {
        match &mut self.about {
            About::Count(count) => count.undoes = true,
            About::Parts(parts) => parts.undoes = true,
            _ => {}
        }
    }
}

/// One differing path of an object (absent: `None`).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Change {
    /// RFC 6901 pointer (`/spec/replicas`), with an item's `name` for the index of named items.
    pub path: String,
    /// Before.
    pub old: Option<Value>,
    /// After.
    pub new: Option<Value>,
}

impl Change {
    /// As the change of a field of this name, for people.
    pub(crate) fn of_field(&self, field: String) -> FieldChange {
        let text = |side: &Option<Value>| {
            side.as_ref().map(|it| it.as_str().map_or_else(|| it.to_string(), str::to_owned))
        };
        FieldChange { field, old: text(&self.old), new: text(&self.new) }
    }
}
