//! What each agent did lately: effects of what was sent, for rules that count (`window` in policy).

use std::collections::{HashMap, VecDeque};

use effects::Effect;
use jiff::Timestamp;
use ledger::WindowRecord;
use policy::Past;

/// Effects of one agent that are remembered.
const EFFECTS_MAX: usize = 1_000;
/// Agents that are remembered, before those are looked for that did nothing for a day.
const AGENTS_MAX: usize = 10_000;

/// By user name, the newest first.
#[derive(Debug, Default)]
pub(crate) struct Window {
    agents: HashMap<String, VecDeque<Past>>,
}

impl Window {
    pub(crate) fn remember(&mut self, username: &str, effects: &[Effect], now: Timestamp) {
        if self.agents.len() >= AGENTS_MAX && !self.agents.contains_key(username) {
            self.agents.retain(|_, past| past.front().is_some_and(|it| is_recent(it, now)));
        }
        let past = self.agents.entry(username.to_owned()).or_default();
        for effect in effects {
            past.push_front(Past::of(effect, now));
        }
        past.truncate(EFFECTS_MAX);
        while past.back().is_some_and(|it| !is_recent(it, now)) {
            past.pop_back();
        }
    }

    pub(crate) fn past(&self, username: &str, now: Timestamp) -> Vec<Past> {
        let past = self.agents.get(username).into_iter().flatten();
        past.take_while(|it| is_recent(it, now)).cloned().collect()
    }

    /// As it is recorded, of what [`Window::past`] would give.
    pub(crate) fn record(&self, username: &str, now: Timestamp) -> Option<WindowRecord> {
        let past = self.agents.get(username)?;
        let count = past.iter().take_while(|it| is_recent(it, now)).count();
        let (newest, oldest) = (past.front()?, past.get(count.checked_sub(1)?)?);
        Some(WindowRecord { count, oldest: oldest.at, newest: newest.at })
    }
}

fn is_recent(past: &Past, now: Timestamp) -> bool {
    now.duration_since(past.at).unsigned_abs() < crate::WINDOW_TIME_MAX
}

#[cfg(test)]
mod tests {
    use effects::{EffectKind, ObjectRef};

    use super::*;
    use crate::record;

    #[test]
    fn remembers_a_day_and_no_more_than_it_may() {
        let mut window = Window::default();
        let effect = Effect::plain(EffectKind::Restart, ObjectRef::default());
        let at = |hours: i64| Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_hours(hours);
        window.remember("a", std::slice::from_ref(&effect), at(0));
        window.remember("a", std::slice::from_ref(&effect), at(2));
        assert_eq!(window.past("a", at(3)).len(), 2);
        assert_eq!(window.past("a", at(3))[0].at, at(2));
        assert_eq!(window.past("a", at(25)).len(), 1);
        for hour in [3, 25, 26] {
            assert_eq!(window.record("a", at(hour)), record(&window.past("a", at(hour))));
        }
        assert_eq!(window.past("b", at(3)).len(), 0);
        window.remember("a", &vec![effect; 2_000], at(3));
        assert_eq!(window.past("a", at(3)).len(), EFFECTS_MAX);
    }
}
