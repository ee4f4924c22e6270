//! Policies of a running proxy: read at the start, read again when a file or an object of the cluster
//! changes, swapped whole. A set with anything wrong in it is refused, and the last good one stays.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use policy::{Issue, Pack};
use text::Escaped;

use crate::{
    conditions::Conditions,
    error::SourceError,
    source::{Fingerprint, Loaded, PolicySource, Set},
    status::{Status, StatusFile},
};

/// The second of two looks that must find the same comes so long after the first.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(20);
/// Between looks where nobody tells of a change: some file systems never do.
const POLL_EVERY: Duration = Duration::from_secs(5);
/// The same where the kernel does not watch all of the files.
const POLL_UNWATCHED_EVERY: Duration = Duration::from_secs(1);
/// A look that takes long is made more seldom: looking takes a fiftieth of one core at most.
const SHARE: u32 = 50;
/// A status that could not be written is tried again after so long.
const WRITE_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// Follows where a policy set comes from.
pub struct Follower {
    source: PolicySource,
    own_namespace: String,
    current: Arc<ArcSwap<Pack>>,
    /// What was taken or refused last.
    taken: Fingerprint,
    conditions: Conditions,
    status: Status,
    status_file: StatusFile,
}

/// Reads the policies that are in force from the start.
///
/// # Errors
/// What is wrong with them: nothing starts on half of what somebody wrote.
pub async fn start(
    mut source: PolicySource,
    own_namespace: &str,
    data_dir: &Path,
) -> Result<(Arc<ArcSwap<Pack>>, Follower), SourceError> {
    // Before it is read: what changes meanwhile is seen.
    let (taken, _) = source.look().await;
    let Loaded { set, objects } = source.load(own_namespace).await;
    let mut conditions = Conditions::default();
    let set = match set {
        Ok(set) => set,
        Err(issues) => {
            if let Some(cluster) = source.objects() {
                conditions.write_statuses(cluster, objects, issues.clone()).await;
            }
            return Err(SourceError::Refused(issues));
        }
    };
    conditions.put_in_force(&objects);
    if let Some(cluster) = source.objects() {
        conditions.write_statuses(cluster, objects, set.warnings.clone()).await;
    }
    let status = in_force(&set, own_namespace);
    let current = Arc::new(ArcSwap::from_pointee(set.pack));
    let follower = Follower {
        source,
        own_namespace: own_namespace.to_owned(),
        current: Arc::clone(&current),
        taken,
        conditions,
        status,
        status_file: StatusFile::new(data_dir),
    };
    follower.publish();
    Ok((current, follower))
}

impl Follower {
    /// How many rules are in force.
    pub fn rules(&self) -> usize {
        self.status.rules
    }

    /// Takes what changes, until it is dropped; sleeps while nothing does.
    pub async fn follow(mut self) {
        if self.source.is_fixed() {
            return;
        }
        let mut written = Instant::now();
        // Watched before the first look, so that no change falls between the two.
        let mut files = self.source.file_events().await;
        loop {
            let (found, cost) = self.settled().await;
            if found != self.taken {
                if self.reload(&found).await {
                    // A file may have moved into another directory, or a directory come back.
                    files = self.source.file_events().await;
                }
                continue;
            }
            if let Some(cluster) = self.source.objects()
                && self.conditions.are_unwritten()
                && written.elapsed() > WRITE_AGAIN_AFTER
            {
                self.conditions.write_again(cluster).await;
                written = Instant::now();
            }
            let every = if files.is_complete() { POLL_EVERY } else { POLL_UNWATCHED_EVERY };
            let changed = self.source.changed(&files);
            let _ = tokio::time::timeout(every.max(cost * SHARE), changed).await;
        }
    }

    /// What is there now: what is in force, or what two looks find alike, as nobody is in the middle of
    /// writing then.
    async fn settled(&self) -> (Fingerprint, Duration) {
        let (mut before, mut cost) = self.source.look().await;
        while before != self.taken {
            tokio::time::sleep(LOOK_AGAIN_AFTER.max(cost)).await;
            let (now, its_cost) = self.source.look().await;
            if now == before {
                break;
            }
            (before, cost) = (now, its_cost);
        }
        (before, cost)
    }

    /// Takes the set of this fingerprint, or refuses it; neither, and `false`, where something changed
    /// meanwhile, and what was read may be a part of this set and a part of another.
    async fn reload(&mut self, fingerprint: &Fingerprint) -> bool {
        let Loaded { set, objects } = self.source.load(&self.own_namespace).await;
        if self.source.look().await.0 != *fingerprint {
            return false;
        }
        self.taken.clone_from(fingerprint);
        let issues = match set {
            Ok(set) => {
                self.conditions.put_in_force(&objects);
                self.take(set)
            }
            Err(issues) => {
                self.refuse(&issues);
                issues
            }
        };
        self.publish();
        if let Some(cluster) = self.source.objects() {
            self.conditions.write_statuses(cluster, objects, issues).await;
        }
        true
    }

    /// Puts a set in force; returns its warnings.
    fn take(&mut self, set: Set) -> Vec<Issue> {
        if set.pack.digest() == self.status.digest {
            self.status.refused = None;
            return set.warnings;
        }
        for warning in &set.warnings {
            tracing::warn!("{}", Escaped::lines(&warning.to_string()));
        }
        self.status = in_force(&set, &self.own_namespace);
        self.current.store(Arc::new(set.pack));
        let Status { digest, rules, .. } = &self.status;
        let holding = holding(&self.current.load());
        tracing::info!(digest, rules, "policies changed, and are in force: {holding}");
        set.warnings
    }

    fn refuse(&mut self, issues: &[Issue]) {
        let issues: Vec<String> = issues.iter().map(ToString::to_string).collect();
        for issue in &issues {
            tracing::error!("policies are refused: {}", Escaped::lines(issue));
        }
        tracing::error!(digest = self.status.digest, "the last good policies stay in force");
        self.status.refuse(issues);
    }

    fn publish(&self) {
        if let Err(error) = self.status_file.write(&self.status) {
            tracing::warn!(%error, "what `policy status` shows cannot be written");
        }
    }
}

/// What becomes of writes under these rules, for the log: where they only observe, whoever reads it must
/// not believe that anything is held.
pub fn holding(pack: &Pack) -> String {
    let Some(guards) = pack.guards_alone() else { return "writes are judged".to_owned() };
    let guards: Vec<String> = guards.iter().map(ToString::to_string).collect();
    format!(
        "NOTHING IS HELD, the rules only observe; in force are only those that guard agent-shield itself ({})",
        guards.join(", ")
    )
}

/// How a set stands that is in force from now on.
fn in_force(set: &Set, own_namespace: &str) -> Status {
    Status::in_force(&set.pack, set.names.clone(), own_namespace)
}
