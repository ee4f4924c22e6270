//! One process's store in a file: holds, the ledger and freezes.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    future::ready,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hold::{
    Answer, Feed, Freeze, Freezes, Hold, HoldCursor, HoldFilter, HoldId, Holds, Inserted,
    Insertion, Preview, Shown,
};
use jiff::Timestamp;
use ledger::{Call, Entry, Filter, History, Ledger, Page, Position, StoreError, Task};
use rusqlite::{Connection, params};
use tokio::sync::{AcquireError, Semaphore};

use super::{
    calls,
    connection::{FILE, SCHEMA, connect, unavailable},
    entries, history, holds, migrate, read, weight,
    write::{Failing, Writer},
};
use crate::{
    live::Live,
    rows::{FreezeRow, to_json},
};

/// From this schema on, a hold stands in three rows.
const SPLIT_HOLDS: usize = 6;
/// Readers at a time; others wait for their turn, as they would for the disk.
const READERS_MAX: usize = 16;
/// Facts that are dropped at once: some two milliseconds, for which others wait.
const FACTS_DROPPED_MAX: u32 = 128;

/// The store in a data directory. Cheap to clone; the writer ends with the last clone.
#[derive(Clone)]
pub struct Sqlite(Arc<Inner>);

struct Inner {
    path: PathBuf,
    writer: Writer,
    /// Connections that read: each has a few file descriptors of its own.
    readers: Semaphore,
    live: Live,
    /// As in the file: this process alone changes it.
    frozen: Mutex<BTreeMap<String, Freeze>>,
    /// One freeze at a time, so that memory follows the file in its order.
    freezing: tokio::sync::Mutex<()>,
    /// This process, among all that ever had the file.
    owner: String,
    /// Held for as long as the store is open: two writers would each believe their own holds.
    _lock: File,
}

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process uses it.
    #[error("another agent-shield uses the data directory {}; give this one another --data-dir", .0.display())]
    InUse(PathBuf),
    /// The file cannot be opened or is not a database.
    #[error("cannot open {}", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        #[source]
        source: rusqlite::Error,
    },
    /// What is in it cannot be read.
    #[error("cannot read {}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: StoreError,
    },
    /// The lock file cannot be made.
    #[error("cannot lock the data directory {}", path.display())]
    Lock {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// Written by a later agent-shield.
    #[error("{} is of version {found}, and this agent-shield knows versions up to {}: start the newer one", path.display(), SCHEMA.len())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
    },
}

/// The ledger of a data directory as it is now, also beside a process that writes there.
pub(crate) fn open_history(dir: &Path) -> Result<impl History + use<>, StoreError> {
    history::Snapshot::open(dir)
}

impl Sqlite {
    /// Opens the store in a directory, and makes it if it is not there.
    ///
    /// # Errors
    /// [`OpenError`]: serving must not begin.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        let lock = lock(dir)?;
        let path = dir.join(FILE);
        let failed = |source| OpenError::Database { path: path.clone(), source };
        let mut connection = connect(&path).map_err(failed)?;
        let found: i64 =
            connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed)?;
        let newer = || OpenError::Newer { path: path.clone(), found };
        let version = usize::try_from(found).map_err(|_| newer())?;
        let steps = SCHEMA.get(version..).ok_or_else(newer)?;
        if !steps.is_empty() {
            bring_up_to_date(&mut connection, &path, version, steps)?;
        }
        let corrupt = |source| OpenError::Corrupt { path: path.clone(), source };
        let frozen = read::freezes(&connection).map_err(corrupt)?;
        let writer = Writer::start(path.clone(), connection);
        Ok(Self(Arc::new(Inner {
            path,
            writer,
            readers: Semaphore::new(READERS_MAX),
            live: Live::default(),
            frozen: Mutex::new(frozen.into_iter().map(|it| (it.username.clone(), it)).collect()),
            freezing: tokio::sync::Mutex::default(),
            owner: uuid::Uuid::new_v4().to_string(),
            _lock: lock,
        })))
    }

    /// `bytes` is what the change takes of memory.
    fn write<'a, T: Send + 'static>(
        &'a self,
        bytes: usize,
        change: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Task<'a, Result<T, StoreError>> {
        Box::pin(self.0.writer.change(Failing::All, bytes, change))
    }

    fn read<'a, T: Send + 'static>(
        &'a self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Task<'a, Result<T, StoreError>> {
        let path = self.0.path.clone();
        Box::pin(async move {
            let closed = |error: AcquireError| StoreError::Unavailable(error.to_string());
            let _reader = self.0.readers.acquire().await.map_err(closed)?;
            let answer = tokio::task::spawn_blocking(move || read(&read::connect(&path)?));
            answer.await.unwrap_or_else(|error| Err(StoreError::Unavailable(error.to_string())))
        })
    }

    fn frozen_now(&self) -> MutexGuard<'_, BTreeMap<String, Freeze>> {
        self.0.frozen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger for Sqlite {
    fn append(&self, entries: Vec<Entry>) -> Task<'_, Result<Vec<Position>, StoreError>> {
        self.write(weight::entries(&entries), move |connection| {
            entries::append(connection, &entries)
        })
    }

    fn calls(&self, filter: Filter) -> Task<'_, Result<Page<Call, Position>, StoreError>> {
        self.read(move |connection| calls::calls(connection, &filter))
    }

    fn history(&self) -> Task<'_, Result<Box<dyn History>, StoreError>> {
        let dir = self.0.path.parent().map(Path::to_owned).unwrap_or_default();
        Box::pin(async move {
            let open = move || Ok(Box::new(history::Snapshot::open(&dir)?) as Box<dyn History>);
            let opened = tokio::task::spawn_blocking(open);
            opened.await.unwrap_or_else(|error| Err(StoreError::Unavailable(error.to_string())))
        })
    }

    fn drop_facts(&self, before: Timestamp) -> Task<'_, Result<bool, StoreError>> {
        Box::pin(async move {
            // No entry is refused because facts stay.
            let drop = move |connection: &Connection| drop_facts(connection, before);
            self.0.writer.change(Failing::Alone, 0, drop).await?;
            self.read(move |connection| read::has_facts(connection, before)).await
        })
    }

    fn is_agent(&self, username: &str) -> Task<'_, Result<bool, StoreError>> {
        let username = username.to_owned();
        self.read(move |connection| read::is_agent(connection, &username))
    }

    fn agents(&self) -> Task<'_, Result<Vec<String>, StoreError>> {
        self.read(read::agents)
    }

    fn clear_agent(
        &self,
        username: &str,
        entries: Vec<Entry>,
    ) -> Task<'_, Result<bool, StoreError>> {
        let username = username.to_owned();
        self.write(0, move |connection| {
            let deleted = connection
                .execute("DELETE FROM agents WHERE username = ?1", [&username])
                .map_err(|error| unavailable(&error))?;
            if deleted == 0 {
                return Ok(false);
            }
            entries::append(connection, &entries).map(|_| true)
        })
    }
}

/// Who waits on a hold until it is taken by whoever asked to: a commit that fails, or a caller that has
/// gone, leaves nobody behind.
struct Entered {
    store: Sqlite,
    id: HoldId,
    taken: bool,
}

impl Entered {
    fn new(store: &Sqlite, id: &HoldId) -> Self {
        store.0.live.enter(id);
        Self { store: store.clone(), id: id.clone(), taken: false }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        if !self.taken {
            self.store.0.live.leave(&self.id);
        }
    }
}

impl Sqlite {
    /// In one transaction, on the one thread that writes: two requests never both find nothing.
    fn insert_or_join_on(
        &self,
        connection: &Connection,
        insertion: &Insertion,
    ) -> Result<(Inserted, Option<Entered>), StoreError> {
        let live = &self.0.live;
        let joins = |hold: &Hold| {
            let (waiting, undelivered) = (live.waiting(hold.id()), live.is_undelivered(hold.id()));
            insertion.joins(hold, waiting, undelivered)
        };
        if let Some(hold) = holds::same(connection, insertion)?.into_iter().find(joins) {
            let entered = Entered::new(self, hold.id());
            return Ok((Inserted::Joined(Box::new(hold)), Some(entered)));
        }
        if let Some(denied) = holds::denied(connection, insertion)? {
            return Ok((denied, None));
        }
        if holds::count_open(connection, insertion)? >= insertion.open_max {
            return Ok((Inserted::TooMany, None));
        }
        holds::insert(connection, &insertion.hold, &insertion.shown, insertion.join)?;
        entries::append(connection, &insertion.entries)?;
        Ok((Inserted::New, Some(Entered::new(self, insertion.hold.id()))))
    }
}

impl Holds for Sqlite {
    fn insert_or_join(&self, insertion: Arc<Insertion>) -> Task<'_, Result<Inserted, StoreError>> {
        Box::pin(async move {
            let (store, id) = (self.clone(), insertion.hold.id().clone());
            let bytes = weight::insertion(&insertion);
            let insert =
                move |connection: &Connection| store.insert_or_join_on(connection, &insertion);
            let (inserted, entered) = self.0.writer.change(Failing::All, bytes, insert).await?;
            if let Some(mut entered) = entered {
                entered.taken = true;
            }
            if inserted == Inserted::New {
                self.0.live.tell_hold(&id);
            }
            Ok(inserted)
        })
    }

    fn load(&self, id: &HoldId) -> Task<'_, Result<Option<Hold>, StoreError>> {
        let id = id.clone();
        self.read(move |connection| holds::load(connection, &id))
    }

    fn shown(&self, id: &HoldId) -> Task<'_, Result<Option<Shown>, StoreError>> {
        let id = id.clone();
        self.read(move |connection| holds::shown(connection, &id))
    }

    fn change(
        &self,
        hold: Hold,
        preview: Option<Preview>,
        entries: Vec<Entry>,
    ) -> Task<'_, Result<Hold, StoreError>> {
        Box::pin(async move {
            let (changed, owner) = (hold.clone(), self.0.owner.clone());
            let bytes = preview.as_ref().map_or(0, weight::preview) + weight::entries(&entries);
            let change = move |connection: &Connection| {
                holds::change(connection, &changed, preview.as_ref(), &owner)?;
                entries::append(connection, &entries).map(drop)
            };
            self.0.writer.change(Failing::All, bytes, change).await?;
            self.0.live.tell_hold(hold.id());
            Ok(hold.stored())
        })
    }

    fn list(
        &self,
        filter: HoldFilter,
        after: Option<HoldCursor>,
    ) -> Task<'_, Result<Page<Hold, HoldCursor>, StoreError>> {
        self.read(move |connection| holds::list(connection, &filter, after.as_ref()))
    }

    fn due(&self, now: Timestamp) -> Task<'_, Result<Vec<Hold>, StoreError>> {
        self.read(move |connection| holds::due(connection, now))
    }

    fn renew(&self) -> Task<'_, Result<(), StoreError>> {
        // The lock on the directory is the lease; it ends with the process.
        self.0.live.forget();
        Box::pin(ready(Ok(())))
    }

    fn take_over(&self) -> Task<'_, Result<Vec<Hold>, StoreError>> {
        let owner = self.0.owner.clone();
        Box::pin(async move {
            // Most often there are none, and nothing has to be written.
            let asking = owner.clone();
            let any = self.read(move |connection| holds::has_abandoned(connection, &asking));
            if !any.await? {
                return Ok(Vec::new());
            }
            self.write(0, move |connection| holds::take_over(connection, &owner)).await
        })
    }

    fn changes(&self) -> Box<dyn Feed<HoldId>> {
        self.0.live.hold_feed()
    }

    fn leave(&self, id: &HoldId) {
        self.0.live.leave(id);
    }

    fn waiting(&self, ids: &[HoldId]) -> Task<'_, Result<Vec<usize>, StoreError>> {
        let waiting = ids.iter().map(|id| self.0.live.waiting(id)).collect();
        Box::pin(ready(Ok(waiting)))
    }

    fn keep_answer(
        &self,
        id: &HoldId,
        answer: Answer,
        time: Duration,
    ) -> Task<'_, Result<(), StoreError>> {
        self.0.live.keep_answer(id, answer, time);
        Box::pin(ready(Ok(())))
    }

    fn answer(&self, id: &HoldId) -> Task<'_, Result<Option<Answer>, StoreError>> {
        Box::pin(ready(Ok(self.0.live.answer(id))))
    }

    fn delivered(&self, id: &HoldId) {
        self.0.live.delivered(id);
    }
}

impl Freezes for Sqlite {
    fn freeze(&self, freeze: Freeze, entries: Vec<Entry>) -> Task<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let (username, document) =
                (freeze.username.clone(), to_json(&FreezeRow::from(&freeze))?);
            let _one = self.0.freezing.lock().await;
            let of = username.clone();
            let change = move |connection: &Connection| {
                let sql = "INSERT INTO freezes (username, document) VALUES (?1, ?2)
                           ON CONFLICT (username) DO UPDATE SET document = ?2";
                connection
                    .execute(sql, params![of, document])
                    .map_err(|error| unavailable(&error))?;
                entries::append(connection, &entries).map(drop)
            };
            self.write(0, change).await?;
            self.frozen_now().insert(username.clone(), freeze);
            self.0.live.tell_freeze(&username);
            Ok(())
        })
    }

    fn thaw(&self, username: &str, entries: Vec<Entry>) -> Task<'_, Result<bool, StoreError>> {
        let username = username.to_owned();
        Box::pin(async move {
            let _one = self.0.freezing.lock().await;
            if !self.frozen_now().contains_key(&username) {
                return Ok(false);
            }
            let of = username.clone();
            let change = move |connection: &Connection| {
                connection
                    .execute("DELETE FROM freezes WHERE username = ?1", [of])
                    .map_err(|error| unavailable(&error))?;
                entries::append(connection, &entries).map(drop)
            };
            self.write(0, change).await?;
            self.frozen_now().remove(&username);
            self.0.live.tell_freeze(&username);
            Ok(true)
        })
    }

    fn frozen(&self, username: &str) -> Task<'_, Result<Option<Freeze>, StoreError>> {
        let found = self.frozen_now().get(username).cloned();
        Box::pin(ready(Ok(found)))
    }

    fn all(&self) -> Task<'_, Result<Vec<Freeze>, StoreError>> {
        let all = self.frozen_now().values().cloned().collect();
        Box::pin(ready(Ok(all)))
    }

    fn changes(&self) -> Box<dyn Feed<String>> {
        self.0.live.freeze_feed()
    }
}

fn drop_facts(connection: &Connection, before: Timestamp) -> Result<(), StoreError> {
    let sql = "DELETE FROM facts WHERE seq IN
               (SELECT seq FROM facts WHERE time_us < ?1 ORDER BY time_us LIMIT ?2)";
    connection
        .prepare_cached(sql)
        .and_then(|mut delete| delete.execute(params![before.as_microsecond(), FACTS_DROPPED_MAX]))
        .map(drop)
        .map_err(|error| unavailable(&error))
}

/// All steps in one transaction: a file is of one version, or of the other.
fn bring_up_to_date(
    connection: &mut Connection,
    path: &Path,
    version: usize,
    steps: &[&str],
) -> Result<(), OpenError> {
    let failed = |source| OpenError::Database { path: path.to_owned(), source };
    let behavior = rusqlite::TransactionBehavior::Immediate;
    let transaction = connection.transaction_with_behavior(behavior).map_err(failed)?;
    transaction.execute_batch(&steps.concat()).map_err(failed)?;
    if version < SPLIT_HOLDS {
        let corrupt = |source| OpenError::Corrupt { path: path.to_owned(), source };
        migrate::split_holds(&transaction).map_err(corrupt)?;
    }
    let set_version = format!("PRAGMA user_version = {}", SCHEMA.len());
    transaction.execute_batch(&set_version).map_err(failed)?;
    transaction.commit().map_err(failed)
}

fn lock(dir: &Path) -> Result<File, OpenError> {
    let failed = |source| OpenError::Lock { path: dir.to_owned(), source };
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(dir.join("lock"))
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(OpenError::InUse(dir.to_owned())),
        Err(std::fs::TryLockError::Error(source)) => Err(failed(source)),
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
