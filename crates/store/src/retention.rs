//! How long facts are kept: older ones go a few at a time, so that nobody waits for it.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use ledger::Ledger;

/// Between two looks for facts that are too old.
const DROP_EVERY: Duration = Duration::from_secs(60);
/// Between one lot of them and the next.
const DROP_MORE_AFTER: Duration = Duration::from_millis(100);

/// Lets go of facts that are older than they are kept, until it is dropped.
pub async fn keep_facts(ledger: Arc<dyn Ledger>, kept: Duration) {
    loop {
        let more = match Timestamp::now().checked_sub(kept) {
            Ok(before) => ledger.drop_facts(before).await,
            Err(_) => return, // Longer than there was a time.
        };
        let wait = match more {
            Ok(true) => DROP_MORE_AFTER,
            Ok(false) => DROP_EVERY.min(kept),
            Err(error) => {
                tracing::warn!(%error, "facts that are not kept any longer could not be dropped");
                DROP_EVERY
            }
        };
        tokio::time::sleep(wait).await;
    }
}
