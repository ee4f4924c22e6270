//! `-o`: for people, for scripts, or names alone.

use anyhow::Result;
use clap::ValueEnum;
use serde::Serialize;

use crate::escape;

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

/// Prints what scripts read; `false` where people are meant.
pub(crate) fn for_scripts<T: Serialize>(
    output: Output,
    value: &T,
    names: impl Fn(&T) -> Vec<String>,
) -> Result<bool> {
    match output {
        Output::Table | Output::Wide => return Ok(false),
        Output::Json => println!("{}", escape::json(&serde_json::to_string_pretty(value)?)),
        Output::Yaml => {
            // JSON strings are YAML strings: what misleads is escaped before YAML is made of it.
            let value = serde_json::to_value(value)?;
            print!("{}", escape::Escaped::lines(&serde_saphyr::to_string(&value)?));
        }
        Output::Name => {
            for name in names(value) {
                println!("{}", escape::Escaped::line(&name));
            }
        }
    }
    Ok(true)
}
