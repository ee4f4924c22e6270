//! What is known of a request that came before: the hold that it waits on was shown with what goes with it.

use futures_util::future::BoxFuture;
use hold::{Preview, UNCOUNTED};
use moka::sync::Cache;
use payload::Redactor;

use crate::call::Write;

/// More holds than that are counted again.
const COUNTED_MAX: u64 = 10_000;

/// What the open hold of a request shows.
pub trait OpenHolds: Send + Sync {
    /// What the open hold of the same request shows; `None` where there is none, or where somebody has looked
    /// at it since, and what goes with it is to be counted anew.
    fn shown<'a>(&'a self, write: &'a Write) -> BoxFuture<'a, Option<Preview>>;
}

/// Which version of its object each hold was counted at last: what it shows stays as it is where that is the
/// same, and controllers write much that changes nothing of it.
pub(crate) struct Counted(Cache<String, String>);

impl Default for Counted {
    fn default() -> Self {
        Self(Cache::new(COUNTED_MAX))
    }
}

impl Counted {
    pub(crate) fn remember(&self, preview: &Preview) {
        self.0.insert(preview.digest.clone(), preview.resource_version.clone());
    }

    /// The same write with what goes with it as it was counted before; `None` where that is to be counted: it
    /// would do something else, its object was changed, or not all could be counted.
    pub(crate) fn apply(
        &self,
        shown: Preview,
        now: &Preview,
        redactor: &Redactor,
    ) -> Option<Preview> {
        let is_counted = !shown.bound.iter().any(|it| it.starts_with(UNCOUNTED));
        let version = self.0.get(&shown.digest);
        let version = version.as_ref().unwrap_or(&shown.resource_version);
        let is_same = *version == now.resource_version
            && shown.covers(now, redactor, false)
            && shown.effects == now.effects;
        let Preview { digest, goes_with, notes, bound, .. } = shown;
        (is_counted && is_same).then(|| Preview { digest, goes_with, notes, bound, ..now.clone() })
    }
}
