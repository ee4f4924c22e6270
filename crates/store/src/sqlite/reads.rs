//! Calls that read, by the hundred in one row.
//!
//! Nearly all that agents do is reading, and what is remembered of it must cost less than the reading
//! itself: a row and its place in every index for each call cost more. So those that are told of in a
//! single entry share a row, and the few keys by which they are looked for. Whatever could change
//! something, and whatever lasts, has rows of its own.

use std::collections::BTreeSet;

use jiff::Timestamp;
use ledger::{Action, Call, Entry, Filter, Stage, StoreError, calls as joined};
use rusqlite::{Connection, params, params_from_iter};
use uuid::Uuid;

use super::{read::Where, unavailable};

/// Entries in one row, at most: as many as a reader of one call has to go through.
const COUNT_MAX: usize = 256;
/// From the first moment that a row spans to its last; what would span more gets a row of its own.
const SPAN_MICROS_MAX: i64 = 60 * 1_000_000;

/// Whether an entry is all that is told of a call that read: such a one may share a row.
fn is_whole_read(entry: &Entry) -> bool {
    let allowed = entry.decision.as_ref().is_some_and(|it| it.action == Action::Allow);
    let reads = entry.request.as_ref().is_some_and(|request| {
        // A log may be followed; exec and its like are GETs over WebSocket.
        matches!(request.verb.as_str(), "get" | "list")
            && matches!(request.subresource.as_str(), "" | "status" | "scale")
    });
    let alone = entry.hold.is_none() && entry.probe_of.is_none() && entry.effects.is_empty();
    entry.stage == Stage::ResponseComplete && allowed && reads && alone
}

/// The time in an audit id, to the millisecond before; only ids of version 7 have one.
fn micros_of_id(audit_id: &str) -> Option<i64> {
    let (seconds, nanos) = Uuid::try_parse(audit_id).ok()?.get_timestamp()?.to_unix();
    i64::try_from(seconds).ok()?.checked_mul(1_000_000)?.checked_add(i64::from(nanos) / 1_000)
}

/// When the call of an audit id began, to the millisecond before; missing of an id that does not tell.
pub fn began(audit_id: &str) -> Option<Timestamp> {
    Timestamp::from_microsecond(micros_of_id(audit_id)?).ok()
}

/// The times of a call: begun, by its id, and written down.
fn span(entry: &Entry) -> Option<(i64, i64)> {
    let (begun, told) = (micros_of_id(&entry.audit_id)?, entry.time.as_microsecond());
    let span = (begun.min(told), begun.max(told));
    (span.1 - span.0 <= SPAN_MICROS_MAX).then_some(span)
}

/// Appends those of the entries that may share rows, and gives the others back.
pub(super) fn append<'a>(
    connection: &Connection,
    entries: &'a [Entry],
) -> Result<Vec<&'a Entry>, StoreError> {
    let (mut reads, mut others) = (Vec::with_capacity(entries.len()), Vec::new());
    for entry in entries {
        match span(entry).filter(|_| is_whole_read(entry)) {
            Some(span) => reads.push((entry, span)),
            None => others.push(entry),
        }
    }
    for row in reads.chunks(COUNT_MAX) {
        let first = row.iter().map(|(_, (first, _))| *first).min().unwrap_or_default();
        let last = row.iter().map(|(_, (_, last))| *last).max().unwrap_or_default();
        let row: Vec<&Entry> = row.iter().map(|(entry, _)| *entry).collect();
        match last - first <= SPAN_MICROS_MAX {
            true => append_row(connection, &row, first, last)?,
            false => others.extend(row),
        }
    }
    Ok(others)
}

fn append_row(
    connection: &Connection,
    reads: &[&Entry],
    first: i64,
    last: i64,
) -> Result<(), StoreError> {
    let failed = |error: rusqlite::Error| unavailable(&error);
    let json = serde_json::to_string(reads).map_err(|it| StoreError::Corrupt(it.to_string()))?;
    let count = i64::try_from(reads.len()).map_err(|it| StoreError::Corrupt(it.to_string()))?;
    connection
        .prepare_cached(
            "INSERT INTO reads (first_us, last_us, count, entries) VALUES (?1,?2,?3,?4)",
        )
        .and_then(|mut insert| insert.execute(params![first, last, count, json]))
        .map_err(failed)?;
    let seq = connection.last_insert_rowid();
    let mut insert = connection
        .prepare_cached("INSERT INTO read_keys (key, seq) VALUES (?1, ?2)")
        .map_err(failed)?;
    for key in reads.iter().flat_map(|entry| keys(entry)).collect::<BTreeSet<_>>() {
        insert.execute(params![key.to_string(), seq]).map_err(failed)?;
    }
    Ok(())
}

/// By what a call is looked for.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
enum Key<'a> {
    Namespace(&'a str),
    Resource(&'a str),
    Name(&'a str),
    Username(&'a str),
}

impl std::fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Namespace(it) => write!(f, "namespace {it}"),
            Self::Resource(it) => write!(f, "resource {it}"),
            Self::Name(it) => write!(f, "name {it}"),
            Self::Username(it) => write!(f, "username {it}"),
        }
    }
}

fn keys(entry: &Entry) -> impl Iterator<Item = Key<'_>> {
    let of_request = entry.request.iter().flat_map(|request| {
        [
            (!request.namespace.is_empty()).then_some(Key::Namespace(&request.namespace)),
            (!request.resource.is_empty()).then_some(Key::Resource(&request.resource)),
            (!request.name.is_empty()).then_some(Key::Name(&request.name)),
        ]
    });
    let of_user = entry.user.as_ref().map(|user| Key::Username(&user.username));
    of_request.chain([of_user]).flatten()
}

/// The calls that match, the latest first; at most `limit`.
pub(super) fn calls(
    connection: &Connection,
    filter: &Filter,
    limit: usize,
) -> Result<Vec<Call>, StoreError> {
    let none = filter.writes_only || filter.hold.is_some();
    if none || filter.action.is_some_and(|action| action != Action::Allow) {
        return Ok(Vec::new());
    }
    let mut place = Where::default();
    let wanted = [
        filter.namespace.as_deref().map(Key::Namespace),
        filter.resource.as_deref().map(Key::Resource),
        filter.name.as_deref().map(Key::Name),
        filter.username.as_deref().map(Key::Username),
    ];
    for key in wanted.into_iter().flatten() {
        place.and("seq IN (SELECT seq FROM read_keys WHERE key = ?)", key.to_string());
    }
    if let Some(since) = filter.since {
        place.and("last_us >= ?", since.as_microsecond());
    }
    if let Some(until) = filter.until {
        place.and("first_us <= ?", until.as_microsecond());
    }
    if !filter.audit_ids.is_empty() {
        let seqs = rows_of_ids(connection, &filter.audit_ids)?;
        let seqs: Vec<String> = seqs.iter().map(i64::to_string).collect();
        place.sql.push(format!("seq IN ({})", seqs.join(", ")));
    }
    let failed = |error: rusqlite::Error| unavailable(&error);
    let sql = format!("SELECT entries FROM reads WHERE {} ORDER BY seq DESC", place.text());
    let mut statement = connection.prepare(&sql).map_err(failed)?;
    let mut rows = statement.query(params_from_iter(place.values.iter())).map_err(failed)?;
    let mut found = Vec::new();
    while found.len() < limit
        && let Some(row) = rows.next().map_err(failed)?
    {
        let json: String = row.get(0).map_err(failed)?;
        let mut entries: Vec<Entry> = super::read::parse(&json)?;
        entries.retain(|entry| matches(entry, filter));
        found.extend(entries.into_iter().rev());
    }
    found.truncate(limit);
    Ok(joined(found))
}

/// Shows every one since a moment, the oldest row first.
pub(super) fn each(
    connection: &Connection,
    since: Timestamp,
    show: &mut impl FnMut(Entry),
) -> Result<(), StoreError> {
    let failed = |error: rusqlite::Error| unavailable(&error);
    let sql = "SELECT entries FROM reads WHERE last_us >= ? ORDER BY seq";
    let mut statement = connection.prepare(sql).map_err(failed)?;
    let mut rows = statement.query([since.as_microsecond()]).map_err(failed)?;
    while let Some(row) = rows.next().map_err(failed)? {
        let json = row.get_ref(0).and_then(|it| Ok(it.as_str()?)).map_err(failed)?;
        let entries: Vec<Entry> = super::read::parse(json)?;
        entries.into_iter().filter(|it| it.time >= since).for_each(&mut *show);
    }
    Ok(())
}

fn matches(entry: &Entry, filter: &Filter) -> bool {
    let is = |want: &Option<String>, of: &dyn Fn(&ledger::RequestRecord) -> &String| {
        want.as_ref().is_none_or(|want| entry.request.as_ref().is_some_and(|it| of(it) == want))
    };
    let username = entry.user.as_ref().map(|user| &user.username);
    is(&filter.namespace, &|it| &it.namespace)
        && is(&filter.resource, &|it| &it.resource)
        && is(&filter.name, &|it| &it.name)
        && is(&filter.verb, &|it| &it.verb)
        && filter.username.as_ref().is_none_or(|want| username == Some(want))
        && filter.since.is_none_or(|since| entry.time >= since)
        && filter.until.is_none_or(|until| entry.time <= until)
        && (filter.audit_ids.is_empty() || filter.audit_ids.contains(&entry.audit_id))
}

/// The rows that span the times of these ids.
fn rows_of_ids(connection: &Connection, ids: &[String]) -> Result<BTreeSet<i64>, StoreError> {
    let failed = |error: rusqlite::Error| unavailable(&error);
    let mut statement = connection
        .prepare("SELECT seq FROM reads WHERE last_us BETWEEN ?1 AND ?1 + ?2 AND first_us <= ?1")
        .map_err(failed)?;
    let mut seqs = BTreeSet::new();
    for begun in ids.iter().filter_map(|id| micros_of_id(id)) {
        let rows = statement.query_map([begun, SPAN_MICROS_MAX], |row| row.get(0));
        for seq in rows.map_err(failed)? {
            seqs.insert(seq.map_err(failed)?);
        }
    }
    Ok(seqs)
}
