//! What lives with the process: who waits, answers that nobody received yet, and the feeds.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use hold::{Answer, Feed, HoldId};
use ledger::Task;
use tokio::sync::broadcast;

/// Bodies of all answers that are kept: beyond it the oldest go, those first that somebody got.
const ANSWERS_BYTES_MAX: usize = 64 << 20;
/// Changes that a feed may be behind.
const FEED_MAX: usize = 1_024;

/// Who waits on which hold, and what they wait for.
pub(crate) struct Live {
    inner: Mutex<Inner>,
    holds: broadcast::Sender<HoldId>,
    freezes: broadcast::Sender<String>,
}

#[derive(Default)]
struct Inner {
    waiting: HashMap<HoldId, usize>,
    answers: HashMap<HoldId, Kept>,
}

struct Kept {
    answer: Answer,
    since: Instant,
    time: Duration,
    delivered: bool,
}

impl Inner {
    /// Lets go of answers, but not of this one, until no more bytes are kept than may be.
    fn let_go(&mut self, but: &HoldId, bytes_max: usize) {
        let size = |kept: &Kept| kept.answer.body.len();
        let mut bytes = self.answers.values().map(size).fold(0, usize::saturating_add);
        while bytes > bytes_max {
            let others = self.answers.iter().filter(|(id, _)| *id != but);
            let oldest = others.min_by_key(|(_, kept)| (!kept.delivered, kept.since));
            let Some(id) = oldest.map(|(id, _)| id.clone()) else { return };
            let gone = self.answers.remove(&id);
            bytes = bytes.saturating_sub(gone.as_ref().map_or(0, size));
        }
    }
}

impl Default for Live {
    fn default() -> Self {
        Self {
            inner: Mutex::default(),
            holds: broadcast::channel(FEED_MAX).0,
            freezes: broadcast::channel(FEED_MAX).0,
        }
    }
}

impl Live {
    pub(crate) fn enter(&self, id: &HoldId) {
        *self.lock().waiting.entry(id.clone()).or_default() += 1;
    }

    pub(crate) fn leave(&self, id: &HoldId) {
        let mut inner = self.lock();
        if let Some(count) = inner.waiting.get_mut(id) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                inner.waiting.remove(id);
            }
        }
    }

    pub(crate) fn waiting(&self, id: &HoldId) -> usize {
        self.lock().waiting.get(id).copied().unwrap_or(0)
    }

    pub(crate) fn keep_answer(&self, id: &HoldId, answer: Answer, time: Duration) {
        let kept = Kept { answer, since: Instant::now(), time, delivered: false };
        let mut inner = self.lock();
        inner.answers.insert(id.clone(), kept);
        inner.let_go(id, ANSWERS_BYTES_MAX);
    }

    pub(crate) fn answer(&self, id: &HoldId) -> Option<Answer> {
        self.lock().answers.get(id).map(|it| it.answer.clone())
    }

    /// Whether the answer is there and nobody got it yet.
    pub(crate) fn is_undelivered(&self, id: &HoldId) -> bool {
        self.lock().answers.get(id).is_some_and(|it| !it.delivered)
    }

    pub(crate) fn delivered(&self, id: &HoldId) {
        if let Some(kept) = self.lock().answers.get_mut(id) {
            kept.delivered = true;
        }
    }

    /// Lets go of answers whose time is over; they may hold Secrets.
    pub(crate) fn forget(&self) {
        drop(self.lock());
    }

    pub(crate) fn tell_hold(&self, id: &HoldId) {
        // Nobody listens: nobody has to be told.
        let _ = self.holds.send(id.clone());
    }

    pub(crate) fn tell_freeze(&self, username: &str) {
        let _ = self.freezes.send(username.to_owned());
    }

    pub(crate) fn hold_feed(&self) -> Box<dyn Feed<HoldId>> {
        Box::new(Receiver(self.holds.subscribe()))
    }

    pub(crate) fn freeze_feed(&self) -> Box<dyn Feed<String>> {
        Box::new(Receiver(self.freezes.subscribe()))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.answers.retain(|_, kept| kept.since.elapsed() < kept.time);
        inner
    }
}

struct Receiver<T>(broadcast::Receiver<T>);

impl<T: Clone + Send + 'static> Feed<T> for Receiver<T> {
    fn next(&mut self) -> Task<'_, Option<T>> {
        Box::pin(async {
            match self.0.recv().await {
                Ok(change) => Some(change),
                Err(broadcast::error::RecvError::Lagged(_)) => None,
                // The store is gone, and with it whatever could change.
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_no_more_bytes_of_answers_than_it_may() {
        let live = Live::default();
        let id = |n: usize| HoldId::parse(&format!("h{n}"));
        let body = vec![0; ANSWERS_BYTES_MAX / 3];
        let keep = |n| {
            live.keep_answer(
                &id(n),
                Answer { code: 200, headers: vec![], body: body.clone().into() },
                Duration::from_secs(60),
            )
        };
        let kept = || (0..5).filter(|n| live.answer(&id(*n)).is_some()).collect::<Vec<_>>();
        (0..3).for_each(keep);
        live.delivered(&id(1));
        assert_eq!(kept(), [0, 1, 2]);
        keep(3);
        assert_eq!(kept(), [0, 2, 3], "who got theirs has no need of it");
        keep(4);
        assert_eq!(kept(), [2, 3, 4], "then the oldest");
    }
}
