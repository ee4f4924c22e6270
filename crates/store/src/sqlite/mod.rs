//! One file, one writer, many readers.
//!
//! Every change goes through one thread that commits many at once: an fsync costs the same for one
//! entry as for a hundred. What a caller was told is stored survives a power loss (WAL,
//! `synchronous=FULL`); what a caller was told is not stored is never stored later.

mod history;
mod read;
mod reads;
mod retention;
mod write;

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

pub use history::History;
use hold::{Freeze, Hold, HoldFilter, HoldId, Holds};
use jiff::Timestamp;
use ledger::{Call, Entry, Filter, Ledger, StoreError, Task};
pub use reads::began;
use rusqlite::Connection;
use write::{Change, Writer};

const FILE: &str = "agent-shield.db";
/// What makes each version out of the one before; a file of a later one is not touched.
const SCHEMA: [&str; 5] = [
    include_str!("schema-1.sql"),
    include_str!("schema-2.sql"),
    include_str!("schema-3.sql"),
    include_str!("schema-4.sql"),
    include_str!("schema-5.sql"),
];
const BUSY_TIME_MAX: Duration = Duration::from_millis(800);

/// The store in a data directory. Cheap to clone; the writer ends with the last clone.
#[derive(Clone)]
pub struct Sqlite(Arc<Inner>);

struct Inner {
    path: PathBuf,
    writer: Writer,
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

/// How many entries the store in a data directory holds, also beside a process that writes there.
///
/// # Errors
/// [`StoreError`] where it cannot be read.
pub fn count_entries(dir: &Path) -> Result<u64, StoreError> {
    read::count_entries(&read::connect(&dir.join(FILE))?)
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
        let connection = connect(&path).map_err(failed)?;
        let found: i64 =
            connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed)?;
        let steps = usize::try_from(found).ok().and_then(|found| SCHEMA.get(found..));
        let Some(steps) = steps else { return Err(OpenError::Newer { path, found }) };
        if !steps.is_empty() {
            let (sql, version) = (steps.concat(), SCHEMA.len());
            let sql = format!("BEGIN IMMEDIATE; {sql} PRAGMA user_version = {version}; COMMIT;");
            connection.execute_batch(&sql).map_err(failed)?;
        }
        let writer = Writer::start(path.clone(), connection);
        Ok(Self(Arc::new(Inner { path, writer, _lock: lock })))
    }

    /// Lets go of some of the facts of entries before a moment, the oldest first, so few that nobody
    /// waits for it; whether there are more. The entries stay, and the file's room is used again.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be changed or read.
    pub async fn drop_facts(&self, before: Timestamp) -> Result<bool, StoreError> {
        self.change(Change::DropFacts(before)).await?;
        self.read(move |connection| read::has_facts(connection, before)).await
    }

    fn change<'a>(&'a self, change: Change) -> Task<'a, Result<(), StoreError>> {
        Box::pin(self.0.writer.change(change))
    }

    fn read<'a, T: Send + 'static>(
        &'a self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Task<'a, Result<T, StoreError>> {
        let path = self.0.path.clone();
        Box::pin(async move {
            let answer = tokio::task::spawn_blocking(move || read(&read::connect(&path)?));
            answer.await.unwrap_or_else(|error| Err(StoreError::Unavailable(error.to_string())))
        })
    }
}

impl Ledger for Sqlite {
    fn append(&self, entries: Vec<Entry>) -> Task<'_, Result<(), StoreError>> {
        self.change(Change::Append(entries))
    }

    fn calls(&self, filter: Filter) -> Task<'_, Result<Vec<Call>, StoreError>> {
        self.read(move |connection| read::calls(connection, &filter))
    }

    fn is_agent(&self, username: &str) -> Task<'_, Result<bool, StoreError>> {
        let username = username.to_owned();
        self.read(move |connection| read::is_agent(connection, &username))
    }

    fn agents(&self) -> Task<'_, Result<Vec<String>, StoreError>> {
        self.read(read::agents)
    }
}

impl Holds for Sqlite {
    fn insert(&self, hold: Hold, entries: Vec<Entry>) -> Task<'_, Result<(), StoreError>> {
        self.change(Change::Insert(Box::new(hold), entries))
    }

    fn replace(&self, hold: Hold, entries: Vec<Entry>) -> Task<'_, Result<Hold, StoreError>> {
        let mut stored = hold.clone();
        stored.revision = stored.revision.saturating_add(1);
        let change = Change::Replace(Box::new(stored.clone()), entries);
        Box::pin(async move { self.change(change).await.map(|()| stored) })
    }

    fn load(&self, id: &HoldId) -> Task<'_, Result<Option<Hold>, StoreError>> {
        let id = id.clone();
        self.read(move |connection| read::hold(connection, &id))
    }

    fn list(&self, filter: HoldFilter) -> Task<'_, Result<Vec<Hold>, StoreError>> {
        self.read(move |connection| read::holds(connection, &filter))
    }

    fn freeze(&self, freeze: Freeze, entries: Vec<Entry>) -> Task<'_, Result<(), StoreError>> {
        self.change(Change::Freeze(freeze, entries))
    }

    fn thaw(&self, username: &str, entries: Vec<Entry>) -> Task<'_, Result<(), StoreError>> {
        self.change(Change::Thaw(username.to_owned(), entries))
    }

    fn freezes(&self) -> Task<'_, Result<Vec<Freeze>, StoreError>> {
        self.read(read::freezes)
    }
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

/// A connection that may write.
fn connect(path: &Path) -> rusqlite::Result<Connection> {
    if !path.exists() {
        // Made by us, so that its mode is ours from the first moment; SQLite keeps it for the WAL.
        drop(OpenOptions::new().create(true).append(true).mode(0o600).open(path));
    }
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIME_MAX)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    Ok(connection)
}

fn unavailable(error: &rusqlite::Error) -> StoreError {
    StoreError::Unavailable(error.to_string())
}

#[cfg(test)]
mod tests;
