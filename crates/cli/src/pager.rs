//! What is longer than the screen goes through the reader's pager, as git does it: on a terminal only, and
//! never where a question follows.

use std::{
    io::{self, IsTerminal, Write},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
};

use anstream::{AutoStream, ColorChoice, adapter::strip_str};
use anyhow::Result;
use tokio::signal::unix::{SignalKind, signal};
use unicode_width::UnicodeWidthStr;

use crate::output::print;

const DEFAULT: &str = "less";
/// Ends at once where all fits, keeps colours, leaves the text on the screen: git's own choice.
const LESS: &str = "FRX";
/// What a shell says of a command that it cannot run.
const CANNOT_RUN: [i32; 2] = [126, 127];

static IS_OFF: AtomicBool = AtomicBool::new(false);

/// `--no-pager`.
pub(crate) fn turn_off() {
    IS_OFF.store(true, Ordering::Relaxed);
}

/// Prints a text, through the pager where it is longer than the terminal.
pub(crate) fn page(text: &str) -> Result<()> {
    let text = text.trim_end_matches('\n');
    match command().filter(|_| is_long(text)) {
        // Who cannot have the pager has the text.
        Some(command) if through(&command, text).is_ok() => Ok(()),
        _ => print(text),
    }
}

/// What to page with; `None` where nobody could leaf.
fn command() -> Option<String> {
    let is_terminal = io::stdout().is_terminal() && io::stdin().is_terminal();
    if IS_OFF.load(Ordering::Relaxed) || !is_terminal {
        return None;
    }
    let command = std::env::var("PAGER").unwrap_or_else(|_| DEFAULT.to_owned());
    Some(command.trim().to_owned()).filter(|it| !it.is_empty() && it != "cat")
}

fn is_long(text: &str) -> bool {
    let Ok((columns, rows)) = crossterm::terminal::size() else { return false };
    rows_of(text, usize::from(columns)) >= usize::from(rows)
}

/// How many rows a text takes where lines that are too long are wrapped.
fn rows_of(text: &str, columns: usize) -> usize {
    let text = strip_str(text).to_string();
    text.lines().map(|line| line.width().div_ceil(columns.max(1)).max(1)).sum()
}

fn through(command: &str, text: &str) -> io::Result<()> {
    // Ctrl-C is the pager's.
    let caught = signal(SignalKind::interrupt());
    let mut pager = Command::new("sh");
    pager.args(["-c", command]).stdin(Stdio::piped());
    if std::env::var_os("LESS").is_none() {
        pager.env("LESS", LESS);
    }
    let mut pager = pager.spawn()?;
    if let Some(mut input) = pager.stdin.take() {
        let written = match AutoStream::choice(&io::stdout()) {
            ColorChoice::Never => writeln!(input, "{}", strip_str(text)),
            _ => writeln!(input, "{text}"),
        };
        // Who has read enough does not wait for the rest.
        written.or_else(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Ok(()),
            _ => Err(error),
        })?;
    }
    let status = pager.wait()?;
    drop(caught);
    match status.code().is_some_and(|it| CANNOT_RUN.contains(&it)) {
        true => Err(io::Error::other("the pager cannot be run")),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_rows_as_a_terminal_wraps_them() {
        let table = [
            ("", 10, 0),
            ("a\nb", 10, 2),
            ("a\n\nb", 10, 3),
            ("0123456789", 10, 1),
            ("0123456789a", 10, 2),
            ("\u{1b}[31m0123456789\u{1b}[0m", 10, 1),
            ("日本語", 4, 2),
            ("abc", 0, 3),
        ];
        for (text, columns, want) in table {
            assert_eq!(rows_of(text, columns), want, "{text} in {columns}");
        }
    }
}
