//! Wakes whoever follows policy files when one of them may have changed, and lets them sleep otherwise.
//!
//! What is watched are directories, as editors and ConfigMap mounts put a new file in an old one's
//! place. Some file systems tell nothing, so whoever follows looks now and then all the same.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

/// Changes of files, as the kernel tells them.
pub(crate) struct FileEvents {
    changed: Arc<Notify>,
    /// Whether the kernel tells of all that is followed.
    is_complete: bool,
    /// Dropping it ends the watch.
    _watcher: Option<RecommendedWatcher>,
}

impl FileEvents {
    /// Watches the directories of these paths from now on.
    pub(crate) fn watch(paths: &[PathBuf]) -> Self {
        let changed = Arc::new(Notify::new());
        let told = Arc::clone(&changed);
        let made = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if event.as_ref().map_or(true, may_change) {
                told.notify_one();
            }
        });
        let mut watcher = match made {
            Ok(watcher) => watcher,
            Err(error) => {
                tracing::warn!(%error, "policy files are looked at every second: the system does not tell of changes");
                return Self { changed, is_complete: false, _watcher: None };
            }
        };
        let mut is_complete = true;
        for directory in directories(paths) {
            if let Err(error) = watcher.watch(&directory, RecursiveMode::NonRecursive) {
                tracing::warn!(%error, directory = %directory.display(), "policy files there are looked at every second");
                is_complete = false;
            }
        }
        Self { changed, is_complete, _watcher: Some(watcher) }
    }

    /// Whether the kernel tells of all that is followed.
    pub(crate) fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Waits for a change; one that came before is not lost.
    ///
    /// # Cancel safety
    /// A change that was not waited for is found by the next call.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }
}

/// Opening and reading change nothing: whoever looks would wake themselves.
fn may_change(event: &Event) -> bool {
    event.need_rescan() || !matches!(event.kind, EventKind::Access(_))
}

/// The directories that files stand in, and those that links point into.
fn directories(paths: &[PathBuf]) -> BTreeSet<PathBuf> {
    let mut directories = BTreeSet::new();
    for path in paths {
        directories.insert(directory(path));
        if let Ok(real) = fs::canonicalize(path) {
            directories.insert(directory(&real));
        }
    }
    directories
}

fn directory(path: &Path) -> PathBuf {
    if path.is_dir() {
        return path.to_owned();
    }
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::symlink, time::Duration};

    use super::*;

    async fn wakes(events: &FileEvents, within: Duration) -> bool {
        tokio::time::timeout(within, events.changed()).await.is_ok()
    }

    #[tokio::test]
    async fn wakes_on_changes_alone() -> std::io::Result<()> {
        let dir = tempfile::tempdir()?;
        let file = dir.path().join("a.yaml");
        fs::write(&file, "one")?;
        let events = FileEvents::watch(&[dir.path().to_owned()]);
        assert!(events.is_complete());
        // Who looks does not wake themselves.
        fs::read_dir(dir.path())?.count();
        fs::read(&file)?;
        assert!(!wakes(&events, Duration::from_millis(200)).await);
        fs::write(&file, "two")?;
        assert!(wakes(&events, Duration::from_secs(10)).await);
        Ok(())
    }

    #[tokio::test]
    async fn wakes_when_another_file_takes_the_place() -> std::io::Result<()> {
        // As a ConfigMap is mounted: a link to a file in a directory that a second link names.
        let dir = tempfile::tempdir()?;
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("one"))?;
        fs::create_dir(at("two"))?;
        fs::write(at("one/p.yaml"), "one")?;
        fs::write(at("two/p.yaml"), "two")?;
        symlink("one", at("..data"))?;
        symlink("..data/p.yaml", at("p.yaml"))?;
        let events = FileEvents::watch(&[at("p.yaml")]);
        symlink("two", at("..new"))?;
        fs::rename(at("..new"), at("..data"))?;
        assert!(wakes(&events, Duration::from_secs(10)).await);
        assert_eq!(fs::read_to_string(at("p.yaml"))?, "two");
        Ok(())
    }

    #[test]
    fn what_is_not_there_is_looked_for() {
        let events = FileEvents::watch(&[PathBuf::from("/nowhere/at/all/p.yaml")]);
        assert!(!events.is_complete());
    }
}
