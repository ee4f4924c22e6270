//! `policy status`: what a running agent-shield told last.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use text::Escaped;

use crate::{
    data_dir::default_data_dir,
    moment,
    output::{self, Output, print},
};

#[derive(Args, Debug)]
pub(crate) struct StatusArgs {
    /// The data directory of `serve`.
    #[arg(long, value_name = "DIR", env = "AGENT_SHIELD_DATA_DIR", default_value_os_t = default_data_dir())]
    data_dir: PathBuf,
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

pub(super) fn run(args: &StatusArgs) -> Result<()> {
    let status = policy_source::status(&args.data_dir)?;
    if output::for_scripts(args.output, &status, |it| vec![it.digest.clone()])? {
        return Ok(());
    }
    print(&format!(
        "in force since {}: {} rules, {}",
        moment::shown(status.since),
        status.rules,
        status.digest
    ))?;
    for file in &status.files {
        print(&format!("  {}", Escaped::line(file)))?;
    }
    if let Some(refused) = &status.refused {
        print(&format!("refused at {}, and so not in force:", moment::shown(refused.at)))?;
        for issue in &refused.issues {
            print(Escaped::lines(issue).as_str())?;
        }
    }
    Ok(())
}
