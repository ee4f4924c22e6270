//! What the program calls itself: `agent-shield`, or `kubectl shield` when kubectl runs it.
//!
//! kubectl finds a plugin by its file name (`kubectl-shield` on the PATH), so a link to the same
//! binary is all that it takes; a second link, `kubectl_complete-shield`, completes its words.

use std::{ffi::OsStr, path::Path, sync::OnceLock};

use clap::Command;

/// By which name the binary was called.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Program {
    /// By its own.
    #[default]
    AgentShield,
    /// As kubectl's plugin.
    KubectlPlugin,
    /// As what kubectl asks to complete the plugin's words.
    KubectlCompletion,
}

static PROGRAM: OnceLock<Program> = OnceLock::new();

impl Program {
    /// Reads it from the first argument, whatever directory it stands in.
    pub(crate) fn from_argument(argument: &OsStr) -> Self {
        match Path::new(argument).file_name().and_then(OsStr::to_str) {
            Some("kubectl-shield") => Self::KubectlPlugin,
            Some("kubectl_complete-shield") => Self::KubectlCompletion,
            _ => Self::AgentShield,
        }
    }

    /// As a person types it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AgentShield => "agent-shield",
            Self::KubectlPlugin | Self::KubectlCompletion => "kubectl shield",
        }
    }

    /// The command line under this name, in usage, help and examples alike.
    pub(crate) fn dress(self, command: Command) -> Command {
        match self {
            Self::AgentShield => command,
            Self::KubectlPlugin | Self::KubectlCompletion => {
                rename(command.name("kubectl-shield").bin_name(self.name()), self.name())
            }
        }
    }

    /// Remembers it for every text that names a command; the first call counts.
    pub(crate) fn remember(self) {
        let _ = PROGRAM.set(self);
    }
}

/// What to type in front of a command.
pub(crate) fn name() -> &'static str {
    PROGRAM.get().copied().unwrap_or_default().name()
}

/// Examples are ours, and name the program with a blank after it.
fn rename(mut command: Command, name: &str) -> Command {
    if let Some(text) = command.get_after_help().map(ToString::to_string) {
        command = command.after_help(text.replace("agent-shield ", &format!("{name} ")));
    }
    command.mut_subcommands(|it| rename(it, name))
}

/// What could stand for the last of `words`, as kubectl wants it: a candidate with its help on each
/// line, then `:4`, which says that file names are no candidates.
pub(crate) fn completions(mut command: Command, words: &[String]) -> String {
    command.build(); // Hands the global flags down.
    let (last, before) = words.split_last().map_or(("", [].as_slice()), |(l, b)| (l.as_str(), b));
    let mut at = &command;
    for word in before {
        at = at.find_subcommand(word).unwrap_or(at);
    }
    let mut text = String::new();
    for (word, help) in candidates(at, before.last().map_or("", String::as_str), last) {
        let help = help.lines().next().unwrap_or_default();
        text.push_str(&format!("{word}\t{help}\n"));
    }
    text + ":4"
}

fn candidates(command: &Command, previous: &str, last: &str) -> Vec<(String, String)> {
    let text = |it: Option<&clap::builder::StyledStr>| it.map(ToString::to_string);
    let flag = previous.strip_prefix("--").and_then(|name| {
        command.get_arguments().find(|it| it.get_long() == Some(name) && takes_value(it))
    });
    let mut found: Vec<(String, String)> = Vec::new();
    if last.starts_with('-') {
        found.extend(command.get_arguments().filter(|it| !it.is_hide_set()).filter_map(|it| {
            Some((format!("--{}", it.get_long()?), text(it.get_help()).unwrap_or_default()))
        }));
    } else if let Some(values) = flag.or_else(|| command.get_positionals().next()) {
        found.extend(
            values
                .get_possible_values()
                .iter()
                .map(|it| (it.get_name().to_owned(), text(it.get_help()).unwrap_or_default())),
        );
    }
    if flag.is_none() && !last.starts_with('-') {
        found.extend(
            command
                .get_subcommands()
                .map(|it| (it.get_name().to_owned(), text(it.get_about()).unwrap_or_default())),
        );
    }
    found.retain(|(word, _)| word.starts_with(last));
    found
}

fn takes_value(argument: &clap::Arg) -> bool {
    argument.get_action().takes_values()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn is_known_by_its_file_name() {
        let table = [
            ("/usr/bin/kubectl-shield", Program::KubectlPlugin),
            ("kubectl_complete-shield", Program::KubectlCompletion),
            ("./agent-shield", Program::AgentShield),
            ("kubectl-shield/agent-shield", Program::AgentShield),
            ("", Program::AgentShield),
        ];
        for (argument, want) in table {
            assert_eq!(Program::from_argument(OsStr::new(argument)), want, "{argument}");
        }
    }

    #[test]
    fn completes_as_kubectl_asks() {
        let complete = |line: &str| {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            let text = completions(crate::Cli::command(), &words);
            let words: Vec<&str> = text.lines().filter_map(|it| it.split('\t').next()).collect();
            words.join(" ")
        };
        let table = [
            ("ho", "holds :4"),
            ("holds --st", "--state :4"),
            ("holds --cont", "--context-name --context :4"),
            ("holds --output j", "json :4"),
            ("agent k", "kubeconfig :4"),
            ("completion ba", "bash :4"),
            ("show k", ":4"),
        ];
        for (line, want) in table {
            assert_eq!(complete(line), want, "{line}");
        }
    }
}
