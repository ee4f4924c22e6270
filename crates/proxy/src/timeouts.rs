//! Connections that go too slowly: without a request, in the middle of a head, or with an end that
//! takes no bytes.
//!
//! No timer stands on the way of a request: it leaves a few numbers behind, and one task looks
//! through all connections every few seconds.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::Notify,
};

use crate::bounds::Bounds;

/// How often the connections are looked through; a bound is kept to within this.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Why a connection has to end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Overdue {
    /// Nothing is asked: it may end in order.
    Idle,
    /// A head that does not become whole, or an end that takes no bytes: it is cut.
    Stuck,
}

/// How one connection is going. Moments are milliseconds after its start; 0 is "not so".
pub(crate) struct ConnectionActivity {
    start: Instant,
    requests: AtomicUsize,
    idle_since: AtomicU64,
    head_since: AtomicU64,
    stalled_since: AtomicU64,
    /// A head may take a limited time; in HTTP/2, pings and settings come without one.
    heads_are_timed: bool,
    overdue: Notify,
    why: Mutex<Option<Overdue>>,
}

impl ConnectionActivity {
    pub(crate) fn new(heads_are_timed: bool) -> Self {
        Self {
            start: Instant::now(),
            requests: AtomicUsize::new(0),
            idle_since: AtomicU64::new(1),
            head_since: AtomicU64::new(0),
            stalled_since: AtomicU64::new(0),
            heads_are_timed,
            overdue: Notify::new(),
            why: Mutex::default(),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX).max(1)
    }

    /// A request has begun; it lasts until what is returned is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> Busy {
        self.requests.fetch_add(1, Relaxed);
        self.head_since.store(0, Relaxed);
        self.idle_since.store(0, Relaxed);
        Busy(Arc::clone(self))
    }

    fn bytes_came(&self) {
        if self.heads_are_timed
            && self.requests.load(Relaxed) == 0
            && self.head_since.load(Relaxed) == 0
        {
            self.head_since.store(self.now(), Relaxed);
        }
    }

    /// Waits until the connection has to end, and says why.
    pub(crate) async fn overdue(&self) -> Overdue {
        self.overdue.notified().await;
        self.why.lock().unwrap_or(Overdue::Idle)
    }

    /// The connection takes no request after those that are under way.
    pub(crate) fn end_in_order(&self) {
        self.end(Overdue::Idle);
    }

    fn end(&self, why: Overdue) {
        *self.why.lock() = Some(why);
        self.overdue.notify_one();
    }

    fn look(&self, bounds: &Bounds) {
        let now = self.now();
        let longer = |since: &AtomicU64, max: Duration| match since.load(Relaxed) {
            0 => false,
            since => u128::from(now.saturating_sub(since)) > max.as_millis(),
        };
        let why = if longer(&self.stalled_since, bounds.stall_time_max)
            || longer(&self.head_since, bounds.head_time_max)
        {
            Overdue::Stuck
        } else if longer(&self.idle_since, bounds.idle_time_max) {
            Overdue::Idle
        } else {
            return;
        };
        self.end(why);
    }
}

/// A request under way.
pub(crate) struct Busy(Arc<ConnectionActivity>);

impl Drop for Busy {
    fn drop(&mut self) {
        if self.0.requests.fetch_sub(1, Relaxed) == 1 {
            self.0.idle_since.store(self.0.now(), Relaxed);
        }
    }
}

/// All connections, to be looked through.
#[derive(Default)]
pub(crate) struct Reaper(Mutex<Vec<Weak<ConnectionActivity>>>);

impl Reaper {
    pub(crate) fn add(&self, activity: &Arc<ConnectionActivity>) {
        self.0.lock().push(Arc::downgrade(activity));
    }

    /// Tells those that are overdue, and forgets those that have ended.
    pub(crate) fn look(&self, bounds: &Bounds) {
        let mut connections = self.0.lock();
        connections.retain(|activity| {
            activity.upgrade().inspect(|activity| activity.look(bounds)).is_some()
        });
    }
}

/// A stream that notes how it goes.
pub(crate) struct Observed<S> {
    stream: S,
    activity: Arc<ConnectionActivity>,
}

impl<S> Observed<S> {
    pub(crate) fn new(stream: S, activity: Arc<ConnectionActivity>) -> Self {
        Self { stream, activity }
    }

    fn noted<T>(&self, polled: Poll<T>) -> Poll<T> {
        let stalled = &self.activity.stalled_since;
        match (polled.is_pending(), stalled.load(Relaxed)) {
            (true, 0) => stalled.store(self.activity.now(), Relaxed),
            (true, _) | (false, 0) => {}
            (false, _) => stalled.store(0, Relaxed),
        }
        polled
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Observed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if polled.is_ready() && buffer.filled().len() > before {
            self.activity.bytes_came();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Observed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.noted(polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.noted(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(context);
        self.noted(polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds() -> Bounds {
        let moment = Duration::from_millis(1);
        Bounds {
            idle_time_max: moment,
            head_time_max: moment,
            stall_time_max: moment,
            ..Bounds::default()
        }
    }

    fn overdue(activity: &ConnectionActivity) -> Option<Overdue> {
        activity.look(&bounds());
        *activity.why.lock()
    }

    /// A connection that started a minute ago.
    fn activity(heads_are_timed: bool) -> Arc<ConnectionActivity> {
        let start = Instant::now().checked_sub(Duration::from_secs(60)).expect("a minute ago");
        Arc::new(ConnectionActivity { start, ..ConnectionActivity::new(heads_are_timed) })
    }

    #[test]
    fn a_connection_without_a_request_is_idle() {
        assert_eq!(overdue(&activity(true)), Some(Overdue::Idle));
        let busy = activity(true);
        let request = busy.begin();
        assert_eq!(overdue(&busy), None);
        drop(request);
        assert_eq!(overdue(&busy), None, "not yet");
        busy.idle_since.store(1, Relaxed);
        assert_eq!(overdue(&busy), Some(Overdue::Idle));
    }

    #[test]
    fn a_head_takes_a_limited_time() {
        let slow = activity(true);
        slow.bytes_came();
        slow.head_since.store(1, Relaxed);
        slow.bytes_came();
        assert_eq!(overdue(&slow), Some(Overdue::Stuck));
        let ping = activity(false);
        ping.bytes_came();
        assert_eq!(overdue(&ping), Some(Overdue::Idle));
    }

    #[tokio::test]
    async fn who_takes_no_bytes_is_stuck() {
        use tokio::io::AsyncWriteExt;
        let activity = activity(true);
        let _request = activity.begin();
        let (near, _far) = tokio::io::duplex(8);
        let mut stream = Observed::new(near, Arc::clone(&activity));
        stream.write_all(b"12345678").await.expect("room for eight");
        assert_eq!(overdue(&activity), None);
        let more = tokio::time::timeout(Duration::from_millis(5), stream.write_all(b"9"));
        assert!(more.await.is_err(), "there is no room");
        activity.stalled_since.store(1, Relaxed);
        assert_eq!(overdue(&activity), Some(Overdue::Stuck));
        assert_eq!(activity.overdue().await, Overdue::Stuck);
    }
}
