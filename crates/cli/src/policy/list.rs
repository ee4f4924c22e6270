//! `policy list`: the rules that would be in force.

use std::path::PathBuf;

use ::policy::{
    Compiled, Pack, Reviewers, Rule,
    document::{Mode, Time},
};
use anyhow::Result;
use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use text::Escaped;

use super::compiled::compiled;
use crate::{
    moment,
    output::{self, Output, print},
    printers,
};

#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    /// Files and directories; without any, only the built-in default pack.
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// A rule for scripts.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    name: String,
    policy: String,
    action: &'static str,
    #[serde(rename = "where")]
    place: &'static str,
    severity: &'static str,
    mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    denial_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reviewers: Option<Reviewers>,
    description: String,
    unconditional: bool,
    file: String,
    line: usize,
}

#[derive(Serialize)]
struct Listing {
    digest: String,
    items: Vec<Listed>,
    disabled: Vec<String>,
    exceptions: Vec<ListedException>,
}

#[derive(Serialize)]
struct ListedException {
    name: String,
    rules: Vec<String>,
    reason: String,
    expires: Timestamp,
}

fn listed(pack: &Pack, rule: &Rule) -> Listed {
    Listed {
        name: rule.name.to_string(),
        policy: pack.policy_of(rule).to_owned(),
        action: rule.decision.as_str(),
        place: rule.place.as_str(),
        severity: rule.severity.as_str(),
        mode: match rule.mode {
            Mode::Enforce => "enforce",
            Mode::Shadow => "shadow",
        },
        deadline: rule.deadline.map(|it| Time(it).to_string()),
        denial_time: rule.denial_time.map(|it| Time(it).to_string()),
        reviewers: rule.reviewers.clone(),
        description: rule.description.clone(),
        unconditional: rule.unconditional,
        file: rule.file.clone(),
        line: rule.line,
    }
}

pub(super) fn run(args: &ListArgs) -> Result<()> {
    let Compiled { pack, .. } = compiled(&args.paths)?;
    let exceptions = pack.exceptions().iter().map(|it| ListedException {
        name: it.name.clone(),
        rules: it.rules.iter().map(ToString::to_string).collect(),
        reason: it.reason.clone(),
        expires: it.expires,
    });
    let listing = Listing {
        digest: pack.digest().to_owned(),
        items: pack.rules().iter().map(|rule| listed(&pack, rule)).collect(),
        disabled: pack.disabled().iter().map(ToString::to_string).collect(),
        exceptions: exceptions.collect(),
    };
    let names = |it: &Listing| it.items.iter().map(|rule| rule.name.clone()).collect();
    if output::for_scripts(args.output, &listing, names)? {
        return Ok(());
    }
    let header = ["RULE", "ASKS FOR", "BY", "WITHIN", "WHERE", "SEVERITY", "MODE", "ABOUT"];
    let mut table = printers::table(&header);
    for (rule, compiled) in listing.items.iter().zip(pack.rules()) {
        let by = compiled.reviewers.as_ref().map(ToString::to_string).unwrap_or_default();
        let cells = [
            &*rule.name,
            rule.action,
            by.as_str(),
            rule.deadline.as_deref().unwrap_or_default(),
            rule.place,
            rule.severity,
            rule.mode,
            rule.description.as_str(),
        ];
        table.add_row(cells.map(|cell| Escaped::line(cell).to_string()));
    }
    crate::pager::page(&table.trim_fmt())?;
    for rule in &listing.disabled {
        print(&format!("disabled: {}", Escaped::line(rule)))?;
    }
    for it in &listing.exceptions {
        let line =
            format!("{} until {}: {}", it.name, moment::shown(it.expires), it.rules.join(", "));
        print(&format!("exception: {}", Escaped::line(&line)))?;
    }
    Ok(())
}
