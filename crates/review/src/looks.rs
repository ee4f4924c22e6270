//! Looks at what a held request would do now: a reviewer asks for one, and a connection that waits on the hold,
//! which has the agent's credential, has it done.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Notify, watch};

/// A look is as good as a new one for so long: whoever shows a hold often has the API server asked no more often.
const LOOK_EVERY: SignedDuration = SignedDuration::from_secs(5);
/// A reviewer waits for a look so long.
const LOOK_TIME_MAX: Duration = Duration::from_secs(4);

/// A look at what a held request would do now; the hold shows what it saw.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Look {
    /// When.
    pub at: Timestamp,
    /// What it saw.
    pub saw: Saw,
}

/// What a look saw.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Saw {
    /// What the hold shows now.
    Shown,
    /// The API server would refuse the request, with this answer.
    Refused(u16),
    /// No rule would hold it; what the hold shows is older.
    NotHeld,
}

/// Those at one hold.
#[derive(Default)]
pub(crate) struct Looks {
    asked: Notify,
    last: watch::Sender<Option<Look>>,
}

impl Looks {
    /// The last look, or a new one; `None` where that takes too long.
    pub(crate) async fn ask(&self) -> Option<Look> {
        let mut last = self.last.subscribe();
        let before = *last.borrow_and_update();
        let is_fresh = |it: &Look| Timestamp::now().duration_since(it.at) < LOOK_EVERY;
        if let Some(look) = before.filter(is_fresh) {
            return Some(look);
        }
        self.asked.notify_one();
        tokio::time::timeout(LOOK_TIME_MAX, last.changed()).await.ok()?.ok()?;
        *last.borrow_and_update()
    }

    /// Returns when somebody asks; one of those who wait for this is told.
    ///
    /// # Cancel safety
    /// Safe: another of those who wait is told.
    pub(crate) async fn asked(&self) {
        self.asked.notified().await;
    }

    /// Tells whoever asked.
    pub(crate) fn done(&self, saw: Saw) {
        self.last.send_replace(Some(Look { at: Timestamp::now(), saw }));
    }
}
