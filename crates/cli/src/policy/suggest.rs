//! `policy suggest-exceptions`: exceptions for holds that reviewers always approve.
//!
//! [`::replay::suggest`] says which exceptions they are, and why no others.

use std::{collections::HashSet, num::NonZeroUsize, path::PathBuf};

use ::policy::{Compiled, Source, compile};
use ::replay::suggest::{HeldCalls, Left, Limits, Suggestion, suggest};
use anyhow::{Result, bail};
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use policy_source::files;
use serde::Serialize;
use text::Escaped;

use super::{compiled::compiled, ledger_args::LedgerArgs};
use crate::{
    moment,
    output::{self, Output, print},
};

#[derive(Args, Debug)]
pub(crate) struct SuggestArgs {
    /// Not before: a time span like 30d, or a time like 2026-01-31T08:00:00Z.
    #[arg(long, default_value = "30d", value_parser = moment::since)]
    since: Timestamp,
    /// Policies that are in force; by default those of the last `serve`.
    #[arg(long, value_name = "PATH")]
    policy: Vec<PathBuf>,
    #[command(flatten)]
    ledger: LedgerArgs,
    /// How often the same thing must have been approved.
    #[arg(long, value_name = "COUNT", default_value = "5")]
    approvals: NonZeroUsize,
    /// How many people must have approved it.
    #[arg(long, value_name = "COUNT", default_value = "2")]
    reviewers: NonZeroUsize,
    /// On how many different days.
    #[arg(long, value_name = "COUNT", default_value = "3")]
    days: NonZeroUsize,
    /// Days until the exceptions expire.
    #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = clap::value_parser!(i64).range(1..=90))]
    expire_after: i64,
    /// How to print them: policy documents by default; `json` and `yaml` add the evidence.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Serialize)]
struct Suggestions {
    items: Vec<Suggestion>,
    /// Holds that were approved each time, and what stands against an exception.
    left: Vec<Left>,
}

pub(super) fn run(args: &SuggestArgs) -> Result<()> {
    let paths = match args.policy.as_slice() {
        [] => policy_source::status(&args.ledger.data_dir)?
            .files
            .into_iter()
            .map(Into::into)
            .collect(),
        paths => paths.to_vec(),
    };
    let Compiled { pack, .. } = compiled(&paths)?;
    let now = Timestamp::now();
    let history = args.ledger.history()?;
    let mut calls = HeldCalls::default();
    history.each(args.since, &mut |entry| calls.take(entry))?;
    let agents: HashSet<String> = history.agents()?.into_iter().collect();
    let limits = Limits {
        approvals: args.approvals.get(),
        reviewers: args.reviewers.get(),
        days: args.days.get(),
        own_namespace: args.ledger.own_namespace(),
        expires: now
            .checked_add(SignedDuration::from_hours(24 * args.expire_after))
            .unwrap_or(Timestamp::MAX),
    };
    let (items, left) = suggest(&pack, calls.finish(&agents), &limits);
    let mut sources = files::read(&paths)?;
    let text = documents(&items)?;
    sources.push(Source { name: "the suggested exceptions".to_owned(), text: text.clone() });
    if let Err(issues) = compile(&sources, now) {
        let words: Vec<String> = issues.iter().map(ToString::to_string).collect();
        bail!("exceptions that would not be accepted are not suggested:\n{}", words.join("\n"));
    }
    let suggestions = Suggestions { items, left };
    let names = |it: &Suggestions| it.items.iter().map(|it| it.name().to_owned()).collect();
    if output::for_scripts(args.output, &suggestions, names)? {
        return Ok(());
    }
    for left in &suggestions.left {
        print(Escaped::line(&format!("# not suggested: {}", left.describe())).as_str())?;
    }
    match suggestions.items.is_empty() {
        true => print("# nothing is suggested"),
        false => print(Escaped::lines(&text).as_str()),
    }
}

/// The exceptions as a policy file.
fn documents(items: &[Suggestion]) -> Result<String> {
    let mut text = String::new();
    for item in items {
        text.push_str(&format!("---\n# {}\n", Escaped::line(&item.describe())));
        text.push_str(&item.document()?);
    }
    Ok(text)
}
