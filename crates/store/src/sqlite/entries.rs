//! Entries of calls that have rows of their own, appended.

use std::collections::BTreeMap;

use attributes::ANONYMOUS;
use ledger::{Entry, Facts, Position, RequestRecord, StoreError};
use rusqlite::{Connection, OptionalExtension, params};

use super::{connection::unavailable, reads};
use crate::rows::to_json;

/// Appends entries, and gives back where each stands.
pub(super) fn append(
    connection: &Connection,
    entries: &[Entry],
) -> Result<Vec<Position>, StoreError> {
    let mut next = next_position(connection)?;
    let mut positions = vec![Position(0); entries.len()];
    let mut place = |index: usize, seq: i64| {
        if let Some(position) = positions.get_mut(index) {
            *position = Position(seq.unsigned_abs());
        }
    };
    let reads::Split { rows, others } = reads::split(entries);
    for row in rows {
        reads::append_row(connection, &row, next)?;
        for (index, _) in &row.entries {
            place(*index, next);
            next = next.saturating_add(1);
        }
    }
    for (index, entry) in others {
        append_one(connection, entry, next)?;
        place(index, next);
        next = next.saturating_add(1);
    }
    saw_agents(connection, entries)?;
    Ok(positions)
}

/// The first position that nothing has.
fn next_position(connection: &Connection) -> Result<i64, StoreError> {
    let sql = "SELECT max(coalesce((SELECT max(seq) FROM entries), 0) + 1,
                          coalesce((SELECT seq + count FROM reads ORDER BY seq DESC LIMIT 1), 1))";
    connection
        .prepare_cached(sql)
        .and_then(|mut next| next.query_row([], |row| row.get(0)).optional())
        .map(|next| next.unwrap_or(1))
        .map_err(|error| unavailable(&error))
}

/// Each user once: most of a batch is one agent's.
fn saw_agents(connection: &Connection, entries: &[Entry]) -> Result<(), StoreError> {
    let mut agents = BTreeMap::new();
    for entry in entries {
        // Nobody has authenticated as the one whom the API server takes everybody for.
        if let Some(username) = entry.agent().filter(|it| *it != ANONYMOUS) {
            agents.entry(username).or_insert(entry.time);
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

fn append_one(connection: &Connection, entry: &Entry, seq: i64) -> Result<(), StoreError> {
    let sql =
        "INSERT INTO entries (seq, time_us, audit_id, namespace, resource, name, username, verb,
               action, hold_id, probe, entry, probe_of, spans_namespaces)
               VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14)";
    let json = to_json(entry)?;
    let request = entry.request.as_ref();
    connection
        .prepare_cached(sql)
        .and_then(|mut insert| {
            insert.execute(params![
                seq,
                entry.time.as_microsecond(),
                entry.audit_id,
                request.map(|it| it.namespace.as_str()).filter(|it| !it.is_empty()),
                request.map(|it| it.resource.as_str()).filter(|it| !it.is_empty()),
                request.map(|it| &it.name).or(entry.made.as_ref()).filter(|it| !it.is_empty()),
                entry.user.as_ref().map(|user| user.username.as_str()),
                request.map(|it| it.verb.as_str()),
                entry.decision.as_ref().map(|it| it.action.as_str()),
                entry.hold.as_ref().map(|it| it.id.as_str()),
                entry.probe_of.is_some(),
                json,
                entry.probe_of,
                request.is_some_and(RequestRecord::spans_namespaces),
            ])
        })
        .map_err(|error| unavailable(&error))?;
    append_facts(connection, seq, entry)
}

fn append_facts(connection: &Connection, seq: i64, entry: &Entry) -> Result<(), StoreError> {
    let facts = match &entry.facts {
        Facts::None | Facts::Unreadable => return Ok(()),
        Facts::Lost => None,
        Facts::Recorded(facts) => Some(facts),
    };
    let json = facts.map(to_json).transpose()?;
    connection
        .prepare_cached("INSERT INTO facts (seq, time_us, facts) VALUES (?1,?2,?3)")
        .and_then(|mut insert| insert.execute(params![seq, entry.time.as_microsecond(), json]))
        .map(|_| ())
        .map_err(|error| unavailable(&error))
}
