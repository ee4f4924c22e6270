//! Entries that need not be durable before something else happens: reads, probes, outcomes.
//!
//! They are written in batches, off the path of a request. While the store cannot write they are
//! kept, up to a bound; what had to be let go is counted and the count is an entry itself, so a gap
//! never looks like silence.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use authn::Tokens;
use ledger::{Action, ClassRecord, Entry, Ledger};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use upstream::Namespaces;

use crate::{
    names::{Known, Namer, Names},
    nobody::Nobodies,
    waiting::{COMMIT_MAX, Waiting},
};

const BATCH_TIME_MAX: Duration = Duration::from_millis(200);
const RETRY_TIME: Duration = Duration::from_millis(500);
/// What was only counted is looked at so often.
const COUNTED_EVERY: Duration = Duration::from_secs(1);

/// The way in; cheap to clone.
#[derive(Clone)]
pub(crate) struct Recorder {
    ledger: Arc<dyn Ledger>,
    waiting: Arc<Waiting>,
    names: Names,
    nobodies: Arc<Nobodies>,
    tasks: TaskTracker,
}

impl Recorder {
    /// The recorder, and the future that writes until `stop` and then what is left. What is appended
    /// in `tasks` has to be waited for before that.
    pub(crate) fn new(
        ledger: Arc<dyn Ledger>,
        tokens: Tokens,
        namespaces: Namespaces,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (waiting, nobodies) = (Arc::<Waiting>::default(), Arc::<Nobodies>::default());
        let (names, namer) = Names::new(tokens, &waiting, &nobodies);
        let writer = Writer {
            ledger: Arc::clone(&ledger),
            namespaces,
            waiting: Arc::clone(&waiting),
            nobodies: Arc::clone(&nobodies),
        };
        (Self { ledger, waiting, names, nobodies, tasks }, record(namer, writer, stop))
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
        match token.filter(|_| entry.user.is_none()) {
            Some(token) => self.names.add(entry, token, Known::Unknown),
            None => self.waiting.add(entry),
        }
    }

    /// As [`Recorder::append_later`], of a call that the API server answered 401: only where the token is
    /// known all the same does somebody stand behind it.
    pub(crate) fn append_unauthorized(&self, entry: Entry, token: Arc<str>) {
        self.names.add(entry, token, Known::Refused);
    }

    /// Written soon, or only counted: for what costs its sender nothing, as nobody stands behind it or
    /// its head alone was refused.
    pub(crate) fn append_of_nobody(&self, entry: Entry, token: Option<Arc<str>>) {
        if let Some(entry) = self.nobodies.tell(entry, Instant::now()) {
            self.append_later(entry, token);
        }
    }

    /// Whether an address sends more than it may of what nobody stands behind.
    pub(crate) fn is_flooded_by(&self, address: IpAddr) -> bool {
        self.nobodies.is_flooding(address, Instant::now())
    }

    /// Written now if the store takes it, and soon otherwise: for outcomes, which have happened. Whoever
    /// waits for it may leave.
    pub(crate) async fn append_outcome(&self, entry: Entry) {
        let recorder = self.clone();
        let appended = self.tasks.spawn(async move {
            if let Err(error) = recorder.ledger.append(vec![entry.clone()]).await {
                tracing::error!(%error, auditID = entry.audit_id, "an outcome cannot be recorded yet, and is kept in memory");
                recorder.append_later(entry, None);
            }
        });
        if let Err(error) = appended.await {
            tracing::error!(%error, "agent-shield failed while it recorded an outcome");
        }
    }
}

impl judge::ProbeLog for Recorder {
    fn append_probe(&self, entry: Entry) {
        match is_nobodys(&entry) {
            true => self.append_of_nobody(entry, None),
            false => self.append_later(entry, None),
        }
    }
}

/// Whether an entry tells of a call that nobody has authenticated for.
pub(crate) fn is_nobodys(entry: &Entry) -> bool {
    entry.user.as_ref().is_none_or(|user| user.username == attributes::ANONYMOUS)
}

/// Names and writes until `stop`, and then what is left, in this order.
async fn record(namer: Namer, writer: Writer, stop: CancellationToken) {
    let named = CancellationToken::new();
    let naming = async {
        namer.run(stop).await;
        named.cancel();
    };
    tokio::join!(naming, writer.run(named.clone()));
}

struct Writer {
    ledger: Arc<dyn Ledger>,
    namespaces: Namespaces,
    waiting: Arc<Waiting>,
    nobodies: Arc<Nobodies>,
}

impl Writer {
    async fn run(self, stop: CancellationToken) {
        let mut counted = tokio::time::interval(COUNTED_EVERY);
        loop {
            tokio::select! {
                () = self.waiting.begun.notified() => {}
                _ = counted.tick() => self.count(false),
                () = stop.cancelled() => {}
            }
            if stop.is_cancelled() {
                self.count(true);
            } else if self.waiting.is_empty() {
                continue;
            }
            tokio::select! {
                () = self.waiting.full.notified() => {}
                () = tokio::time::sleep(BATCH_TIME_MAX) => {}
                () = stop.cancelled() => {}
            }
            let is_stopping = stop.is_cancelled();
            let mut batch = self.classed(self.waiting.take());
            let is_last = is_stopping && batch.len() < COMMIT_MAX && self.waiting.is_empty();
            if !self.write(&mut batch, &stop).await || is_last {
                return;
            }
        }
    }

    /// Puts what was only counted among what waits.
    fn count(&self, all: bool) {
        let due = self.nobodies.due(Instant::now(), all);
        due.into_iter().for_each(|entry| self.waiting.add(entry));
    }

    /// Tries until the store takes the batch; at a stop, three times.
    async fn write(&self, batch: &mut Vec<Entry>, stop: &CancellationToken) -> bool {
        let mut tries_left = 3;
        loop {
            batch.extend(self.waiting.gaps());
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
                        tracing::error!(%error, entries = batch.len(), "entries could not be recorded before agent-shield stopped, and are lost");
                        return false;
                    }
                }
                Err(error) => tracing::warn!(%error, "entries cannot be recorded; trying again"),
            }
            tokio::time::sleep(RETRY_TIME).await;
        }
    }

    /// Joins what was not waited for when reads were forwarded: how their namespaces are classed. Each
    /// namespace is looked up once.
    fn classed(&self, mut batch: Vec<Entry>) -> Vec<Entry> {
        let mut classes: HashMap<String, Option<ClassRecord>> = HashMap::new();
        for entry in &mut batch {
            let (None, Some(namespace)) = (entry.class, namespace_of_read(entry)) else { continue };
            entry.class = match classes.get(namespace) {
                Some(class) => *class,
                None => {
                    let class = self.namespaces.known(namespace).as_ref().map(Into::into);
                    classes.insert(namespace.to_owned(), class);
                    class
                }
            };
        }
        batch
    }
}

/// Where an allowed read was in; those of writes are known when they are judged.
fn namespace_of_read(entry: &Entry) -> Option<&str> {
    let allowed = entry.decision.as_ref().is_some_and(|it| it.action == Action::Allow);
    let request = entry.request.as_ref().filter(|_| allowed)?;
    Some(request.namespace.as_str()).filter(|it| !it.is_empty())
}
