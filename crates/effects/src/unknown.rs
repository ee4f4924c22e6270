//! Why it is not known what a write would do.

use serde::{Deserialize, Serialize};

/// Of what a server or a parser says, so much is kept: it may repeat what the agent sent.
const SAID_CHARS_MAX: usize = 1_000;

/// Why nobody can say what a write would do.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Unknown {
    /// The path is no API resource.
    NoResource(String),
    /// The resource does not have this verb.
    NoSuchVerb,
    /// A kind of request that has no preview.
    NoPreview,
    /// A request that has no dry run.
    NoDryRun,
    /// A custom resource's count is read from the request and not from a dry run.
    SaidScale,
    /// The dry run's answer is not the object.
    NotTheObject,
    /// The API server refuses to make a dry run: what it said.
    DryRunRefused(String),
    /// The dry run failed: status code and what was said.
    DryRunFailed(u16, String),
    /// The API server would answer with this status code now.
    WouldFail(u16),
    /// The API server did not answer a question: the error.
    Unanswered(String),
    /// The live object is not shown.
    Hidden(Hidden),
    /// The object kept changing while it was looked at.
    KeepsChanging,
    /// It differs in more places than are compared.
    TooManyDifferences,
    /// The object that is scaled is not there.
    NotThere,
    /// The object is another one meanwhile.
    AnotherObject,
    /// What is sent cannot be read in exactly one way.
    BodyUnreadable,
    /// A JSON patch takes values from the object, which may be others by the time it is sent.
    RelativePatch,
    /// What matches a collection could not be listed.
    NotListed,
    /// The options of a delete cannot be read in exactly one way: the error.
    OptionsUnreadable(String),
    /// A delete that ignores store errors, past finalizers and admission.
    UnsafeDelete,
    /// A namespace of this name is there still.
    NamespaceStillThere,
    /// A connection is asked for that only whoever serves the resource understands.
    Upgrade,
}

/// Why the live object is not shown.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Hidden {
    /// What the agent's own read was answered.
    pub read: HiddenRead,
    /// Whether the proxy did not try with its own rights, as it never reads Secrets.
    pub is_secret: bool,
}

/// What came of reading the live object as the agent.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum HiddenRead {
    /// It was answered with this status code.
    Refused(u16),
    /// It was answered with something that is no object.
    Unreadable,
    /// It was not answered: the error.
    Unanswered(String),
}

impl Unknown {
    /// The name of the reason, as rules read it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::NoResource(_) => "noResource",
            Self::NoSuchVerb => "noSuchVerb",
            Self::NoPreview => "noPreview",
            Self::NoDryRun => "noDryRun",
            Self::SaidScale => "saidScale",
            Self::NotTheObject => "notTheObject",
            Self::DryRunRefused(_) => "dryRunRefused",
            Self::DryRunFailed(..) => "dryRunFailed",
            Self::WouldFail(_) => "wouldFail",
            Self::Unanswered(_) => "unanswered",
            Self::Hidden(_) => "hidden",
            Self::KeepsChanging => "keepsChanging",
            Self::TooManyDifferences => "tooManyDifferences",
            Self::NotThere => "notThere",
            Self::AnotherObject => "anotherObject",
            Self::BodyUnreadable => "bodyUnreadable",
            Self::RelativePatch => "relativePatch",
            Self::NotListed => "notListed",
            Self::OptionsUnreadable(_) => "optionsUnreadable",
            Self::UnsafeDelete => "unsafeDelete",
            Self::NamespaceStillThere => "namespaceStillThere",
            Self::Upgrade => "upgrade",
        }
    }

    /// What was said, as far as it is kept.
    pub fn bounded(said: &str) -> String {
        said.chars().take(SAID_CHARS_MAX).collect()
    }
}
