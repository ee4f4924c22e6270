//! `context`: names for servers.

use std::fs;

use anyhow::{Context as _, Result};
use clap::Subcommand;
use http::Uri;
use serde_json::{Value, json};
use text::Escaped;

use crate::{
    connection::{Connection, certificates},
    contexts::{Contexts, ServerContext},
    live_names,
    output::{Output, for_scripts, print},
    printers, program,
    usage::WrongUsage,
};

const NAME_LETTERS_MAX: usize = 63;

#[derive(Debug, Subcommand)]
pub(crate) enum ContextCommand {
    /// Give a server a name, with exactly what is given here.
    ///
    /// Without --ca, the certificates that the system trusts vouch for it.
    #[command(after_help = "\
Examples:
  agent-shield context set prod --server https://shield.example:8444 --ca prod-ca.crt
  agent-shield context set prod --server https://shield.example:8444 --agent-server https://shield.example:8443")]
    Set {
        /// What to call it: letters, digits, `-`, `_` and `.`.
        #[arg(value_parser = name)]
        name: String,
        /// URL of its agents' listener, which `agent create` and `agent kubeconfig` write.
        #[arg(long, value_name = "URL", value_parser = url)]
        agent_server: Option<String>,
    },
    /// Have commands use this server where nothing else is said.
    #[command(
        after_help = "Examples:\n  agent-shield context use prod\n  agent-shield --context-name dev holds"
    )]
    Use {
        /// Its name.
        #[arg(add = live_names::contexts())]
        name: String,
    },
    /// List the servers that have names; `*` marks the current one.
    #[command(
        after_help = "Examples:\n  agent-shield context list\n  agent-shield context list -o json"
    )]
    List {
        /// How to print.
        #[arg(long, short, value_enum, default_value_t)]
        output: Output,
    },
    /// Forget a name; nothing happens to the server.
    #[command(after_help = "Examples:\n  agent-shield context remove prod")]
    Remove {
        /// Its name.
        #[arg(add = live_names::contexts())]
        name: String,
    },
}

pub(crate) fn run(command: ContextCommand, connection: &Connection) -> Result<()> {
    let mut contexts = Contexts::load()?;
    match command {
        ContextCommand::Set { name, agent_server } => {
            let context = given(name, agent_server, connection)?;
            let name = context.name.clone();
            contexts.contexts.retain(|it| it.name != name);
            contexts.contexts.push(context);
            contexts.contexts.sort_by(|one, other| one.name.cmp(&other.name));
            let path = contexts.save()?;
            let hint = match contexts.current.as_ref() == Some(&name) {
                true => "it is the current one".to_owned(),
                false => {
                    format!("`{} context use {name}` makes it the current one", program::name())
                }
            };
            print(&format!("context {name} is written to {}; {hint}", path.display()))
        }
        ContextCommand::Use { name } => {
            let server = contexts.named(&name)?.server.clone();
            contexts.current = Some(name);
            contexts.save()?;
            print(&format!("commands go to {server} now"))
        }
        ContextCommand::List { output } => list(&contexts, output),
        ContextCommand::Remove { name } => {
            contexts.named(&name)?;
            contexts.contexts.retain(|it| it.name != name);
            let was_current = contexts.current.as_ref() == Some(&name);
            contexts.current.take_if(|it| *it == name);
            contexts.save()?;
            let hint = if was_current { "; there is no current context now" } else { "" };
            print(&format!("context {name} is forgotten{hint}"))
        }
    }
}

/// The context that the flags describe, once it could be used.
fn given(
    name: String,
    agent_server: Option<String>,
    connection: &Connection,
) -> Result<ServerContext> {
    let server = connection.server.as_deref().unwrap_or_default();
    let server = url(server).map_err(|why| WrongUsage(format!("--server: {why}")))?;
    let ca = connection.ca.as_ref().map(|path| {
        certificates(path)?;
        fs::canonicalize(path).with_context(|| format!("cannot find {}", path.display()))
    });
    Ok(ServerContext { name, server, agent_server, ca: ca.transpose()? })
}

fn list(contexts: &Contexts, output: Output) -> Result<()> {
    let is_current = |it: &ServerContext| contexts.current.as_ref() == Some(&it.name);
    let items = contexts.contexts.iter().map(|it| {
        json!({
            "name": it.name, "server": it.server, "agentServer": it.agent_server, "ca": it.ca,
            "current": is_current(it),
        })
    });
    let value = json!({"items": items.collect::<Vec<Value>>()});
    let names = |_: &Value| contexts.contexts.iter().map(|it| it.name.clone()).collect();
    if for_scripts(output, &value, names)? {
        return Ok(());
    }
    if contexts.contexts.is_empty() {
        return print("No server has a name.");
    }
    let mut table = printers::table(&["", "NAME", "SERVER", "VOUCHED FOR BY"]);
    for it in &contexts.contexts {
        let ca = it.ca.as_ref().map(|ca| Escaped::line(&ca.display().to_string()).to_string());
        table.add_row([
            if is_current(it) { "*" } else { "" }.to_owned(),
            Escaped::line(&it.name).to_string(),
            Escaped::line(&it.server).to_string(),
            ca.unwrap_or_else(|| "the system's certificates".to_owned()),
        ]);
    }
    print(&table.trim_fmt())
}

fn name(text: &str) -> Result<String, String> {
    let is_inner = |it: char| it.is_ascii_alphanumeric() || "-_.".contains(it);
    let is_name = (1..=NAME_LETTERS_MAX).contains(&text.len())
        && text.chars().all(is_inner)
        && text.starts_with(|it: char| it.is_ascii_alphanumeric());
    match is_name {
        true => Ok(text.to_owned()),
        false => {
            Err("a name has letters, digits, `-`, `_` and `.`, and begins with a letter or digit"
                .into())
        }
    }
}

fn url(text: &str) -> Result<String, String> {
    let uri: Uri = text.parse().map_err(|_| "give the https URL of the server".to_owned())?;
    let has_host = uri.authority().is_some_and(|it| !it.as_str().contains('@'));
    match uri.scheme_str() == Some("https") && has_host {
        true => Ok(text.to_owned()),
        false => Err(format!("`{text}` is not the https URL of a server")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_names_and_urls_that_can_be_used() {
        for (text, want) in
            [("prod", true), ("eu-1.x_y", true), ("", false), ("-a", false), ("a b", false)]
        {
            assert_eq!(name(text).is_ok(), want, "{text}");
        }
        let table = [
            ("https://shield:8444", true),
            ("https://shield.example/", true),
            ("http://shield:8444", false),
            ("https://bob:secret@shield", false),
            ("shield:8444", false),
            ("", false),
        ];
        for (text, want) in table {
            assert_eq!(url(text).is_ok(), want, "{text}");
        }
    }
}
