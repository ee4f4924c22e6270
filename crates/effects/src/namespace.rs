//! How protected a namespace is, and how productive: DEFAULTS Q13 and Q25.

/// What rules ask of a namespace. The default is the strictest: what cannot be looked up.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NamespaceClass {
    /// Any write in it is held.
    pub protected: bool,
    /// True unless the namespace is declared non-production.
    pub production: bool,
    /// Why, for people: each sign that was seen.
    pub signs: Vec<Sign>,
}

/// One reason for a class.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sign {
    /// `label env=production`, `name prod-*`, `no declaration`, `not found`.
    pub seen: String,
    /// What it says: `production`, `non-production`, `protected`.
    pub means: &'static str,
}
