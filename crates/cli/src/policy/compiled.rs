//! Policy files, compiled; what is wrong with them is printed.

use std::path::PathBuf;

use ::policy::{Compiled, Issue, compile};
use anyhow::{Result, bail};
use jiff::Timestamp;
use policy_source::files;
use text::Escaped;

/// Compiles files; what is wrong with them is printed, and ends the command.
pub(super) fn compiled(paths: &[PathBuf]) -> Result<Compiled> {
    sound(compile(&files::read(paths)?, Timestamp::now()))
}

/// What was compiled; warnings are printed, and mistakes too, which end the command.
pub(super) fn sound(compiled: Result<Compiled, Vec<Issue>>) -> Result<Compiled> {
    match compiled {
        Ok(compiled) => {
            for warning in &compiled.warnings {
                anstream::eprintln!("{}", Escaped::lines(&warning.to_string()));
            }
            Ok(compiled)
        }
        Err(issues) => {
            for issue in &issues {
                anstream::eprintln!("{}", Escaped::lines(&issue.to_string()));
            }
            match issues.len() {
                1 => bail!("1 mistake: none of these policies would be in force"),
                count => bail!("{count} mistakes: none of these policies would be in force"),
            }
        }
    }
}
