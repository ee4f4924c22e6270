//! Calls that read, by the hundred in one row.
//!
//! Nearly all that agents do is reading, and what is remembered of it must cost less than the reading
//! itself: a row and its place in every index for each call cost more. So those that are told of in a
//! single entry share a row, and the few keys by which they are looked for. Whatever could change
//! something, and whatever lasts, has rows of its own.

use std::collections::BTreeSet;

use jiff::Timestamp;
use ledger::{Action, Call, Entry, Filter, Position, Stage, StoreError, began, calls as joined};
use rusqlite::{Connection, params, params_from_iter};

use super::{connection::unavailable, wheres::Where};
use crate::{
    matching::matches,
    rows::{parse, to_json},
};

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

/// The times of a call: begun, by its id, and written down.
fn span(entry: &Entry) -> Option<(i64, i64)> {
    let (begun, told) = (began(&entry.audit_id)?.as_microsecond(), entry.time.as_microsecond());
    let span = (begun.min(told), begun.max(told));
    (span.1 - span.0 <= SPAN_MICROS_MAX).then_some(span)
}

/// Entries that share a row, each with its place in what was given.
pub(super) struct SharedRow<'a> {
    pub(super) entries: Vec<(usize, &'a Entry)>,
    first_us: i64,
    last_us: i64,
}

/// Entries by how they are stored.
pub(super) struct Split<'a> {
    pub(super) rows: Vec<SharedRow<'a>>,
    /// Each has a row of its own.
    pub(super) others: Vec<(usize, &'a Entry)>,
}

/// Puts those of the entries that may share rows together.
pub(super) fn split(entries: &[Entry]) -> Split<'_> {
    let (mut reads, mut others) = (Vec::with_capacity(entries.len()), Vec::new());
    for (index, entry) in entries.iter().enumerate() {
        match span(entry).filter(|_| is_whole_read(entry)) {
            Some(span) => reads.push((index, entry, span)),
            None => others.push((index, entry)),
        }
    }
    let mut rows = Vec::new();
    for row in reads.chunks(COUNT_MAX) {
        let first_us = row.iter().map(|(.., (first, _))| *first).min().unwrap_or_default();
        let last_us = row.iter().map(|(.., (_, last))| *last).max().unwrap_or_default();
        let entries: Vec<_> = row.iter().map(|(index, entry, _)| (*index, *entry)).collect();
        if last_us - first_us <= SPAN_MICROS_MAX {
            rows.push(SharedRow { entries, first_us, last_us });
        } else {
            others.extend(entries);
        }
    }
    others.sort_by_key(|(index, _)| *index);
    Split { rows, others }
}

/// Appends a row, whose entries stand from `seq` on.
pub(super) fn append_row(
    connection: &Connection,
    row: &SharedRow<'_>,
    seq: i64,
) -> Result<(), StoreError> {
    let failed = |error: rusqlite::Error| unavailable(&error);
    let reads: Vec<&Entry> = row.entries.iter().map(|(_, entry)| *entry).collect();
    let json = to_json(&reads)?;
    let count = i64::try_from(reads.len()).map_err(|it| StoreError::Corrupt(it.to_string()))?;
    connection
        .prepare_cached(
            "INSERT INTO reads (seq, first_us, last_us, count, entries) VALUES (?1,?2,?3,?4,?5)",
        )
        .and_then(|mut insert| insert.execute(params![seq, row.first_us, row.last_us, count, json]))
        .map_err(failed)?;
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
    /// It is about every namespace.
    SpansNamespaces,
    Resource(&'a str),
    Name(&'a str),
    Username(&'a str),
}

impl std::fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Namespace(it) => write!(f, "namespace {it}"),
            Self::SpansNamespaces => write!(f, "spans namespaces"),
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
            request.spans_namespaces().then_some(Key::SpansNamespaces),
            (!request.resource.is_empty()).then_some(Key::Resource(&request.resource)),
            (!request.name.is_empty()).then_some(Key::Name(&request.name)),
        ]
    });
    let of_user = entry.user.as_ref().map(|user| Key::Username(&user.username));
    of_request.chain([of_user]).flatten()
}

/// The calls that match with their positions, the latest first; at most `limit`.
pub(super) fn calls(
    connection: &Connection,
    filter: &Filter,
    limit: usize,
) -> Result<Vec<(Position, Call)>, StoreError> {
    let none =
        filter.writes_only || filter.hold.is_some() || filter.denied || filter.reviewer.is_some();
    let none = none || filter.shadowed;
    if none || filter.action.is_some_and(|action| action != Action::Allow) {
        return Ok(Vec::new());
    }
    let mut place = Where::default();
    // Of what is in no namespace there is no key: each is looked at.
    if let Some(namespace) = filter.namespace.as_deref().filter(|it| !it.is_empty()) {
        place.sql.push("seq IN (SELECT seq FROM read_keys WHERE key IN (?, ?))".to_owned());
        for key in [Key::Namespace(namespace), Key::SpansNamespaces] {
            place.values.push(Box::new(key.to_string()));
        }
    }
    let wanted = [
        filter.resource.as_deref().map(Key::Resource),
        filter.name.as_deref().map(Key::Name),
        filter.object.as_deref().map(Key::Name),
        filter.username.as_deref().map(Key::Username),
        filter.agent.as_deref().map(Key::Username),
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
    let before = filter.before.map_or(i64::MAX, |it| i64::try_from(it.0).unwrap_or(i64::MAX));
    place.and("seq < ?", before);
    if !filter.audit_ids.is_empty() {
        let seqs = rows_of_ids(connection, &filter.audit_ids)?;
        let seqs: Vec<String> = seqs.iter().map(i64::to_string).collect();
        place.sql.push(format!("seq IN ({})", seqs.join(", ")));
    }
    let failed = |error: rusqlite::Error| unavailable(&error);
    let sql = format!("SELECT entries, seq FROM reads WHERE {} ORDER BY seq DESC", place.text());
    let mut statement = connection.prepare(&sql).map_err(failed)?;
    let mut rows = statement.query(params_from_iter(place.values.iter())).map_err(failed)?;
    let mut found = Vec::new();
    while found.len() < limit
        && let Some(row) = rows.next().map_err(failed)?
    {
        let json: String = row.get(0).map_err(failed)?;
        let entries: Vec<Entry> = parse(&json)?;
        let placed = (row.get::<_, i64>(1).map_err(failed)?..).zip(entries);
        let here = placed.filter(|(seq, entry)| *seq < before && matches(entry, filter, false));
        found.extend(here.collect::<Vec<_>>().into_iter().rev());
    }
    found.truncate(limit);
    let position = |seq: i64| Position(seq.unsigned_abs());
    let call = |(seq, entry)| joined([entry]).pop().map(|call| (position(seq), call));
    Ok(found.into_iter().filter_map(call).collect())
}

/// Shows every one since a moment, the oldest row first.
pub(super) fn each(
    connection: &Connection,
    since: Timestamp,
    show: &mut dyn FnMut(Entry),
) -> Result<(), StoreError> {
    let failed = |error: rusqlite::Error| unavailable(&error);
    let sql = "SELECT entries FROM reads WHERE last_us >= ? ORDER BY seq";
    let mut statement = connection.prepare(sql).map_err(failed)?;
    let mut rows = statement.query([since.as_microsecond()]).map_err(failed)?;
    while let Some(row) = rows.next().map_err(failed)? {
        let json = row.get_ref(0).and_then(|it| Ok(it.as_str()?)).map_err(failed)?;
        let entries: Vec<Entry> = parse(json)?;
        entries.into_iter().filter(|it| it.time >= since).for_each(&mut *show);
    }
    Ok(())
}

/// The rows that span the times of these ids.
fn rows_of_ids(connection: &Connection, ids: &[String]) -> Result<BTreeSet<i64>, StoreError> {
    let failed = |error: rusqlite::Error| unavailable(&error);
    let mut statement = connection
        .prepare("SELECT seq FROM reads WHERE last_us BETWEEN ?1 AND ?1 + ?2 AND first_us <= ?1")
        .map_err(failed)?;
    let mut seqs = BTreeSet::new();
    for begun in ids.iter().filter_map(|id| began(id).map(|it| it.as_microsecond())) {
        let rows = statement.query_map([begun, SPAN_MICROS_MAX], |row| row.get(0));
        for seq in rows.map_err(failed)? {
            seqs.insert(seq.map_err(failed)?);
        }
    }
    Ok(seqs)
}
