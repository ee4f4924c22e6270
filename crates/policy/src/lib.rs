//! What may be done: rules over attributes, namespace and effects -> Decision.

/// What policy says of one request, mildest first: the `max` of two decisions is the stricter.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Decision {
    /// Forward at once.
    Allow,
    /// Ask a person.
    Hold {
        /// The rule that asked.
        rule: String,
        /// In plain words.
        reason: String,
    },
    /// Refuse.
    Deny {
        /// The rule that asked.
        rule: String,
        /// In plain words.
        reason: String,
    },
}
