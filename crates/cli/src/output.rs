//! `-o`: for people, for scripts, or names alone.

use std::io::{IsTerminal, Write};

use anyhow::Result;
use clap::ValueEnum;
use serde::Serialize;
use text::Escaped;

/// How a list or an object is printed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub(crate) enum Output {
    /// A table for people.
    #[default]
    Table,
    /// A table with every column.
    Wide,
    /// JSON, as docs/api.md describes it.
    Json,
    /// The same as YAML.
    Yaml,
    /// One id or name a line.
    Name,
}

/// Prints one text and a line break. Who stops reading (`| head`) ends the command without an error.
pub(crate) fn print(text: &str) -> Result<()> {
    match writeln!(anstream::stdout(), "{}", text.trim_end_matches('\n')) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        written => Ok(written?),
    }
}

/// How wide the terminal is that is printed to; `None` where it is none.
pub(crate) fn columns() -> Option<usize> {
    let (columns, _) = crossterm::terminal::size().ok()?;
    std::io::stdout().is_terminal().then_some(usize::from(columns)).filter(|it| *it > 0)
}

/// Prints what scripts read; `false` where people are meant.
pub(crate) fn for_scripts<T: Serialize>(
    output: Output,
    value: &T,
    names: impl Fn(&T) -> Vec<String>,
) -> Result<bool> {
    match output {
        Output::Table | Output::Wide => return Ok(false),
        Output::Json => print(&text::json(&serde_json::to_string_pretty(value)?))?,
        Output::Yaml => {
            // JSON strings are YAML strings: what misleads is escaped before YAML is made of it.
            let value = serde_json::to_value(value)?;
            print(Escaped::lines(&serde_saphyr::to_string(&value)?).as_str())?;
        }
        Output::Name => {
            for name in names(value) {
                print(Escaped::line(&name).as_str())?;
            }
        }
    }
    Ok(true)
}
