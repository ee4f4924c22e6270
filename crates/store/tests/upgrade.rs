//! A database that the build of b149ac4 left behind (`tests/fixtures`) opens, and everything is in it.

use std::{collections::BTreeMap, path::Path};

use hold::{HoldFilter, StateName};
use jiff::Timestamp;
use ledger::{Facts, Filter};
use rusqlite::Connection;

#[tokio::test]
async fn opens_what_an_earlier_build_left() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/b149ac4");
    let dump = std::fs::read_to_string(root.join("agent-shield.sql")).expect("the dump");
    let dir = tempfile::tempdir().expect("a directory");
    let old = Connection::open(dir.path().join("agent-shield.db")).expect("a database");
    old.execute_batch(&dump).expect("the dump");
    let count = |sql: &str| {
        let count = old.query_row(sql, [], |row| row.get::<_, i64>(0));
        count.expect("a count").unsigned_abs()
    };
    let entries = count("SELECT count(*) FROM entries") + count("SELECT sum(count) FROM reads");
    let holds = count("SELECT count(*) FROM holds");
    let facts = count("SELECT count(*) FROM facts WHERE facts IS NOT NULL");
    drop(old);

    let stores = store::open(dir.path()).expect("it is brought up to date");
    let page = stores.holds.list(HoldFilter::default(), None).await.expect("holds");
    assert_eq!(page.items.len() as u64, holds);
    let mut states: BTreeMap<StateName, usize> = BTreeMap::new();
    for hold in &page.items {
        *states.entry(hold.state().name()).or_default() += 1;
        let shown = stores.holds.shown(hold.id()).await.expect("a preview").expect("a preview");
        assert_eq!(shown.preview.digest, hold.summary().digest, "{}", hold.id());
        assert!(!hold.summary().rules.is_empty(), "{}", hold.id());
    }
    // That build knew no agent that gives up.
    let known = |it: &StateName| *it != StateName::Cancelled;
    let want: Vec<StateName> = StateName::ALL.into_iter().filter(known).collect();
    assert_eq!(states.keys().copied().collect::<Vec<_>>(), want, "{states:?}");
    let running = stores.holds.take_over().await.expect("of a process that is dead");
    assert_eq!(running.len(), states[&StateName::Running]);
    assert_eq!(stores.freezes.all().await.expect("freezes").len(), 1);

    let history = stores.ledger.history().await.expect("a history");
    assert_eq!(history.count_all().expect("a count"), entries);
    let mut with_facts = 0;
    let mut show = |entry: ledger::Entry| match entry.facts {
        Facts::Recorded(_) => with_facts += 1,
        Facts::None => {}
        other => panic!("{}: {other:?}", entry.audit_id),
    };
    history.each(Timestamp::UNIX_EPOCH, &mut show).expect("entries");
    assert_eq!(with_facts, facts);
    // In pages, every call is found once.
    let whole = stores.ledger.calls(Filter { probes: true, ..Filter::default() });
    let whole = whole.await.expect("calls").items.len();
    let (mut found, mut before) = (0, None);
    loop {
        let filter = Filter { probes: true, limit: Some(7), before, ..Filter::default() };
        let page = stores.ledger.calls(filter).await.expect("calls");
        found += page.items.len();
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    assert_eq!(found, whole);
    let appended = ledger::Entry::new(Timestamp::now(), "new", ledger::Stage::Gap);
    let at = stores.ledger.append(vec![appended]).await.expect("appended");
    assert_eq!(at[0].0, entries + 1, "behind all that was there");
}
