//! The object an effect is done to.

/// The object an effect is done to.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ObjectRef {
    /// Empty for the core group.
    pub api_group: String,
    /// Plural resource.
    pub resource: String,
    /// Empty for cluster-scoped objects.
    pub namespace: String,
    /// Empty where the request names none (`generateName`, a collection that could not be listed).
    pub name: String,
    /// Empty where it is not known.
    pub uid: String,
}
