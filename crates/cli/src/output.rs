//! `-o`: for people, for scripts, or names alone.

use std::io::{IsTerminal, Write};

use anstream::ColorChoice;
use anyhow::Result;
use clap::{Args, ValueEnum};
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

/// How what people read looks.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Look {
    /// When to use colours: auto is on a terminal, and not with NO_COLOR.
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    color: When,
    /// Never page what is longer than the screen. PAGER names the pager; `less` by default.
    #[arg(long, global = true)]
    pub(crate) no_pager: bool,
}

/// When colours are used.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
enum When {
    /// On a terminal, and not with NO_COLOR.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Look {
    /// Has everything that is printed from now on look so.
    pub(crate) fn apply(self) {
        let choice = match self.color {
            When::Auto => ColorChoice::Auto,
            When::Always => ColorChoice::Always,
            When::Never => ColorChoice::Never,
        };
        choice.write_global();
        // The screen of `watch` has a switch of its own.
        if self.color != When::Auto {
            crossterm::style::force_color_output(self.color == When::Always);
        }
    }
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
