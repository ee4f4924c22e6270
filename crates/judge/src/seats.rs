//! How much is judged at a time, and how much of the processor the judging of one agent's writes takes: an
//! agent that sends large or many writes waits for itself, and not others for it.

use std::{
    collections::HashMap,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    thread,
    time::Duration,
};

use parking_lot::Mutex;
use rustix::time::{ClockId, clock_gettime};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, Sleep},
};

/// Writes that are judged at a time, and of one agent. A judgement mostly waits for the API server.
const AT_A_TIME: usize = 64;
const AT_A_TIME_PER_AGENT: usize = 8;
/// Judgements of large objects at a time: each may take some 100 MB.
const HEAVY_AT_A_TIME: usize = 1;
/// Processor time that an agent may take at once before its share counts.
const BURST: Duration = Duration::from_secs(2);
/// Agents that are known at a time; those whose writes nobody judges are forgotten then.
const FORGET_AT: usize = 4_096;

/// Who is judged now, and what that took.
pub(crate) struct Seats {
    all: Semaphore,
    heavy: Semaphore,
    shares: Mutex<HashMap<String, Arc<Share>>>,
    /// Processor time of one agent in a second: half of the machine.
    per_second: f64,
}

/// What one agent may take.
pub(crate) struct Share {
    all: Semaphore,
    heavy: Semaphore,
    meter: Mutex<Meter>,
}

/// A place to be judged at; dropped, it is free.
pub(crate) struct Seat<'a> {
    _permits: [Option<SemaphorePermit<'a>>; 4],
}

impl Seats {
    pub(crate) fn new() -> Self {
        let cores = thread::available_parallelism().map_or(1.0, |it| it.get() as f64);
        Self {
            all: Semaphore::new(AT_A_TIME),
            heavy: Semaphore::new(HEAVY_AT_A_TIME),
            shares: Mutex::default(),
            per_second: cores / 2.0,
        }
    }

    /// What an agent may take.
    pub(crate) fn share_of(&self, username: &str) -> Arc<Share> {
        let mut shares = self.shares.lock();
        if shares.len() >= FORGET_AT {
            let now = Instant::now();
            shares.retain(|_, share| {
                Arc::strong_count(share) > 1 || !share.meter.lock().is_even(now)
            });
        }
        let per_second = self.per_second;
        Arc::clone(shares.entry(username.to_owned()).or_insert_with(|| {
            Arc::new(Share {
                all: Semaphore::new(AT_A_TIME_PER_AGENT),
                heavy: Semaphore::new(1),
                meter: Mutex::new(Meter::new(per_second, Instant::now())),
            })
        }))
    }

    /// Waits for a place. What an agent has too much of waits at the agent's own bounds, where it is in
    /// nobody's way.
    pub(crate) async fn seat<'a>(&'a self, share: &'a Share, is_heavy: bool) -> Seat<'a> {
        // Nobody closes them.
        let own = share.all.acquire().await.ok();
        let heavy = match is_heavy {
            true => [share.heavy.acquire().await.ok(), self.heavy.acquire().await.ok()],
            false => [None, None],
        };
        let [own_heavy, heavy] = heavy;
        Seat { _permits: [own, own_heavy, heavy, self.all.acquire().await.ok()] }
    }
}

impl Share {
    /// Runs a judgement; where its agent has used up its share of the processor, it rests.
    pub(crate) fn metered<F: Future>(&self, judgement: F) -> Metered<'_, F> {
        Metered { share: self, judgement: Box::pin(judgement), rest: None }
    }
}

/// The processor time that an agent owes: its share of each second pays it off.
struct Meter {
    /// What pays it off, in seconds of the processor.
    per_second: f64,
    debt: Duration,
    at: Instant,
}

impl Meter {
    fn new(per_second: f64, now: Instant) -> Self {
        Self { per_second, debt: Duration::ZERO, at: now }
    }

    fn pay(&mut self, now: Instant) {
        let paid = now.saturating_duration_since(self.at).mul_f64(self.per_second);
        self.debt = self.debt.saturating_sub(paid);
        self.at = now;
    }

    fn charge(&mut self, used: Duration, now: Instant) {
        self.pay(now);
        self.debt = self.debt.saturating_add(used);
    }

    /// How long to rest before more is used.
    fn rest(&mut self, now: Instant) -> Option<Duration> {
        self.pay(now);
        let over = self.debt.checked_sub(BURST).filter(|it| !it.is_zero())?;
        Some(over.div_f64(self.per_second))
    }

    fn is_even(&mut self, now: Instant) -> bool {
        self.pay(now);
        self.debt.is_zero()
    }
}

/// A judgement whose processor time counts.
pub(crate) struct Metered<'a, F> {
    share: &'a Share,
    judgement: Pin<Box<F>>,
    rest: Option<Pin<Box<Sleep>>>,
}

impl<F: Future> Future for Metered<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        loop {
            if let Some(rest) = &mut self.rest {
                ready!(rest.as_mut().poll(context));
                self.rest = None;
            }
            match self.share.meter.lock().rest(Instant::now()) {
                Some(rest) => self.rest = Some(Box::pin(tokio::time::sleep(rest))),
                None => break,
            }
        }
        let before = on_processor();
        let polled = self.judgement.as_mut().poll(context);
        let used = on_processor().saturating_sub(before);
        self.share.meter.lock().charge(used, Instant::now());
        polled
    }
}

/// Processor time of this thread, which a busy machine does not change.
fn on_processor() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    let (seconds, nanoseconds) = (u64::try_from(now.tv_sec), u32::try_from(now.tv_nsec));
    Duration::new(seconds.unwrap_or(0), nanoseconds.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_share_is_paid_off_with_time() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut meter = Meter::new(0.5, start);
        assert_eq!(meter.rest(start), None);
        meter.charge(Duration::from_secs(2), at(0));
        assert_eq!(meter.rest(at(0)), None, "a burst is free");
        meter.charge(Duration::from_secs(3), at(0));
        assert_eq!(meter.rest(at(0)), Some(Duration::from_secs(6)), "half a second in each");
        assert_eq!(meter.rest(at(4)), Some(Duration::from_secs(2)));
        assert_eq!(meter.rest(at(6)), None);
        assert!(!meter.is_even(at(6)) && meter.is_even(at(10)));
    }

    #[tokio::test]
    async fn who_takes_more_than_the_share_rests_and_others_do_not() {
        let seats = Seats::new();
        let (greedy, other) = (seats.share_of("greedy"), seats.share_of("other"));
        greedy.meter.lock().charge(BURST * 10, Instant::now());
        let resting = greedy.metered(std::future::ready(()));
        other.metered(std::future::ready(())).await;
        assert_eq!(resting.now_or_never(), None);
    }

    #[tokio::test]
    async fn the_seats_of_one_agent_are_not_those_of_others() {
        let seats = Seats::new();
        let (greedy, other) = (seats.share_of("greedy"), seats.share_of("other"));
        let mut taken = vec![seats.seat(&greedy, true).await];
        for _ in 1..AT_A_TIME_PER_AGENT {
            taken.push(seats.seat(&greedy, false).await);
        }
        assert!(seats.seat(&greedy, false).now_or_never().is_none());
        assert!(seats.seat(&other, false).now_or_never().is_some(), "another agent is judged");
        let alone = "large objects are judged one after the other";
        assert!(seats.seat(&other, true).now_or_never().is_none(), "{alone}");
        taken.clear();
        assert!(seats.seat(&other, true).now_or_never().is_some());
    }

    #[tokio::test]
    async fn who_leaves_gives_the_seat_back() {
        let seats = Seats::new();
        let share = seats.share_of("a");
        let seat = seats.seat(&share, true).await;
        drop(seat);
        let free = [share.all.available_permits(), seats.all.available_permits()];
        assert_eq!(free, [AT_A_TIME_PER_AGENT, AT_A_TIME]);
        assert_eq!(seats.heavy.available_permits(), HEAVY_AT_A_TIME);
    }
}
