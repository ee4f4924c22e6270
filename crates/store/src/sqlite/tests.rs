//! The store's promises, on a real file.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use hold::StateName;
use jiff::Timestamp;
use ledger::{
    Action, DecisionRecord, Extent, Facts, FactsRecord, HoldEvent, HoldRecord, Identity,
    PairRecord, RequestRecord, Stage,
};

use super::*;

fn entry(audit_id: &str, namespace: &str, verb: &str, username: &str) -> Entry {
    let mut entry = Entry::new(Timestamp::now(), audit_id, Stage::RequestReceived);
    entry.user = Some(Identity { username: username.into(), ..Identity::default() });
    entry.request = Some(RequestRecord {
        verb: verb.into(),
        namespace: namespace.into(),
        resource: "pods".into(),
        name: "x".into(),
        ..RequestRecord::default()
    });
    entry.decision = Some(DecisionRecord::of(Action::Hold, ""));
    entry
}

/// With an object of some size.
fn facts(name: &str) -> Facts {
    let object = serde_json::json!({"metadata": {"name": name}, "spec": "x".repeat(6_000)});
    Facts::Recorded(Box::new(FactsRecord {
        version: ledger::FACTS_VERSION,
        at: Timestamp::now(),
        labels: None,
        labels_left_out: false,
        stored: false,
        looked: true,
        objects: vec![PairRecord { old: Some(object), ..PairRecord::default() }],
        unknown: String::new(),
        objects_of: None,
        extent: Extent::Whole,
        over_budget: false,
        compared: false,
        window: None,
    }))
}

/// As of a call whose objects stand with another one.
fn facts_like(audit_id: &str) -> Facts {
    let Facts::Recorded(mut facts) = facts("other") else { unreachable!() };
    (facts.objects, facts.objects_of) = (Vec::new(), Some(audit_id.to_owned()));
    Facts::Recorded(facts)
}

/// Of each entry, what its facts are, in a word.
fn shown(dir: &Path) -> Vec<(String, String)> {
    let mut shown = Vec::new();
    let word = |facts| match facts {
        Facts::Recorded(it) => match it.objects.first().and_then(|it| it.old.as_ref()) {
            Some(old) => old["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
            None => format!("{:?} of {:?}", it.extent, it.objects_of),
        },
        other => format!("{other:?}"),
    };
    let mut show = |entry: Entry| shown.push((entry.audit_id, word(entry.facts)));
    open_history(dir).unwrap().each(Timestamp::UNIX_EPOCH, &mut show).unwrap();
    shown
}

fn words(words: &[(&str, &str)]) -> Vec<(String, String)> {
    words.iter().map(|(id, word)| ((*id).to_owned(), (*word).to_owned())).collect()
}

#[tokio::test]
async fn tells_why_there_are_no_facts_and_finds_those_of_an_earlier_call() {
    let dir = tempfile::tempdir().unwrap();
    let store = Sqlite::open(dir.path()).unwrap();
    let with = |id: &str, facts| Entry { facts, ..entry(id, "prod", "delete", "agent") };
    let first = with("first", facts("mine"));
    // What happened to its hold stands under the same audit id.
    let mut held = Entry::new(Timestamp::now(), "first", Stage::Held);
    held.hold = None;
    let entries = vec![
        first,
        held,
        with("again", facts_like("first")),
        with("lost", Facts::Lost),
        with("dangling", facts_like("nobody")),
        with("none", Facts::None),
    ];
    store.append(entries).await.unwrap();
    let want = [
        ("first", "mine"),
        ("first", "None"),
        ("again", "mine"),
        ("lost", "Lost"),
        ("dangling", "None"),
        ("none", "None"),
    ];
    assert_eq!(shown(dir.path()), words(&want));
    let other = Connection::open(dir.path().join(FILE)).unwrap();
    let refused = other.execute_batch("UPDATE facts SET facts = NULL").err().unwrap().to_string();
    assert!(refused.contains("never changed"), "{refused}");
    other.execute_batch("INSERT INTO facts VALUES (6, 0, '{}')").unwrap();
    assert_eq!(shown(dir.path()).last(), words(&[("none", "Unreadable")]).last());
}

#[tokio::test]
async fn drops_old_facts_and_no_entry_and_uses_their_room_again() {
    const COUNT: usize = 600;
    let dir = tempfile::tempdir().unwrap();
    let store = Sqlite::open(dir.path()).unwrap();
    let hours = |hours| Timestamp::now() - jiff::SignedDuration::from_hours(hours);
    let lot = |time: Timestamp| {
        let judged = move |n: usize| Entry {
            time,
            facts: facts("mine"),
            ..entry(&format!("{time}-{n}"), "prod", "delete", "agent")
        };
        (0..COUNT).map(judged).collect::<Vec<_>>()
    };
    store.append(lot(hours(48))).await.unwrap();
    let referring = Entry { facts: facts_like(&shown(dir.path())[0].0), ..lot(hours(1)).remove(0) };
    store.append(vec![referring]).await.unwrap();
    let pages = || -> i64 {
        let other = Connection::open(dir.path().join(FILE)).unwrap();
        other.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap()
    };
    let (entries, full) = (open_history(dir.path()).unwrap().count_all().unwrap(), pages());
    let with_facts = || shown(dir.path()).iter().filter(|(_, word)| word != "None").count();
    assert_eq!(with_facts(), COUNT + 1);

    assert!(!store.drop_facts(hours(72)).await.unwrap());
    assert_eq!(with_facts(), COUNT + 1);
    // In lots, between which others have their turn.
    let mut lots = 1;
    while store.drop_facts(hours(24)).await.unwrap() {
        lots += 1;
    }
    assert!(lots > 3, "{lots} lots");
    // The last one's objects stood with a call of which nothing is kept: nothing is known of it either.
    assert_eq!(with_facts(), 0);
    assert_eq!(open_history(dir.path()).unwrap().count_all().unwrap(), entries);
    assert_eq!(store.calls(Filter::default()).await.unwrap().items.len(), COUNT + 1);
    for _ in 0..3 {
        store.append(lot(hours(0))).await.unwrap();
        while store.drop_facts(Timestamp::now()).await.unwrap() {}
    }
    // Only the entries took more room: about a page for each four of them.
    let grown = pages() - full;
    assert!(grown < 3 * COUNT as i64 / 2, "{grown} pages more than {full}");
}

#[tokio::test]
async fn shows_all_of_history_with_its_facts() {
    let dir = tempfile::tempdir().unwrap();
    let store = Sqlite::open(dir.path()).unwrap();
    let facts = facts("one");
    let mut judged = entry("a1", "prod", "delete", "agent");
    judged.facts = facts.clone();
    let mut probe = entry("a2", "prod", "get", "agent");
    probe.probe_of = Some("a1".into());
    let mut old = entry("a0", "prod", "delete", "agent");
    old.time -= jiff::SignedDuration::from_hours(48);
    let mut read = entry(&uuid::Uuid::now_v7().to_string(), "prod", "get", "agent");
    read.stage = Stage::ResponseComplete;
    read.decision = Some(DecisionRecord::of(Action::Allow, ""));
    store.append(vec![old, judged, probe, read.clone()]).await.unwrap();

    let history = open_history(dir.path()).unwrap();
    // What is appended from here on is not of this moment.
    let since = Timestamp::now() - jiff::SignedDuration::from_hours(1);
    assert_eq!(history.count(since).unwrap(), 2);
    store.append(vec![entry("a3", "prod", "delete", "agent")]).await.unwrap();
    let mut shown = Vec::new();
    history.each(since, &mut |entry| shown.push((entry.audit_id, entry.facts))).unwrap();
    assert_eq!(shown, [(read.audit_id, Facts::None), ("a1".to_owned(), facts)]);
    // Nobody else has to read them.
    let calls = store.calls(Filter::default()).await.unwrap().items;
    assert!(calls.iter().any(|call| call.audit_id == "a1"));
    assert!(open_history(&dir.path().join("none")).is_err());
}

#[tokio::test]
async fn keeps_entries_and_finds_them() {
    let dir = tempfile::tempdir().unwrap();
    let store = Sqlite::open(dir.path()).unwrap();
    let mut told = Entry::new(Timestamp::now(), "a1", Stage::Held);
    told.hold = Some(HoldRecord {
        id: "h1".into(),
        event: HoldEvent::Created,
        reviewer: None,
        reason: String::new(),
        digest: String::new(),
        rules: Vec::new(),
    });
    let mut probe = entry("p1", "prod", "delete", "triage");
    probe.probe_of = Some("a1".into());
    store
        .append(vec![
            entry("a1", "prod", "delete", "triage"),
            told,
            probe,
            entry("a2", "dev", "get", "reader"),
        ])
        .await
        .unwrap();
    let found = |filter: Filter| async {
        let calls = store.calls(filter).await.unwrap().items;
        calls.into_iter().map(|call| call.audit_id).collect::<Vec<_>>()
    };
    let all = Filter::default();
    assert_eq!(found(all.clone()).await, ["a2", "a1"]);
    assert_eq!(found(Filter { probes: true, ..all.clone() }).await, ["a2", "p1", "a1"]);
    assert_eq!(found(Filter { namespace: Some("prod".into()), ..all.clone() }).await, ["a1"]);
    assert_eq!(found(Filter { hold: Some("h1".into()), ..all.clone() }).await, ["a1"]);
    assert_eq!(found(Filter { writes_only: true, ..all.clone() }).await, ["a1"]);
    assert_eq!(found(Filter { limit: Some(1), ..all.clone() }).await, ["a2"]);
    assert_eq!(found(Filter { action: Some(Action::Deny), ..all }).await, [""; 0]);
    assert!(store.is_agent("reader").await.unwrap());
    assert!(!store.is_agent("alice").await.unwrap());
    let call = store.calls(Filter { audit_ids: vec!["a1".into()], ..Filter::default() }).await;
    assert_eq!(call.unwrap().items.first().and_then(Call::hold_id), Some("h1"));
}

fn read(audit_id: &str, namespace: &str, name: &str, username: &str) -> Entry {
    let mut entry = entry(audit_id, namespace, "get", username);
    entry.stage = Stage::ResponseComplete;
    entry.request.as_mut().unwrap().name = name.into();
    entry.decision.as_mut().unwrap().action = Action::Allow;
    entry
}

#[tokio::test]
async fn finds_each_of_many_reads_that_share_a_row() {
    let dir = tempfile::tempdir().unwrap();
    let store = Sqlite::open(dir.path()).unwrap();
    let ids: Vec<String> = (0..600).map(|_| uuid::Uuid::now_v7().to_string()).collect();
    let by = |n: usize| if n.is_multiple_of(2) { "even" } else { "odd" };
    let reads = ids.iter().enumerate().map(|(n, id)| read(id, "prod", &format!("o{n}"), by(n)));
    let reads: Vec<Entry> = reads.collect();
    for batch in reads.chunks(200) {
        store.append(batch.to_vec()).await.unwrap();
    }
    // None of these shares a row: another id, a write, a stream, one that was refused, a log.
    let foreign = read("0b7d0e3e-7d5c-4f4e-9a54-0c7cd5c8e0a1", "dev", "x", "even");
    let mut stream = read(&uuid::Uuid::now_v7().to_string(), "dev", "x", "even");
    stream.request.as_mut().unwrap().verb = "watch".into();
    let mut refused = read(&uuid::Uuid::now_v7().to_string(), "dev", "x", "even");
    refused.decision.as_mut().unwrap().action = Action::Refuse;
    let mut log = read(&uuid::Uuid::now_v7().to_string(), "dev", "x", "even");
    log.request.as_mut().unwrap().subresource = "log".into();
    let write = entry("w", "dev", "delete", "even");
    store.append(vec![foreign, write, stream, refused, log]).await.unwrap();

    let other = Connection::open(dir.path().join(FILE)).unwrap();
    let count = |sql: &str| other.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count("SELECT count(*) FROM reads"), 3);
    assert_eq!(count("SELECT count(*) FROM entries"), 5);
    assert_eq!(open_history(dir.path()).unwrap().count_all().unwrap(), 605);
    for sql in ["UPDATE reads SET entries = '[]'", "DELETE FROM reads"] {
        let refused = other.execute_batch(sql).err().unwrap().to_string();
        assert!(refused.contains("never"), "{refused}");
    }

    let all = Filter::default;
    let found = |filter: Filter| async { store.calls(filter).await.unwrap().items };
    assert_eq!(found(all()).await.len(), 605);
    assert_eq!(found(Filter { namespace: Some("prod".into()), ..all() }).await.len(), 600);
    assert_eq!(found(Filter { namespace: Some("dev".into()), ..all() }).await.len(), 5);
    assert_eq!(found(Filter { username: Some("odd".into()), ..all() }).await.len(), 300);
    assert_eq!(found(Filter { username: Some("nobody".into()), ..all() }).await.len(), 0);
    assert_eq!(found(Filter { verb: Some("list".into()), ..all() }).await.len(), 0);
    assert_eq!(found(Filter { writes_only: true, ..all() }).await.len(), 1);
    assert_eq!(found(Filter { action: Some(Action::Refuse), ..all() }).await.len(), 1);
    let one = Filter { name: Some("o77".into()), username: Some("odd".into()), ..all() };
    let one = found(one).await;
    assert_eq!(one.len(), 1);
    assert_eq!(one[0].audit_id, ids[77]);
    let three = vec![ids[3].clone(), ids[599].clone(), "w".to_owned(), "not there".to_owned()];
    let three = found(Filter { audit_ids: three, ..all() }).await;
    let three: Vec<_> = three.iter().map(|call| call.audit_id.as_str()).collect();
    assert_eq!(three.len(), 3);
    for id in [&ids[3], &ids[599], "w"] {
        assert!(three.contains(&id), "{id}");
    }
    let newest = found(Filter { namespace: Some("prod".into()), limit: Some(2), ..all() }).await;
    let newest: Vec<_> = newest.iter().map(|call| call.audit_id.as_str()).collect();
    assert_eq!(newest, [&ids[599], &ids[598]]);
    let since = Timestamp::now() + jiff::SignedDuration::from_secs(1);
    assert_eq!(found(Filter { since: Some(since), ..all() }).await.len(), 0);
    assert_eq!(found(Filter { until: Some(Timestamp::UNIX_EPOCH), ..all() }).await.len(), 0);
    for name in ["even", "odd"] {
        assert!(store.is_agent(name).await.unwrap());
    }
}

#[test]
fn brings_an_older_file_up_to_date() {
    let dir = tempfile::tempdir().unwrap();
    let old = Connection::open(dir.path().join(FILE)).unwrap();
    old.execute_batch(SCHEMA[0]).unwrap();
    old.execute_batch("PRAGMA user_version = 1").unwrap();
    old.execute_batch(
        "INSERT INTO entries (time_us, audit_id, probe, entry) VALUES (1, 'x', 0, '{}')",
    )
    .unwrap();
    drop(old);
    drop(Sqlite::open(dir.path()).unwrap());
    assert_eq!(open_history(dir.path()).unwrap().count_all().unwrap(), 1);
}

#[test]
fn takes_the_facts_of_an_older_file_along() {
    let dir = tempfile::tempdir().unwrap();
    let old = Connection::open(dir.path().join(FILE)).unwrap();
    old.execute_batch(&SCHEMA[..4].concat()).unwrap();
    old.execute_batch("PRAGMA user_version = 4").unwrap();
    for (id, facts) in [("a", facts("mine")), ("b", Facts::None)] {
        let json = match facts {
            Facts::Recorded(facts) => Some(serde_json::to_string(&facts).unwrap()),
            _ => None,
        };
        let text = serde_json::to_string(&entry(id, "prod", "delete", "agent")).unwrap();
        let sql = "INSERT INTO entries (time_us, audit_id, probe, entry, facts) VALUES (1, ?1, 0, ?2, ?3)";
        old.execute(sql, rusqlite::params![id, text, json]).unwrap();
    }
    drop(old);
    let want = words(&[("a", "mine"), ("b", "None")]);
    assert_eq!(shown(dir.path()), want, "before it is brought up to date");
    drop(Sqlite::open(dir.path()).unwrap());
    assert_eq!(shown(dir.path()), want);
    let new = Connection::open(dir.path().join(FILE)).unwrap();
    let count = |sql: &str| new.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(count("SELECT count(*) FROM facts"), 1);
    assert_eq!(count("SELECT count(*) FROM pragma_table_info('entries') WHERE name = 'facts'"), 0);
}

/// As schema 5 had them: two orders, and each hold one document.
#[tokio::test]
async fn puts_reads_and_writes_into_one_order_and_takes_holds_apart() {
    let dir = tempfile::tempdir().unwrap();
    let old = Connection::open(dir.path().join(FILE)).unwrap();
    old.execute_batch(&SCHEMA[..5].concat()).unwrap();
    old.execute_batch("PRAGMA user_version = 5").unwrap();
    let write = |n: i64, time: i64| {
        let mut entry = entry(&format!("w{n}"), "prod", "delete", "agent");
        entry.time = Timestamp::from_microsecond(time).unwrap();
        let sql = "INSERT INTO entries (time_us, audit_id, probe, entry) VALUES (?1, ?2, 0, ?3)";
        let json = serde_json::to_string(&entry).unwrap();
        old.execute(sql, rusqlite::params![time, entry.audit_id, json]).unwrap();
    };
    let reads = |n: u32, time: i64| {
        let entries = [n, n + 1].map(|n| {
            let mut entry = read(&format!("r{n}"), "prod", &format!("o{n}"), "agent");
            entry.time = Timestamp::from_microsecond(time).unwrap();
            entry
        });
        let json = serde_json::to_string(&entries).unwrap();
        let sql = "INSERT INTO reads (first_us, last_us, count, entries) VALUES (?1, ?1, 2, ?2)";
        old.execute(sql, rusqlite::params![time, json]).unwrap();
        let seq = old.last_insert_rowid();
        old.execute("INSERT INTO read_keys VALUES ('username agent', ?1)", [seq]).unwrap();
    };
    write(1, 1_000);
    reads(0, 2_000);
    write(2, 3_000);
    // Appended later than it happened: it stays behind the one before.
    write(3, 1_500);
    reads(2, 4_000);
    old.execute("INSERT INTO facts VALUES (2, 3000, NULL)", []).unwrap();
    let verdict = r#"{"reviewer": {"username": "alice"}, "reason": "ok", "at": "2026-01-01T00:00:00Z", "digest": "d"}"#;
    let states = [
        ("h1", "pending", r#"{"name": "pending"}"#.to_owned()),
        ("h2", "denied", format!(r#"{{"name": "denied", "verdict": {verdict}}}"#)),
        (
            "h3",
            "running",
            format!(
                r#"{{"name": "running", "verdict": {verdict}, "auditID": "a3", "since": "2026-01-01T00:00:00Z"}}"#
            ),
        ),
    ];
    for (id, name, state) in states {
        let document = format!(
            r#"{{"id": "{id}", "revision": 3, "createdAt": "2026-01-01T00:00:00Z", "changedAt": "2026-01-01T00:00:01Z",
            "deadline": "2126-01-01T00:30:00Z", "user": {{"username": "agent"}}, "requestDigest": "same", "auditID": "a-{id}",
            "request": {{"verb": "delete", "method": "DELETE", "namespace": "prod", "requestURI": "/x"}}, "payload": "body",
            "rules": ["r"], "reason": "because", "severity": "critical", "effects": [],
            "preview": {{"digest": "d", "uid": "u", "changes": [{{"path": "/spec", "old": "1"}}]}}, "state": {state}}}"#
        );
        let sql = "INSERT INTO holds VALUES (?1, 3, ?2, 1, 1, 'agent', 'prod', 'same', ?3)";
        old.execute(sql, rusqlite::params![id, name, document]).unwrap();
    }
    let freeze = r#"{"username": "agent", "by": {"username": "alice"}, "reason": "wild", "at": "2026-01-01T00:00:00Z"}"#;
    old.execute("INSERT INTO freezes VALUES ('agent', ?1)", [freeze]).unwrap();
    drop(old);

    let store = Sqlite::open(dir.path()).unwrap();
    let calls = store.calls(Filter { limit: Some(4), ..Filter::default() }).await.unwrap();
    let ids = |page: &Page<Call, Position>| {
        page.items.iter().map(|it| it.audit_id.clone()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&calls), ["r3", "r2", "w2", "w3"]);
    let rest = store.calls(Filter { before: calls.next, ..Filter::default() }).await.unwrap();
    assert_eq!(ids(&rest), ["r1", "r0", "w1"]);
    let next = store.append(vec![entry("w4", "prod", "delete", "agent")]).await.unwrap();
    assert_eq!(next, [Position(8)]);
    let facts = shown(dir.path());
    assert!(facts.contains(&("w2".to_owned(), "Lost".to_owned())), "{facts:?}");
    let username = Filter { username: Some("agent".into()), ..Filter::default() };
    assert_eq!(ids(&store.calls(username).await.unwrap()).len(), 5, "read by their keys");

    let load = |id| store.load(&HoldId::parse(id));
    let pending = load("h1").await.unwrap().unwrap();
    assert_eq!((pending.revision(), pending.state().name()), (3, StateName::Pending));
    assert_eq!((pending.summary().digest.as_str(), pending.summary().uid.as_str()), ("d", "u"));
    assert_eq!(pending.summary().quorum, hold::Quorum::default());
    let shown = Holds::shown(&store, pending.id()).await.unwrap().unwrap();
    assert_eq!((shown.payload.as_str(), shown.preview.changes.len()), ("body", 1));
    let denied = load("h2").await.unwrap().unwrap();
    assert_eq!(denied.decided_by().unwrap().reviewer.username, "alice");
    // Its process is dead.
    let taken = store.take_over().await.unwrap();
    assert_eq!(taken.len(), 1);
    assert_eq!(taken[0].state().audit_id(), Some("a3"));
    assert_eq!(store.frozen("agent").await.unwrap().unwrap().reason, "wild");
}

#[tokio::test]
async fn refuses_while_it_cannot_write_and_goes_on_after() {
    let dir = tempfile::tempdir().unwrap();
    let store = Sqlite::open(dir.path()).unwrap();
    store.append(vec![entry("before", "n", "delete", "a")]).await.unwrap();
    let other = Connection::open(dir.path().join("agent-shield.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let refused = store.append(vec![entry("during", "n", "delete", "a")]).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))));
    assert_eq!(store.calls(Filter::default()).await.unwrap().items.len(), 1);
    other.execute_batch("ROLLBACK").unwrap();
    store.append(vec![entry("after", "n", "delete", "a")]).await.unwrap();
    let ids: Vec<_> = store.calls(Filter::default()).await.unwrap().items;
    let ids: Vec<_> = ids.iter().map(|call| call.audit_id.as_str()).collect();
    assert_eq!(ids, ["after", "before"]);
}

#[tokio::test]
async fn commits_many_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = Sqlite::open(dir.path()).unwrap();
    let appends = (0..200).map(|n| {
        let store = store.clone();
        async move { store.append(vec![entry(&n.to_string(), "n", "delete", "a")]).await }
    });
    for appended in futures_util::future::join_all(appends).await {
        appended.unwrap();
    }
    assert_eq!(store.calls(Filter::default()).await.unwrap().items.len(), 200);
}

#[test]
fn opens_only_what_is_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let store = Sqlite::open(dir.path()).unwrap();
    let error = Sqlite::open(dir.path()).err().unwrap();
    assert!(matches!(error, OpenError::InUse(_)), "{error}");
    drop(store);
    let path = dir.path().join("agent-shield.db");
    let other = Connection::open(&path).unwrap();
    for sql in ["UPDATE entries SET entry = ''", "DELETE FROM entries"] {
        other
            .execute_batch(
                "INSERT OR IGNORE INTO entries (seq, time_us, audit_id, probe, entry) VALUES (1, 1, 'x', 0, '{}')",
            )
            .unwrap();
        let refused = other.execute_batch(sql).err().unwrap().to_string();
        assert!(refused.contains("never"), "{refused}");
    }
    other.execute_batch("PRAGMA user_version = 99").unwrap();
    drop(other);
    // The lock goes with the writer thread's last handle on the store.
    let error = Sqlite::open(dir.path()).err().unwrap();
    assert!(matches!(error, OpenError::Newer { found: 99, .. }), "{error}");
    let broken = tempfile::tempdir().unwrap();
    std::fs::write(broken.path().join("agent-shield.db"), vec![7; 8192]).unwrap();
    let error = Sqlite::open(broken.path()).err().unwrap();
    assert!(matches!(error, OpenError::Database { .. }), "{error}");
}

/// Not a test of its own: what [`loses_nothing_that_it_acknowledged`] starts and kills.
#[tokio::test]
async fn child_that_appends_until_it_is_killed() {
    let Some(dir) = std::env::var_os("STORE_TEST_DIR") else { return };
    let store = Sqlite::open(Path::new(&dir)).unwrap();
    for n in 0.. {
        store.append(vec![entry(&format!("n{n}"), "n", "delete", "a")]).await.unwrap();
        println!("acked {n}");
    }
}

#[tokio::test]
async fn loses_nothing_that_it_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "--nocapture",
            "sqlite::store::tests::child_that_appends_until_it_is_killed",
        ])
        .env("STORE_TEST_DIR", dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut acked = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        if let Some(n) = line.unwrap().strip_prefix("acked ") {
            acked = n.parse::<usize>().unwrap();
            if acked == 300 {
                child.kill().unwrap();
            }
        }
    }
    child.wait().unwrap();
    let store = Sqlite::open(dir.path()).unwrap();
    let kept = store.calls(Filter::default()).await.unwrap().items;
    assert!(acked >= 300 && kept.len() > acked, "acked {acked}, kept {}", kept.len());
    let other = Connection::open(dir.path().join("agent-shield.db")).unwrap();
    let ok: String = other.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(ok, "ok");
}
