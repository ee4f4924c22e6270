//! Threads that carry connections, each with a runtime of its own.
//!
//! A connection, its reads and mostly its connection to the API server live on one thread, which
//! nobody has to wake and nobody takes work from. What takes longer (judging writes) runs on the
//! process's common runtime, so that no read waits behind it.

use std::{future::Future, io, pin::Pin, thread};

use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The threads.
pub(crate) struct Workers {
    workers: Vec<mpsc::UnboundedSender<Work>>,
    next: usize,
    running: TaskTracker,
}

impl Workers {
    /// Starts one thread for each core.
    ///
    /// # Errors
    /// Where the system has no more threads.
    pub(crate) fn start() -> io::Result<Self> {
        let count = thread::available_parallelism().map_or(1, usize::from);
        let workers = (0..count).map(worker).collect::<io::Result<_>>()?;
        Ok(Self { workers, next: 0, running: TaskTracker::new() })
    }

    /// Runs a connection on the next thread. How many there are is bounded by who calls.
    pub(crate) fn run(&mut self, work: impl Future<Output = ()> + Send + 'static) {
        self.next = (self.next + 1) % self.workers.len().max(1);
        let work = Box::pin(self.running.track_future(work));
        if let Some(worker) = self.workers.get(self.next)
            && worker.send(work).is_err()
        {
            tracing::error!("a thread for connections has ended");
        }
    }

    /// Waits until all connections have ended; the threads end with it.
    pub(crate) async fn finish(self) {
        self.running.close();
        self.running.wait().await;
    }
}

fn worker(number: usize) -> io::Result<mpsc::UnboundedSender<Work>> {
    let (sender, mut queue) = mpsc::unbounded_channel::<Work>();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
        runtime.block_on(async {
            while let Some(work) = queue.recv().await {
                #[expect(clippy::disallowed_methods, reason = "tracked by who sent it here")]
                tokio::spawn(work);
            }
        });
    })?;
    Ok(sender)
}
