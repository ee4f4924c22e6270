//! Policies of a running proxy: read at the start, read again when a file or an object of the cluster
//! changes, swapped whole. A set with anything wrong in it is refused, and the last good one stays.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use ::policy::{Issue, Pack};
use anyhow::{Context, Result, bail};
use arc_swap::ArcSwap;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    conditions::Conditions,
    origin::{Fingerprint, Loaded, Origin, Set},
};
use crate::{escape::Escaped, tls};

/// In the data directory, for `policy status`.
const STATUS_FILE: &str = "policy.json";
/// Files and objects are looked at so often, and more seldom where there are many of them: looking takes a
/// fiftieth of one core at most.
const LOOK_EVERY_MIN: Duration = Duration::from_millis(20);
const LOOK_EVERY_MAX: Duration = Duration::from_secs(1);
const SHARE: u32 = 50;
/// A status that could not be written is tried again after so long.
const TELL_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// What is in force.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Status {
    pub(crate) digest: String,
    pub(crate) rules: usize,
    pub(crate) files: Vec<String>,
    pub(crate) since: Timestamp,
    /// Where no exception counts; older versions did not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) own_namespace: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) refused: Option<Refused>,
}

/// A set that is not in force.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Refused {
    pub(crate) at: Timestamp,
    pub(crate) issues: Vec<String>,
}

/// What the agent-shield of a data directory told last.
pub(crate) fn status(data_dir: &Path) -> Result<Status> {
    let text = std::fs::read_to_string(data_dir.join(STATUS_FILE)).with_context(|| {
        format!("no agent-shield has run with the data directory {}", data_dir.display())
    })?;
    Ok(serde_json::from_str(&text)?)
}

/// Follows where a policy set comes from.
pub(crate) struct Watch {
    origin: Origin,
    own_namespace: String,
    current: Arc<ArcSwap<Pack>>,
    /// What was taken or refused last.
    taken: Fingerprint,
    conditions: Conditions,
    status: Status,
    status_file: PathBuf,
}

/// Reads the policies that are in force from the start.
///
/// # Errors
/// What is wrong with them: nothing starts on half of what somebody wrote.
pub(crate) async fn start(
    mut origin: Origin,
    own_namespace: &str,
    data_dir: &Path,
) -> Result<(Arc<ArcSwap<Pack>>, Watch)> {
    // Before it is read: what changes meanwhile is seen.
    let (taken, _) = origin.look().await;
    let Loaded { set, objects } = origin.load(own_namespace).await;
    let mut conditions = Conditions::default();
    let set = match set {
        Ok(set) => set,
        Err(issues) => {
            if let Some(cluster) = origin.objects() {
                conditions.tell(cluster, objects, issues.clone()).await;
            }
            let issues: Vec<String> = issues.iter().map(ToString::to_string).collect();
            bail!("the policies are refused:\n{}", issues.join("\n"));
        }
    };
    conditions.put_in_force(&objects);
    if let Some(cluster) = origin.objects() {
        conditions.tell(cluster, objects, set.warnings.clone()).await;
    }
    let status = Status::of(&set, own_namespace);
    let current = Arc::new(ArcSwap::from_pointee(set.pack));
    let watch = Watch {
        origin,
        own_namespace: own_namespace.to_owned(),
        current: Arc::clone(&current),
        taken,
        conditions,
        status,
        status_file: data_dir.join(STATUS_FILE),
    };
    watch.tell();
    Ok((current, watch))
}

impl Status {
    fn of(set: &Set, own_namespace: &str) -> Self {
        Self {
            digest: set.pack.digest().to_owned(),
            rules: set.pack.rules().len(),
            files: set.names.clone(),
            since: Timestamp::now(),
            own_namespace: Some(own_namespace.to_owned()),
            refused: None,
        }
    }
}

impl Watch {
    /// How many rules are in force.
    pub(crate) fn rules(&self) -> usize {
        self.status.rules
    }

    /// Looks at where they come from until it is dropped.
    pub(crate) async fn follow(mut self) {
        if self.origin.is_fixed() {
            return;
        }
        let mut before = self.taken.clone();
        let mut told = Instant::now();
        loop {
            let (now, cost) = self.origin.look().await;
            // Twice the same: nobody is in the middle of writing.
            if now != self.taken && now == before {
                self.reload(&now).await;
            }
            if let Some(cluster) = self.origin.objects()
                && self.conditions.are_untold()
                && told.elapsed() > TELL_AGAIN_AFTER
            {
                self.conditions.tell_again(cluster).await;
                told = Instant::now();
            }
            before = now;
            tokio::time::sleep((cost * SHARE).clamp(LOOK_EVERY_MIN, LOOK_EVERY_MAX)).await;
        }
    }

    /// Takes the set of this fingerprint, or refuses it; neither where something changed meanwhile, and
    /// what was read may be a part of this set and a part of another.
    async fn reload(&mut self, fingerprint: &Fingerprint) {
        let Loaded { set, objects } = self.origin.load(&self.own_namespace).await;
        if self.origin.look().await.0 != *fingerprint {
            return;
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
        self.tell();
        if let Some(cluster) = self.origin.objects() {
            self.conditions.tell(cluster, objects, issues).await;
        }
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
        self.status = Status::of(&set, &self.own_namespace);
        self.current.store(Arc::new(set.pack));
        let Status { digest, rules, .. } = &self.status;
        tracing::info!(digest, rules, "policies changed, and are in force");
        set.warnings
    }

    fn refuse(&mut self, issues: &[Issue]) {
        let issues: Vec<String> = issues.iter().map(ToString::to_string).collect();
        for issue in &issues {
            tracing::error!("policies are refused: {}", Escaped::lines(issue));
        }
        tracing::error!(digest = self.status.digest, "the last good policies stay in force");
        self.status.refused = Some(Refused { at: Timestamp::now(), issues });
    }

    fn tell(&self) {
        let text = serde_json::to_vec_pretty(&self.status).unwrap_or_default();
        if let Err(error) = tls::write_private(&self.status_file, &text, 0o600) {
            tracing::warn!(%error, "`policy status` cannot be told");
        }
    }
}
