//! A store in memory that several proxies share in one process: what replicas on one database see.
//!
//! Nothing outlives the process. [`Shared::replica`] is another proxy on the same store.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    future::ready,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use hold::{
    Answer, Feed, Freeze, Freezes, Hold, HoldCursor, HoldFilter, HoldId, Holds, Inserted,
    Insertion, Preview, Shown, State, StateName,
};
use jiff::Timestamp;
use ledger::{
    Call, Entry, Facts, Filter, History, HoldEvent, Identity, Ledger, Page, Position, StoreError,
    Task, calls as joined,
};
use memory::Memory;

use crate::{Stores, live::Live, matching::matches};

const HOLDS_MAX: usize = 1_000;
const CALLS_MAX: usize = 10_000;
/// A replica that did not renew for so long is dead.
const LEASE: Duration = Duration::from_secs(15);

/// One replica's handle on a store in memory.
pub struct Shared {
    world: Arc<World>,
    replica: u64,
}

struct World {
    kept: Mutex<Kept>,
    live: Live,
    memory: Arc<dyn Memory>,
    replicas: AtomicU64,
    lease: Duration,
}

#[derive(Default)]
struct Kept {
    holds: BTreeMap<HoldId, KeptHold>,
    freezes: BTreeMap<String, Freeze>,
    /// In their order; an entry's position is its place, from 1 on.
    entries: Vec<Entry>,
    agents: BTreeSet<String>,
}

struct KeptHold {
    hold: Hold,
    shown: Shown,
    /// The replica that runs it, and until when it is believed to.
    lease: Option<(u64, Instant)>,
}

impl Default for Shared {
    fn default() -> Self {
        Self::with_lease(LEASE)
    }
}

impl Shared {
    /// An empty store, on which a replica that does not renew for so long is dead.
    pub fn with_lease(lease: Duration) -> Self {
        let world = World {
            kept: Mutex::default(),
            live: Live::default(),
            memory: Arc::new(memory::InProcess::default()),
            replicas: AtomicU64::new(1),
            lease,
        };
        Self { world: Arc::new(world), replica: 0 }
    }

    /// Another replica on the same store.
    #[must_use]
    pub fn replica(&self) -> Self {
        let replica = self.world.replicas.fetch_add(1, Ordering::Relaxed);
        Self { world: Arc::clone(&self.world), replica }
    }

    /// The store by each of its sides.
    pub fn stores(self) -> Stores {
        let memory = Arc::clone(&self.world.memory);
        let store = Arc::new(self);
        Stores {
            holds: Arc::clone(&store) as Arc<dyn Holds>,
            freezes: Arc::clone(&store) as Arc<dyn Freezes>,
            ledger: store,
            memory,
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.world.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn live(&self) -> &Live {
        &self.world.live
    }

    fn lease(&self) -> (u64, Instant) {
        let now = Instant::now();
        (self.replica, now.checked_add(self.world.lease).unwrap_or(now))
    }

    fn insert_or_join_now(&self, insertion: &Insertion) -> Result<Inserted, StoreError> {
        let mut kept = self.kept();
        let live = self.live();
        let of = insertion.hold.summary();
        let joined = kept
            .newest(|it| it.summary().request_digest == of.request_digest)
            .find(|it| insertion.joins(it, live.waiting(it.id()), live.is_undelivered(it.id())));
        if let Some(hold) = joined {
            live.enter(hold.id());
            return Ok(Inserted::Joined(Box::new(hold.clone())));
        }
        let is_own = |it: &Hold| it.summary().user.username == of.user.username;
        let since = insertion.denied_since();
        let is_denied = |it: &Hold| is_own(it) && it.denial().is_some() && it.changed_at() >= since;
        let denied = kept.newest(is_denied).cloned().collect();
        let asked = |it: &Hold| {
            let shown = kept.holds.get(it.id()).map(|kept| kept.shown.preview.asked.clone());
            Ok::<_, StoreError>(shown.unwrap_or_default())
        };
        if let Some(denied) = insertion.denied_by(denied, asked)? {
            return Ok(denied);
        }
        let is_open = |it: &Hold| {
            is_own(it) && !it.state().is_settled() && it.due().is_none_or(|due| of.created_at < due)
        };
        if kept.newest(is_open).count() >= insertion.open_max {
            return Ok(Inserted::TooMany);
        }
        let Insertion { hold, shown, entries, .. } = insertion.clone();
        let id = hold.id().clone();
        if kept.holds.contains_key(&id) {
            return Err(StoreError::Conflict);
        }
        kept.append(entries);
        kept.holds.insert(id.clone(), KeptHold { hold, shown, lease: None });
        live.enter(&id);
        live.tell_hold(&id);
        Ok(Inserted::New)
    }

    fn change_now(
        &self,
        hold: Hold,
        preview: Option<Preview>,
        entries: Vec<Entry>,
    ) -> Result<Hold, StoreError> {
        let mut kept = self.kept();
        let lease = matches!(hold.state(), State::Running { .. }).then(|| self.lease());
        let Some(found) = kept.holds.get_mut(hold.id()) else { return Err(StoreError::Conflict) };
        if found.hold.revision() != hold.revision() {
            return Err(StoreError::Conflict);
        }
        let stored = hold.stored();
        (found.hold, found.lease) = (stored.clone(), lease);
        if let Some(preview) = preview {
            found.shown.preview = preview;
        }
        kept.append(entries);
        self.live().tell_hold(stored.id());
        Ok(stored)
    }

    fn take_over_now(&self) -> Vec<Hold> {
        let (now, lease) = (Instant::now(), self.lease());
        let mut taken = Vec::new();
        for kept in self.kept().holds.values_mut() {
            let is_dead = |(owner, until): (u64, Instant)| owner != self.replica && until <= now;
            let is_running = kept.hold.state().name() == StateName::Running;
            if is_running && kept.lease.is_none_or(is_dead) {
                kept.lease = Some(lease);
                taken.push(kept.hold.clone());
            }
        }
        taken
    }
}

impl Kept {
    /// Holds that match, newest first.
    fn newest(&self, matches: impl Fn(&Hold) -> bool) -> std::vec::IntoIter<&Hold> {
        let mut found: Vec<&Hold> =
            self.holds.values().map(|it| &it.hold).filter(|it| matches(it)).collect();
        let newer = |a: &&Hold, b: &&Hold| {
            (b.summary().created_at, b.id()).cmp(&(a.summary().created_at, a.id()))
        };
        found.sort_by(newer);
        found.into_iter()
    }

    fn append(&mut self, entries: Vec<Entry>) -> Vec<Position> {
        let mut positions = Vec::with_capacity(entries.len());
        for mut entry in entries {
            if entry.facts == Facts::Unreadable {
                entry.facts = Facts::None;
            }
            if let Some(username) = entry.agent().filter(|it| *it != attributes::ANONYMOUS) {
                self.agents.insert(username.to_owned());
            }
            self.entries.push(entry);
            positions.push(Position(self.entries.len() as u64));
        }
        positions
    }

    fn calls(&self, filter: &Filter) -> Page<Call, Position> {
        let others = self.others(filter);
        let alone = Filter { object: None, ..filter.clone() };
        let told: BTreeSet<&str> = self.entries.iter().map(|it| it.audit_id.as_str()).collect();
        let mut last: HashMap<&str, u64> = HashMap::new();
        for (position, entry) in (1_u64..).zip(&self.entries) {
            let is_orphan = entry.probe_of.as_deref().is_some_and(|of| !told.contains(of));
            let is_told = others.iter().all(|ids| ids.contains(entry.audit_id.as_str()));
            if matches(entry, &alone, is_orphan) && is_told {
                last.insert(&entry.audit_id, position);
            }
        }
        let before = filter.before.map_or(u64::MAX, |it| it.0);
        let mut found: Vec<(u64, &str)> =
            last.into_iter().map(|(id, last)| (last, id)).filter(|it| it.0 < before).collect();
        found.sort_by_key(|it| std::cmp::Reverse(it.0));
        let limit = filter.limit.unwrap_or(CALLS_MAX).min(CALLS_MAX);
        let is_more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| is_more).map(|it| Position(it.0));
        let chosen: BTreeSet<&str> = found.into_iter().map(|(_, id)| id).collect();
        let entries = self.entries.iter().filter(|it| chosen.contains(it.audit_id.as_str()));
        let mut items = joined(entries.cloned());
        items.reverse();
        Page { items, next }
    }

    /// What a filter asks that stands in other entries of a call than its request: the calls of which each
    /// of these is so.
    fn others(&self, filter: &Filter) -> Vec<BTreeSet<&str>> {
        let calls = |is: &dyn Fn(&Entry) -> bool| -> BTreeSet<&str> {
            self.entries.iter().filter(|it| is(it)).map(|it| it.audit_id.as_str()).collect()
        };
        let hold = |it: &Entry| it.hold.as_ref().map(|hold| hold.id.clone());
        let mut sets = Vec::new();
        if let Some(id) = &filter.hold {
            sets.push(calls(&|it| hold(it).as_ref() == Some(id)));
        }
        if let Some(name) = &filter.object {
            let is_named = |it: &Entry| it.request.as_ref().is_some_and(|it| it.name == *name);
            sets.push(calls(&|it| is_named(it) || it.made.as_ref() == Some(name)));
        }
        if let Some(name) = &filter.reviewer {
            let of_hold = |it: &Entry| it.hold.as_ref()?.reviewer.clone();
            let of_act = |it: &Entry| Some(it.act.as_ref()?.reviewer.clone());
            let is_by = |it: Option<Identity>| it.is_some_and(|it| it.username == *name);
            sets.push(calls(&|it| is_by(of_hold(it)) || is_by(of_act(it))));
        }
        if filter.denied {
            let denies =
                |it: &&Entry| it.hold.as_ref().is_some_and(|it| it.event == HoldEvent::Denied);
            let denied: BTreeSet<String> =
                self.entries.iter().filter(denies).filter_map(hold).collect();
            let by_policy = |it: &Entry| {
                it.decision.as_ref().is_some_and(|it| it.action == ledger::Action::Deny)
            };
            sets.push(calls(&|it| {
                by_policy(it) || hold(it).is_some_and(|it| denied.contains(&it))
            }));
        }
        sets
    }
}

fn done<'a, T: Send + 'a>(value: T) -> Task<'a, Result<T, StoreError>> {
    Box::pin(ready(Ok(value)))
}

impl Holds for Shared {
    fn insert_or_join(&self, insertion: Arc<Insertion>) -> Task<'_, Result<Inserted, StoreError>> {
        Box::pin(async move { self.insert_or_join_now(&insertion) })
    }

    fn load(&self, id: &HoldId) -> Task<'_, Result<Option<Hold>, StoreError>> {
        done(self.kept().holds.get(id).map(|it| it.hold.clone()))
    }

    fn shown(&self, id: &HoldId) -> Task<'_, Result<Option<Shown>, StoreError>> {
        done(self.kept().holds.get(id).map(|it| it.shown.clone()))
    }

    fn change(
        &self,
        hold: Hold,
        preview: Option<Preview>,
        entries: Vec<Entry>,
    ) -> Task<'_, Result<Hold, StoreError>> {
        Box::pin(async move { self.change_now(hold, preview, entries) })
    }

    fn list(
        &self,
        filter: HoldFilter,
        after: Option<HoldCursor>,
    ) -> Task<'_, Result<Page<Hold, HoldCursor>, StoreError>> {
        let is = |want: &Option<String>, of: &str| want.as_deref().is_none_or(|it| it == of);
        let matches = |hold: &Hold| {
            let of = hold.summary();
            let is_behind = |it: &HoldCursor| (of.created_at, &of.id) < (it.created_at, &it.id);
            (filter.states.is_empty() || filter.states.contains(&hold.state().name()))
                && filter.id_begins.as_ref().is_none_or(|it| of.id.as_str().starts_with(it))
                && is(&filter.request_digest, &of.request_digest)
                && is(&filter.username, &of.user.username)
                && is(&filter.namespace, &of.request.namespace)
                && filter.changed_since.is_none_or(|since| hold.changed_at() >= since)
                && after.as_ref().is_none_or(is_behind)
        };
        let limit = filter.limit.unwrap_or(HOLDS_MAX).min(HOLDS_MAX);
        let kept = self.kept();
        let mut found = kept.newest(matches);
        let items: Vec<Hold> = found.by_ref().take(limit).cloned().collect();
        let next = items.last().filter(|_| found.next().is_some()).map(HoldCursor::from);
        done(Page { items, next })
    }

    fn due(&self, now: Timestamp) -> Task<'_, Result<Vec<Hold>, StoreError>> {
        let kept = self.kept();
        let is_due = |it: &Hold| it.due().is_some_and(|due| due <= now);
        let mut due: Vec<Hold> = kept.newest(is_due).cloned().collect();
        due.sort_by_key(Hold::due);
        due.truncate(HOLDS_MAX);
        done(due)
    }

    fn renew(&self) -> Task<'_, Result<(), StoreError>> {
        let lease = self.lease();
        for kept in self.kept().holds.values_mut() {
            if kept.lease.is_some_and(|(owner, _)| owner == self.replica) {
                kept.lease = Some(lease);
            }
        }
        self.live().forget();
        done(())
    }

    fn take_over(&self) -> Task<'_, Result<Vec<Hold>, StoreError>> {
        done(self.take_over_now())
    }

    fn changes(&self) -> Box<dyn Feed<HoldId>> {
        self.live().hold_feed()
    }

    fn leave(&self, id: &HoldId) {
        self.live().leave(id);
    }

    fn waiting(&self, ids: &[HoldId]) -> Task<'_, Result<Vec<usize>, StoreError>> {
        done(ids.iter().map(|id| self.live().waiting(id)).collect())
    }

    fn keep_answer(
        &self,
        id: &HoldId,
        answer: Answer,
        time: Duration,
    ) -> Task<'_, Result<(), StoreError>> {
        self.live().keep_answer(id, answer, time);
        done(())
    }

    fn answer(&self, id: &HoldId) -> Task<'_, Result<Option<Answer>, StoreError>> {
        done(self.live().answer(id))
    }

    fn delivered(&self, id: &HoldId) {
        self.live().delivered(id);
    }
}

impl Freezes for Shared {
    fn freeze(&self, freeze: Freeze, entries: Vec<Entry>) -> Task<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let username = freeze.username.clone();
            let mut kept = self.kept();
            kept.append(entries);
            kept.freezes.insert(username.clone(), freeze);
            drop(kept);
            self.live().tell_freeze(&username);
            Ok(())
        })
    }

    fn thaw(&self, username: &str, entries: Vec<Entry>) -> Task<'_, Result<bool, StoreError>> {
        let username = username.to_owned();
        Box::pin(async move {
            let mut kept = self.kept();
            let was_frozen = kept.freezes.remove(&username).is_some();
            if was_frozen {
                kept.append(entries);
            }
            drop(kept);
            self.live().tell_freeze(&username);
            Ok(was_frozen)
        })
    }

    fn frozen(&self, username: &str) -> Task<'_, Result<Option<Freeze>, StoreError>> {
        done(self.kept().freezes.get(username).cloned())
    }

    fn all(&self) -> Task<'_, Result<Vec<Freeze>, StoreError>> {
        done(self.kept().freezes.values().cloned().collect())
    }

    fn changes(&self) -> Box<dyn Feed<String>> {
        self.live().freeze_feed()
    }
}

impl Ledger for Shared {
    fn append(&self, entries: Vec<Entry>) -> Task<'_, Result<Vec<Position>, StoreError>> {
        Box::pin(async move { Ok(self.kept().append(entries)) })
    }

    fn calls(&self, filter: Filter) -> Task<'_, Result<Page<Call, Position>, StoreError>> {
        done(self.kept().calls(&filter))
    }

    fn history(&self) -> Task<'_, Result<Box<dyn History>, StoreError>> {
        let kept = self.kept();
        let agents = kept.agents.iter().cloned().collect();
        done(Box::new(Snapshot { entries: kept.entries.clone(), agents }) as Box<dyn History>)
    }

    fn drop_facts(&self, before: Timestamp) -> Task<'_, Result<bool, StoreError>> {
        let mut kept = self.kept();
        for entry in kept.entries.iter_mut().filter(|it| it.time < before) {
            entry.facts = Facts::None;
        }
        done(false)
    }

    fn is_agent(&self, username: &str) -> Task<'_, Result<bool, StoreError>> {
        done(self.kept().agents.contains(username))
    }

    fn agents(&self) -> Task<'_, Result<Vec<String>, StoreError>> {
        done(self.kept().agents.iter().cloned().collect())
    }

    fn clear_agent(
        &self,
        username: &str,
        entries: Vec<Entry>,
    ) -> Task<'_, Result<bool, StoreError>> {
        let mut kept = self.kept();
        let was_one = kept.agents.remove(username);
        if was_one {
            kept.append(entries);
        }
        done(was_one)
    }
}

/// What was appended until a moment.
struct Snapshot {
    entries: Vec<Entry>,
    agents: Vec<String>,
}

impl Snapshot {
    /// With the objects that stand in the facts of an earlier call; where these are gone, none.
    fn with_objects(&self, mut entry: Entry) -> Entry {
        let Facts::Recorded(facts) = &mut entry.facts else { return entry };
        let Some(audit_id) = &facts.objects_of else { return entry };
        let of = self.entries.iter().find_map(|it| match &it.facts {
            Facts::Recorded(of) if it.audit_id == *audit_id => Some(of),
            _ => None,
        });
        match of {
            Some(of) => {
                facts.objects.clone_from(&of.objects);
                (facts.extent, facts.over_budget) = (of.extent, of.over_budget);
            }
            None => entry.facts = Facts::None,
        }
        entry
    }

    fn since(&self, since: Timestamp) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |it| it.time >= since && it.probe_of.is_none())
    }
}

impl History for Snapshot {
    fn count(&self, since: Timestamp) -> Result<u64, StoreError> {
        Ok(self.since(since).count() as u64)
    }

    fn count_all(&self) -> Result<u64, StoreError> {
        Ok(self.entries.len() as u64)
    }

    fn agents(&self) -> Result<Vec<String>, StoreError> {
        Ok(self.agents.clone())
    }

    fn each(&self, since: Timestamp, show: &mut dyn FnMut(Entry)) -> Result<(), StoreError> {
        self.since(since).for_each(|entry| show(self.with_objects(entry.clone())));
        Ok(())
    }
}
