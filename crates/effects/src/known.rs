//! What a deployment says of its own cluster, beside the objects themselves.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::namespace::ClassConfig;

static NO_KEYS: BTreeSet<String> = BTreeSet::new();

/// What is known beside the object before and after.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// How namespaces are classed.
    pub classes: &'a ClassConfig,
    /// Labels and annotations that nothing in this cluster acts on, each a whole key.
    pub inert_keys: &'a BTreeSet<String>,
    /// The time now, by which locks run out; without it, none has.
    pub now: Option<Timestamp>,
    /// The manager of the fields, where the write is a server-side apply.
    pub applied_by: Option<&'a str>,
}

impl<'a> Known<'a> {
    /// How namespaces are classed, and no key that is inert here alone.
    pub fn of(classes: &'a ClassConfig) -> Self {
        Self { classes, inert_keys: &NO_KEYS, now: None, applied_by: None }
    }

    /// As before, with keys that nothing in this cluster acts on.
    #[must_use]
    pub fn with_inert_keys(self, inert_keys: &'a BTreeSet<String>) -> Self {
        Self { inert_keys, ..self }
    }

    /// As before, at this time.
    #[must_use]
    pub fn at(self, now: Timestamp) -> Self {
        Self { now: Some(now), ..self }
    }

    /// As before, of a write that is a server-side apply of this manager.
    #[must_use]
    pub fn with_applied_by(self, applied_by: Option<&'a str>) -> Self {
        Self { applied_by, ..self }
    }
}
