//! What is known of a request that came before: the hold that it waits on was shown with what goes with it.

use futures_util::future::BoxFuture;
use hold::{Preview, UNCOUNTED};
use payload::Redactor;

use crate::call::Write;

/// What the open hold of a request shows.
pub trait OpenHolds: Send + Sync {
    /// What the open hold of the same request shows; `None` where there is none, or where somebody has looked
    /// at it since, and what goes with it is to be counted anew.
    fn shown<'a>(&'a self, write: &'a Write) -> BoxFuture<'a, Option<Preview>>;
}

/// The same write with what goes with it as it was counted before; `None` where that is to be counted: it
/// would do something else, its object was changed, or not all could be counted.
pub(crate) fn as_counted(shown: Preview, now: &Preview, redactor: &Redactor) -> Option<Preview> {
    let is_counted = !shown.bound.iter().any(|it| it.starts_with(UNCOUNTED));
    let is_same = shown.resource_version == now.resource_version
        && shown.covers(now, redactor, false)
        && shown.effects == now.effects;
    let Preview { digest, goes_with, notes, bound, .. } = shown;
    (is_counted && is_same).then(|| Preview { digest, goes_with, notes, bound, ..now.clone() })
}
