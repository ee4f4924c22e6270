//! What of a list a reviewer may see: all of it, or what is in namespaces in which they may list.

use std::collections::{BTreeMap, BTreeSet};

use ledger::{Call, Filter};
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

/// What a reviewer may list, asked of RBAC once for each namespace.
pub(crate) struct Sight<'a> {
    api: &'a Api,
    reviewer: &'a Reviewer,
    /// Why they may not list everything that was asked for, where they may not.
    refused: Option<ReviewerError>,
    known: BTreeMap<String, bool>,
}

impl<'a> Sight<'a> {
    /// What they may see of one namespace, or of all.
    pub(crate) async fn of(
        api: &'a Api,
        reviewer: &'a Reviewer,
        asked: Option<&str>,
    ) -> Result<Self, ApiError> {
        let refused = match api.queue.authorize(reviewer, "list", asked.unwrap_or(""), "").await {
            Ok(()) => None,
            Err(refused @ ReviewerError::Forbidden { .. }) => Some(refused),
            Err(error) => return Err(error.into()),
        };
        Ok(Self { api, reviewer, refused, known: BTreeMap::new() })
    }

    /// Whether they may see what is in this namespace.
    pub(crate) async fn has(&mut self, place: &str) -> bool {
        if self.is_all() {
            return true;
        }
        if let Some(known) = self.known.get(place) {
            return *known;
        }
        let may = !place.is_empty()
            && self.api.queue.authorize(self.reviewer, "list", place, "").await.is_ok();
        self.known.insert(place.to_owned(), may);
        may
    }

    /// Whether they may see all that was asked for.
    pub(crate) fn is_all(&self) -> bool {
        self.refused.is_none()
    }

    /// Nothing to show and no right: which right is missing, rather than that all is quiet.
    pub(crate) fn or_refused(self) -> Result<(), ApiError> {
        match self.refused {
            Some(refused) if !self.known.values().any(|may| *may) => Err(refused.into()),
            _ => Ok(()),
        }
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
    let mut sight = Sight::of(api, reviewer, asked).await?;
    let mut seen = BTreeSet::new();
    for place in places {
        if sight.has(&place).await {
            seen.insert(place);
        }
    }
    let is_all = sight.is_all();
    sight.or_refused()?;
    Ok(Visible { places: seen, is_all })
}

/// Calls that are looked through for one page of those that a reviewer may see.
const CALLS_LOOKED_AT_MAX: usize = 10_000;
/// Calls that are looked at together, where not all can be seen.
const CALLS_TOGETHER: usize = 500;

/// A page of the calls that a reviewer may see.
pub(crate) struct SeenCalls {
    /// Newest first.
    pub(crate) calls: Vec<Call>,
    /// Whether there are more that they may see, or that were not looked at.
    pub(crate) left_out: bool,
    /// Whether they may see all that was asked for.
    pub(crate) is_all: bool,
}

/// The calls that match and that this reviewer may see. A limit counts these alone, so that it does not tell of
/// others.
pub(crate) async fn calls(
    api: &Api,
    reviewer: &Reviewer,
    filter: Filter,
) -> Result<SeenCalls, ApiError> {
    let mut sight = Sight::of(api, reviewer, filter.namespace.as_deref()).await?;
    let wanted = filter.limit.unwrap_or(CALLS_LOOKED_AT_MAX);
    let (mut calls, mut looked_at) = (Vec::new(), 0_usize);
    let together = if sight.is_all() { wanted } else { wanted.max(CALLS_TOGETHER) };
    let mut next = Filter { limit: Some(together), ..filter };
    let left_out = loop {
        let page = api.queue.ledger().calls(next.clone()).await?;
        looked_at = looked_at.saturating_add(page.items.len());
        for call in page.items {
            if sight.has(&namespace_of(&call)).await {
                calls.push(call);
            }
        }
        let is_enough = calls.len() > wanted || looked_at >= CALLS_LOOKED_AT_MAX;
        match page.next {
            None => break calls.len() > wanted,
            Some(_) if is_enough || sight.is_all() => break true,
            before => next.before = before,
        }
    };
    calls.truncate(wanted);
    let is_all = sight.is_all();
    sight.or_refused()?;
    Ok(SeenCalls { calls, left_out, is_all })
}

/// Where a call was made; empty for what is in no namespace.
pub(crate) fn namespace_of(call: &Call) -> String {
    call.request.as_ref().map(|it| it.namespace.clone()).unwrap_or_default()
}
