//! Entries that need not be durable before something else happens: reads, probes, outcomes.
//!
//! They are written in batches, off the path of a request. While the store cannot write they are
//! kept, up to a bound; what had to be let go is counted and the count is an entry itself, so a gap
//! never looks like silence.

use std::{
    collections::HashMap,
    mem,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use authn::{TokenError, Tokens};
use jiff::Timestamp;
use ledger::{Action, ClassRecord, Entry, Facts, Identity, Ledger, Stage};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use upstream::Namespaces;

/// Entries that wait in memory, at most; about 60 MB.
const WAITING_MAX: usize = 65_536;
/// So many are written without waiting for more.
const BATCH: usize = 256;
/// Entries in one commit.
const WRITTEN_AT_ONCE: usize = 16 * BATCH;
const BATCH_TIME_MAX: Duration = Duration::from_millis(200);
const RETRY_TIME: Duration = Duration::from_millis(500);

/// An entry on its way, with the token of a user who is not known yet.
struct Late {
    entry: Entry,
    token: Option<Arc<str>>,
}

/// What waits to be written. Its writer is woken for a first entry and for a full batch, not for
/// each: waking it costs more than the entry.
#[derive(Default)]
struct Waiting {
    late: Mutex<Vec<Late>>,
    lost: AtomicU64,
    begun: Notify,
    full: Notify,
}

impl Waiting {
    fn add(&self, mut late: Late) {
        // Facts are as large as many entries: while the store cannot write, they would fill the memory.
        if late.entry.facts != Facts::None {
            late.entry.facts = Facts::Lost;
        }
        let mut waiting = self.late.lock();
        if waiting.len() >= WAITING_MAX {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        waiting.push(late);
        let count = waiting.len();
        drop(waiting);
        match count {
            1 => self.begun.notify_one(),
            BATCH => self.full.notify_one(),
            _ => {}
        }
    }

    /// What came first; its writer is woken again for the rest.
    fn take(&self) -> Vec<Late> {
        let mut waiting = self.late.lock();
        if waiting.len() <= WRITTEN_AT_ONCE {
            return mem::take(&mut *waiting);
        }
        self.begun.notify_one();
        self.full.notify_one();
        waiting.drain(..WRITTEN_AT_ONCE).collect()
    }
}

/// The way in; cheap to clone.
#[derive(Clone)]
pub(crate) struct Recorder {
    ledger: Arc<dyn Ledger>,
    waiting: Arc<Waiting>,
}

impl Recorder {
    /// The recorder, and the future that writes until `stop` and then what is left.
    pub(crate) fn new(
        ledger: Arc<dyn Ledger>,
        tokens: Tokens,
        namespaces: Namespaces,
        stop: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let waiting: Arc<Waiting> = Arc::default();
        let recorder = Self { ledger: Arc::clone(&ledger), waiting: Arc::clone(&waiting) };
        (recorder, Writer { ledger, tokens, namespaces, waiting }.run(stop))
    }

    /// Durable when it returns, or an error: for what must be known before a request leaves.
    pub(crate) async fn append_durable(
        &self,
        entries: Vec<Entry>,
    ) -> Result<(), ledger::StoreError> {
        self.ledger.append(entries).await.map(drop)
    }

    /// Written soon. `token` names the user where the entry does not yet.
    pub(crate) fn append_later(&self, entry: Entry, token: Option<Arc<str>>) {
        self.waiting.add(Late { entry, token });
    }

    /// Written now if the store takes it, and soon otherwise: for outcomes, which have happened.
    pub(crate) async fn append_outcome(&self, entry: Entry) {
        if let Err(error) = self.ledger.append(vec![entry.clone()]).await {
            tracing::error!(%error, auditID = entry.audit_id, "an outcome is kept in memory");
            self.append_later(entry, None);
        }
    }
}

impl judge::ProbeLog for Recorder {
    fn append_probe(&self, entry: Entry) {
        self.append_later(entry, None);
    }
}

struct Writer {
    ledger: Arc<dyn Ledger>,
    tokens: Tokens,
    namespaces: Namespaces,
    waiting: Arc<Waiting>,
}

impl Writer {
    async fn run(self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = self.waiting.begun.notified() => {}
                () = stop.cancelled() => {}
            }
            tokio::select! {
                () = self.waiting.full.notified() => {}
                () = tokio::time::sleep(BATCH_TIME_MAX) => {}
                () = stop.cancelled() => {}
            }
            let stopping = stop.is_cancelled();
            let late = self.waiting.take();
            let is_last = stopping && late.len() < WRITTEN_AT_ONCE;
            let mut batch = self.named(late).await;
            if !self.write(&mut batch, &stop).await || is_last {
                return;
            }
        }
    }

    /// Tries until the store takes the batch; at a stop, three times.
    async fn write(&self, batch: &mut Vec<Entry>, stop: &CancellationToken) -> bool {
        let mut tries_left = 3;
        loop {
            let lost = self.waiting.lost.swap(0, Ordering::Relaxed);
            if lost > 0 {
                let mut gap = Entry::new(Timestamp::now(), "", Stage::Gap);
                gap.note =
                    Some(format!("{lost} entries were lost: more came than the store could write"));
                batch.push(gap);
            }
            if batch.is_empty() {
                return true;
            }
            match self.ledger.append(batch.clone()).await {
                Ok(_) => {
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

    /// Joins what was not waited for when reads were forwarded: their users, and how their namespaces
    /// are classed. Each token and each namespace is looked up once.
    async fn named(&self, batch: Vec<Late>) -> Vec<Entry> {
        let mut users: HashMap<Arc<str>, Result<Identity, TokenError>> = HashMap::new();
        let mut classes: HashMap<String, Option<ClassRecord>> = HashMap::new();
        let mut entries = Vec::with_capacity(batch.len());
        for Late { mut entry, token } in batch {
            if let Some(token) = token {
                let user = match users.get(&token) {
                    Some(user) => user.clone(),
                    None => {
                        let user = self.tokens.user(&token).await;
                        let user = user.map(|user| Identity::from(&user));
                        users.insert(token, user.clone());
                        user
                    }
                };
                match user {
                    Ok(user) => entry.user = Some(user),
                    Err(error) => entry.note = Some(format!("not authenticated: {error}")),
                }
            }
            if let (None, Some(namespace)) = (entry.class, namespace_of_read(&entry)) {
                entry.class = match classes.get(namespace) {
                    Some(class) => *class,
                    None => {
                        let class = self.namespaces.known(namespace).as_ref().map(Into::into);
                        classes.insert(namespace.to_owned(), class);
                        class
                    }
                };
            }
            entries.push(entry);
        }
        entries
    }
}

/// Where an allowed read was in; those of writes are known when they are judged.
fn namespace_of_read(entry: &Entry) -> Option<&str> {
    let allowed = entry.decision.as_ref().is_some_and(|it| it.action == Action::Allow);
    let request = entry.request.as_ref().filter(|_| allowed)?;
    Some(request.namespace.as_str()).filter(|it| !it.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn late(n: usize) -> Late {
        let entry = Entry::new(Timestamp::UNIX_EPOCH, n.to_string(), Stage::ResponseComplete);
        Late { entry, token: None }
    }

    #[test]
    fn keeps_no_facts_in_memory() {
        let facts = r#"{"version": 1, "at": "2026-01-01T00:00:00Z", "looked": true}"#;
        let mut late = late(0);
        late.entry.facts = Facts::Recorded(serde_json::from_str(facts).expect("facts"));
        let waiting = Waiting::default();
        waiting.add(late);
        assert_eq!(waiting.take().remove(0).entry.facts, Facts::Lost);
    }

    #[test]
    fn keeps_order_and_counts_what_it_lets_go() {
        let waiting = Waiting::default();
        for n in 0..WAITING_MAX + 3 {
            waiting.add(late(n));
        }
        assert_eq!(waiting.lost.load(Ordering::Relaxed), 3);
        let mut taken = Vec::new();
        while taken.len() < WAITING_MAX {
            taken.extend(waiting.take().into_iter().map(|it| it.entry.audit_id));
        }
        let want: Vec<String> = (0..WAITING_MAX).map(|n| n.to_string()).collect();
        assert_eq!(taken, want);
        assert!(waiting.take().is_empty());
    }
}
