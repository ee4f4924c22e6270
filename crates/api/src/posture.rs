//! What the process that serves knows of itself.

use std::{path::PathBuf, sync::Arc};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use policy::Pack;

/// What the process that serves knows of itself.
#[derive(Clone)]
pub struct Posture {
    /// Since when it runs.
    pub started_at: Timestamp,
    /// Its version.
    pub version: &'static str,
    /// Where it keeps what it tells of its policies.
    pub data_dir: PathBuf,
    /// The policies that are in force.
    pub policies: Arc<ArcSwap<Pack>>,
    /// Whether policies of the cluster are followed.
    pub policy_objects: bool,
    /// When the certificate that it shows ends; `None` where that is not known.
    pub certificate_expires: Option<Timestamp>,
}
