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

#[cfg(test)]
mod tests {
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
}
