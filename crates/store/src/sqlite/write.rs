//! The one writer: takes what waits, commits it at once, and tells each caller.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use ledger::StoreError;
use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::connection::{connect, unavailable};

/// Changes that wait, at most; more callers wait for a place.
const WAITING_MAX: usize = 4_096;
/// Changes in one commit.
const COMMIT_MAX: usize = 512;
/// What they take of memory, in units of this: of changes that wait, and of those in one commit.
const UNIT_BYTES: usize = 1 << 10;
const WAITING_UNITS_MAX: u32 = 64 << 10;
const COMMIT_UNITS_MAX: usize = 8 << 10;
/// A change that was not begun after so long is given up.
const TIME_MAX: Duration = Duration::from_secs(2);

/// What happens to the others of a commit where one change fails.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Failing {
    /// All fail: it was the disk. A conflict is its caller's alone.
    All,
    /// It fails alone: nothing else is refused because of it.
    Alone,
}

/// One change on its way.
struct Change<F, T> {
    apply: Option<F>,
    result: Option<T>,
    tell: oneshot::Sender<Result<T, StoreError>>,
}

/// A change, whatever it gives back.
trait Applied: Send {
    /// Makes the change on a connection in a transaction. Called once.
    fn apply(&mut self, connection: &Connection) -> Result<(), StoreError>;

    /// Tells the caller, once the commit has ended.
    fn tell(self: Box<Self>, committed: Result<(), StoreError>);
}

impl<F, T> Applied for Change<F, T>
where
    F: FnOnce(&Connection) -> Result<T, StoreError> + Send,
    T: Send,
{
    fn apply(&mut self, connection: &Connection) -> Result<(), StoreError> {
        let Some(apply) = self.apply.take() else {
            return Err(StoreError::Unavailable("a change was made twice".to_owned()));
        };
        self.result = Some(apply(connection)?);
        Ok(())
    }

    fn tell(self: Box<Self>, committed: Result<(), StoreError>) {
        let never = || StoreError::Unavailable("a change was not made".to_owned());
        let Self { result, tell, .. } = *self;
        // A caller that has gone gets nothing; what it would have got is dropped.
        let _ = tell.send(committed.and_then(|()| result.ok_or_else(never)));
    }
}

struct Waiting {
    change: Box<dyn Applied>,
    failing: Failing,
    until: Instant,
    /// What it takes of memory, for as long as it waits.
    room: OwnedSemaphorePermit,
}

/// The way to the writer.
pub(super) struct Writer {
    sender: mpsc::Sender<Waiting>,
    room: Arc<Semaphore>,
}

impl Writer {
    pub(super) fn start(path: PathBuf, connection: Connection) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        thread::spawn(move || run(&path, connection, receiver));
        Self { sender, room: Arc::new(Semaphore::new(WAITING_UNITS_MAX as usize)) }
    }

    /// Stored when it returns `Ok`; on an error, not stored and never will be. `bytes` is what the change
    /// takes of memory.
    pub(super) async fn change<T: Send + 'static>(
        &self,
        failing: Failing,
        bytes: usize,
        apply: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (tell, answer) = oneshot::channel();
        let change = Box::new(Change { apply: Some(apply), result: None, tell });
        let now = Instant::now();
        let until = now.checked_add(TIME_MAX).unwrap_or(now);
        let stopped = || StoreError::Unavailable("the writer has stopped".to_owned());
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).acquire_many_owned(units.clamp(1, WAITING_UNITS_MAX));
        let sent = tokio::time::timeout(TIME_MAX, async {
            let room = room.await.map_err(|_| stopped())?;
            let waiting = Waiting { change, failing, until, room };
            self.sender.send(waiting).await.map_err(|_| stopped())
        });
        match sent.await {
            Ok(sent) => sent?,
            Err(_) => return Err(StoreError::Unavailable("too many changes wait".to_owned())),
        }
        // Not bounded here: the writer answers every change that it takes, and gives up those whose
        // time is over before it begins them, so an answer never lies about what is on disk.
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }
}

fn run(path: &Path, connection: Connection, mut receiver: mpsc::Receiver<Waiting>) {
    let mut connection = Some(connection);
    let mut batch = Vec::with_capacity(COMMIT_MAX);
    while receiver.blocking_recv_many(&mut batch, COMMIT_MAX) > 0 {
        let now = Instant::now();
        let (late, mut in_time): (Vec<_>, Vec<_>) = batch.drain(..).partition(|it| it.until <= now);
        for waiting in late {
            let error = StoreError::Unavailable("the store did not keep up".to_owned());
            waiting.change.tell(Err(error));
        }
        while !in_time.is_empty() {
            let rest = in_time.split_off(fitting(&in_time));
            commit_or_reopen(path, &mut connection, in_time);
            in_time = rest;
        }
    }
}

/// How many of these one commit takes; at least one.
fn fitting(waiting: &[Waiting]) -> usize {
    let mut units = 0_usize;
    let fits = |it: &&Waiting| {
        units = units.saturating_add(it.room.num_permits());
        units <= COMMIT_UNITS_MAX
    };
    waiting.iter().take_while(fits).count().max(1)
}

/// Commits changes and tells each caller. After a failure the file is opened anew: it may have been
/// replaced, or the disk come back.
fn commit_or_reopen(path: &Path, connection: &mut Option<Connection>, mut batch: Vec<Waiting>) {
    let open = match connection.take() {
        Some(connection) => Ok(connection),
        None => connect(path),
    };
    let results = match open {
        Ok(mut open) => {
            let results = commit(&mut open, &mut batch);
            if results.is_ok() {
                *connection = Some(open);
            }
            results
        }
        Err(error) => Err(unavailable(&error)),
    };
    tell(batch, results);
}

fn tell(batch: Vec<Waiting>, results: Result<Vec<Result<(), StoreError>>, StoreError>) {
    match results {
        Ok(results) => {
            for (waiting, result) in batch.into_iter().zip(results) {
                waiting.change.tell(result);
            }
        }
        Err(error) => {
            tracing::error!(%error, changes = batch.len(), "the store cannot write");
            for waiting in batch {
                waiting.change.tell(Err(error.clone()));
            }
        }
    }
}

/// One transaction for all; a change that fails is undone alone, a commit that fails undoes all.
fn commit(
    connection: &mut Connection,
    batch: &mut [Waiting],
) -> Result<Vec<Result<(), StoreError>>, StoreError> {
    let failed = |error: rusqlite::Error| unavailable(&error);
    let mut transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    let mut results = Vec::with_capacity(batch.len());
    for waiting in batch {
        let savepoint = transaction.savepoint().map_err(failed)?;
        let result = waiting.change.apply(&savepoint);
        match &result {
            Ok(()) => savepoint.commit().map_err(failed)?,
            // A conflict is the caller's; anything else is the disk's, and ends the transaction.
            Err(error)
                if matches!(error, StoreError::Conflict) || waiting.failing == Failing::Alone =>
            {
                savepoint.finish().map_err(failed)?;
            }
            Err(error) => return Err(error.clone()),
        }
        results.push(result);
    }
    transaction.commit().map_err(failed)?;
    Ok(results)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn large_changes_do_not_share_a_commit() {
        let room = Arc::new(Semaphore::new(WAITING_UNITS_MAX as usize));
        let waiting = async |units: u32| {
            let (tell, _) = oneshot::channel::<Result<(), StoreError>>();
            let change =
                Box::new(Change { apply: Some(|_: &Connection| Ok(())), result: None, tell });
            let room = Arc::clone(&room).acquire_many_owned(units).await.expect("room");
            Waiting { change, failing: Failing::All, until: Instant::now(), room }
        };
        let table: [(&[u32], usize); 4] =
            [(&[1, 1, 1], 3), (&[8 << 10, 1], 1), (&[9 << 10], 1), (&[4 << 10, 4 << 10, 1], 2)];
        for (units, want) in table {
            let mut all = Vec::new();
            for of in units {
                all.push(waiting(*of).await);
            }
            assert_eq!(fitting(&all), want, "{units:?}");
        }
    }
}
