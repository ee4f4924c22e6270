//! `completion`, and what the script that it prints asks for when a word is to be completed.
//!
//! The script calls this program back with the words of the command line, so that names that exist now
//! can be offered, and those of the version that is installed.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use clap::Command;
use clap_complete::{
    Shell,
    engine::complete,
    env::{Bash, CompleteEnv, Elvish, EnvCompleter, Fish, Powershell, Shells, Zsh},
};

/// Set by the script to the name of the shell.
pub(crate) const VARIABLE: &str = "AGENT_SHIELD_COMPLETE";
/// Set by bash's script: which of its words is completed.
const INDEX: &str = "_CLAP_COMPLETE_INDEX";
/// Set by bash's script: what stands between two candidates.
const SEPARATOR: &str = "_CLAP_IFS";
const SHELLS: Shells<'static> = Shells(&[&SplitBash, &Elvish, &Fish, &Powershell, &Zsh]);

/// The script for a shell; it calls the program by the name or path by which this was called.
///
/// # Errors
/// There is no such script, or it is not text.
pub(crate) fn script(shell: Shell) -> Result<String> {
    let called = PathBuf::from(std::env::args_os().next().unwrap_or_default());
    // A name alone is looked up by the shell each time.
    let called =
        if called.components().count() > 1 { std::path::absolute(called)? } else { called };
    let shell =
        SHELLS.completer(&shell.to_string()).context("there is no script for this shell")?;
    let mut script = Vec::new();
    let name = "agent-shield";
    shell.write_registration(VARIABLE, name, name, &called.to_string_lossy(), &mut script)?;
    Ok(String::from_utf8(script)?)
}

/// The command line that is being completed, without what stands before it; `None` where nothing is.
pub(crate) fn line() -> Option<Vec<OsString>> {
    let shell = std::env::var_os(VARIABLE).filter(|it| !it.is_empty() && it != "0")?;
    let words = std::env::args_os().skip_while(|it| it != "--").skip(1).collect();
    Some(if shell == "bash" { joined(words, 0).words } else { words })
}

/// Prints what could stand for the word that is completed.
pub(crate) fn answer(factory: impl Fn() -> Command) {
    let current_dir = std::env::current_dir().ok();
    // What cannot be completed is not: the shell shows whatever is printed.
    let _ = CompleteEnv::with_factory(factory)
        .var(VARIABLE)
        .shells(SHELLS)
        .try_complete(std::env::args_os(), current_dir.as_deref());
}

/// Candidates for the last of `words`, as kubectl asks a plugin for them: each with its help on a line, then
/// `:4`, which says that file names are no candidates.
pub(crate) fn for_kubectl(mut command: Command, words: Vec<OsString>) -> String {
    let index = words.len();
    let words = [OsString::from("kubectl-shield")].into_iter().chain(words).collect();
    let found = complete(&mut command, words, index, None).unwrap_or_default();
    let mut text = String::new();
    for candidate in found {
        let help = candidate.get_help().map(ToString::to_string).unwrap_or_default();
        let help = help.lines().next().unwrap_or_default();
        text.push_str(&format!("{}\t{help}\n", candidate.get_value().to_string_lossy()));
    }
    text + ":4"
}

/// Keeps everything that is not a candidate out of the terminal, and what asks there without an answer: a
/// credential plugin of the kubeconfig has both from this process.
pub(crate) fn silence() {
    if let Ok(nothing) = File::options().read(true).write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdin(&nothing);
        let _ = rustix::stdio::dup2_stderr(&nothing);
    }
}

/// Bash, which splits words at `:` and `=` too: a URL comes in pieces.
struct SplitBash;

impl EnvCompleter for SplitBash {
    fn name(&self) -> &'static str {
        Bash.name()
    }

    fn is(&self, name: &str) -> bool {
        Bash.is(name)
    }

    fn write_registration(
        &self,
        var: &str,
        name: &str,
        bin: &str,
        completer: &str,
        buf: &mut dyn Write,
    ) -> std::io::Result<()> {
        Bash.write_registration(var, name, bin, completer, buf)
    }

    fn write_complete(
        &self,
        command: &mut Command,
        args: Vec<OsString>,
        current_dir: Option<&Path>,
        buf: &mut dyn Write,
    ) -> std::io::Result<()> {
        let index = std::env::var(INDEX).ok().and_then(|it| it.parse().ok()).unwrap_or_default();
        let separator = std::env::var(SEPARATOR).unwrap_or_else(|_| "\n".to_owned());
        let Joined { words, index, before } = joined(args, index);
        let found = complete(command, words, index, current_dir)?;
        // Bash replaces only the last piece of the word.
        let found = found.iter().map(|it| it.get_value().to_string_lossy());
        let found = found.map(|it| it.strip_prefix(before.as_str()).unwrap_or(&it).to_owned());
        write!(buf, "{}", found.collect::<Vec<_>>().join(&separator))
    }
}

/// Words as they were typed.
#[derive(Debug, Eq, PartialEq)]
struct Joined {
    words: Vec<OsString>,
    /// The word that is completed.
    index: usize,
    /// Of that word, the pieces before the one that bash completes.
    before: String,
}

/// Puts words together again that bash has split.
fn joined(pieces: Vec<OsString>, index: usize) -> Joined {
    let is_sign =
        |it: &OsStr| !it.is_empty() && it.to_string_lossy().chars().all(|it| ":=".contains(it));
    let mut joined = Joined { words: Vec::new(), index, before: String::new() };
    let mut is_after_sign = false;
    for (at, piece) in pieces.into_iter().enumerate() {
        let is_sign = is_sign(&piece);
        let mut before = String::new();
        match joined.words.last_mut().filter(|_| at > 1 && (is_sign || is_after_sign)) {
            Some(word) => {
                before = word.to_string_lossy().into_owned();
                word.push(&piece);
            }
            None => joined.words.push(piece),
        }
        if at == index {
            (joined.index, joined.before) = (joined.words.len().saturating_sub(1), before);
        }
        is_after_sign = is_sign;
    }
    joined
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn puts_together_what_bash_has_split() {
        let table = [
            ("as show k", 2, "as show k", 2, ""),
            (
                "as --server https : //h : 8444 show k",
                8,
                "as --server https://h:8444 show k",
                4,
                "",
            ),
            ("as --context-name = pr", 3, "as --context-name=pr", 1, "--context-name="),
            ("as freeze dev : tri", 4, "as freeze dev:tri", 2, "dev:"),
            ("as --server https : //h", 4, "as --server https://h", 2, "https:"),
            ("as = b", 2, "as =b", 1, "="),
        ];
        for (typed, index, want, want_index, before) in table {
            let got = joined(typed.split(' ').map(OsString::from).collect(), index);
            let words: Vec<_> = got.words.iter().map(|it| it.to_string_lossy()).collect();
            assert_eq!(
                (words.join(" ").as_str(), got.index, got.before.as_str()),
                (want, want_index, before)
            );
        }
    }

    #[test]
    fn completes_as_kubectl_asks() {
        let complete = |line: &str| {
            let text =
                for_kubectl(crate::Cli::command(), line.split(' ').map(OsString::from).collect());
            let words: Vec<&str> = text.lines().filter_map(|it| it.split('\t').next()).collect();
            words.join(" ")
        };
        let table = [
            ("ho", "holds :4"),
            ("holds --st", "--state :4"),
            ("holds --cont", "--context-name --context :4"),
            ("holds --output j", "json :4"),
            ("agent k", "kubeconfig :4"),
            ("agent create x --preset on", "on-call :4"),
            ("completion ba", "bash :4"),
            // No server is asked, as none is named.
            ("show k", ":4"),
        ];
        for (line, want) in table {
            assert_eq!(complete(line), want, "{line}");
        }
    }

    #[test]
    fn every_shell_has_a_script_that_calls_back() -> Result<()> {
        for shell in [Shell::Bash, Shell::Elvish, Shell::Fish, Shell::PowerShell, Shell::Zsh] {
            assert!(script(shell)?.contains(VARIABLE), "{shell}");
        }
        Ok(())
    }
}
