//! What the open hold of a request shows, for the judge: a request that comes again for its hold is not
//! counted again.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use hold::Preview;
use judge::{OpenHolds, Write};
use payload::Redactor;
use review::Queue;

/// The holds of the queue.
pub(crate) struct KnownHolds {
    pub(crate) queue: Arc<Queue>,
    pub(crate) redactor: Redactor,
}

impl OpenHolds for KnownHolds {
    fn shown<'a>(&'a self, write: &'a Write) -> BoxFuture<'a, Option<Preview>> {
        Box::pin(async move {
            let digest = write.request().digest(&self.redactor);
            // Where the store does not tell, it is counted.
            let id = self.queue.open_of(&digest).await.ok()??;
            if self.queue.was_looked_at(&id) {
                return None;
            }
            Some(self.queue.shown(&id).await.ok()?.preview)
        })
    }
}
