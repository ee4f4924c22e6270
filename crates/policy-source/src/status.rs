//! What a running proxy tells of its policies: a file of its data directory, which `policy status` reads.

use std::{
    io,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use policy::Pack;
use serde::{Deserialize, Serialize};

use crate::error::SourceError;

/// In the data directory.
const STATUS_FILE: &str = "policy.json";

/// What is in force.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Digest of the set.
    pub digest: String,
    /// How many rules it has.
    pub rules: usize,
    /// The files and objects that it was made from.
    pub files: Vec<String>,
    /// Since when it is in force.
    pub since: Timestamp,
    /// Where no exception counts; older versions did not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_namespace: Option<String>,
    /// A later set that is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refused>,
}

/// A set that is not in force.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Refused {
    /// When it was refused.
    pub at: Timestamp,
    /// What is wrong with it.
    pub issues: Vec<String>,
}

impl Status {
    /// A set that is in force from now on.
    pub(crate) fn in_force(pack: &Pack, files: Vec<String>, own_namespace: &str) -> Self {
        Self {
            digest: pack.digest().to_owned(),
            rules: pack.rules().len(),
            files,
            since: Timestamp::now(),
            own_namespace: Some(own_namespace.to_owned()),
            refused: None,
        }
    }

    /// A later set is not.
    pub(crate) fn refuse(&mut self, issues: Vec<String>) {
        self.refused = Some(Refused { at: Timestamp::now(), issues });
    }
}

/// What the agent-shield of a data directory told last.
///
/// # Errors
/// Where none has told anything there, or it cannot be read.
pub fn status(data_dir: &Path) -> Result<Status, SourceError> {
    let path = data_dir.join(STATUS_FILE);
    let text = std::fs::read_to_string(&path)
        .map_err(|source| SourceError::NeverRan { dir: data_dir.to_owned(), source })?;
    serde_json::from_str(&text).map_err(|source| SourceError::Status { path, source })
}

/// Where it is told.
pub(crate) struct StatusFile(PathBuf);

impl StatusFile {
    pub(crate) fn new(data_dir: &Path) -> Self {
        Self(data_dir.join(STATUS_FILE))
    }

    /// Writes it whole.
    pub(crate) fn write(&self, status: &Status) -> io::Result<()> {
        private_file::write(&self.0, &serde_json::to_vec_pretty(status)?, 0o600)
    }
}
