//! What agents did before each call, from the entries before it.

use std::collections::{HashMap, VecDeque};

use effects::Effect;
use jiff::{SignedDuration, Timestamp};
use ledger::WindowRecord;
use policy::Past;

/// What a proxy remembers of an agent, and a little more: entries come nearly in order.
const TIME_MAX: SignedDuration = SignedDuration::from_hours(25);
const EFFECTS_MAX: usize = 5_000;

/// Effects of calls that were sent, by agent, the newest first.
#[derive(Debug, Default)]
pub struct Earlier(HashMap<String, VecDeque<Past>>);

impl Earlier {
    /// Remembers what was sent.
    pub fn remember(&mut self, username: &str, effects: &[Effect], at: Timestamp) {
        let past = self.0.entry(username.to_owned()).or_default();
        for effect in effects {
            past.push_front(Past::of(effect, at));
        }
        past.truncate(EFFECTS_MAX);
        while past.back().is_some_and(|it| at.duration_since(it.at) > TIME_MAX) {
            past.pop_back();
        }
    }

    /// What the rules saw: exactly as many as were counted, or nothing is known.
    pub(crate) fn of(&self, username: &str, record: Option<&WindowRecord>) -> Option<Vec<Past>> {
        let Some(record) = record else { return Some(Vec::new()) };
        let span = record.oldest..=record.newest;
        let past = self.0.get(username).into_iter().flatten();
        let mut seen: Vec<Past> = past.filter(|it| span.contains(&it.at)).cloned().collect();
        // A proxy forgets the oldest first, in the middle of a call too.
        while seen.len() > record.count && seen.last().is_some_and(|it| it.at == record.oldest) {
            seen.pop();
        }
        let is_same = seen.len() == record.count
            && seen.first().is_some_and(|it| it.at == record.newest)
            && seen.last().is_some_and(|it| it.at == record.oldest);
        is_same.then_some(seen)
    }
}

#[cfg(test)]
mod tests {
    use effects::{About, EffectKind, ObjectRef};

    use super::*;

    #[test]
    fn knows_what_was_seen_or_nothing() {
        let at = |second: i64| Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second);
        let effect = Effect {
            kind: EffectKind::Restart,
            object: ObjectRef::default(),
            about: About::Nothing,
        };
        let mut earlier = Earlier::default();
        for (second, count) in [(1, 2), (2, 1), (3, 1)] {
            earlier.remember("a", &vec![effect.clone(); count], at(second));
        }
        let seen = |count, oldest, newest| {
            let record = WindowRecord { count, oldest: at(oldest), newest: at(newest) };
            earlier.of("a", Some(&record)).map(|it| it.len())
        };
        let table = [
            ((4, 1, 3), Some(4)),
            ((3, 1, 2), Some(3)),
            ((2, 1, 2), Some(2)), // One of two of the oldest call was forgotten.
            ((1, 2, 3), None),    // One more than was seen: it was remembered later.
            ((5, 1, 3), None),    // One is not in this part of the ledger.
        ];
        for ((count, oldest, newest), want) in table {
            assert_eq!(seen(count, oldest, newest), want, "{count} {oldest} {newest}");
        }
        assert_eq!(earlier.of("b", None), Some(Vec::new()));
    }
}
