//! `man`: the help of every command as manual pages, from the same source.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, Command};
use clap_mangen::Man;

use crate::output::print;

/// Print the manual page, or write one for each command.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  agent-shield man | man -l -
  agent-shield man --dir ~/.local/share/man/man1 && man agent-shield-approve")]
pub(crate) struct ManArgs {
    /// Write one page per command into this directory, which is created if missing.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(crate) fn run(args: &ManArgs, command: Command) -> Result<()> {
    let command = portable(command);
    match &args.dir {
        None => print(&page(command)?),
        Some(dir) => write(dir, command),
    }
}

fn page(command: Command) -> Result<String> {
    let mut page = Vec::new();
    Man::new(command).render(&mut page)?;
    Ok(String::from_utf8(page)?)
}

fn write(dir: &Path, command: Command) -> Result<()> {
    std::fs::create_dir_all(dir)
        .and_then(|()| clap_mangen::generate_to(command, dir))
        .with_context(|| format!("cannot write manual pages to {}", dir.display()))
}

/// Without what is true on this machine only: the default of a directory names somebody's home.
fn portable(command: Command) -> Command {
    command.mut_subcommand("serve", |serve| {
        serve.mut_arg("data_dir", |it| it.hide_default_value(true))
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn each_command_has_a_page() -> Result<()> {
        let dir = tempfile::tempdir()?;
        let pages = dir.path().join("man1");
        write(&pages, portable(crate::Cli::command()))?;
        let mut names: Vec<String> =
            vec!["agent-shield.1".into(), "agent-shield-agent-kubeconfig.1".into()];
        let command = crate::Cli::command();
        names.extend(
            command.get_subcommands().map(|it| format!("agent-shield-{}.1", it.get_name())),
        );
        for name in names {
            let page = std::fs::read_to_string(pages.join(&name)).context(name.clone())?;
            assert!(page.contains(".SH NAME") && page.contains("Examples:"), "{name}");
        }
        let serve = std::fs::read_to_string(pages.join("agent-shield-serve.1"))?;
        assert!(!serve.contains("share/agent"), "somebody's home");
        assert!(page(crate::Cli::command())?.starts_with(".ie"));
        Ok(())
    }
}
