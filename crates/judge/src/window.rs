//! What each agent did lately: effects of what was sent, for rules that count (`window` in policy).
//!
//! In memory and bounded: a restart forgets. Whatever matters when it is forgotten belongs in a rule
//! that does not count.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use effects::Effect;
use jiff::Timestamp;
use ledger::WindowRecord;
use parking_lot::Mutex;
use policy::Past;

const TIME_MAX: Duration = Duration::from_secs(24 * 60 * 60);
const EFFECTS_MAX: usize = 1_000;
const AGENTS_MAX: usize = 10_000;

/// By user name, the newest first.
#[derive(Debug, Default)]
pub(crate) struct Window {
    agents: Mutex<HashMap<String, VecDeque<Past>>>,
}

impl Window {
    /// Remembers what was sent.
    pub(crate) fn remember(&self, username: &str, effects: &[Effect], now: Timestamp) {
        let mut agents = self.agents.lock();
        if agents.len() >= AGENTS_MAX && !agents.contains_key(username) {
            agents.retain(|_, past| past.front().is_some_and(|it| is_recent(it, now)));
        }
        let past = agents.entry(username.to_owned()).or_default();
        for effect in effects {
            past.push_front(Past::of(effect, now));
        }
        past.truncate(EFFECTS_MAX);
        while past.back().is_some_and(|it| !is_recent(it, now)) {
            past.pop_back();
        }
    }

    /// What this user did within a day.
    pub(crate) fn of(&self, username: &str, now: Timestamp) -> Vec<Past> {
        let agents = self.agents.lock();
        let past = agents.get(username).into_iter().flatten();
        past.take_while(|it| is_recent(it, now)).cloned().collect()
    }

    /// As it is recorded, of what [`Window::of`] would give.
    pub(crate) fn record_of(&self, username: &str, now: Timestamp) -> Option<WindowRecord> {
        let agents = self.agents.lock();
        let past = agents.get(username)?;
        let count = past.iter().take_while(|it| is_recent(it, now)).count();
        let (newest, oldest) = (past.front()?, past.get(count.checked_sub(1)?)?);
        Some(WindowRecord { count, oldest: oldest.at, newest: newest.at })
    }
}

/// Earlier calls, the newest first, as they are recorded.
pub(crate) fn record(past: &[Past]) -> Option<WindowRecord> {
    let (newest, oldest) = (past.first()?, past.last()?);
    Some(WindowRecord { count: past.len(), oldest: oldest.at, newest: newest.at })
}

fn is_recent(past: &Past, now: Timestamp) -> bool {
    now.duration_since(past.at).unsigned_abs() < TIME_MAX
}

#[cfg(test)]
mod tests {
    use effects::{EffectKind, ObjectRef};

    use super::*;

    #[test]
    fn remembers_a_day_and_no_more_than_it_may() {
        let window = Window::default();
        let effect = Effect::plain(EffectKind::Restart, ObjectRef::default());
        let at = |hours: i64| Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_hours(hours);
        window.remember("a", std::slice::from_ref(&effect), at(0));
        window.remember("a", std::slice::from_ref(&effect), at(2));
        assert_eq!(window.of("a", at(3)).len(), 2);
        assert_eq!(window.of("a", at(3))[0].at, at(2));
        assert_eq!(window.of("a", at(25)).len(), 1);
        for hour in [3, 25, 26] {
            assert_eq!(window.record_of("a", at(hour)), record(&window.of("a", at(hour))));
        }
        assert_eq!(window.of("b", at(3)).len(), 0);
        window.remember("a", &vec![effect; 2_000], at(3));
        assert_eq!(window.of("a", at(3)).len(), EFFECTS_MAX);
    }
}
