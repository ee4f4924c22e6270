//! How much is kept of what each agent's writes were judged by: so many bytes within an hour.
//!
//! Only what `policy replay` reads is ever left out, never an entry. In memory and bounded: a restart
//! forgets.

use std::collections::HashMap;

use jiff::Timestamp;
use ledger::Extent;
use parking_lot::Mutex;

const SLOT_SECONDS: i64 = 5 * 60;
/// An hour, and the slot that is under way.
const SLOTS: usize = 13;
/// Users who are told apart; all others share what is kept of one.
const AGENTS_MAX: usize = 10_000;
/// The name of those others, which no user has.
const OTHERS: &str = "";

/// What was kept of each user lately, by name.
#[derive(Debug)]
pub(crate) struct FactsQuota {
    /// Of whole objects; of outlines, twice as much in all.
    bytes_max: u64,
    agents: Mutex<Agents>,
}

#[derive(Debug, Default)]
struct Agents {
    spent: HashMap<String, Spent>,
    /// The slot in which those were last looked for who have spent nothing within an hour.
    looked: i64,
}

/// Bytes by slot, in a ring.
#[derive(Debug, Default)]
struct Spent {
    slot: i64,
    bytes: [u64; SLOTS],
}

impl FactsQuota {
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self { bytes_max, agents: Mutex::default() }
    }

    /// Counts facts of so many bytes, of which the objects are there to this extent; false, and nothing
    /// is counted, where they are more than is kept of this user. Facts without objects always are.
    pub(crate) fn spend(&self, user: &str, bytes: usize, extent: Extent, now: Timestamp) -> bool {
        let max = match extent {
            Extent::Whole => self.bytes_max,
            Extent::Outline => self.bytes_max.saturating_mul(2),
            Extent::None => u64::MAX,
        };
        let slot = now.as_second().div_euclid(SLOT_SECONDS);
        let mut agents = self.agents.lock();
        agents.of(user, slot).spend(u64::try_from(bytes).unwrap_or(u64::MAX), max)
    }
}

impl Agents {
    fn of(&mut self, user: &str, slot: i64) -> &mut Spent {
        let is_known = |it: &Self| it.spent.contains_key(user) || it.spent.len() < AGENTS_MAX;
        if !is_known(self) && self.looked != slot {
            self.looked = slot;
            self.spent.retain(|_, it| it.at(slot).sum() > 0);
        }
        let name = if is_known(self) { user } else { OTHERS };
        self.spent.entry(name.to_owned()).or_default().at(slot)
    }
}

impl Spent {
    /// Moves on to this slot and forgets what is older than an hour. A clock that goes back forgets
    /// nothing.
    fn at(&mut self, slot: i64) -> &mut Self {
        let passed = usize::try_from(slot.saturating_sub(self.slot)).unwrap_or(0);
        self.bytes.rotate_right(passed.min(SLOTS) % SLOTS);
        self.bytes.iter_mut().take(passed).for_each(|it| *it = 0);
        self.slot = self.slot.max(slot);
        self
    }

    fn sum(&self) -> u64 {
        self.bytes.iter().fold(0, |sum, it| sum.saturating_add(*it))
    }

    fn spend(&mut self, bytes: u64, max: u64) -> bool {
        let fits = self.sum().saturating_add(bytes) <= max;
        if fits && let Some(now) = self.bytes.first_mut() {
            *now = now.saturating_add(bytes);
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_mins(minutes)
    }

    #[test]
    fn counts_an_hour_and_no_more_than_it_may() {
        use Extent::{None, Outline, Whole};
        let quota = FactsQuota::new(100);
        // Minute, user, bytes, extent, and whether they are kept.
        let table = [
            (0, "a", 60, Whole, true),
            (30, "a", 41, Whole, false),
            (30, "a", 40, Whole, true),
            (31, "a", 1, Whole, false),
            (31, "b", 1, Whole, true),
            (31, "a", 100, Outline, true),
            (32, "a", 1, Outline, false),
            (32, "a", 7, None, true),
            (59, "a", 1, Outline, false),
            // The first 60 are forgotten: 147 are left.
            (65, "a", 53, Outline, true),
            (65, "a", 1, Outline, false),
            // A clock that goes back.
            (10, "a", 1, Outline, false),
            (10_000, "a", 100, Whole, true),
        ];
        for (row, (minute, user, bytes, extent, want)) in table.into_iter().enumerate() {
            assert_eq!(quota.spend(user, bytes, extent, at(minute)), want, "row {row}");
        }
    }

    #[test]
    fn many_names_neither_grow_it_nor_get_more() {
        let quota = FactsQuota::new(100);
        let spend = |user: usize, minute| {
            quota.spend(&format!("agent-{user}"), 100, Extent::Whole, at(minute))
        };
        let kept = (0..AGENTS_MAX + 100).filter(|user| spend(*user, 0)).count();
        // The last hundred share what is kept of one.
        assert_eq!(kept, AGENTS_MAX + 1);
        let known = || quota.agents.lock().spent.len();
        assert_eq!(known(), AGENTS_MAX + 1);
        // An hour later, there is room again.
        assert!(spend(AGENTS_MAX + 1, 65) && spend(AGENTS_MAX + 2, 65));
        assert_eq!(known(), 2);
    }
}
