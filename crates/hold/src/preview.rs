//! What a reviewer is shown of a hold beside its summary: large, read by whoever opens the hold, and
//! stored apart from what changes with each decision.

/// What was seen of the live object.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Preview {
    /// Digest of effects, object uid and normalised difference: the approval is of this.
    pub digest: String,
    /// Of the live object; empty where there is none or it is not known.
    pub uid: String,
    /// Of the live object when it was read; not part of the digest.
    pub resource_version: String,
    /// The difference, secrets taken out.
    pub changes: Vec<ChangeRecord>,
    /// For a collection: each object that would go, by uid.
    pub targets: Vec<Target>,
    /// What goes with it.
    pub goes_with: Vec<GoesWith>,
    /// Why it is missing or incomplete, or why the request cannot be pinned.
    pub notes: Vec<String>,
}

/// The request's body for people, and what it would do.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Shown {
    /// Media type of the body, as sent.
    pub content_type: String,
    /// The body for people: parsed where it can be, secrets taken out, bounded in size.
    pub payload: String,
    /// What would differ.
    pub preview: Preview,
}

/// One differing path.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ChangeRecord {
    /// RFC 6901 pointer.
    pub path: String,
    /// Before, as JSON text; missing where the path did not exist.
    pub old: Option<String>,
    /// After, as JSON text; missing where the path goes.
    pub new: Option<String>,
}

/// One object of a collection that would be deleted.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Target {
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

/// Objects of one kind that go with what is deleted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GoesWith {
    /// Plural resource: `pods`.
    pub resource: String,
    /// How many; missing where nobody who was asked may see them.
    pub count: Option<u64>,
    /// The first few names.
    pub names: Vec<String>,
}
