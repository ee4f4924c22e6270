//! Holds, read and written on a connection.

use hold::{Hold, HoldCursor, HoldFilter, HoldId, Inserted, Insertion, Join, Preview, Shown};
use jiff::Timestamp;
use ledger::{Page, StoreError};
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params, params_from_iter};

use super::{
    connection::unavailable,
    wheres::{Where, marks},
};
use crate::rows::{PreviewRow, StateRow, SummaryRow, parse, to_json};

/// Holds in one page.
const PAGE_MAX: usize = 1_000;
/// Holds of one request that are looked at for one to join.
const SAME_MAX: usize = 64;
/// A hold that has run may be joined for so long: as long as its answer is kept.
const ANSWERED_MICROS: i64 = 60 * 1_000_000;
/// One that expired, until its agent has been told: as long as that is kept.
const TOLD_MICROS: i64 = 60 * 60 * 1_000_000;

const SELECT: &str = "SELECT summary, revision, changed_at, standing FROM holds
                      JOIN hold_summaries USING (id)";

/// What a row holds, not read yet.
struct Stored {
    summary: String,
    revision: i64,
    changed_at: String,
    state: String,
}

fn stored(row: &Row<'_>) -> rusqlite::Result<Stored> {
    let (summary, revision) = (row.get(0)?, row.get(1)?);
    Ok(Stored { summary, revision, changed_at: row.get(2)?, state: row.get(3)? })
}

impl Stored {
    fn hold(self) -> Result<Hold, StoreError> {
        let summary: SummaryRow = parse(&self.summary)?;
        let state: StateRow = parse(&self.state)?;
        let corrupt = |what: &str| StoreError::Corrupt(format!("a hold's {what}"));
        let revision = u64::try_from(self.revision).map_err(|_| corrupt("revision"))?;
        let changed_at = self.changed_at.parse().map_err(|_| corrupt("time"))?;
        Ok(Hold::restore(summary.try_into()?, revision, changed_at, state.into()))
    }
}

fn query(
    connection: &Connection,
    sql: &str,
    values: &[Box<dyn ToSql>],
) -> Result<Vec<Hold>, StoreError> {
    let failed = |error: rusqlite::Error| unavailable(&error);
    let mut statement = connection.prepare_cached(sql).map_err(failed)?;
    let rows = statement.query_map(params_from_iter(values), stored).map_err(failed)?;
    rows.map(|row| row.map_err(failed)?.hold()).collect()
}

pub(super) fn load(connection: &Connection, id: &HoldId) -> Result<Option<Hold>, StoreError> {
    let sql = format!("{SELECT} WHERE id = ?");
    let found = query(connection, &sql, &[Box::new(id.as_str().to_owned())])?;
    Ok(found.into_iter().next())
}

pub(super) fn shown(connection: &Connection, id: &HoldId) -> Result<Option<Shown>, StoreError> {
    let sql = "SELECT content_type, payload, preview FROM hold_previews WHERE id = ?";
    let found = connection
        .query_row(sql, [id.as_str()], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get::<_, String>(2)?))
        })
        .optional()
        .map_err(|error| unavailable(&error))?;
    let Some((content_type, payload, preview)) = found else { return Ok(None) };
    let preview: PreviewRow = parse(&preview)?;
    Ok(Some(Shown { content_type, payload, preview: preview.into() }))
}

pub(super) fn list(
    connection: &Connection,
    filter: &HoldFilter,
    after: Option<&HoldCursor>,
) -> Result<Page<Hold, HoldCursor>, StoreError> {
    let mut place = Where::default();
    if !filter.states.is_empty() {
        place.sql.push(format!("state IN ({})", marks(filter.states.len())));
        for state in &filter.states {
            place.values.push(Box::new(state.as_str()));
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
    if let Some(begins) = &filter.id_begins {
        // Ids are letters and digits, and `~` is behind all of these.
        place.and("id >= ?", begins.clone());
        place.and("id < ?", format!("{begins}~"));
    }
    if let Some(since) = filter.changed_since {
        place.and("changed_us >= ?", since.as_microsecond());
    }
    if let Some(after) = after {
        place.and("(created_us, id) < (?, ?)", after.created_at.as_microsecond());
        place.values.push(Box::new(after.id.as_str().to_owned()));
    }
    let limit = filter.limit.unwrap_or(PAGE_MAX).min(PAGE_MAX);
    let one_more = limit.saturating_add(1);
    let sql = format!(
        "{SELECT} WHERE {} ORDER BY created_us DESC, id DESC LIMIT {one_more}",
        place.text()
    );
    let mut items = query(connection, &sql, &place.values)?;
    let is_more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| is_more).map(HoldCursor::from);
    Ok(Page { items, next })
}

pub(super) fn due(connection: &Connection, now: Timestamp) -> Result<Vec<Hold>, StoreError> {
    let sql = format!("{SELECT} WHERE due_us <= ? ORDER BY due_us LIMIT {PAGE_MAX}");
    query(connection, &sql, &[Box::new(now.as_microsecond())])
}

/// Holds that a request may join, the newest first.
pub(super) fn same(
    connection: &Connection,
    insertion: &Insertion,
) -> Result<Vec<Hold>, StoreError> {
    let summary = insertion.hold.summary();
    let answered_since = summary.created_at.as_microsecond().saturating_sub(ANSWERED_MICROS);
    let sql = format!(
        "{SELECT} WHERE request_digest = ? AND (state IN ('pending', 'approved', 'running')
           OR state = 'done' AND changed_us >= ? OR state = 'expired' AND changed_us >= ?)
         ORDER BY created_us DESC, id DESC LIMIT {SAME_MAX}"
    );
    let digest = summary.request_digest.clone();
    let told_since = summary.created_at.as_microsecond().saturating_sub(TOLD_MICROS);
    query(connection, &sql, &[Box::new(digest), Box::new(answered_since), Box::new(told_since)])
}

/// What earlier denials make of a request.
pub(super) fn denied(
    connection: &Connection,
    insertion: &Insertion,
) -> Result<Option<Inserted>, StoreError> {
    let sql = format!(
        "{SELECT} WHERE username = ? AND state = 'denied' AND changed_us >= ?
         ORDER BY created_us DESC, id DESC"
    );
    let username = insertion.hold.summary().user.username.clone();
    let since = insertion.denied_since().as_microsecond();
    let found = query(connection, &sql, &[Box::new(username), Box::new(since)])?;
    insertion.denied_by(found, |hold| {
        Ok(shown(connection, hold.id())?.map(|it| it.preview.asked).unwrap_or_default())
    })
}

/// How many holds of its agent are open.
pub(super) fn count_open(
    connection: &Connection,
    insertion: &Insertion,
) -> Result<usize, StoreError> {
    let summary = insertion.hold.summary();
    let sql = "SELECT count(*) FROM holds WHERE username = ?
               AND state IN ('pending', 'approved', 'running') AND coalesce(due_us > ?, TRUE)";
    let values = params![summary.user.username, summary.created_at.as_microsecond()];
    let count = connection
        .prepare_cached(sql)
        .and_then(|mut count| count.query_row(values, |row| row.get::<_, i64>(0)));
    let count = count.map_err(|error| unavailable(&error))?;
    usize::try_from(count).map_err(|error| StoreError::Corrupt(error.to_string()))
}

/// Stores a new hold.
pub(super) fn insert(
    connection: &Connection,
    hold: &Hold,
    shown: &Shown,
    join: Join,
) -> Result<(), StoreError> {
    let summary = hold.summary();
    let digest = &summary.request_digest;
    let key = (join == Join::Open && !hold.state().is_settled()).then_some(digest);
    // What is overdue and not expired yet is no open hold of this request any more.
    let sql = "UPDATE holds SET join_key = NULL WHERE join_key = ? AND due_us <= ?";
    execute(connection, sql, params![key, summary.created_at.as_microsecond()])?;
    let sql = "INSERT INTO holds (id, revision, state, created_us, changed_us, due_us, username,
               namespace, request_digest, join_key, changed_at, standing)
               VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12) ON CONFLICT DO NOTHING";
    let values = params![
        hold.id().as_str(),
        revision(hold)?,
        hold.state().name().as_str(),
        summary.created_at.as_microsecond(),
        hold.changed_at().as_microsecond(),
        hold.due().map(|due| due.as_microsecond()),
        summary.user.username,
        summary.request.namespace,
        digest,
        key,
        hold.changed_at().to_string(),
        to_json(&StateRow::from(hold.state()))?,
    ];
    if execute(connection, sql, values)? == 0 {
        return Err(StoreError::Conflict);
    }
    let sql = "INSERT INTO hold_summaries (id, summary) VALUES (?1, ?2)";
    let row = to_json(&SummaryRow::from(summary))?;
    execute(connection, sql, params![hold.id().as_str(), row])?;
    let sql = "INSERT INTO hold_previews (id, content_type, payload, preview) VALUES (?1,?2,?3,?4)";
    let preview = to_json(&PreviewRow::from(&shown.preview))?;
    let id = hold.id().as_str();
    execute(connection, sql, params![id, shown.content_type, shown.payload, preview])?;
    Ok(())
}

/// Stores the next state of a hold, and with a preview its summary too. `owner` runs it, if it runs.
pub(super) fn change(
    connection: &Connection,
    hold: &Hold,
    preview: Option<&Preview>,
    owner: &str,
) -> Result<(), StoreError> {
    let state = hold.state();
    let is_running = matches!(state, hold::State::Running { .. });
    let sql = "UPDATE holds SET revision = revision + 1, state = ?3, changed_us = ?4, due_us = ?5,
               changed_at = ?6, standing = ?7, owner = ?8,
               join_key = CASE WHEN ?9 THEN NULL ELSE join_key END
               WHERE id = ?1 AND revision = ?2";
    let values = params![
        hold.id().as_str(),
        revision(hold)?,
        state.name().as_str(),
        hold.changed_at().as_microsecond(),
        hold.due().map(|due| due.as_microsecond()),
        hold.changed_at().to_string(),
        to_json(&StateRow::from(state))?,
        is_running.then_some(owner),
        state.is_settled(),
    ];
    if execute(connection, sql, values)? == 0 {
        return Err(StoreError::Conflict);
    }
    let Some(preview) = preview else { return Ok(()) };
    let row = to_json(&SummaryRow::from(hold.summary()))?;
    let sql = "UPDATE hold_summaries SET summary = ?2 WHERE id = ?1";
    execute(connection, sql, params![hold.id().as_str(), row])?;
    let row = to_json(&PreviewRow::from(preview))?;
    let sql = "UPDATE hold_previews SET preview = ?2 WHERE id = ?1";
    execute(connection, sql, params![hold.id().as_str(), row])?;
    Ok(())
}

/// Whether another owner's hold is running.
pub(super) fn has_abandoned(connection: &Connection, owner: &str) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM holds WHERE state = 'running' AND owner IS NOT ?)";
    connection.query_row(sql, [owner], |row| row.get(0)).map_err(|error| unavailable(&error))
}

/// Makes every running hold of another owner this one's. There is one process at a time: the others
/// are dead.
pub(super) fn take_over(connection: &Connection, owner: &str) -> Result<Vec<Hold>, StoreError> {
    let sql = format!("{SELECT} WHERE state = 'running' AND owner IS NOT ? ORDER BY created_us");
    let found = query(connection, &sql, &[Box::new(owner.to_owned())])?;
    let sql = "UPDATE holds SET owner = ?1 WHERE state = 'running' AND owner IS NOT ?1";
    execute(connection, sql, [owner])?;
    Ok(found)
}

fn revision(hold: &Hold) -> Result<i64, StoreError> {
    i64::try_from(hold.revision()).map_err(|error| StoreError::Corrupt(error.to_string()))
}

fn execute(
    connection: &Connection,
    sql: &str,
    values: impl rusqlite::Params,
) -> Result<usize, StoreError> {
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.execute(values))
        .map_err(|error| unavailable(&error))
}
