//! `policy check`.

use std::{path::PathBuf, sync::Arc};

use ::policy::{Compiled, Documents};
use anyhow::{Context, Result};
use clap::Args;
use jiff::Timestamp;
use policy_source::{ClusterKinds, files};
use upstream::ControlClient;

use super::compiled::sound;
use crate::{connection::Connection, output::print};

#[derive(Args, Debug)]
pub(crate) struct CheckArgs {
    /// Files, and directories of `*.yaml` and `*.yml`.
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// Check fields of objects against what the kubeconfig's cluster serves.
    #[arg(long)]
    cluster: bool,
}

pub(super) async fn run(args: &CheckArgs, connection: &Connection) -> Result<()> {
    let documents = Documents::read(&files::read_all(&args.paths)?, Timestamp::now());
    let kinds = match args.cluster {
        true => {
            let own = ControlClient::new(connection.config().await?)?;
            ClusterKinds::new(own)
                .read_for(&documents)
                .await
                .context("cannot learn from the cluster which kinds it has")?
        }
        false => Arc::default(),
    };
    let Compiled { pack, .. } = sound(documents.compile(&kinds))?;
    let own = pack.rules().iter().filter(|rule| !pack.is_builtin(rule)).count();
    let builtin = pack.rules().len() - own;
    print(&format!("{own} rules of these files and {builtin} built-in ones would be in force"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_serve_would_refuse_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let connection = Connection {
            server: None,
            ca: None,
            context_name: None,
            kubeconfig: None,
            context: None,
        };
        let args = CheckArgs { paths: vec![dir.path().to_owned()], cluster: false };
        let said = || async { run(&args, &connection).await.err().map(|it| it.to_string()) };
        assert!(said().await.is_some_and(|it| it.contains("contains no policy")));
        let policy = "apiVersion: agent-shield.io/v1alpha1\nkind: PolicySettings\nmetadata: {name: s}\nspec: {}\n";
        std::fs::write(dir.path().join("p.yaml"), policy).expect("a file");
        assert_eq!(said().await, None);
    }
}
