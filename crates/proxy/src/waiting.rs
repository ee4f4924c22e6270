//! Entries that wait to be written, bounded by what they take of memory, and what had to be let go.

use std::{
    collections::{BTreeMap, VecDeque},
    mem,
};

use jiff::Timestamp;
use ledger::{Entry, Facts, Stage};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::nobody::span;

/// What waits in memory, at most, in bytes.
const BYTES_MAX: usize = 32 << 20;
/// So many are written without waiting for more.
const BATCH: usize = 256;
/// Entries of one commit, and their bytes.
pub(crate) const COMMIT_MAX: usize = 16 * BATCH;
const COMMIT_BYTES_MAX: usize = 4 << 20;
/// Addresses that a gap names.
const ADDRESSES_MAX: usize = 4;

/// What waits to be written. Its writer is woken for a first entry and for a full batch, not for
/// each: waking it costs more than the entry.
#[derive(Default)]
pub(crate) struct Waiting {
    entries: Mutex<Entries>,
    lost: Mutex<BTreeMap<Cause, Gap>>,
    pub(crate) begun: Notify,
    pub(crate) full: Notify,
}

#[derive(Default)]
struct Entries {
    /// Each with what it takes of memory.
    queue: VecDeque<(Entry, usize)>,
    bytes: usize,
}

/// Why entries were let go.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Cause {
    /// The store was slow or away for longer than memory lasts.
    Store,
    /// Whose tokens they came with could not be asked as fast as they came.
    Names,
}

/// What was let go for one reason.
struct Gap {
    first: Timestamp,
    last: Timestamp,
    reads: u64,
    writes: u64,
    probes: u64,
    by_address: BTreeMap<String, u64>,
}

impl Waiting {
    pub(crate) fn add(&self, mut entry: Entry) {
        // Facts are as large as many entries: while the store cannot write, they would fill the memory.
        if entry.facts != Facts::None {
            entry.facts = Facts::Lost;
        }
        let bytes = entry.weight();
        let mut entries = self.entries.lock();
        if entries.bytes.saturating_add(bytes) > BYTES_MAX {
            drop(entries);
            return self.lose(Cause::Store, &entry);
        }
        entries.bytes = entries.bytes.saturating_add(bytes);
        entries.queue.push_back((entry, bytes));
        let count = entries.queue.len();
        drop(entries);
        match count {
            1 => self.begun.notify_one(),
            BATCH => self.full.notify_one(),
            _ => {}
        }
    }

    /// Counts an entry that nobody will see.
    pub(crate) fn lose(&self, cause: Cause, entry: &Entry) {
        let mut lost = self.lost.lock();
        let gap = lost.entry(cause).or_insert_with(|| Gap::new(entry.time));
        gap.add(entry);
    }

    /// What came first, of one commit; its writer is woken again for the rest.
    pub(crate) fn take(&self) -> Vec<Entry> {
        let mut entries = self.entries.lock();
        let mut taken = Vec::with_capacity(entries.queue.len().min(COMMIT_MAX));
        let mut bytes = 0_usize;
        while taken.len() < COMMIT_MAX && bytes < COMMIT_BYTES_MAX {
            let Some((entry, of_entry)) = entries.queue.pop_front() else { break };
            bytes = bytes.saturating_add(of_entry);
            taken.push(entry);
        }
        entries.bytes = entries.bytes.saturating_sub(bytes);
        if !entries.queue.is_empty() {
            self.begun.notify_one();
            self.full.notify_one();
        }
        taken
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.lock().queue.is_empty()
    }

    /// An entry for each reason why something was let go.
    pub(crate) fn gaps(&self) -> Vec<Entry> {
        let lost = mem::take(&mut *self.lost.lock());
        lost.into_iter().map(|(cause, gap)| gap.entry(cause)).collect()
    }
}

impl Gap {
    fn new(first: Timestamp) -> Self {
        let by_address = BTreeMap::new();
        Self { first, last: first, reads: 0, writes: 0, probes: 0, by_address }
    }

    fn add(&mut self, entry: &Entry) {
        self.last = entry.time;
        let request = entry.request.as_ref();
        let reads = request.is_some_and(|it| matches!(it.verb.as_str(), "get" | "list" | "watch"));
        let count = match (entry.probe_of.is_some(), reads) {
            (true, _) => &mut self.probes,
            (false, true) => &mut self.reads,
            (false, false) => &mut self.writes,
        };
        *count = count.saturating_add(1);
        let mut address = request.map_or("", |it| it.source_ip.as_str());
        if self.by_address.len() >= ADDRESSES_MAX && !self.by_address.contains_key(address) {
            address = "";
        }
        let count = self.by_address.entry(address.to_owned()).or_default();
        *count = count.saturating_add(1);
    }

    fn entry(self, cause: Cause) -> Entry {
        let why = match cause {
            Cause::Store => "more came than the store could write",
            Cause::Names => {
                "they came with tokens that are not known, faster than the API server was asked whose \
                 they are"
            }
        };
        let kinds = [(self.reads, "reads"), (self.writes, "writes"), (self.probes, "probes")];
        let kinds = kinds.iter().filter(|(count, _)| *count > 0);
        let kinds: Vec<String> = kinds.map(|(count, kind)| format!("{count} of {kind}")).collect();
        let from: Vec<String> = self
            .by_address
            .iter()
            .map(|(address, count)| match address.as_str() {
                "" => format!("{count} from elsewhere"),
                address => format!("{count} from {address}"),
            })
            .collect();
        let lost = self.reads.saturating_add(self.writes).saturating_add(self.probes);
        let id = uuid::Uuid::now_v7().to_string();
        let mut gap = Entry::new(Timestamp::now(), id, Stage::Gap);
        gap.note = Some(format!(
            "{lost} entries were lost in {}: {why} ({}; {})",
            span(self.first, self.last),
            kinds.join(", "),
            from.join(", ")
        ));
        gap
    }
}

#[cfg(test)]
mod tests {
    use ledger::RequestRecord;

    use super::*;

    fn entry(n: usize, bytes: usize) -> Entry {
        let request = RequestRecord {
            verb: "get".into(),
            source_ip: "10.0.0.1".into(),
            request_uri: "x".repeat(bytes),
            ..RequestRecord::default()
        };
        let at = Timestamp::UNIX_EPOCH;
        Entry { request: Some(request), ..Entry::new(at, n.to_string(), Stage::ResponseComplete) }
    }

    #[test]
    fn keeps_no_facts_in_memory() {
        let facts = r#"{"version": 1, "at": "2026-01-01T00:00:00Z", "looked": true}"#;
        let mut entry = entry(0, 0);
        entry.facts = Facts::Recorded(serde_json::from_str(facts).expect("facts"));
        let waiting = Waiting::default();
        waiting.add(entry);
        assert_eq!(waiting.take().remove(0).facts, Facts::Lost);
    }

    #[test]
    fn counts_bytes_and_keeps_the_order() {
        let waiting = Waiting::default();
        let (count, bytes) = (10_000, 16 << 10);
        for n in 0..count {
            waiting.add(entry(n, bytes));
        }
        let mut taken = Vec::new();
        loop {
            let some = waiting.take();
            if some.is_empty() {
                break;
            }
            assert!(some.len() * bytes <= COMMIT_BYTES_MAX + bytes, "one commit of {}", some.len());
            taken.extend(some.into_iter().map(|it| it.audit_id));
        }
        assert!(taken.len() * bytes <= BYTES_MAX, "{} were kept", taken.len());
        assert!(taken.len() * bytes > BYTES_MAX / 2, "{} were kept", taken.len());
        let want: Vec<String> = (0..taken.len()).map(|n| n.to_string()).collect();
        assert_eq!(taken, want);
        let gaps = waiting.gaps();
        let [gap] = gaps.as_slice() else { panic!("{gaps:?}") };
        let lost = count - taken.len();
        let note = gap.note.as_deref().unwrap_or_default();
        assert!(note.starts_with(&format!("{lost} entries were lost in 1 s from ")), "{note}");
        let end = format!("could write ({lost} of reads; {lost} from 10.0.0.1)");
        assert!(note.ends_with(&end), "{note}");
        assert!(waiting.gaps().is_empty(), "told of once");
    }

    #[test]
    fn each_reason_has_a_gap_of_its_own() {
        let waiting = Waiting::default();
        waiting.lose(Cause::Names, &entry(0, 0));
        waiting.lose(Cause::Store, &entry(0, 0));
        waiting.lose(Cause::Names, &entry(0, 0));
        let notes: Vec<_> = waiting.gaps().into_iter().filter_map(|it| it.note).collect();
        assert!(notes[0].contains("1 entries") && notes[0].contains("the store"), "{notes:?}");
        assert!(notes[1].contains("2 entries") && notes[1].contains("tokens"), "{notes:?}");
    }
}
