//! What is remembered of earlier calls: for a time, what decides; in the ledger, what is older.

use std::{sync::Arc, time::Duration};

use effects::ObjectRef;
use jiff::Timestamp;
use ledger::{Call, Filter, Ledger, StoreError};
use memory::Memory;

/// Calls in a page, and how many pages are read for one decision.
const CALLS_IN_PAGE: usize = 1_000;
const PAGES_MAX: usize = 5;

/// What each agent did lately, which pods are being replaced, and the ledger for what is older.
pub struct Remembered {
    /// What is forgotten in time.
    pub recent: Arc<dyn Memory>,
    pub(crate) ledger: Arc<dyn Ledger>,
}

impl Remembered {
    /// What these two know.
    pub fn new(recent: Arc<dyn Memory>, ledger: Arc<dyn Ledger>) -> Self {
        Self { recent, ledger }
    }

    /// Every write to an object within this time, by whomever, also refused ones; `None` as of
    /// [`Remembered::all_calls`].
    ///
    /// # Errors
    /// [`StoreError`] where the ledger cannot be read.
    pub(crate) async fn writes_to(
        &self,
        object: &ObjectRef,
        within: Duration,
    ) -> Result<Option<Vec<Call>>, StoreError> {
        let calls = self.all_calls(Filter {
            namespace: Some(object.namespace.clone()),
            resource: Some(object.resource.clone()),
            name: Some(object.name.clone()),
            // Without a moment before it, nothing is too old.
            since: Timestamp::now().checked_sub(within).ok(),
            writes_only: true,
            ..Filter::default()
        });
        calls.await
    }

    /// Every call of the ledger that matches, newest first; `None` where there are more than are read.
    /// What is decided by calls must not be decided by the last of them alone: an agent can make any
    /// number that mean nothing.
    ///
    /// # Errors
    /// [`StoreError`] where the ledger cannot be read.
    pub(crate) async fn all_calls(&self, filter: Filter) -> Result<Option<Vec<Call>>, StoreError> {
        let mut filter = Filter { limit: Some(CALLS_IN_PAGE), ..filter };
        let mut all = Vec::new();
        for _ in 0..PAGES_MAX {
            let page = self.ledger.calls(filter.clone()).await?;
            all.extend(page.items);
            match page.next {
                None => return Ok(Some(all)),
                next => filter.before = next,
            }
        }
        Ok(None)
    }
}
