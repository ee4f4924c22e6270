//! Entries that need not be durable before something else happens: reads, probes, outcomes.
//!
//! They are written in batches, off the path of a request. While the store cannot write they are
//! kept, up to a bound; what had to be let go is counted and the count is an entry itself, so a gap
//! never looks like silence.

use std::{sync::Arc, time::Duration};

use authn::Tokens;
use jiff::Timestamp;
use ledger::{Entry, Identity, Ledger, Stage};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Entries that wait in memory, at most; about 60 MB.
const WAITING_MAX: usize = 65_536;
const BATCH_MAX: usize = 256;
const BATCH_TIME_MAX: Duration = Duration::from_millis(200);
const RETRY_TIME: Duration = Duration::from_millis(500);

/// An entry on its way, with the token whose user is still to be asked for.
struct Late {
    entry: Entry,
    token: Option<String>,
}

/// The way in; cheap to clone.
#[derive(Clone)]
pub(crate) struct Recorder {
    ledger: Arc<dyn Ledger>,
    late: mpsc::Sender<Late>,
    lost: Arc<std::sync::atomic::AtomicU64>,
}

impl Recorder {
    /// The recorder, and the future that writes until `stop` and then what is left.
    pub(crate) fn new(
        ledger: Arc<dyn Ledger>,
        tokens: Tokens,
        stop: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (late, queue) = mpsc::channel(WAITING_MAX);
        let recorder = Self { ledger, late, lost: Arc::default() };
        let writer = Writer {
            ledger: Arc::clone(&recorder.ledger),
            tokens,
            queue,
            lost: Arc::clone(&recorder.lost),
        };
        (recorder, writer.run(stop))
    }

    /// Durable when it returns, or an error: for what must be known before a request leaves.
    pub(crate) async fn now(&self, entries: Vec<Entry>) -> Result<(), ledger::StoreError> {
        self.ledger.append(entries).await
    }

    /// Written soon. `token` names the user where the entry does not yet.
    pub(crate) fn soon(&self, entry: Entry, token: Option<String>) {
        if self.late.try_send(Late { entry, token }).is_err() {
            self.lost.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }

    /// Written now if the store takes it, and soon otherwise: for outcomes, which have happened.
    pub(crate) async fn outcome(&self, entry: Entry) {
        if let Err(error) = self.ledger.append(vec![entry.clone()]).await {
            tracing::error!(%error, auditID = entry.audit_id, "an outcome is kept in memory");
            self.soon(entry, None);
        }
    }
}

struct Writer {
    ledger: Arc<dyn Ledger>,
    tokens: Tokens,
    queue: mpsc::Receiver<Late>,
    lost: Arc<std::sync::atomic::AtomicU64>,
}

impl Writer {
    async fn run(mut self, stop: CancellationToken) {
        let mut batch = Vec::new();
        loop {
            let first = tokio::select! {
                biased;
                first = self.queue.recv() => first,
                () = stop.cancelled() => self.queue.try_recv().ok(),
            };
            let Some(first) = first else { return };
            batch.push(self.named(first).await);
            let full = tokio::time::sleep(BATCH_TIME_MAX);
            let mut full = std::pin::pin!(full);
            while batch.len() < BATCH_MAX {
                let next = tokio::select! {
                    biased;
                    next = self.queue.recv() => next,
                    () = stop.cancelled() => self.queue.try_recv().ok(),
                    () = &mut full => None,
                };
                match next {
                    Some(next) => batch.push(self.named(next).await),
                    None => break,
                }
            }
            if !self.write(&mut batch, &stop).await {
                return;
            }
        }
    }

    /// Tries until the store takes the batch; at a stop, three times.
    async fn write(&self, batch: &mut Vec<Entry>, stop: &CancellationToken) -> bool {
        let mut tries_left = 3;
        loop {
            let lost = self.lost.swap(0, std::sync::atomic::Ordering::Relaxed);
            if lost > 0 {
                let mut gap = Entry::new(Timestamp::now(), "", Stage::Gap);
                gap.note =
                    Some(format!("{lost} entries were lost while the store could not write"));
                batch.push(gap);
            }
            match self.ledger.append(batch.clone()).await {
                Ok(()) => {
                    batch.clear();
                    return true;
                }
                Err(error) if stop.is_cancelled() => {
                    tries_left -= 1;
                    if tries_left == 0 {
                        tracing::error!(%error, entries = batch.len(), "entries are lost at stop");
                        return false;
                    }
                }
                Err(error) => tracing::warn!(%error, "the ledger does not take entries; retrying"),
            }
            tokio::time::sleep(RETRY_TIME).await;
        }
    }

    /// Joins the user of a read, which was not waited for when the read was forwarded.
    async fn named(&self, late: Late) -> Entry {
        let Late { mut entry, token } = late;
        if let Some(token) = token {
            match self.tokens.user(&token).await {
                Ok(user) => entry.user = Some(Identity::from(&user)),
                Err(error) => entry.note = Some(format!("not authenticated: {error}")),
            }
        }
        entry
    }
}
