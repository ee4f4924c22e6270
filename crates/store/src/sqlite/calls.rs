//! Calls that match, joined from their entries.

use std::collections::HashMap;

use ledger::{Call, Entry, Filter, Page, Position, StoreError, calls as joined};
use rusqlite::{Connection, params_from_iter};

use super::{
    connection::unavailable,
    reads,
    wheres::{Where, marks},
};
use crate::rows::parse;

/// Calls in one page.
const PAGE_MAX: usize = 10_000;

/// A page of whole calls of which some entry matches, newest first: those to which something happened
/// last.
pub(super) fn calls(
    connection: &Connection,
    filter: &Filter,
) -> Result<Page<Call, Position>, StoreError> {
    let limit = filter.limit.unwrap_or(PAGE_MAX).min(PAGE_MAX);
    let one_more = limit.saturating_add(1);
    let mut calls = of_entries(connection, filter, one_more)?;
    let reads = reads::calls(connection, filter, one_more)?;
    let is_mixed = !reads.is_empty();
    calls.extend(reads);
    let mut last: Vec<Position> = calls.iter().map(|(last, _)| *last).collect();
    last.sort_unstable_by_key(|it| std::cmp::Reverse(*it));
    let oldest = limit.checked_sub(1).and_then(|it| last.get(it)).copied();
    let next = oldest.filter(|_| last.len() > limit);
    if let Some(oldest) = next {
        calls.retain(|(last, _)| *last >= oldest);
    }
    // Reads are appended a little later than they ended: beside them, the time tells the order.
    if is_mixed {
        calls.sort_by_key(|(last, call)| (call.time, *last));
    }
    Ok(Page { items: calls.into_iter().rev().map(|(_, call)| call).collect(), next })
}

/// Those that have rows of their own in the order of their first entries, each with the position of its
/// last one that matches.
fn of_entries(
    connection: &Connection,
    filter: &Filter,
    limit: usize,
) -> Result<Vec<(Position, Call)>, StoreError> {
    let place = condition(filter);
    let before = filter.before.map_or(i64::MAX, |it| i64::try_from(it.0).unwrap_or(i64::MAX));
    let sql = format!(
        "SELECT entry, last FROM entries JOIN (
           SELECT audit_id, max(seq) AS last FROM entries WHERE {} GROUP BY audit_id
           HAVING max(seq) < {before} ORDER BY last DESC LIMIT {limit}) USING (audit_id)
         ORDER BY seq",
        place.text()
    );
    let failed = |error: rusqlite::Error| unavailable(&error);
    let mut statement = connection.prepare(&sql).map_err(failed)?;
    let mut rows = statement.query(params_from_iter(place.values.iter())).map_err(failed)?;
    let (mut entries, mut last) = (Vec::new(), HashMap::new());
    while let Some(row) = rows.next().map_err(failed)? {
        let json = row.get_ref(0).and_then(|it| Ok(it.as_str()?)).map_err(failed)?;
        let entry: Entry = parse(json)?;
        let seq: i64 = row.get(1).map_err(failed)?;
        last.insert(entry.audit_id.clone(), Position(seq.unsigned_abs()));
        entries.push(entry);
    }
    let placed = |call: Call| (last.get(&call.audit_id).copied().unwrap_or(Position(0)), call);
    Ok(joined(entries).into_iter().map(placed).collect())
}

fn condition(filter: &Filter) -> Where {
    let mut place = Where::default();
    match filter.namespace.as_deref() {
        None => {}
        // What is in none, or about all of them; an entry without a request is about neither.
        Some("") => place.sql.push("namespace IS NULL AND verb IS NOT NULL".to_owned()),
        Some(namespace) => {
            place.and("(namespace = ? OR spans_namespaces = 1)", namespace.to_owned());
        }
    }
    let columns = [
        ("resource = ?", &filter.resource),
        ("name = ?", &filter.name),
        (
            "verb IS NOT NULL AND coalesce(json_extract(entry, '$.request.apiGroup'), '') = ?",
            &filter.api_group,
        ),
        (
            "verb IS NOT NULL AND coalesce(json_extract(entry, '$.request.subresource'), '') = ?",
            &filter.subresource,
        ),
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
    let twice = [(OBJECT, &filter.object), (AGENT, &filter.agent), (REVIEWER, &filter.reviewer)];
    for (sql, value) in twice {
        if let Some(value) = value {
            place.and(sql, value.clone());
            place.values.push(Box::new(value.clone()));
        }
    }
    if filter.shadowed {
        place.sql.push("json_extract(entry, '$.decision.shadow') IS NOT NULL".to_owned());
    }
    if filter.denied {
        place.sql.push(DENIED.to_owned());
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
        place.sql.push(ORPHANS.to_owned());
    }
    if filter.writes_only {
        place.sql.push(WRITES.to_owned());
    }
    place
}

/// An entry of an answer has the name of what was made, and none of what the request says.
const OBJECT: &str = "(name = ? OR audit_id IN (
      SELECT audit_id FROM entries WHERE resource IS NULL AND name = ?))";

/// As [`ledger::RequestRecord::is_act`]: whoever it was done to is no user of it.
const AGENT: &str = "(username = ? OR (resource = 'agents' AND name = ? AND username IS NULL
      AND json_extract(entry, '$.request.method') = ''))";

/// Whatever follows a decision happens in the name of who decided, also under another audit id.
const REVIEWER: &str = "(json_extract(entry, '$.act.reviewer.username') = ? OR audit_id IN (
      SELECT audit_id FROM entries WHERE hold_id IS NOT NULL
        AND json_extract(entry, '$.hold.reviewer.username') = ?))";

/// What joined a hold that was denied was denied with it.
const DENIED: &str = "(action = 'deny' OR audit_id IN (
      SELECT audit_id FROM entries WHERE hold_id IN (
        SELECT hold_id FROM entries WHERE hold_id IS NOT NULL
          AND json_extract(entry, '$.hold.event') = 'denied')))";

/// No probes, but those whose call stands nowhere: something was asked, and nothing tells of it.
const ORPHANS: &str = "(probe = 0 OR (probe_of IS NOT NULL AND NOT EXISTS (
      SELECT 1 FROM entries AS of WHERE of.audit_id = entries.probe_of)))";

/// As `matching::is_write`.
const WRITES: &str = "verb IS NOT NULL
    AND (verb NOT IN ('get', 'list', 'watch', 'head')
      OR json_extract(entry, '$.request.subresource') IN ('exec', 'attach', 'portforward', 'proxy'))
    AND (probe = 1 OR coalesce(action, '') IN ('hold', 'deny') OR NOT (
      coalesce(json_extract(entry, '$.request.dryRun'), 0)
      OR (verb = 'create' AND coalesce(json_extract(entry, '$.request.apiGroup'), '')
          IN ('authentication.k8s.io', 'authorization.k8s.io'))))";
