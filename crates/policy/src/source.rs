//! A policy file as it was given: a name for messages, and its text.

/// A file, or what stands for one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Source {
    /// For messages: a path.
    pub name: String,
    /// YAML, one or more documents.
    pub text: String,
}
