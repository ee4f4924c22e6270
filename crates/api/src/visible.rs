//! What of a list a reviewer may see: all of it, or what is in namespaces in which they may list.

use std::collections::BTreeSet;

use review::{Reviewer, ReviewerError};

use crate::{Api, answer::ApiError};

/// What of a list a reviewer may see.
pub(crate) struct Visible {
    places: BTreeSet<String>,
    /// All that was asked for.
    pub(crate) is_all: bool,
}

impl Visible {
    /// Whether it has what is in a namespace.
    pub(crate) fn has(&self, place: &str) -> bool {
        self.places.contains(place)
    }
}

/// The namespaces of a list that this reviewer may see: all, the one asked for, or, for a reviewer
/// with rights in some, those.
pub(crate) async fn visible(
    api: &Api,
    reviewer: &Reviewer,
    asked: Option<&str>,
    places: BTreeSet<String>,
) -> Result<Visible, ApiError> {
    let everywhere = api.queue.authorize(reviewer, "list", asked.unwrap_or_default(), "").await;
    let refused = match everywhere {
        Ok(()) => return Ok(Visible { places, is_all: true }),
        Err(refused @ ReviewerError::Forbidden { .. }) => refused,
        Err(error) => return Err(error.into()),
    };
    let mut seen = BTreeSet::new();
    for place in places.into_iter().filter(|place| !place.is_empty()) {
        if api.queue.authorize(reviewer, "list", &place, "").await.is_ok() {
            seen.insert(place);
        }
    }
    // Nothing to show and no right: say which right is missing, rather than that all is quiet.
    match seen.is_empty() {
        true => Err(refused.into()),
        false => Ok(Visible { places: seen, is_all: false }),
    }
}
