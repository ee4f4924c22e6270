//! One suite for every store: what [`hold::Holds`], [`hold::Freezes`], [`ledger::Ledger`] and
//! [`memory::Memory`] promise, shown on each implementation behind `dyn`.

#![expect(clippy::expect_used, reason = "helpers of tests fail as tests do")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use effects::{NamespaceClass, ObjectRef};
use futures_util::StreamExt;
use hold::{
    Answer, Approval, ChangeRecord, CommandRecord, Denial, Freeze, Hold, HoldFilter, HoldId,
    Inserted, Insertion, Join, Preview, Quorum, Shown, State, StateName, Summary,
};
use jiff::{SignedDuration, Timestamp};
use ledger::{
    ACTS, ActRecord, Action, DecisionRecord, EffectRecord, Entry, Facts, Filter, HoldEvent,
    HoldRecord, Identity, Outcome, Position, RequestRecord, ResponseRecord, ShadowRecord, Stage,
    StoreError,
};
use policy::Severity;
use store::{Stores, shared::Shared};

/// One of each kind; the directory must outlive its store.
fn every() -> Vec<(&'static str, Stores, Option<tempfile::TempDir>)> {
    let dir = tempfile::tempdir().expect("a directory");
    let sqlite = store::open(dir.path()).expect("a store");
    vec![("sqlite", sqlite, Some(dir)), ("shared", Shared::default().stores(), None)]
}

fn now() -> Timestamp {
    Timestamp::now()
}

fn by(username: &str) -> Identity {
    Identity { username: username.into(), ..Identity::default() }
}

fn hold(id: &str, digest: &str) -> Hold {
    held(id, digest, "agent", now())
}

fn held(id: &str, digest: &str, username: &str, created_at: Timestamp) -> Hold {
    Hold::new(Summary {
        id: HoldId::parse(id),
        created_at,
        deadline: created_at + SignedDuration::from_mins(30),
        user: by(username),
        request_digest: digest.into(),
        audit_id: format!("audit-{id}"),
        request: RequestRecord { namespace: "prod".into(), ..RequestRecord::default() },
        rules: vec!["r".into()],
        reason: "because".into(),
        severity: Severity::High,
        effects: vec![EffectRecord {
            kind: "Delete".into(),
            name: digest.into(),
            ..EffectRecord::default()
        }],
        more_effects: BTreeMap::new(),
        digest: "d".into(),
        uid: "u".into(),
        quorum: Quorum::default(),
        denial_seconds: None,
        drifts: 0,
    })
}

fn shown(text: &str) -> Shown {
    let (new, diff) = (Some(text.into()), Some("+a".into()));
    let change = ChangeRecord { path: "/spec".into(), old: None, new, diff, note: "a note".into() };
    let commands = vec![CommandRecord { at: "/spec".into(), words: vec![text.into()] }];
    let (digest, changes) = ("d".into(), vec![change]);
    let preview = Preview { digest, commands, changes, ..Preview::default() };
    Shown { content_type: "application/json".into(), payload: text.into(), preview }
}

fn insertion(hold: Hold) -> Insertion {
    Insertion {
        entries: vec![entry(&hold.summary().audit_id, "prod", "delete", "agent")],
        shown: asking([hold.summary().request_digest.as_str()]),
        hold,
        join: Join::Open,
        open_max: 64,
    }
}

/// What a request shows that asks for this.
fn asking<'a>(asked: impl IntoIterator<Item = &'a str>) -> Shown {
    let mut shown = shown("first");
    shown.preview.asked = asked.into_iter().map(str::to_owned).collect();
    shown
}

/// A no that binds for ten minutes.
fn no(reviewer: &str) -> Denial {
    Denial::new(by(reviewer), "no".into(), now(), later())
}

async fn insert(stores: &Stores, insertion: Insertion) -> Inserted {
    stores.holds.insert_or_join(Arc::new(insertion)).await.expect("an insertion")
}

fn entry(audit_id: &str, namespace: &str, verb: &str, username: &str) -> Entry {
    Entry {
        user: Some(by(username)),
        request: Some(RequestRecord {
            verb: verb.into(),
            namespace: namespace.into(),
            resource: "pods".into(),
            name: "x".into(),
            ..RequestRecord::default()
        }),
        decision: Some(DecisionRecord::of(Action::Hold, "")),
        ..Entry::new(now(), audit_id, Stage::RequestReceived)
    }
}

/// A read that may share a row.
fn read(n: u32, username: &str) -> Entry {
    let mut entry = entry(&uuid::Uuid::now_v7().to_string(), "prod", "get", username);
    entry.stage = Stage::ResponseComplete;
    entry.decision = Some(DecisionRecord::of(Action::Allow, ""));
    if let Some(request) = &mut entry.request {
        request.name = format!("o{n}");
    }
    entry
}

fn approval(hold: &Hold) -> Approval {
    Approval::new(by("alice"), "ok".into(), now(), hold.summary().digest.clone())
}

fn later() -> Timestamp {
    now() + SignedDuration::from_mins(10)
}

async fn ids(stores: &Stores, filter: HoldFilter) -> Vec<String> {
    let page = stores.holds.list(filter, None).await.expect("a page");
    page.items.iter().map(|hold| hold.id().to_string()).collect()
}

#[tokio::test]
async fn one_request_is_one_hold_while_it_is_open() {
    for (name, stores, _dir) in every() {
        let first = hold("h1", "d1");
        assert_eq!(insert(&stores, insertion(first.clone())).await, Inserted::New, "{name}");
        let Inserted::Joined(joined) = insert(&stores, insertion(hold("h2", "d1"))).await else {
            panic!("{name}: a second hold of the same request");
        };
        assert_eq!(*joined, first, "{name}");
        assert_eq!(insert(&stores, insertion(hold("h3", "d3"))).await, Inserted::New, "{name}");
        assert_eq!(ids(&stores, HoldFilter::default()).await, ["h3", "h1"], "{name}");
        let same = HoldFilter { request_digest: Some("d1".into()), ..HoldFilter::default() };
        assert_eq!(ids(&stores, same).await, ["h1"], "{name}");
        // Entries of what joined are the caller's to append.
        let calls = stores.ledger.calls(Filter::default()).await.expect("calls").items;
        assert_eq!(calls.len(), 2, "{name}");

        let denied = joined.deny(no("alice")).expect("open");
        stores.holds.change(denied, None, vec![]).await.expect("stored");
        let again = Insertion { shown: asking(["other"]), ..insertion(hold("h4", "d1")) };
        assert_eq!(insert(&stores, again).await, Inserted::New, "{name}: it is settled");
    }
}

#[tokio::test]
async fn many_at_once_make_one_hold() {
    for (name, stores, _dir) in every() {
        let inserts = (0..32).map(|n| {
            let stores = stores.clone();
            #[expect(clippy::disallowed_methods, reason = "all of them are joined below")]
            tokio::spawn(
                async move { insert(&stores, insertion(hold(&format!("h{n}"), "d"))).await },
            )
        });
        let mut new = 0;
        for inserted in futures_util::future::join_all(inserts.collect::<Vec<_>>()).await {
            match inserted.expect("no panic") {
                Inserted::New => new += 1,
                Inserted::Joined(_) => {}
                other => panic!("{name}: {other:?}"),
            }
        }
        let open = ids(&stores, HoldFilter::default()).await;
        assert_eq!((new, open.len()), (1, 1), "{name}");
        let waiting = stores.holds.waiting(&[HoldId::parse(&open[0])]).await.expect("a count");
        assert_eq!(waiting, [32], "{name}: who joined waits");
    }
}

#[tokio::test]
async fn a_generated_name_joins_only_where_nobody_waits() {
    for (name, stores, _dir) in every() {
        let unwaited = |id| Insertion { join: Join::Unwaited, ..insertion(hold(id, "d")) };
        assert_eq!(insert(&stores, unwaited("h1")).await, Inserted::New, "{name}");
        assert_eq!(insert(&stores, unwaited("h2")).await, Inserted::New, "{name}: h1 is waited on");
        let h1 = HoldId::parse("h1");
        stores.holds.leave(&h1);
        let Inserted::Joined(joined) = insert(&stores, unwaited("h3")).await else {
            panic!("{name}: its client came again");
        };
        assert_eq!(joined.id(), &h1, "{name}");
        let waiting = stores.holds.waiting(&[h1, HoldId::parse("h2")]).await.expect("counts");
        assert_eq!(waiting, [1, 1], "{name}");
    }
}

#[tokio::test]
async fn bounds_an_agent_and_remembers_denials() {
    for (name, stores, _dir) in every() {
        for n in 0..3 {
            let new = insertion(hold(&format!("h{n}"), &format!("d{n}")));
            assert_eq!(insert(&stores, new).await, Inserted::New, "{name}");
        }
        let full = |id, digest| Insertion { open_max: 3, ..insertion(hold(id, digest)) };
        assert_eq!(insert(&stores, full("h4", "d4")).await, Inserted::TooMany, "{name}");
        let joined = insert(&stores, full("h5", "d1")).await;
        assert!(matches!(joined, Inserted::Joined(_)), "{name}: joining takes no place");
        let other = Insertion { open_max: 3, ..insertion(held("h6", "d6", "other", now())) };
        assert_eq!(insert(&stores, other).await, Inserted::New, "{name}: another agent");

        let found = stores.holds.load(&HoldId::parse("h0")).await.expect("a hold").expect("h0");
        let denied = found.deny(no("alice")).expect("open");
        stores.holds.change(denied, None, vec![]).await.expect("stored");
        // Other bytes, the same question.
        let asks = |id: &str, asked: &[&str]| {
            let shown = asking(asked.iter().copied());
            Insertion { shown, ..insertion(hold(id, id)) }
        };
        for (id, asked) in [("same", ["d0"].as_slice()), ("more", &["d0", "x"])] {
            let Inserted::Denied(by_this) = insert(&stores, asks(id, asked)).await else {
                panic!("{name}: {id} was denied a moment ago");
            };
            assert_eq!(by_this.id().as_str(), "h0", "{name}");
        }
        let other = insert(&stores, asks("other value", &["d0 = 2"])).await;
        assert_eq!(other, Inserted::New, "{name}: another value is another question");

        let rebind = async |until| {
            let found = stores.holds.load(&HoldId::parse("h0")).await.expect("a hold").expect("h0");
            let hold = found.rebind(until, now()).expect("denied");
            stores.holds.change(hold, None, vec![]).await.expect("stored");
        };
        rebind(Some(now())).await;
        assert_eq!(
            insert(&stores, asks("late", &["d0"])).await,
            Inserted::New,
            "{name}: its time is over"
        );
        rebind(Some(later())).await;
        let again = insert(&stores, asks("extended", &["d0"])).await;
        assert!(matches!(again, Inserted::Denied(_)), "{name}: it was extended");
        rebind(None).await;
        assert_eq!(
            insert(&stores, asks("lifted", &["d0"])).await,
            Inserted::New,
            "{name}: it was lifted"
        );
    }
}

#[tokio::test]
async fn no_namespace_is_one_to_look_for() {
    for (name, stores, _dir) in every() {
        let held =
            Entry { request: None, stage: Stage::Held, ..entry("prod", "prod", "delete", "a") };
        let mut node = read(1, "a");
        node.request.as_mut().expect("a request").namespace.clear();
        let id = node.audit_id.clone();
        let all =
            vec![entry("prod", "prod", "delete", "a"), held, entry("none", "", "patch", "a"), node];
        stores.ledger.append(all).await.expect("appended");
        stores.ledger.append(vec![read(2, "a")]).await.expect("appended");
        let filter = Filter { namespace: Some(String::new()), ..Filter::default() };
        let found = stores.ledger.calls(filter).await.expect("calls").items;
        let found: BTreeSet<&str> = found.iter().map(|it| it.audit_id.as_str()).collect();
        assert_eq!(found, BTreeSet::from(["none", id.as_str()]), "{name}");
    }
}

#[tokio::test]
async fn an_agent_is_who_did_something_until_somebody_clears_it() {
    for (name, stores, _dir) in every() {
        let refused = |action: Action| {
            let mut entry = entry("r", "prod", "get", "carol");
            entry.stage = Stage::ResponseComplete;
            entry.decision = Some(DecisionRecord::of(action, ""));
            let (outcome, latency_micros, bytes) = (Outcome::Answered, 1, 0);
            entry.response =
                Some(ResponseRecord { code: 403, outcome, latency_micros, bytes, object: None });
            entry
        };
        let is_agent = async || stores.ledger.is_agent("carol").await.expect("an answer");
        let clear = async || {
            let told = Entry { user: None, ..entry("clear", "", "clear", "") };
            stores.ledger.clear_agent("carol", vec![told]).await.expect("an answer")
        };
        // Refused for want of rights, it did nothing.
        for (action, want) in
            [(Action::Allow, false), (Action::Refuse, false), (Action::Deny, true)]
        {
            stores.ledger.append(vec![refused(action)]).await.expect("appended");
            assert_eq!(is_agent().await, want, "{name}: {action:?}");
        }
        assert!(clear().await && !is_agent().await, "{name}");
        assert!(!clear().await, "{name}: it is none any more");
        let told = Filter { verb: Some("clear".into()), ..Filter::default() };
        assert_eq!(stores.ledger.calls(told).await.expect("calls").items.len(), 1, "{name}");
        stores.ledger.append(vec![entry("a", "prod", "get", "carol")]).await.expect("appended");
        assert!(is_agent().await, "{name}: and comes again");
    }
}

#[tokio::test]
async fn the_third_denial_of_an_object_ends_the_asking() {
    for (name, stores, _dir) in every() {
        let of = |id: &str, username: &str, object: &str| {
            let mut insertion = insertion(held(id, id, username, now()));
            let mut summary = insertion.hold.summary().clone();
            summary.request.name = object.into();
            insertion.hold = Hold::new(summary);
            insertion
        };
        let deny = async |id: &str| {
            let new = insert(&stores, of(id, "agent", "web")).await;
            assert_eq!(new, Inserted::New, "{name}: {id}");
            let hold = stores.holds.load(&HoldId::parse(id)).await.expect("a hold").expect(id);
            let denied = hold.deny(no("alice")).expect("open");
            stores.holds.change(denied, None, vec![]).await.expect("stored");
        };
        for id in ["h1", "h2", "h3"] {
            deny(id).await;
        }
        let Inserted::Barred(last, until) = insert(&stores, of("h4", "agent", "web")).await else {
            panic!("{name}: it was denied three times");
        };
        assert_eq!(last.id().as_str(), "h3", "{name}");
        assert!(until > now() + SignedDuration::from_mins(59), "{name}: {until}");
        let other = insert(&stores, of("h5", "agent", "api")).await;
        assert_eq!(other, Inserted::New, "{name}: of another object");
        let other = insert(&stores, of("h6", "other", "web")).await;
        assert_eq!(other, Inserted::New, "{name}: another agent");
        let hold = stores.holds.load(&HoldId::parse("h2")).await.expect("a hold").expect("h2");
        let lifted = hold.rebind(None, now()).expect("denied");
        stores.holds.change(lifted, None, vec![]).await.expect("stored");
        // A lift ends it, and what was denied before it counts no more.
        let mut ids = ["h7", "h8", "h9"].into_iter();
        let twice = ids.by_ref().take(2).collect::<Vec<_>>();
        for id in twice {
            deny(id).await;
        }
        // What was denied with one word, in one moment, is denied once.
        let word = no("bob");
        for id in ["t1", "t2", "t3"] {
            let new = insert(&stores, of(id, "agent", "twin")).await;
            assert_eq!(new, Inserted::New, "{name}: {id}");
        }
        for id in ["t1", "t2", "t3"] {
            let hold = stores.holds.load(&HoldId::parse(id)).await.expect("a hold").expect(id);
            let denied = hold.deny(word.clone()).expect("open");
            stores.holds.change(denied, None, vec![]).await.expect("stored");
        }
        let other = insert(&stores, of("t4", "agent", "twin")).await;
        assert_eq!(other, Inserted::New, "{name}: it was denied once");
        for id in ids {
            deny(id).await;
        }
        let barred = insert(&stores, of("h10", "agent", "web")).await;
        assert!(matches!(barred, Inserted::Barred(..)), "{name}: {barred:?}");
    }
}

/// What a summary leaves out is denied with the rest.
#[tokio::test]
async fn denies_again_what_the_summary_leaves_out() {
    for (name, stores, _dir) in every() {
        let effect = |n: usize| EffectRecord {
            kind: "Delete".into(),
            name: format!("pod-{n}"),
            ..EffectRecord::default()
        };
        let of = |id: &str, effects: Vec<EffectRecord>| {
            let mut insertion = insertion(hold(id, id));
            insertion.shown.preview.asked = effects.iter().map(|it| it.name.clone()).collect();
            insertion.shown.preview.effects.clone_from(&effects);
            let summary = insertion.hold.summary().clone();
            insertion.hold = Hold::new(Summary { effects, ..summary });
            insertion
        };
        let many = of("many", (0..300).map(effect).collect());
        assert!(many.hold.summary().effects.len() < 100, "{name}: a list shows a few");
        assert_eq!(insert(&stores, many.clone()).await, Inserted::New, "{name}");
        let listed = stores.holds.list(HoldFilter::default(), None).await.expect("a list").items;
        let counted =
            listed[0].summary().effects.len() + listed[0].summary().more_effects["Delete"];
        assert_eq!(counted, 300, "{name}: and says how many more there are");
        let shown = stores.holds.shown(many.hold.id()).await.expect("shown").expect("there");
        assert_eq!(shown.preview.effects.len(), 300, "{name}: all are shown");
        let denied = listed[0].clone().deny(no("alice"));
        stores.holds.change(denied.expect("open"), None, vec![]).await.expect("stored");
        let again = insert(&stores, of("one", vec![effect(250)])).await;
        assert!(matches!(again, Inserted::Denied(_)), "{name}: {again:?}");
        let other = insert(&stores, of("other", vec![effect(300)])).await;
        assert_eq!(other, Inserted::New, "{name}: another object is another question");
    }
}

#[tokio::test]
async fn changes_a_hold_only_from_the_revision_that_was_read() {
    for (name, stores, _dir) in every() {
        let first = hold("h1", "d1");
        insert(&stores, insertion(first.clone())).await;
        let approved = first.clone().approve(approval(&first), later()).expect("approved");
        let told = vec![entry("e", "prod", "delete", "a")];
        let stored = stores.holds.change(approved, None, told).await.expect("stored");
        assert_eq!(stored.revision(), 1, "{name}");
        let denied = first.deny(no("bob")).expect("denied");
        let late = stores.holds.change(denied, None, vec![entry("never", "n", "delete", "a")]);
        assert!(matches!(late.await, Err(StoreError::Conflict)), "{name}");
        let never = Filter { audit_ids: vec!["never".into()], ..Filter::default() };
        assert!(stores.ledger.calls(never).await.expect("calls").items.is_empty(), "{name}");
        let loaded = stores.holds.load(&HoldId::parse("h1")).await.expect("a hold");
        assert_eq!(loaded, Some(stored), "{name}");
        let approved = HoldFilter { states: vec![StateName::Approved], ..HoldFilter::default() };
        assert_eq!(ids(&stores, approved).await, ["h1"], "{name}");
    }
}

#[tokio::test]
async fn what_is_shown_changes_only_with_a_preview() {
    for (name, stores, _dir) in every() {
        let first = hold("h1", "d1");
        insert(&stores, insertion(first.clone())).await;
        let id = first.id().clone();
        let approved = first.clone().approve(approval(&first), later()).expect("approved");
        let stored = stores.holds.change(approved, None, vec![]).await.expect("stored");
        assert_eq!(stores.holds.shown(&id).await.expect("shown"), Some(asking(["d1"])), "{name}");
        let other = Preview { digest: "other".into(), ..Preview::default() };
        let denied = stored.deny(no("bob")).expect("denied");
        stores.holds.change(denied, Some(other.clone()), vec![]).await.expect("stored");
        let now_shown = stores.holds.shown(&id).await.expect("shown").expect("h1");
        assert_eq!(now_shown.preview, other, "{name}");
        assert_eq!(now_shown.payload, "first", "{name}: the request is the same");
        let none = stores.holds.shown(&HoldId::parse("none")).await.expect("an answer");
        assert_eq!(none, None, "{name}");
    }
}

#[tokio::test]
async fn lists_all_holds_by_pages_and_finds_all_that_are_due() {
    const COUNT: usize = 1_150;
    for (name, stores, _dir) in every() {
        let start = now() - SignedDuration::from_hours(3);
        // Some at a time: what a store does not keep up with is refused, also on a busy machine.
        let inserts = (0..COUNT).map(|n| {
            // Two at each moment: the id tells them apart.
            let at = start + SignedDuration::from_millis(i64::try_from(n / 2).expect("small"));
            let hold = held(&format!("h{n:05}"), &format!("d{n}"), &format!("a{}", n / 50), at);
            insert(&stores, insertion(hold))
        });
        let mut inserted = futures_util::stream::iter(inserts).buffer_unordered(64);
        while let Some(inserted) = inserted.next().await {
            assert_eq!(inserted, Inserted::New, "{name}");
        }
        let (mut all, mut after, mut pages) = (Vec::new(), None, 0);
        loop {
            let filter = HoldFilter { limit: Some(400), ..HoldFilter::default() };
            let page = stores.holds.list(filter, after).await.expect("a page");
            all.extend(page.items.iter().map(|it| it.id().to_string()));
            pages += 1;
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        let want: Vec<String> = (0..COUNT).rev().map(|n| format!("h{n:05}")).collect();
        assert_eq!(all, want, "{name}");
        assert_eq!(pages, 3, "{name}");
        let begins = |it: &str| HoldFilter { id_begins: Some(it.into()), ..HoldFilter::default() };
        assert_eq!(ids(&stores, begins("h0009")).await.len(), 10, "{name}");
        assert_eq!(ids(&stores, begins("h00090")).await, ["h00090"], "{name}");
        for none in ["h9", "0009", "%", "~", "h0009~"] {
            assert!(ids(&stores, begins(none)).await.is_empty(), "{name}: {none}");
        }

        // The oldest are due first, however many newer ones there are.
        let mut expired = 0;
        loop {
            let due = stores.holds.due(now()).await.expect("due");
            if due.is_empty() {
                break;
            }
            let changes = due.into_iter().map(|hold| {
                let hold = hold.expire(now()).expect("its time is over");
                stores.holds.change(hold, None, vec![])
            });
            for stored in futures_util::future::join_all(changes.collect::<Vec<_>>()).await {
                stored.expect("stored");
                expired += 1;
            }
        }
        assert_eq!(expired, COUNT, "{name}");
    }
}

#[tokio::test]
async fn an_overdue_hold_is_joined_by_nobody() {
    for (name, stores, _dir) in every() {
        let old = held("h1", "d", "agent", now() - SignedDuration::from_hours(1));
        assert_eq!(insert(&stores, insertion(old)).await, Inserted::New, "{name}");
        let new = Insertion { open_max: 1, ..insertion(hold("h2", "d")) };
        assert_eq!(insert(&stores, new).await, Inserted::New, "{name}: nor does it take a place");
    }
}

#[tokio::test]
async fn an_answer_is_given_until_somebody_got_it() {
    for (name, stores, _dir) in every() {
        let answer = Answer {
            code: 200,
            headers: vec![("content-type".into(), b"application/json".to_vec())],
            body: "{}".into(),
        };
        let approvals = vec![approval(&hold("h", "d"))];
        let done = State::Done { approvals, audit_id: "a".into(), code: 200, at: now() };
        let expired = State::Expired { at: now(), approvals: vec![] };
        for (n, ended) in [done, expired].into_iter().enumerate() {
            let (digest, next) = (format!("d{n}"), |it: usize| format!("h{n}{it}"));
            let first = hold(&next(1), &digest);
            let id = first.id().clone();
            insert(&stores, insertion(first.clone())).await;
            let kept = stores.holds.keep_answer(&id, answer.clone(), Duration::from_secs(60)).await;
            kept.expect("kept");
            let given = stores.holds.answer(&id).await.expect("an answer");
            assert_eq!(given, Some(answer.clone()), "{name}");
            let ended = Hold::restore(first.summary().clone(), 0, now(), ended);
            stores.holds.change(ended, None, vec![]).await.expect("stored");
            let again = insert(&stores, insertion(hold(&next(2), &digest))).await;
            assert!(matches!(again, Inserted::Joined(_)), "{name}: nobody got the answer");
            stores.holds.delivered(&id);
            let again = insert(&stores, insertion(hold(&next(3), &digest))).await;
            assert_eq!(again, Inserted::New, "{name}: it is a new request");
        }
        let none = stores.holds.answer(&HoldId::parse("none")).await.expect("an answer");
        assert_eq!(none, None, "{name}");
    }
}

#[tokio::test]
async fn tells_of_each_change() {
    for (name, stores, _dir) in every() {
        let (mut holds, mut freezes) = (stores.holds.changes(), stores.freezes.changes());
        let first = hold("h1", "d1");
        insert(&stores, insertion(first.clone())).await;
        let denied = first.deny(no("bob")).expect("denied");
        stores.holds.change(denied, None, vec![]).await.expect("stored");
        for _ in 0..2 {
            let told = tokio::time::timeout(Duration::from_secs(5), holds.next()).await;
            assert_eq!(told, Ok(Some(HoldId::parse("h1"))), "{name}");
        }
        let freeze = Freeze {
            username: "agent".into(),
            by: by("alice"),
            reason: "runs wild".into(),
            at: now(),
        };
        let told = vec![entry("f", "", "freeze", "")];
        stores.freezes.freeze(freeze.clone(), told).await.expect("frozen");
        assert_eq!(stores.freezes.frozen("agent").await.expect("known"), Some(freeze.clone()));
        assert_eq!(stores.freezes.frozen("other").await.expect("known"), None, "{name}");
        assert_eq!(stores.freezes.all().await.expect("all"), [freeze], "{name}");
        assert!(stores.freezes.thaw("agent", vec![]).await.expect("thawed"), "{name}");
        assert!(!stores.freezes.thaw("agent", vec![]).await.expect("nothing"), "{name}");
        assert_eq!(stores.freezes.frozen("agent").await.expect("known"), None, "{name}");
        for _ in 0..2 {
            let told = tokio::time::timeout(Duration::from_secs(5), freezes.next()).await;
            assert_eq!(told, Ok(Some("agent".to_owned())), "{name}");
        }
    }
}

#[tokio::test]
async fn reads_and_writes_stand_in_one_order() {
    for (name, stores, _dir) in every() {
        let mut last = 0;
        for round in 0..3 {
            let batch = vec![
                entry(&format!("w{round}a"), "prod", "delete", "agent"),
                read(round, "agent"),
                entry(&format!("w{round}b"), "prod", "delete", "agent"),
                read(round + 10, "agent"),
            ];
            let positions = stores.ledger.append(batch).await.expect("appended");
            let mut sorted: Vec<u64> = positions.iter().map(|it| it.0).collect();
            sorted.sort_unstable();
            let want: Vec<u64> = (last + 1..=last + 4).collect();
            assert_eq!(sorted, want, "{name}: each position once, without a gap");
            assert!(positions[0] < positions[2], "{name}: writes stay in their order");
            assert!(positions[1] < positions[3], "{name}: and so do reads");
            last += 4;
        }
        let (mut all, mut before) = (Vec::new(), None);
        loop {
            let filter = Filter { limit: Some(5), before, ..Filter::default() };
            let page = stores.ledger.calls(filter).await.expect("calls");
            all.extend(page.items.into_iter().map(|it| it.audit_id));
            match page.next {
                Some(next) => before = Some(next),
                None => break,
            }
        }
        let distinct: std::collections::BTreeSet<&String> = all.iter().collect();
        assert_eq!((all.len(), distinct.len()), (12, 12), "{name}: each call once");
        let none = Filter { before: Some(Position(1)), ..Filter::default() };
        assert!(stores.ledger.calls(none).await.expect("calls").items.is_empty(), "{name}");
    }
}

#[tokio::test]
async fn finds_calls_by_what_they_are() {
    for (name, stores, _dir) in every() {
        let mut told = Entry::new(now(), "a1", Stage::Held);
        let (reviewer, reason, digest) = (None, String::new(), String::new());
        let event = HoldEvent::Created;
        let rules = Vec::new();
        told.hold = Some(HoldRecord { id: "h1".into(), event, reviewer, reason, digest, rules });
        let mut probe = entry("p1", "prod", "delete", "triage");
        probe.probe_of = Some("a1".into());
        let first = entry("a1", "prod", "delete", "triage");
        let second = entry("a2", "dev", "get", "reader");
        stores.ledger.append(vec![first, told, probe, second]).await.expect("appended");
        let all = Filter::default;
        let table = [
            (all(), vec!["a2", "a1"]),
            (Filter { probes: true, ..all() }, vec!["a2", "p1", "a1"]),
            (Filter { namespace: Some("prod".into()), ..all() }, vec!["a1"]),
            (Filter { hold: Some("h1".into()), ..all() }, vec!["a1"]),
            (Filter { writes_only: true, ..all() }, vec!["a1"]),
            (Filter { limit: Some(1), ..all() }, vec!["a2"]),
            (Filter { username: Some("reader".into()), ..all() }, vec!["a2"]),
            (Filter { verb: Some("delete".into()), ..all() }, vec!["a1"]),
            (Filter { action: Some(Action::Deny), ..all() }, vec![]),
            (Filter { audit_ids: vec!["a1".into(), "x".into()], ..all() }, vec!["a1"]),
            (Filter { until: Some(Timestamp::UNIX_EPOCH), ..all() }, vec![]),
        ];
        for (filter, want) in table {
            let found = stores.ledger.calls(filter.clone()).await.expect("calls").items;
            let found: Vec<_> = found.iter().map(|it| it.audit_id.as_str()).collect();
            assert_eq!(found, want, "{name}: {filter:?}");
        }
        assert!(stores.ledger.is_agent("reader").await.expect("known"), "{name}");
        assert!(!stores.ledger.is_agent("alice").await.expect("known"), "{name}");
        assert_eq!(stores.ledger.agents().await.expect("agents"), ["reader", "triage"], "{name}");
        let history = stores.ledger.history().await.expect("a history");
        let since = Timestamp::UNIX_EPOCH;
        assert_eq!((history.count(since).ok(), history.count_all().ok()), (Some(3), Some(4)));
        let mut seen = Vec::new();
        history.each(since, &mut |entry| seen.push(entry.audit_id)).expect("entries");
        assert_eq!(seen, ["a1", "a1", "a2"], "{name}: no probe");
    }
}

#[tokio::test]
async fn finds_calls_by_what_other_entries_of_them_tell() {
    for (name, stores, _dir) in every() {
        let request = |id: &str, verb: &str, object: &str| {
            let mut entry = entry(id, "prod", verb, "triage");
            if let Some(request) = entry.request.as_mut() {
                (request.resource, request.api_group) = ("deployments".into(), "apps".into());
                request.name = object.into();
            }
            entry
        };
        let step = |call: &str, hold: &str, event, by_whom: Option<&str>| Entry {
            hold: Some(HoldRecord { reviewer: by_whom.map(by), ..HoldRecord::step(hold, event) }),
            ..Entry::new(now(), call, Stage::Held)
        };
        let act = |id: &str, agent: &str| Entry {
            user: None,
            decision: None,
            act: Some(ActRecord { reviewer: by("chief"), reason: "wild".into() }),
            request: Some(RequestRecord {
                verb: "freeze".into(),
                api_group: ACTS.0.into(),
                resource: ACTS.1.into(),
                name: agent.into(),
                ..RequestRecord::default()
            }),
            ..Entry::new(now(), id, Stage::ResponseComplete)
        };
        // An agent's own object of that kind tells nothing of another agent.
        let mut forged = request("forged", "create", "triage");
        if let Some(request) = forged.request.as_mut() {
            (request.resource, request.api_group) = (ACTS.1.into(), ACTS.0.into());
            request.method = "POST".into();
        }
        forged.user = Some(by("other"));
        let mut shadowed = request("shadowed", "update", "db");
        shadowed.decision = Some(DecisionRecord {
            shadow: vec![ShadowRecord {
                rule: "new".into(),
                action: Action::Hold,
                reason: String::new(),
                exception: String::new(),
            }],
            ..DecisionRecord::of(Action::Allow, "")
        });
        shadowed.user = Some(by("other"));
        let made = Entry {
            made: Some("web-x7k".into()),
            ..Entry::new(now(), "made", Stage::ResponseComplete)
        };
        let entries = vec![
            request("held", "delete", "web"),
            step("held", "h1", HoldEvent::Created, None),
            request("joined", "delete", "web"),
            step("joined", "h1", HoldEvent::Joined, None),
            step("held", "h1", HoldEvent::Denied, Some("alice")),
            request("ran", "patch", "web"),
            step("ran", "h2", HoldEvent::Created, None),
            step("ran", "h2", HoldEvent::Approved, Some("bob")),
            request("made", "create", ""),
            made,
            act("frozen", "triage"),
            forged,
            shadowed,
        ];
        stores.ledger.append(entries).await.expect("appended");
        let text = |it: &str| Some(it.to_owned());
        let all = Filter::default;
        let table = [
            (Filter { denied: true, ..all() }, vec!["held", "joined"]),
            (Filter { reviewer: text("alice"), ..all() }, vec!["held"]),
            (Filter { reviewer: text("chief"), ..all() }, vec!["frozen"]),
            (Filter { object: text("web-x7k"), ..all() }, vec!["made"]),
            (Filter { object: text("web-x7k"), agent: text("triage"), ..all() }, vec!["made"]),
            (Filter { object: text("web-x7k"), agent: text("other"), ..all() }, vec![]),
            (Filter { name: text("web-x7k"), resource: text("deployments"), ..all() }, vec![]),
            (Filter { object: text("web"), ..all() }, vec!["held", "joined", "ran"]),
            (
                Filter { agent: text("triage"), ..all() },
                vec!["frozen", "held", "joined", "made", "ran"],
            ),
            (Filter { username: text("triage"), ..all() }, vec!["held", "joined", "made", "ran"]),
            (Filter { api_group: text("apps"), verb: text("patch"), ..all() }, vec!["ran"]),
            (Filter { api_group: text(""), ..all() }, vec![]),
            (Filter { shadowed: true, ..all() }, vec!["shadowed"]),
            (Filter { subresource: text("scale"), ..all() }, vec![]),
        ];
        for (filter, want) in table {
            let mut found = ids_of_calls(&stores, &filter).await;
            found.sort();
            assert_eq!(found, want, "{name}: {filter:?}");
        }
        let call = Filter { audit_ids: vec!["made".into()], ..all() };
        let call = stores.ledger.calls(call).await.expect("calls").items.pop().expect("a call");
        assert_eq!(call.made.as_deref(), Some("web-x7k"), "{name}");
    }
}

async fn ids_of_calls(stores: &Stores, filter: &Filter) -> Vec<String> {
    let page = stores.ledger.calls(filter.clone()).await.expect("calls");
    page.items.into_iter().map(|it| it.audit_id).collect()
}

#[tokio::test]
async fn a_probe_whose_call_stands_nowhere_is_shown() {
    for (name, stores, _dir) in every() {
        let probe = |id: &str, of: &str, verb: &str| Entry {
            probe_of: Some(of.into()),
            decision: None,
            ..entry(id, "prod", verb, "triage")
        };
        let entries = vec![
            entry("a1", "prod", "delete", "triage"),
            probe("p1", "a1", "delete"),
            probe("p2", "gone", "delete"),
            probe("p3", "gone", "get"),
        ];
        stores.ledger.append(entries).await.expect("appended");
        let all = Filter::default();
        assert_eq!(ids_of_calls(&stores, &all).await, ["p3", "p2", "a1"], "{name}");
        let writes = Filter { writes_only: true, ..all };
        assert_eq!(ids_of_calls(&stores, &writes).await, ["p2", "a1"], "{name}");
    }
}

#[tokio::test]
async fn what_only_asks_is_no_write() {
    for (name, stores, _dir) in every() {
        let call = |id: &str, group: &str, resource: &str, dry_run: bool, action: Action| {
            let mut entry = entry(id, "", "create", "triage");
            entry.decision = Some(DecisionRecord::of(action, ""));
            let request = entry.request.as_mut().expect("a request");
            (request.api_group, request.resource) = (group.into(), resource.into());
            request.dry_run = dry_run;
            entry
        };
        let reviews = "authorization.k8s.io";
        let entries = vec![
            call("review", reviews, "selfsubjectaccessreviews", false, Action::Allow),
            call("token", "authentication.k8s.io", "tokenreviews", false, Action::Allow),
            call("rules", reviews, "selfsubjectrulesreviews", false, Action::Refuse),
            call("dry", "apps", "deployments", true, Action::Allow),
            call("dry and refused", "apps", "deployments", true, Action::Refuse),
            // Somebody took these for more than a question.
            call("dry and held", "example.com", "widgets", true, Action::Hold),
            call("denied", reviews, "subjectaccessreviews", false, Action::Deny),
            // The name alone proves nothing.
            call("another's", "example.com", "subjectaccessreviews", false, Action::Allow),
            call("write", "apps", "deployments", false, Action::Allow),
        ];
        stores.ledger.append(entries).await.expect("appended");
        let writes = Filter { writes_only: true, ..Filter::default() };
        let want = ["write", "another's", "denied", "dry and held"];
        assert_eq!(ids_of_calls(&stores, &writes).await, want, "{name}");
    }
}

#[tokio::test]
async fn what_is_about_every_namespace_is_about_each() {
    for (name, stores, _dir) in every() {
        let call = |verb: &str, group: &str, resource: &str| {
            let mut entry = read(0, "triage");
            let request = entry.request.as_mut().expect("a request");
            (request.namespace, request.name) = (String::new(), String::new());
            (request.verb, request.api_group) = (verb.into(), group.into());
            request.resource = resource.into();
            entry
        };
        let mut entries = vec![
            call("list", "", "secrets"),
            call("list", "example.com", "widgets"),
            call("watch", "apps", "deployments"),
            call("deletecollection", "", "pods"),
            call("list", "", "nodes"),
            call("list", "", "namespaces"),
            call("get", "", "secrets"),
        ];
        let want: Vec<String> = entries.iter().take(4).map(|it| it.audit_id.clone()).collect();
        let there = read(1, "triage");
        entries.push(there.clone());
        stores.ledger.append(entries).await.expect("appended");
        let sorted = |mut ids: Vec<String>| {
            ids.sort();
            ids
        };
        let of =
            |namespace: &str| Filter { namespace: Some(namespace.into()), ..Filter::default() };
        let found = ids_of_calls(&stores, &of("dev")).await;
        assert_eq!(sorted(found), sorted(want.clone()), "{name}");
        let found = ids_of_calls(&stores, &of("prod")).await;
        assert_eq!(sorted(found), sorted([want, vec![there.audit_id]].concat()), "{name}");
    }
}

#[tokio::test]
async fn facts_go_and_entries_stay() {
    for (name, stores, _dir) in every() {
        let facts = r#"{"version": 1, "at": "2026-01-01T00:00:00Z", "looked": true}"#;
        let mut judged = entry("a", "prod", "delete", "agent");
        judged.facts = Facts::Recorded(serde_json::from_str(facts).expect("facts"));
        stores.ledger.append(vec![judged.clone()]).await.expect("appended");
        let facts_now = || async {
            let history = stores.ledger.history().await.expect("a history");
            let mut seen = Vec::new();
            history.each(Timestamp::UNIX_EPOCH, &mut |it| seen.push(it.facts)).expect("entries");
            seen
        };
        let day_ago = now() - SignedDuration::from_hours(24);
        assert!(!stores.ledger.drop_facts(day_ago).await.expect("nothing"), "{name}");
        assert_eq!(facts_now().await, [judged.facts], "{name}");
        while stores.ledger.drop_facts(later()).await.expect("dropped") {}
        assert_eq!(facts_now().await, [Facts::None], "{name}");
    }
}

#[tokio::test]
async fn remembers_for_a_time() {
    for (name, stores, _dir) in every() {
        let memory = &stores.memory;
        let owner = ObjectRef { name: "rs".into(), ..ObjectRef::default() };
        assert!(
            memory.pod_goes(&owner, "u1", "1", now()).await.expect("known").calls.is_empty(),
            "{name}"
        );
        assert_eq!(
            memory.pod_goes(&owner, "u2", "2", now()).await.expect("known").calls,
            ["1"],
            "{name}"
        );
        memory.pod_stays("1").await.expect("stays");
        assert_eq!(
            memory.pod_goes(&owner, "u3", "3", now()).await.expect("known").calls,
            ["2"],
            "{name}"
        );
        assert_eq!(memory.namespace("prod").await.expect("known"), None, "{name}");
        let class = NamespaceClass::cluster_scoped();
        memory.saw_namespace("prod", class.clone());
        assert_eq!(memory.namespace("prod").await.expect("known"), Some(class), "{name}");
        assert!(memory.window("agent", now()).await.expect("known").is_empty(), "{name}");
    }
}

/// What a second replica on the same store sees of the first.
#[tokio::test]
async fn replicas_share_everything_and_take_over_from_the_dead() {
    let one = Shared::with_lease(Duration::from_millis(300));
    let two = one.replica().stores();
    let one = one.stores();
    let first = hold("h1", "d1");
    assert_eq!(insert(&one, insertion(first.clone())).await, Inserted::New);
    let joined = insert(&two, insertion(hold("h2", "d1"))).await;
    assert!(matches!(joined, Inserted::Joined(_)), "{joined:?}");
    let waiting = two.holds.waiting(&[first.id().clone()]).await.expect("a count");
    assert_eq!(waiting, [2]);

    // Running at one: the other leaves it alone while its lease is renewed.
    let running = Hold::restore(
        first.summary().clone(),
        0,
        now(),
        hold::State::Running {
            approvals: vec![approval(&first)],
            audit_id: "a".into(),
            since: now(),
        },
    );
    one.holds.change(running, None, vec![]).await.expect("stored");
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        one.holds.renew().await.expect("renewed");
        assert!(two.holds.take_over().await.expect("none").is_empty());
    }
    assert!(one.holds.take_over().await.expect("none").is_empty(), "its own is not abandoned");
    tokio::time::sleep(Duration::from_millis(400)).await;
    let taken = two.holds.take_over().await.expect("one");
    assert_eq!(taken.len(), 1);
    assert!(two.holds.take_over().await.expect("none").is_empty(), "once");
}

/// A process that ends in the middle of a send leaves it to the next one on the same directory.
#[tokio::test]
async fn the_next_process_takes_over_what_was_running() {
    let dir = tempfile::tempdir().expect("a directory");
    let stores = store::open(dir.path()).expect("a store");
    let first = hold("h1", "d1");
    insert(&stores, insertion(first.clone())).await;
    let approvals = vec![approval(&first)];
    let state = hold::State::Running { approvals, audit_id: "a".into(), since: now() };
    let running = Hold::restore(first.summary().clone(), 0, now(), state);
    stores.holds.change(running, None, vec![]).await.expect("stored");
    assert!(stores.holds.take_over().await.expect("none").is_empty(), "it is this process's own");
    drop(stores);
    let stores = store::open(dir.path()).expect("the lock went with the store");
    let taken = stores.holds.take_over().await.expect("one");
    assert_eq!(taken.iter().map(|it| it.id().as_str()).collect::<Vec<_>>(), ["h1"]);
    let lost = taken[0].clone().lose("it stopped".into(), now()).expect("it was running");
    stores.holds.change(lost, None, vec![]).await.expect("stored");
}
