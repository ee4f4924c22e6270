//! The one writer: takes what waits, commits it at once, and tells each caller.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use hold::{Freeze, Hold};
use jiff::Timestamp;
use ledger::{Entry, Facts, StoreError};
use rusqlite::{Connection, TransactionBehavior, params};
use tokio::sync::{mpsc, oneshot};

use super::{connect, reads, unavailable};

/// Changes that wait, at most; more callers wait for a place.
const WAITING_MAX: usize = 4_096;
/// Changes in one commit.
const COMMIT_MAX: usize = 512;
/// Facts that are dropped at once: some two milliseconds, for which others wait.
const FACTS_DROPPED_MAX: u32 = 128;
/// A change that was not begun after so long is given up.
const TIME_MAX: Duration = Duration::from_secs(2);

/// What can be changed.
pub(super) enum Change {
    Append(Vec<Entry>),
    Insert(Box<Hold>, Vec<Entry>),
    /// The hold with its next revision.
    Replace(Box<Hold>, Vec<Entry>),
    Freeze(Freeze, Vec<Entry>),
    /// By username.
    Thaw(String, Vec<Entry>),
    /// Some of those of entries before a moment.
    DropFacts(Timestamp),
}

struct Waiting {
    change: Change,
    until: Instant,
    told: oneshot::Sender<Result<(), StoreError>>,
}

/// The way to the writer.
pub(super) struct Writer(mpsc::Sender<Waiting>);

impl Writer {
    pub(super) fn start(path: PathBuf, connection: Connection) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        thread::spawn(move || run(&path, connection, receiver));
        Self(sender)
    }

    /// Stored when it returns `Ok`; on an error, not stored and never will be.
    pub(super) async fn change(&self, change: Change) -> Result<(), StoreError> {
        let (told, answer) = oneshot::channel();
        let until = Instant::now() + TIME_MAX;
        let stopped = || StoreError::Unavailable("the writer has stopped".to_owned());
        let sent = tokio::time::timeout(TIME_MAX, self.0.send(Waiting { change, until, told }));
        match sent.await {
            Ok(sent) => sent.map_err(|_| stopped())?,
            Err(_) => return Err(StoreError::Unavailable("too many changes wait".to_owned())),
        }
        // Not bounded here: the writer answers every change that it takes, and gives up those whose
        // time is over before it begins them, so an answer never lies about what is on disk.
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }
}

fn run(path: &std::path::Path, connection: Connection, mut receiver: mpsc::Receiver<Waiting>) {
    let mut connection = Some(connection);
    let mut batch = Vec::with_capacity(COMMIT_MAX);
    while receiver.blocking_recv_many(&mut batch, COMMIT_MAX) > 0 {
        let now = Instant::now();
        let (late, batch_now): (Vec<_>, Vec<_>) = batch.drain(..).partition(|it| it.until <= now);
        for waiting in late {
            let error = StoreError::Unavailable("the store did not keep up".to_owned());
            let _ = waiting.told.send(Err(error));
        }
        if batch_now.is_empty() {
            continue;
        }
        let open = match connection.take() {
            Some(connection) => Ok(connection),
            None => connect(path),
        };
        let results = match open {
            Ok(mut open) => {
                let results = commit(&mut open, &batch_now);
                if results.is_ok() {
                    connection = Some(open);
                } // Otherwise opened anew: the file may have been replaced, or the disk come back.
                results
            }
            Err(error) => Err(unavailable(&error)),
        };
        match results {
            Ok(results) => {
                for (waiting, result) in batch_now.into_iter().zip(results) {
                    let _ = waiting.told.send(result);
                }
            }
            Err(error) => {
                tracing::error!(%error, changes = batch_now.len(), "the store cannot write");
                for waiting in batch_now {
                    let _ = waiting.told.send(Err(error.clone()));
                }
            }
        }
    }
}

/// One transaction for all; a change that fails is undone alone, a commit that fails undoes all.
fn commit(
    connection: &mut Connection,
    batch: &[Waiting],
) -> Result<Vec<Result<(), StoreError>>, StoreError> {
    let failed = |error: rusqlite::Error| unavailable(&error);
    let mut transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    let mut results = Vec::with_capacity(batch.len());
    for waiting in batch {
        let savepoint = transaction.savepoint().map_err(failed)?;
        let result = apply(&savepoint, &waiting.change);
        match &result {
            Ok(()) => savepoint.commit().map_err(failed)?,
            // A conflict is the caller's, and no entry is refused because facts stay; anything else is
            // the disk's, and ends the transaction.
            Err(error)
                if matches!(error, StoreError::Conflict)
                    || matches!(waiting.change, Change::DropFacts(_)) =>
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

fn apply(connection: &Connection, change: &Change) -> Result<(), StoreError> {
    match change {
        Change::Append(entries) => append(connection, entries),
        Change::Insert(hold, entries) => {
            let sql = "INSERT INTO holds (id, revision, state, created_us, changed_us, username,
                       namespace, request_digest, document) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9)
                       ON CONFLICT (id) DO NOTHING";
            if write_hold(connection, sql, hold)? == 0 {
                return Err(StoreError::Conflict);
            }
            append(connection, entries)
        }
        Change::Replace(hold, entries) => {
            let sql =
                "UPDATE holds SET state = ?3, created_us = ?4, changed_us = ?5, username = ?6,
                       namespace = ?7, request_digest = ?8, document = ?9, revision = ?2
                       WHERE id = ?1 AND revision = ?2 - 1";
            if write_hold(connection, sql, hold)? == 0 {
                return Err(StoreError::Conflict);
            }
            append(connection, entries)
        }
        Change::Freeze(freeze, entries) => {
            let document = serde_json::to_string(freeze)
                .map_err(|error| StoreError::Corrupt(error.to_string()))?;
            let sql = "INSERT INTO freezes (username, document) VALUES (?1, ?2)
                       ON CONFLICT (username) DO UPDATE SET document = ?2";
            connection
                .execute(sql, params![freeze.username, document])
                .map_err(|error| unavailable(&error))?;
            append(connection, entries)
        }
        Change::Thaw(username, entries) => {
            connection
                .execute("DELETE FROM freezes WHERE username = ?1", [username])
                .map_err(|error| unavailable(&error))?;
            append(connection, entries)
        }
        Change::DropFacts(before) => {
            let sql = "DELETE FROM facts WHERE seq IN
                       (SELECT seq FROM facts WHERE time_us < ?1 ORDER BY time_us LIMIT ?2)";
            connection
                .prepare_cached(sql)
                .and_then(|mut delete| {
                    delete.execute(params![before.as_microsecond(), FACTS_DROPPED_MAX])
                })
                .map(|_| ())
                .map_err(|error| unavailable(&error))
        }
    }
}

fn write_hold(connection: &Connection, sql: &str, hold: &Hold) -> Result<usize, StoreError> {
    let document =
        serde_json::to_string(hold).map_err(|error| StoreError::Corrupt(error.to_string()))?;
    let revision =
        i64::try_from(hold.revision).map_err(|error| StoreError::Corrupt(error.to_string()))?;
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| {
            statement.execute(params![
                hold.id.as_str(),
                revision,
                hold.state.name(),
                hold.created_at.as_microsecond(),
                hold.changed_at.as_microsecond(),
                hold.user.username,
                hold.request.namespace,
                hold.request_digest,
                document,
            ])
        })
        .map_err(|error| unavailable(&error))
}

fn append(connection: &Connection, entries: &[Entry]) -> Result<(), StoreError> {
    for entry in reads::append(connection, entries)? {
        append_one(connection, entry)?;
    }
    // Each user once: most of a batch is one agent's.
    let mut agents = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.request.is_some()) {
        if let Some(user) = &entry.user {
            agents.entry(user.username.as_str()).or_insert(entry.time);
        }
    }
    for (username, first_seen) in agents {
        let sql = "INSERT INTO agents (username, first_seen) VALUES (?1, ?2)
                   ON CONFLICT (username) DO NOTHING";
        connection
            .prepare_cached(sql)
            .and_then(|mut insert| insert.execute(params![username, first_seen.as_microsecond()]))
            .map_err(|error| unavailable(&error))?;
    }
    Ok(())
}

fn append_one(connection: &Connection, entry: &Entry) -> Result<(), StoreError> {
    let sql = "INSERT INTO entries (time_us, audit_id, namespace, resource, name, username, verb,
               action, hold_id, probe, entry)
               VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11)";
    let json = serde_json::to_string(entry).map_err(|it| StoreError::Corrupt(it.to_string()))?;
    let request = entry.request.as_ref();
    connection
        .prepare_cached(sql)
        .and_then(|mut insert| {
            insert.execute(params![
                entry.time.as_microsecond(),
                entry.audit_id,
                request.map(|it| it.namespace.as_str()).filter(|it| !it.is_empty()),
                request.map(|it| it.resource.as_str()).filter(|it| !it.is_empty()),
                request.map(|it| it.name.as_str()).filter(|it| !it.is_empty()),
                entry.user.as_ref().map(|user| user.username.as_str()),
                request.map(|it| it.verb.as_str()),
                entry.decision.as_ref().map(|it| it.action.as_str()),
                entry.hold.as_ref().map(|it| it.id.as_str()),
                entry.probe_of.is_some(),
                json,
            ])
        })
        .map_err(|error| unavailable(&error))?;
    append_facts(connection, connection.last_insert_rowid(), entry)
}

fn append_facts(connection: &Connection, seq: i64, entry: &Entry) -> Result<(), StoreError> {
    let facts = match &entry.facts {
        Facts::None | Facts::Unreadable => return Ok(()),
        Facts::Lost => None,
        Facts::Recorded(facts) => Some(facts),
    };
    let json = facts.map(serde_json::to_string).transpose();
    let json = json.map_err(|it| StoreError::Corrupt(it.to_string()))?;
    connection
        .prepare_cached("INSERT INTO facts (seq, time_us, facts) VALUES (?1,?2,?3)")
        .and_then(|mut insert| insert.execute(params![seq, entry.time.as_microsecond(), json]))
        .map(|_| ())
        .map_err(|error| unavailable(&error))
}
