//! Questions, on connections of their own that cannot write.

use std::{collections::HashMap, path::Path};

use hold::{Freeze, Hold, HoldFilter, HoldId};
use jiff::Timestamp;
use ledger::{Call, Entry, Filter, StoreError, calls as joined};
use rusqlite::{Connection, OpenFlags, OptionalExtension, ToSql, params_from_iter};

use super::{BUSY_TIME_MAX, reads, unavailable};

const CALLS_MAX: usize = 10_000;
const HOLDS_MAX: usize = 1_000;

pub(super) fn connect(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection =
        Connection::open_with_flags(path, flags).map_err(|error| unavailable(&error))?;
    connection.busy_timeout(BUSY_TIME_MAX).map_err(|error| unavailable(&error))?;
    Ok(connection)
}

/// A `WHERE` that grows.
#[derive(Default)]
pub(super) struct Where {
    pub(super) sql: Vec<String>,
    pub(super) values: Vec<Box<dyn ToSql>>,
}

impl Where {
    pub(super) fn and(&mut self, sql: &str, value: impl ToSql + 'static) {
        self.sql.push(sql.to_owned());
        self.values.push(Box::new(value));
    }

    pub(super) fn text(&self) -> String {
        match self.sql.is_empty() {
            true => "TRUE".to_owned(),
            false => self.sql.join(" AND "),
        }
    }
}

/// Whole calls of which some entry matches, newest first; at a limit, those that something happened
/// to last.
pub(super) fn calls(connection: &Connection, filter: &Filter) -> Result<Vec<Call>, StoreError> {
    let limit = filter.limit.unwrap_or(CALLS_MAX).min(CALLS_MAX);
    let mut calls = of_entries(connection, filter, limit)?;
    let reads = reads::calls(connection, filter, limit)?;
    if reads.is_empty() {
        return Ok(calls.into_iter().map(|(_, call)| call).collect());
    }
    calls.extend(reads.into_iter().map(|call| (call.time, call)));
    calls.sort_by_key(|(last, _)| std::cmp::Reverse(*last));
    calls.truncate(limit);
    calls.sort_by_key(|(_, call)| std::cmp::Reverse(call.time));
    Ok(calls.into_iter().map(|(_, call)| call).collect())
}

/// Those that have rows of their own, each with the time of its last entry.
fn of_entries(
    connection: &Connection,
    filter: &Filter,
    limit: usize,
) -> Result<Vec<(Timestamp, Call)>, StoreError> {
    let mut place = Where::default();
    let columns = [
        ("namespace = ?", &filter.namespace),
        ("resource = ?", &filter.resource),
        ("name = ?", &filter.name),
        ("username = ?", &filter.username),
        ("verb = ?", &filter.verb),
    ];
    for (sql, value) in columns {
        if let Some(value) = value {
            place.and(sql, value.clone());
        }
    }
    if !filter.audit_ids.is_empty() {
        place.sql.push(format!("audit_id IN ({})", marks(filter.audit_ids.len())));
        for id in &filter.audit_ids {
            place.values.push(Box::new(id.clone()));
        }
    }
    if let Some(hold) = &filter.hold {
        let sql = "audit_id IN (SELECT audit_id FROM entries WHERE hold_id = ?)";
        place.and(sql, hold.clone());
    }
    if let Some(action) = filter.action {
        place.and("action = ?", action.as_str());
    }
    if let Some(since) = filter.since {
        place.and("time_us >= ?", since.as_microsecond());
    }
    if let Some(until) = filter.until {
        place.and("time_us <= ?", until.as_microsecond());
    }
    if !filter.probes {
        place.and("probe = ?", 0);
    }
    if filter.writes_only {
        // exec and port-forward over WebSocket are GETs, and no reads.
        let sql = "verb IS NOT NULL AND (verb NOT IN ('get', 'list', 'watch', ?)
          OR json_extract(entry, '$.request.subresource')
             IN ('exec', 'attach', 'portforward', 'proxy'))";
        place.and(sql, "head");
    }
    let sql = format!(
        "SELECT entry FROM entries WHERE audit_id IN (
           SELECT audit_id FROM entries WHERE {} GROUP BY audit_id
           ORDER BY max(seq) DESC LIMIT {limit})
         ORDER BY seq",
        place.text()
    );
    let failed = |error: rusqlite::Error| unavailable(&error);
    let mut statement = connection.prepare(&sql).map_err(failed)?;
    let rows = statement
        .query_map(params_from_iter(place.values.iter()), |row| row.get::<_, String>(0))
        .map_err(failed)?;
    let mut entries: Vec<Entry> = Vec::new();
    for row in rows {
        entries.push(parse(&row.map_err(failed)?)?);
    }
    let mut last: HashMap<String, Timestamp> = HashMap::new();
    for entry in &entries {
        last.insert(entry.audit_id.clone(), entry.time);
    }
    let calls = joined(entries).into_iter().rev();
    Ok(calls.map(|call| (last.get(&call.audit_id).copied().unwrap_or(call.time), call)).collect())
}

pub(super) fn is_agent(connection: &Connection, username: &str) -> Result<bool, StoreError> {
    connection
        .query_row("SELECT 1 FROM agents WHERE username = ?", [username], |_| Ok(()))
        .optional()
        .map(|found| found.is_some())
        .map_err(|error| unavailable(&error))
}

pub(super) fn agents(connection: &Connection) -> Result<Vec<String>, StoreError> {
    let failed = |error: rusqlite::Error| unavailable(&error);
    let mut statement =
        connection.prepare("SELECT username FROM agents ORDER BY username").map_err(failed)?;
    let rows = statement.query_map([], |row| row.get(0)).map_err(failed)?;
    rows.collect::<Result<_, _>>().map_err(failed)
}

pub(super) fn has_facts(connection: &Connection, before: Timestamp) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM facts WHERE time_us < ?)";
    connection
        .query_row(sql, [before.as_microsecond()], |row| row.get(0))
        .map_err(|error| unavailable(&error))
}

pub(super) fn count_entries(connection: &Connection) -> Result<u64, StoreError> {
    connection
        .query_row(
            "SELECT (SELECT count(*) FROM entries) + (SELECT coalesce(sum(count), 0) FROM reads)",
            [],
            |row| row.get::<_, i64>(0),
        )
        .map(i64::unsigned_abs)
        .map_err(|error| unavailable(&error))
}

fn marks(count: usize) -> String {
    vec!["?"; count].join(", ")
}

pub(super) fn hold(connection: &Connection, id: &HoldId) -> Result<Option<Hold>, StoreError> {
    let found = connection
        .query_row("SELECT document FROM holds WHERE id = ?", [id.as_str()], |row| {
            row.get::<_, String>(0)
        })
        .optional()
        .map_err(|error| unavailable(&error))?;
    found.map(|document| parse(&document)).transpose()
}

pub(super) fn freezes(connection: &Connection) -> Result<Vec<Freeze>, StoreError> {
    let failed = |error: rusqlite::Error| unavailable(&error);
    let mut statement = connection.prepare("SELECT document FROM freezes").map_err(failed)?;
    let rows = statement.query_map([], |row| row.get::<_, String>(0)).map_err(failed)?;
    rows.map(|document| parse(&document.map_err(failed)?)).collect()
}

pub(super) fn holds(connection: &Connection, filter: &HoldFilter) -> Result<Vec<Hold>, StoreError> {
    let mut place = Where::default();
    if !filter.states.is_empty() {
        place.sql.push(format!("state IN ({})", marks(filter.states.len())));
        for state in &filter.states {
            place.values.push(Box::new(*state));
        }
    }
    let columns = [
        ("request_digest = ?", &filter.request_digest),
        ("username = ?", &filter.username),
        ("namespace = ?", &filter.namespace),
    ];
    for (sql, value) in columns {
        if let Some(value) = value {
            place.and(sql, value.clone());
        }
    }
    if let Some(since) = filter.changed_since {
        place.and("changed_us >= ?", since.as_microsecond());
    }
    let limit = filter.limit.unwrap_or(HOLDS_MAX).min(HOLDS_MAX);
    let sql = format!(
        "SELECT document FROM holds WHERE {} ORDER BY created_us DESC, id LIMIT {limit}",
        place.text()
    );
    let failed = |error: rusqlite::Error| unavailable(&error);
    let mut statement = connection.prepare(&sql).map_err(failed)?;
    let rows = statement
        .query_map(params_from_iter(place.values.iter()), |row| row.get::<_, String>(0))
        .map_err(failed)?;
    rows.map(|row| parse(&row.map_err(failed)?)).collect()
}

pub(super) fn parse<T: for<'de> serde::Deserialize<'de>>(json: &str) -> Result<T, StoreError> {
    serde_json::from_str(json).map_err(|error| StoreError::Corrupt(error.to_string()))
}
