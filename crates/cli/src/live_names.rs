//! Names that exist now, for a shell that completes a word: holds, agents, namespaces, contexts.
//!
//! A shell waits while it completes, and shows whatever is printed. So an answer that takes long is not
//! waited for, and whatever fails means that there is nothing to offer. What is offered ends up in a
//! command line, and agents choose some of the names: only those that no shell could read as anything
//! else are offered.

use std::{ffi::OsStr, sync::OnceLock, sync::mpsc, thread, time::Duration};

use anyhow::Result;
use api::body::{FreezeBody, HoldSummary, List, NamespaceBody};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use serde::de::DeserializeOwned;
use text::Escaped;

use crate::{
    client::Client, connection::Connection, contexts::Contexts, printers, sentences::sentence,
};

/// From the key to the names, with connecting and a credential plugin of the kubeconfig.
const TIME_MAX: Duration = Duration::from_millis(900);
/// More is no choice.
const OFFERED_MAX: usize = 200;
/// Of the words next to a name, in characters.
const HELP_MAX: usize = 100;

/// How to reach the server that the command line names. Unset, no server is asked.
static CONNECTION: OnceLock<Connection> = OnceLock::new();

/// Asks there from now on; the first call counts.
pub(crate) fn ask_at(connection: Connection) {
    let _ = CONNECTION.set(connection);
}

/// A name, and what stands next to it in shells that show that.
type Offer = (String, String);

/// Holds in any state.
pub(crate) fn holds() -> ArgValueCompleter {
    live("/v1/holds?state=all", hold)
}

/// Holds that wait for a decision.
pub(crate) fn pending_holds() -> ArgValueCompleter {
    live("/v1/holds?state=pending", hold)
}

/// Holds that can still run.
pub(crate) fn open_holds() -> ArgValueCompleter {
    live("/v1/holds", hold)
}

/// Denials that stand.
pub(crate) fn denials() -> ArgValueCompleter {
    live("/v1/denials", hold)
}

/// Everybody who was seen as an agent.
pub(crate) fn agents() -> ArgValueCompleter {
    live("/v1/agents", |username: &String| (spelled(username), String::new()))
}

/// Agents that are frozen, and why.
pub(crate) fn frozen_agents() -> ArgValueCompleter {
    live("/v1/freezes", |it: &FreezeBody| (spelled(&it.user), it.reason.clone()))
}

/// Namespaces of the cluster.
pub(crate) fn namespaces() -> ArgValueCompleter {
    live("/v1/namespaces", |it: &NamespaceBody| (it.name.clone(), String::new()))
}

/// Servers that have a name, and where they are.
pub(crate) fn contexts() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let contexts = Contexts::load().unwrap_or_default().contexts;
        offered(contexts.into_iter().map(|it| (it.name, it.server)), current)
    })
}

/// Contexts of the kubeconfig.
pub(crate) fn kubeconfig_contexts() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let kubeconfig = CONNECTION.get().and_then(|it| it.read_kubeconfig().ok());
        let contexts = kubeconfig.map(|it| it.contexts).unwrap_or_default();
        offered(contexts.into_iter().map(|it| (it.name, String::new())), current)
    })
}

fn hold(hold: &HoldSummary) -> Offer {
    let state = if hold.state == "pending" { String::new() } else { format!("{}: ", hold.state) };
    (hold.id.clone(), format!("{state}{}", sentence(hold, None)))
}

/// As tables print it, and with a sign that no shell splits words at.
fn spelled(username: &str) -> String {
    printers::short_user(username).into_owned()
}

fn live<T>(path: &'static str, offer: fn(&T) -> Offer) -> ArgValueCompleter
where
    T: DeserializeOwned + Send + 'static,
{
    ArgValueCompleter::new(move |current: &OsStr| {
        let items = asked::<List<T>>(path).map(|it| it.items).unwrap_or_default();
        offered(items.iter().map(offer), current)
    })
}

fn asked<T: DeserializeOwned + Send + 'static>(path: &'static str) -> Option<T> {
    let connection = CONNECTION.get()?;
    let (sender, receiver) = mpsc::channel();
    // A thread of its own, which ends with the process: a credential plugin that blocks is not waited for.
    thread::spawn(move || {
        let _ = sender.send(ask(connection, path));
    });
    receiver.recv_timeout(TIME_MAX).ok()?.ok()
}

fn ask<T: DeserializeOwned>(connection: &Connection, path: &str) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { Client::new(connection).await?.quiet().get(path).await })
}

fn offered(all: impl Iterator<Item = Offer>, current: &OsStr) -> Vec<CompletionCandidate> {
    let current = current.to_string_lossy();
    let fitting = all.filter(|(name, _)| is_plain(name) && name.starts_with(&*current));
    let fitting = fitting.take(OFFERED_MAX).map(|(name, words)| {
        let words = shortened(&words);
        CompletionCandidate::new(name).help((!words.is_empty()).then(|| words.into()))
    });
    fitting.collect()
}

/// Whether every shell takes it as one word that is no flag, and expands nothing in it.
fn is_plain(name: &str) -> bool {
    let is_sign = |it: char| it.is_ascii_alphanumeric() || "-_./:@".contains(it);
    !name.is_empty() && !name.starts_with('-') && name.chars().all(is_sign)
}

fn shortened(words: &str) -> String {
    let words = Escaped::line(words).to_string();
    match words.char_indices().nth(HELP_MAX) {
        Some((end, _)) => format!("{}…", words.get(..end).unwrap_or_default()),
        None => words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(all: &[(&str, &str)], current: &str) -> Vec<String> {
        let all = all.iter().map(|(name, words)| ((*name).to_owned(), (*words).to_owned()));
        let offered = offered(all, OsStr::new(current));
        offered.iter().map(|it| it.get_value().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn offers_what_begins_so() {
        let all = [("k3mq7xzw", ""), ("k3p2", ""), ("p9wn2c4d", "")];
        assert_eq!(names(&all, "k3"), ["k3mq7xzw", "k3p2"]);
        assert_eq!(names(&all, ""), ["k3mq7xzw", "k3p2", "p9wn2c4d"]);
        assert!(names(&all, "x").is_empty());
        let many: Vec<(&str, &str)> = vec![("k3", ""); OFFERED_MAX + 1];
        assert_eq!(names(&many, "").len(), OFFERED_MAX);
    }

    #[test]
    fn no_name_is_more_than_a_word_to_a_shell() {
        let tricky = [
            "$(reboot)",
            "`reboot`",
            "a;reboot",
            "a b",
            "a\nb",
            "a\tb",
            "a\u{b}b",
            "*",
            "--all",
            "a'b",
            "a\"b",
            "a\\b",
            "\u{1b}[2J",
            "a\u{202e}b",
            "~root",
            "a&b",
            "a|b",
            "a>b",
            "!1",
            "{a,b}",
            "",
        ];
        for name in tricky {
            assert!(names(&[(name, "")], "").is_empty(), "{name:?}");
        }
    }

    #[test]
    fn words_stay_in_their_place() {
        let words = format!("wants\nto\t\u{1b}]0;x\u{7}delete \u{202e}{}", "x".repeat(HELP_MAX));
        let offered = offered([("k3".to_owned(), words)].into_iter(), OsStr::new(""));
        let help = offered[0].get_help().expect("words").to_string();
        assert!(!help.chars().any(char::is_control) && !help.contains('\u{202e}'), "{help:?}");
        assert_eq!(help.chars().count(), HELP_MAX + 1, "{help}");
    }

    #[test]
    fn agents_are_spelled_without_a_colon() {
        assert_eq!(spelled("system:serviceaccount:dev:triage"), "dev/triage");
        assert_eq!(spelled("bot@example.com"), "bot@example.com");
    }
}
