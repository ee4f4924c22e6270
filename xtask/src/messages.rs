//! `messages`: every text that people get, in one list that somebody has read.
//!
//! The list is made from the sources, so that no text reaches a person unread: who adds or changes
//! one adds it to the list, and reads there what stands around it. It asserts no behaviour.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::{Context, Result, bail};

use crate::{
    root,
    source::{Package, messages, packages},
};

const FILE: &str = "tests/messages.txt";

const HEAD: &str = "\
# What agent-shield tells people: errors, the log, standard error, and the words that these are put
# together from. Made from the sources by `cargo xtask messages --accept`. Read what changed as the
# person who gets it: what happened, in their words, and what to do? One thing has one word, and
# the same thing is said the same way everywhere.
";

/// Compares the list with the sources; with `accept` writes it anew.
///
/// # Errors
/// They differ, each difference told; or the sources cannot be read.
pub(crate) fn run(accept: bool) -> Result<()> {
    let list = list(&packages(&root())?);
    if accept {
        return fs::write(root().join(FILE), list).with_context(|| format!("cannot write {FILE}"));
    }
    println!("check: messages");
    refuse_debug(&list)?;
    compare(&root().join(FILE), &list)
}

/// What Rust prints of a value for whoever mends the program says nothing to anybody else.
fn refuse_debug(list: &str) -> Result<()> {
    match list.lines().find(|it| it.contains(":?}") || it.contains(":#?}")) {
        Some(line) => bail!("a message prints a value as Rust writes it, with `:?`: {line}"),
        None => Ok(()),
    }
}

fn compare(file: &Path, list: &str) -> Result<()> {
    let accepted = fs::read_to_string(file).with_context(|| format!("cannot read {FILE}"))?;
    if accepted == list {
        return Ok(());
    }
    for (mark, lines) in [("-", only_in(&accepted, list)), ("+", only_in(list, &accepted))] {
        lines.iter().for_each(|line| println!("{mark} {line}"));
    }
    bail!(
        "{FILE} is not what the sources say: run `cargo xtask messages --accept`, and read what changed"
    )
}

/// The lines of one text that another does not have, as often as it lacks them.
fn only_in<'a>(text: &'a str, other: &str) -> Vec<&'a str> {
    let mut rest: Vec<&str> = other.lines().collect();
    let is_missing = |line: &&str| match rest.iter().position(|it| it == line) {
        Some(at) => {
            rest.swap_remove(at);
            false
        }
        None => true,
    };
    text.lines().filter(is_missing).collect()
}

fn list(packages: &[Package]) -> String {
    let mut list = HEAD.to_owned();
    for file in packages.iter().flat_map(|it| &it.files) {
        let messages = messages(file);
        if messages.is_empty() {
            continue;
        }
        let _ = write!(list, "\n{}\n", file.path.display());
        for message in messages {
            let text = message.text.replace('\n', "\\n");
            let _ = writeln!(list, "{:<6} {text}", message.by.mark());
        }
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_differs() {
        assert_eq!(only_in("a\nb\nb\nc", "c\nb"), ["a", "b"]);
        assert!(only_in("a\nb", "b\na").is_empty());
    }

    #[test]
    fn refuses_what_only_rust_reads() {
        assert!(refuse_debug("error  {0} is gone").is_ok());
        assert!(refuse_debug("error  {0:?} is gone").is_err());
        assert!(refuse_debug("words  it is {it:#?}").is_err());
    }
}
