//! What leads to an error of this API, for programs: the causes in a `Status`.

use status::Cause;

/// What a cause in `details.causes` of a `Status` says, as its `reason` spells it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CauseReason {
    /// The reviewer lacks this verb on `holds.agent-shield.io`.
    MissingVerb,
    /// The namespace in which it is missing; without this cause, in all of them.
    MissingInNamespace,
    /// This user can never review, and why.
    NeverReviews,
    /// An open hold whose id is near the one that was given.
    SimilarId,
}

impl CauseReason {
    const ALL: [Self; 4] =
        [Self::MissingVerb, Self::MissingInNamespace, Self::NeverReviews, Self::SimilarId];

    /// Its stable spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MissingVerb => "MissingVerb",
            Self::MissingInNamespace => "MissingInNamespace",
            Self::NeverReviews => "NeverReviews",
            Self::SimilarId => "SimilarId",
        }
    }

    /// The reason that is spelled so; `None` for one of another version.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }

    /// The field whose value the cause has.
    fn field(self) -> &'static str {
        match self {
            Self::MissingVerb => "verb",
            Self::MissingInNamespace => "namespace",
            Self::NeverReviews => "user",
            Self::SimilarId => "id",
        }
    }

    /// The cause with this value.
    pub(crate) fn with(self, message: impl Into<String>) -> Cause {
        Cause { reason: self.as_str(), message: message.into(), field: self.field() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for reason in CauseReason::ALL {
            assert_eq!(CauseReason::parse(reason.as_str()), Some(reason));
        }
        assert_eq!(CauseReason::parse("missingVerb"), None);
    }
}
