//! What lives with the process: who waits, answers that nobody received yet, and the feeds.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use hold::{Answer, Feed, HoldId};
use ledger::Task;
use tokio::sync::broadcast;

/// Answers are kept for so long.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(60);
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
    delivered: bool,
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

    pub(crate) fn keep_answer(&self, id: &HoldId, answer: Answer) {
        let kept = Kept { answer, since: Instant::now(), delivered: false };
        self.lock().answers.insert(id.clone(), kept);
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
        inner.answers.retain(|_, kept| kept.since.elapsed() < ANSWER_TIME_MAX);
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
