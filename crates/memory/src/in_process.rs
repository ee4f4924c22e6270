//! Memory of one process, or of several proxies in one.

use std::future::ready;

use effects::{Effect, NamespaceClass, ObjectRef};
use jiff::Timestamp;
use ledger::{StoreError, Task, WindowRecord};
use parking_lot::{Mutex, MutexGuard};
use policy::Past;

use crate::{Memory, PodsGoing, namespaces::Namespaces, replaced::Replaced, window::Window};

/// Everything in memory, bounded. Share it to share what is remembered.
#[derive(Debug, Default)]
pub struct InProcess {
    window: Mutex<Window>,
    replaced: Mutex<Replaced>,
    namespaces: Mutex<Namespaces>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock()
}

fn known<'a, T: Send + 'a>(value: T) -> Task<'a, Result<T, StoreError>> {
    Box::pin(ready(Ok(value)))
}

impl Memory for InProcess {
    fn remember(
        &self,
        username: &str,
        audit_id: &str,
        effects: &[Effect],
        now: Timestamp,
    ) -> Task<'_, Result<(), StoreError>> {
        lock(&self.window).remember(username, audit_id, effects, now);
        known(())
    }

    fn reserve(
        &self,
        username: &str,
        audit_id: &str,
        effects: &[Effect],
        now: Timestamp,
    ) -> Task<'_, Result<Vec<Past>, StoreError>> {
        known(lock(&self.window).reserve(username, audit_id, effects, now))
    }

    fn release(&self, username: &str, audit_id: &str) {
        lock(&self.window).release(username, audit_id);
    }

    fn window(&self, username: &str, now: Timestamp) -> Task<'_, Result<Vec<Past>, StoreError>> {
        known(lock(&self.window).past(username, now))
    }

    fn window_record(
        &self,
        username: &str,
        now: Timestamp,
    ) -> Task<'_, Result<Option<WindowRecord>, StoreError>> {
        known(lock(&self.window).record(username, now))
    }

    fn pod_goes(
        &self,
        owner: &ObjectRef,
        pod_uid: &str,
        audit_id: &str,
        now: Timestamp,
    ) -> Task<'_, Result<PodsGoing, StoreError>> {
        known(lock(&self.replaced).join(owner, pod_uid, audit_id, now))
    }

    fn pod_stays(&self, audit_id: &str) -> Task<'_, Result<(), StoreError>> {
        lock(&self.replaced).leave(audit_id);
        known(())
    }

    fn saw_namespace(&self, name: &str, class: NamespaceClass) {
        lock(&self.namespaces).saw(name, class);
    }

    fn namespace(&self, name: &str) -> Task<'_, Result<Option<NamespaceClass>, StoreError>> {
        known(lock(&self.namespaces).last(name))
    }
}
