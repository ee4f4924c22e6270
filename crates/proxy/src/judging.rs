//! The threads on which writes are judged: neither those that carry connections and reads, nor those on
//! which reviewers are answered and the record is written. However much agents have judged, a freeze and
//! a denial get through.

use std::{io, thread};

use tokio::runtime::{Builder, Handle, Runtime};

/// A runtime of its own, which ends with this.
pub(crate) struct Judging {
    runtime: Option<Runtime>,
    handle: Handle,
}

impl Judging {
    /// Starts one thread for each core.
    ///
    /// # Errors
    /// Where the system has no more threads.
    pub(crate) fn start() -> io::Result<Self> {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let mut builder = Builder::new_multi_thread();
        let runtime = builder.worker_threads(threads).thread_name("judge").enable_all().build()?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }

    /// Where to run what judges.
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for Judging {
    fn drop(&mut self) {
        // A runtime that waits for its threads must not end on one of a runtime.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
