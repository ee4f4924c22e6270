//! Calls that nobody stands behind: refused heads, and calls without a known user.
//!
//! They cost their sender nothing, so they may cost the record next to nothing: of each address a few
//! are told of one by one, and the rest are counted in an entry now and then.

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};

use connections::client_of;
use jiff::Timestamp;
use ledger::{Action, DecisionRecord, Entry, Stage};
use parking_lot::Mutex;

/// Told of one by one at once, of one address, and of all; and then one more after so long.
const TOLD_OF_ADDRESS: Budget = Budget::of(32, Duration::from_secs(60));
const TOLD_OF_ALL: Budget = Budget::of(1_024, Duration::from_secs(1));
/// Calls at once, and then each after so long; whoever sends more loses the connection.
const CALLS_OF_ADDRESS: Budget = Budget::of(200, Duration::from_millis(20));
/// Calls that were counted make an entry when there are so many and a second has passed, or after a minute.
const COUNTED: u64 = 64;
const COUNTED_TIME: Duration = Duration::from_secs(1);
const COUNTED_TIME_MAX: Duration = Duration::from_secs(60);
/// Addresses that are told apart; those beyond are counted as one.
const ADDRESSES_MAX: usize = 4_096;
const OTHERS: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
/// Kinds of calls that one entry tells apart.
const KINDS_MAX: usize = 8;

/// So many at once, and one more each time that `refill` has passed.
#[derive(Clone, Copy, Debug)]
struct Budget {
    burst: u32,
    refill: Duration,
}

impl Budget {
    const fn of(burst: u32, refill: Duration) -> Self {
        Self { burst, refill }
    }
}

/// What is left of a budget: the moment at which all of it will be there again.
#[derive(Clone, Copy, Debug)]
struct Spent(Instant);

impl Spent {
    /// Whether there is something left now.
    fn has(self, budget: Budget, now: Instant) -> bool {
        let beside_one = budget.refill.saturating_mul(budget.burst.saturating_sub(1));
        self.0.saturating_duration_since(now) <= beside_one
    }

    /// Takes one, where there is one.
    fn take(&mut self, budget: Budget, now: Instant) -> bool {
        let has = self.has(budget, now);
        if has {
            let from = self.0.max(now);
            self.0 = from.checked_add(budget.refill).unwrap_or(from);
        }
        has
    }
}

/// Counts what nobody stands behind, by address.
pub(crate) struct Nobodies(Mutex<State>);

struct State {
    told: Spent,
    by_address: HashMap<IpAddr, OfAddress>,
}

struct OfAddress {
    told: Spent,
    calls: Spent,
    counted: Option<Counted>,
}

/// Calls that no entry tells of yet.
struct Counted {
    since: Instant,
    first: Timestamp,
    last: Timestamp,
    calls: u64,
    kinds: BTreeMap<String, u64>,
}

impl Default for Nobodies {
    fn default() -> Self {
        let told = Spent(Instant::now());
        Self(Mutex::new(State { told, by_address: HashMap::new() }))
    }
}

impl Nobodies {
    /// Gives a call's entry back where it is to be recorded by itself; otherwise it is counted.
    pub(crate) fn tell(&self, entry: Entry, now: Instant) -> Option<Entry> {
        let address = address_of(&entry);
        let mut state = self.0.lock();
        let State { told, by_address } = &mut *state;
        let of = entry_of(by_address, address, now);
        of.calls.take(CALLS_OF_ADDRESS, now);
        if of.told.has(TOLD_OF_ADDRESS, now) && told.take(TOLD_OF_ALL, now) {
            of.told.take(TOLD_OF_ADDRESS, now);
            return Some(entry);
        }
        let counted = of.counted.get_or_insert_with(|| Counted::new(now, entry.time));
        counted.add(&entry);
        None
    }

    /// Whether an address sends more of these than it may.
    pub(crate) fn is_flooding(&self, address: IpAddr, now: Instant) -> bool {
        let state = self.0.lock();
        let of = state.by_address.get(&client_of(address));
        of.is_some_and(|of| !of.calls.has(CALLS_OF_ADDRESS, now))
    }

    /// Entries of what was counted and has waited long enough, or of all that was.
    pub(crate) fn due(&self, now: Instant, all: bool) -> Vec<Entry> {
        let mut state = self.0.lock();
        let mut due = Vec::new();
        for (address, of) in &mut state.by_address {
            if of.counted.as_ref().is_some_and(|it| all || it.is_due(now)) {
                due.extend(of.counted.take().map(|it| it.entry(*address)));
            }
        }
        due
    }
}

/// The counts of an address; those of another that nothing is left to say of make room.
fn entry_of(
    by_address: &mut HashMap<IpAddr, OfAddress>,
    address: IpAddr,
    now: Instant,
) -> &mut OfAddress {
    if by_address.len() >= ADDRESSES_MAX && !by_address.contains_key(&address) {
        by_address.retain(|_, of| of.counted.is_some() || of.told.0 > now);
    }
    let is_full = by_address.len() >= ADDRESSES_MAX && !by_address.contains_key(&address);
    let (told, calls) = (Spent(now), Spent(now));
    by_address.entry(if is_full { OTHERS } else { address }).or_insert(OfAddress {
        told,
        calls,
        counted: None,
    })
}

impl Counted {
    fn new(since: Instant, first: Timestamp) -> Self {
        Self { since, first, last: first, calls: 0, kinds: BTreeMap::new() }
    }

    fn add(&mut self, entry: &Entry) {
        self.calls = self.calls.saturating_add(1);
        self.last = entry.time;
        let mut kind = kind_of(entry);
        if self.kinds.len() >= KINDS_MAX && !self.kinds.contains_key(&kind) {
            "other".clone_into(&mut kind);
        }
        let count = self.kinds.entry(kind).or_default();
        *count = count.saturating_add(1);
    }

    fn is_due(&self, now: Instant) -> bool {
        let waited = now.saturating_duration_since(self.since);
        waited >= COUNTED_TIME_MAX || (self.calls >= COUNTED && waited >= COUNTED_TIME)
    }

    fn entry(self, address: IpAddr) -> Entry {
        let from =
            if address == OTHERS { "many addresses".to_owned() } else { address.to_string() };
        let kinds: Vec<String> =
            self.kinds.iter().map(|(kind, count)| format!("{count} of {kind}")).collect();
        let note = format!(
            "{} calls from {from} in {}, each refused or without a known user, are not recorded one by one: {}",
            self.calls,
            span(self.first, self.last),
            kinds.join(", ")
        );
        let id = uuid::Uuid::now_v7().to_string();
        Entry {
            decision: Some(DecisionRecord::of(Action::Refuse, "")),
            note: Some(note),
            ..Entry::new(self.last, id, Stage::ResponseComplete)
        }
    }
}

/// `12 s from 2026-01-31T08:00:00Z on`.
pub(crate) fn span(first: Timestamp, last: Timestamp) -> String {
    let seconds = last.duration_since(first).as_secs().saturating_add(1);
    format!("{seconds} s from {} on", first.strftime("%FT%TZ"))
}

/// What is asked and how it was answered, in few words that its sender did not choose.
fn kind_of(entry: &Entry) -> String {
    let method = entry.request.as_ref().map_or("", |it| it.method.as_str());
    let method = match method {
        "GET" | "HEAD" | "OPTIONS" | "POST" | "PUT" | "PATCH" | "DELETE" => method,
        _ => "another method",
    };
    let probe = if entry.probe_of.is_some() { "a probe for " } else { "" };
    let code = entry.response.as_ref().map_or(0, |it| it.code);
    format!("{probe}{method} {code}")
}

fn address_of(entry: &Entry) -> IpAddr {
    let address = entry.request.as_ref().and_then(|it| it.source_ip.parse().ok());
    address.map_or(OTHERS, client_of)
}

#[cfg(test)]
mod tests {
    use ledger::{Outcome, RequestRecord, ResponseRecord};

    use super::*;

    fn call(address: &str) -> Entry {
        let mut entry = Entry::new(Timestamp::UNIX_EPOCH, "a", Stage::ResponseComplete);
        entry.request = Some(RequestRecord {
            method: "DELETE".into(),
            source_ip: address.into(),
            ..RequestRecord::default()
        });
        let outcome = Outcome::Refused;
        entry.response =
            Some(ResponseRecord { code: 400, outcome, latency_micros: 0, bytes: 0, object: None });
        entry
    }

    #[test]
    fn tells_of_a_few_and_counts_the_rest() {
        let (nobodies, now) = (Nobodies::default(), Instant::now());
        let told = (0..1_000).filter_map(|_| nobodies.tell(call("10.0.0.1"), now)).count();
        assert_eq!(told, 32);
        assert!(nobodies.is_flooding("10.0.0.1".parse().expect("an address"), now));
        assert!(nobodies.tell(call("10.0.0.2"), now).is_some(), "another address");
        assert!(!nobodies.is_flooding("10.0.0.2".parse().expect("an address"), now));
        assert!(nobodies.due(now, false).is_empty(), "a moment later there may be more");
        let due = nobodies.due(now + COUNTED_TIME, false);
        let [entry] = due.as_slice() else { panic!("{due:?}") };
        let note = entry.note.as_deref().unwrap_or_default();
        assert!(note.starts_with("968 calls from 10.0.0.1 in 1 s"), "{note}");
        assert!(note.ends_with("968 of DELETE 400"), "{note}");
        assert!(nobodies.due(now + COUNTED_TIME_MAX, true).is_empty(), "told of once");
        let later = now + Duration::from_secs(61);
        assert!(nobodies.tell(call("10.0.0.1"), later).is_some(), "one more after a minute");
        assert!(nobodies.tell(call("10.0.0.1"), later).is_none());
        assert!(nobodies.due(later, false).is_empty());
        assert_eq!(nobodies.due(later + COUNTED_TIME_MAX, false).len(), 1);
    }

    #[test]
    fn many_addresses_are_bounded_together() {
        let (nobodies, now) = (Nobodies::default(), Instant::now());
        let many = 3 * ADDRESSES_MAX;
        let hosts = 0..u32::try_from(many).expect("a number");
        let addresses = hosts.map(|n| Ipv4Addr::from_bits(0x0a00_0000 + n).to_string());
        let told = addresses.filter_map(|it| nobodies.tell(call(&it), now)).count();
        assert_eq!(told, 1_024);
        assert!(nobodies.0.lock().by_address.len() <= ADDRESSES_MAX + 1);
        let notes: Vec<_> = nobodies.due(now, true).into_iter().filter_map(|it| it.note).collect();
        assert!(notes.iter().any(|it| it.contains("from many addresses")), "{}", notes.len());
        let calls = |note: &String| note.split(' ').next().and_then(|it| it.parse::<usize>().ok());
        assert_eq!(notes.iter().filter_map(calls).sum::<usize>() + told, many, "each is counted");
    }

    #[test]
    fn words_of_the_sender_are_not_repeated() {
        let (nobodies, now) = (Nobodies::default(), Instant::now());
        for n in 0..100 {
            let mut entry = call("10.0.0.1");
            let request = entry.request.as_mut().expect("a request");
            (request.method, request.request_uri) = (format!("X{n}"), "x".repeat(2_000));
            nobodies.tell(entry, now);
        }
        let due = nobodies.due(now, true);
        let note = due[0].note.as_deref().unwrap_or_default();
        assert!(note.ends_with("68 of another method 400") && note.len() < 250, "{note}");
    }
}
