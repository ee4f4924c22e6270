//! Policies of a running proxy: read at the start, read again when a file changes, swapped whole. A
//! set with anything wrong in it is refused, and the last good one stays.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use ::policy::{Pack, compile};
use anyhow::{Context, Result, bail};
use arc_swap::ArcSwap;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::files::{self, Fingerprint};
use crate::{escape::Escaped, tls};

/// In the data directory, for `policy status`.
const STATUS_FILE: &str = "policy.json";
/// Files are looked at so often, and more seldom where there are many of them: looking takes a
/// fiftieth of one core at most.
const LOOK_EVERY_MIN: Duration = Duration::from_millis(20);
const LOOK_EVERY_MAX: Duration = Duration::from_secs(1);
const SHARE: u32 = 50;

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

/// Follows the files of a policy set.
pub(crate) struct Watch {
    paths: Vec<PathBuf>,
    own_namespace: String,
    current: Arc<ArcSwap<Pack>>,
    status: Status,
    status_file: PathBuf,
}

/// Reads the policies that are in force from the start.
///
/// # Errors
/// What is wrong with them: nothing starts on half of what somebody wrote.
pub(crate) fn start(
    paths: &[PathBuf],
    own_namespace: &str,
    data_dir: &Path,
) -> Result<(Arc<ArcSwap<Pack>>, Watch)> {
    let (pack, files) = match load(paths, own_namespace) {
        Ok(loaded) => loaded,
        Err(issues) => bail!("the policies are refused:\n{}", issues.join("\n")),
    };
    let status = Status {
        digest: pack.digest().to_owned(),
        rules: pack.rules().len(),
        files,
        since: Timestamp::now(),
        own_namespace: Some(own_namespace.to_owned()),
        refused: None,
    };
    let current = Arc::new(ArcSwap::from_pointee(pack));
    let watch = Watch {
        paths: paths.to_vec(),
        own_namespace: own_namespace.to_owned(),
        current: Arc::clone(&current),
        status,
        status_file: data_dir.join(STATUS_FILE),
    };
    watch.tell();
    Ok((current, watch))
}

fn load(paths: &[PathBuf], own_namespace: &str) -> Result<(Pack, Vec<String>), Vec<String>> {
    let sources = files::read(paths).map_err(|error| vec![format!("{error:#}")])?;
    let names = sources.iter().map(|source| source.name.clone()).collect();
    match compile(&sources, Timestamp::now()) {
        Ok(compiled) => {
            for warning in &compiled.warnings {
                tracing::warn!("{}", Escaped::lines(&warning.to_string()));
            }
            Ok((compiled.pack.guarding(own_namespace), names))
        }
        Err(issues) => Err(issues.iter().map(ToString::to_string).collect()),
    }
}

impl Watch {
    /// How many rules are in force.
    pub(crate) fn rules(&self) -> usize {
        self.status.rules
    }

    /// Looks at the files until it is dropped.
    pub(crate) async fn follow(mut self) {
        if self.paths.is_empty() {
            return;
        }
        let mut taken = self.look().await.0;
        let mut before = taken.clone();
        loop {
            let (now, cost) = self.look().await;
            // Twice the same: nobody is in the middle of writing.
            if now != taken && now == before && self.reload(&now).await {
                taken = now.clone();
            }
            before = now;
            tokio::time::sleep((cost * SHARE).clamp(LOOK_EVERY_MIN, LOOK_EVERY_MAX)).await;
        }
    }

    async fn look(&self) -> (Fingerprint, Duration) {
        let paths = self.paths.clone();
        let look = move || {
            let started = Instant::now();
            (files::fingerprint(&paths), started.elapsed())
        };
        // A disk may be slow, and agents' writes are judged on these threads.
        tokio::task::spawn_blocking(look).await.unwrap_or_default()
    }

    /// Takes the set of this fingerprint, or refuses it; `false` where files changed meanwhile, and
    /// what was read may be a part of this set and a part of another.
    async fn reload(&mut self, fingerprint: &Fingerprint) -> bool {
        let (paths, own_namespace) = (self.paths.clone(), self.own_namespace.clone());
        // Compiling takes a thread for milliseconds.
        let loading = tokio::task::spawn_blocking(move || load(&paths, &own_namespace)).await;
        let loaded = loading.unwrap_or_else(|error| Err(vec![error.to_string()]));
        if self.look().await.0 != *fingerprint {
            return false;
        }
        match loaded {
            Ok((pack, _)) if pack.digest() == self.status.digest => {
                self.status.refused = None;
                self.tell();
            }
            Ok((pack, files)) => {
                self.status = Status {
                    digest: pack.digest().to_owned(),
                    rules: pack.rules().len(),
                    files,
                    since: Timestamp::now(),
                    own_namespace: Some(self.own_namespace.clone()),
                    refused: None,
                };
                self.current.store(Arc::new(pack));
                self.tell();
                let Status { digest, rules, .. } = &self.status;
                tracing::info!(digest, rules, "policies changed, and are in force");
            }
            Err(issues) => {
                for issue in &issues {
                    tracing::error!("policies are refused: {}", Escaped::lines(issue));
                }
                tracing::error!(
                    digest = self.status.digest,
                    "the last good policies stay in force"
                );
                self.status.refused = Some(Refused { at: Timestamp::now(), issues });
                self.tell();
            }
        }
        true
    }

    fn tell(&self) {
        let text = serde_json::to_vec_pretty(&self.status).unwrap_or_default();
        if let Err(error) = tls::write_private(&self.status_file, &text, 0o600) {
            tracing::warn!(%error, "`policy status` cannot be told");
        }
    }
}
