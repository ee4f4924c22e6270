//! What goes on beside requests: loops that follow the cluster, the files and the clock.

use std::future::Future;

use tokio::task::JoinHandle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Loops that end when everything has ended.
#[derive(Default)]
pub(super) struct Background {
    tasks: TaskTracker,
    /// Everything has ended.
    pub(super) stopped: CancellationToken,
}

impl Background {
    /// Runs a loop until everything has ended.
    pub(super) fn follow(&self, work: impl Future<Output = ()> + Send + 'static) {
        let stopped = self.stopped.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = work => {}
                () = stopped.cancelled() => {}
            }
        });
    }

    /// Runs what ends by itself after everything has ended, as it still has something to write.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        self.tasks.spawn(work)
    }
}
