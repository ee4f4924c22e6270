//! `version`: of this program, and of the server if it answers.

use std::time::Duration;

use anyhow::Result;
use api::body::VersionBody;
use clap::Args;
use serde_json::json;
use text::Escaped;
use tokio::time::timeout;

use crate::{
    client::Client,
    connection::Connection,
    output::{Output, for_scripts, print},
};

/// Nobody waits long to learn of a version.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);

/// Show the version of this program, and of the server if it answers.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  agent-shield version
  agent-shield version --client
  agent-shield version -o json | jq -r .server.version

It ends with 0 also where the server does not answer.")]
pub(crate) struct VersionArgs {
    /// Ask no server.
    #[arg(long)]
    client: bool,
    /// How to print.
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
}

pub(crate) async fn run(args: &VersionArgs, connection: &Connection) -> Result<()> {
    let client = env!("CARGO_PKG_VERSION");
    let server = match args.client {
        true => None,
        false => Some(of_server(connection).await),
    };
    let value = match &server {
        None => json!({"client": {"version": client}}),
        Some(Ok((url, version))) => {
            json!({"client": {"version": client}, "server": {"url": url, "version": version}})
        }
        Some(Err(why)) => {
            json!({"client": {"version": client}, "server": {"error": first_line(why)}})
        }
    };
    if for_scripts(args.output, &value, |_| vec![client.to_owned()])? {
        return Ok(());
    }
    print(&format!("client  {client}"))?;
    match server {
        None => Ok(()),
        Some(Ok((url, version))) => print(&format!("server  {} at {url}", Escaped::line(&version))),
        Some(Err(why)) => print(&format!("server  unknown: {}", Escaped::line(&first_line(&why)))),
    }
}

/// Where the server is, and its version.
async fn of_server(connection: &Connection) -> Result<(String, String)> {
    let client = Client::new(connection).await?;
    let answer = timeout(ANSWER_TIME_MAX, client.get::<VersionBody>("/v1/version")).await;
    let body = answer.map_err(|_| {
        anyhow::anyhow!(
            "{} did not answer within {} seconds",
            client.url(),
            ANSWER_TIME_MAX.as_secs()
        )
    })??;
    Ok((client.url().to_owned(), body.version))
}

fn first_line(error: &anyhow::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}
