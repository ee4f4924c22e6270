//! `policy migrate`: files that compare sentences, rewritten to compare fields.

use std::{fs, path::PathBuf};

use ::policy::{Migrated, migrate};
use anyhow::{Context, Result, bail};
use clap::Args;
use jiff::Timestamp;
use policy_source::files;
use text::Escaped;

use crate::output::print;

#[derive(Args, Debug)]
pub(crate) struct MigrateArgs {
    /// Files, and directories of `*.yaml` and `*.yml`.
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// Change the files; without it, what would be changed is printed.
    #[arg(long)]
    write: bool,
}

pub(super) fn run(args: &MigrateArgs) -> Result<()> {
    let (mut rewritten, mut left) = (0, 0);
    for source in files::read(&args.paths)? {
        let migrated = migrate(&source, Timestamp::now());
        tell(&source.name, &migrated)?;
        rewritten += migrated.rewrites.len();
        left += migrated.left.len();
        if args.write && !migrated.rewrites.is_empty() {
            fs::write(&source.name, &migrated.text)
                .with_context(|| format!("cannot write {}", source.name))?;
        }
    }
    match args.write {
        true => print(&format!("{rewritten} expressions were rewritten"))?,
        false => print(&format!("{rewritten} expressions to rewrite; --write does it"))?,
    }
    if left > 0 {
        bail!("{left} expressions still compare a sentence: say what they mean by fields");
    }
    Ok(())
}

fn tell(file: &str, migrated: &Migrated) -> Result<()> {
    for it in &migrated.rewrites {
        let (file, line) = (Escaped::line(file), it.line);
        print(&format!("{file}:{line}: {}", Escaped::line(&it.old)))?;
        print(&format!("  -> {}", Escaped::line(&it.new)))?;
    }
    for issue in &migrated.left {
        anstream::eprintln!("{}", Escaped::lines(&issue.to_string()));
    }
    Ok(())
}
