//! What each agent did lately: effects of what was sent, or may be sent in a moment, for rules that count
//! (`window` in policy).

use std::collections::{HashMap, VecDeque};

use effects::Effect;
use jiff::Timestamp;
use ledger::WindowRecord;
use policy::Past;

/// Effects of one agent that are remembered.
const EFFECTS_MAX: usize = 1_000;
/// All that is remembered, in bytes. Beyond it, the agents that did nothing for the longest are forgotten,
/// until a quarter of it is free.
const BYTES_MAX: usize = 64 << 20;
/// What an effect or an agent takes besides its text.
const OVERHEAD_BYTES: usize = 192;

/// By user name.
#[derive(Debug)]
pub(crate) struct Window {
    agents: HashMap<String, Agent>,
    bytes: usize,
    bytes_max: usize,
}

/// What one agent did, the newest first.
#[derive(Debug, Default)]
struct Agent {
    steps: VecDeque<Step>,
    bytes: usize,
}

/// One effect of one call.
#[derive(Debug)]
struct Step {
    audit_id: String,
    past: Past,
}

impl Step {
    fn bytes(&self) -> usize {
        let Past { group_resource, namespace, name, .. } = &self.past;
        [&self.audit_id, group_resource, namespace, name]
            .into_iter()
            .fold(OVERHEAD_BYTES, |sum, text| sum.saturating_add(text.len()))
    }
}

impl Default for Window {
    fn default() -> Self {
        Self { agents: HashMap::new(), bytes: 0, bytes_max: BYTES_MAX }
    }
}

impl Window {
    /// The effects of a call, in place of those that it had before.
    pub(crate) fn remember(
        &mut self,
        username: &str,
        audit_id: &str,
        effects: &[Effect],
        now: Timestamp,
    ) {
        self.change(username, |agent| {
            agent.steps.retain(|step| step.audit_id != audit_id);
            for effect in effects.iter().take(EFFECTS_MAX) {
                let (audit_id, past) = (audit_id.to_owned(), Past::of(effect, now));
                agent.steps.push_front(Step { audit_id, past });
            }
            agent.steps.truncate(EFFECTS_MAX);
            while agent.steps.back().is_some_and(|it| !is_recent(&it.past, now)) {
                agent.steps.pop_back();
            }
        });
        if self.bytes > self.bytes_max {
            self.forget_others(username);
        }
    }

    /// What the agent did before this call, which counts from now on.
    pub(crate) fn reserve(
        &mut self,
        username: &str,
        audit_id: &str,
        effects: &[Effect],
        now: Timestamp,
    ) -> Vec<Past> {
        let before = self.others(username, audit_id, now);
        self.remember(username, audit_id, effects, now);
        before
    }

    /// A call that is not sent does not count.
    pub(crate) fn release(&mut self, username: &str, audit_id: &str) {
        if self.agents.contains_key(username) {
            self.change(username, |agent| agent.steps.retain(|step| step.audit_id != audit_id));
        }
    }

    pub(crate) fn past(&self, username: &str, now: Timestamp) -> Vec<Past> {
        self.others(username, "", now)
    }

    /// As it is recorded, of what [`Window::past`] would give.
    pub(crate) fn record(&self, username: &str, now: Timestamp) -> Option<WindowRecord> {
        let recent = self.recent(username, now);
        let (count, newest, oldest) =
            recent.fold((0_usize, None, None), |(count, newest, _), it| {
                (count.saturating_add(1), newest.or(Some(it.past.at)), Some(it.past.at))
            });
        Some(WindowRecord { count, oldest: oldest?, newest: newest? })
    }

    fn recent(&self, username: &str, now: Timestamp) -> impl Iterator<Item = &Step> {
        let steps = self.agents.get(username).into_iter().flat_map(|agent| &agent.steps);
        steps.filter(move |step| is_recent(&step.past, now))
    }

    fn others(&self, username: &str, audit_id: &str, now: Timestamp) -> Vec<Past> {
        let others = self.recent(username, now).filter(|step| step.audit_id != audit_id);
        others.map(|step| step.past.clone()).collect()
    }

    /// Changes what is remembered of an agent, and what that takes.
    fn change(&mut self, username: &str, change: impl FnOnce(&mut Agent)) {
        let agent = self.agents.entry(username.to_owned()).or_default();
        let before = agent.bytes;
        change(agent);
        let own = OVERHEAD_BYTES.saturating_add(username.len());
        let bytes = agent.steps.iter().map(Step::bytes).fold(own, usize::saturating_add);
        agent.bytes = bytes;
        self.bytes = self.bytes.saturating_sub(before).saturating_add(bytes);
        if agent.steps.is_empty() {
            self.agents.remove(username);
            self.bytes = self.bytes.saturating_sub(bytes);
        }
    }

    /// Forgets many at once, so that each new agent does not look through all of them.
    fn forget_others(&mut self, username: &str) {
        let newest = |agent: &Agent| agent.steps.front().map(|step| step.past.at);
        let mut others: Vec<(Option<Timestamp>, String)> = self
            .agents
            .iter()
            .filter(|(name, _)| *name != username)
            .map(|(name, agent)| (newest(agent), name.clone()))
            .collect();
        others.sort_unstable();
        for (_, name) in others {
            if self.bytes <= self.bytes_max / 4 * 3 {
                return;
            }
            let bytes = self.agents.remove(&name).map_or(0, |agent| agent.bytes);
            self.bytes = self.bytes.saturating_sub(bytes);
        }
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

    fn effect() -> Effect {
        Effect::plain(EffectKind::Restart, ObjectRef::default())
    }

    fn at(hours: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_hours(hours)
    }

    #[test]
    fn remembers_a_day_and_no_more_than_it_may() {
        let mut window = Window::default();
        window.remember("a", "1", &[effect()], at(0));
        window.remember("a", "2", &[effect()], at(2));
        assert_eq!(window.past("a", at(3)).len(), 2);
        assert_eq!(window.past("a", at(3))[0].at, at(2));
        assert_eq!(window.past("a", at(25)).len(), 1);
        for hour in [3, 25, 26] {
            assert_eq!(window.record("a", at(hour)), record(&window.past("a", at(hour))));
        }
        assert_eq!(window.past("b", at(3)).len(), 0);
        window.remember("a", "3", &vec![effect(); 2_000], at(3));
        assert_eq!(window.past("a", at(3)).len(), EFFECTS_MAX);
    }

    #[test]
    fn what_may_be_sent_in_a_moment_counts_until_it_is_not() {
        let mut window = Window::default();
        let mut reserve = |audit_id: &str| window.reserve("a", audit_id, &[effect()], at(1)).len();
        assert_eq!((reserve("1"), reserve("2"), reserve("3")), (0, 1, 2));
        assert_eq!(reserve("3"), 2, "a call does not count itself");
        window.release("a", "2");
        window.release("a", "2");
        window.release("b", "1");
        assert_eq!(window.reserve("a", "4", &[effect()], at(1)).len(), 2);
        window.remember("a", "4", &[effect()], at(1));
        assert_eq!(window.past("a", at(1)).len(), 3, "counted once");
        ["1", "3", "4"].into_iter().for_each(|id| window.release("a", id));
        assert_eq!((window.agents.len(), window.bytes), (0, 0));
    }

    #[test]
    fn takes_no_more_memory_than_it_may() {
        let mut window = Window { bytes_max: 100 << 10, ..Window::default() };
        for n in 0..1_000 {
            window.remember(&format!("agent-{n}"), "1", &[effect(), effect()], at(1));
            assert!(window.bytes <= window.bytes_max, "{n}: {}", window.bytes);
            assert_eq!(window.past(&format!("agent-{n}"), at(1)).len(), 2);
        }
        let counted: usize = window.agents.values().map(|agent| agent.bytes).sum();
        assert_eq!(counted, window.bytes);
        assert!(window.past("agent-0", at(1)).is_empty(), "the oldest are forgotten");
        // One who fills it alone keeps what is its own.
        let long = ObjectRef { name: "x".repeat(200 << 10), ..ObjectRef::default() };
        window.remember("b", "1", &[Effect::plain(EffectKind::Restart, long)], at(2));
        assert_eq!((window.agents.len(), window.past("b", at(2)).len()), (1, 1));
    }
}
