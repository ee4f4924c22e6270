//! Where the ledger is that `replay`, `explain` and `suggest-exceptions` read.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use jiff::SignedDuration;
use ledger::History;

use crate::data_dir::default_data_dir;

/// What rules look back at, at most: entries that are read before the first call that is judged.
pub(super) const WINDOW: SignedDuration = SignedDuration::from_hours(24);

/// Where the ledger is, and what is not in it.
#[derive(Args, Debug)]
pub(crate) struct LedgerArgs {
    /// Data directory of `serve`, which may be running.
    #[arg(long, value_name = "DIR", env = "AGENT_SHIELD_DATA_DIR", default_value_os_t = default_data_dir())]
    pub(super) data_dir: PathBuf,
    /// Namespace that agent-shield runs in, to which no exception applies; by default the one of the
    /// last `serve`.
    #[arg(long, value_name = "NAME")]
    own_namespace: Option<String>,
}

impl LedgerArgs {
    pub(super) fn history(&self) -> Result<Box<dyn History>> {
        let dir = self.data_dir.display();
        store::history(&self.data_dir)
            .with_context(|| format!("cannot read a ledger in the data directory {dir}"))
    }

    pub(super) fn own_namespace(&self) -> String {
        let told = || policy_source::status(&self.data_dir).ok()?.own_namespace;
        self.own_namespace.clone().or_else(told).unwrap_or_else(|| "agent-shield".to_owned())
    }
}
