//! `policy replay`: every call that the ledger tells of, judged by another set of policies.
//!
//! Nothing is asked of a cluster or of a running agent-shield. What the ledger does not tell is
//! counted apart, and never guessed.

use std::path::PathBuf;

use ::policy::Compiled;
use ::replay::tally::{Report, Tally};
use anyhow::Result;
use clap::Args;
use jiff::Timestamp;
use text::Escaped;

use super::{
    compiled::compiled,
    ledger_args::{LedgerArgs, WINDOW},
};
use crate::{
    moment,
    output::{self, Output, print},
    printers, spinner,
};

/// Changes that people are shown; scripts get all that are kept.
const SHOWN_MAX: usize = 50;

#[derive(Args, Debug)]
pub(crate) struct ReplayArgs {
    /// Policies to try: files and directories, as for `serve`. Unless settings say otherwise, the
    /// default pack is in force as well; without this flag, only the default pack.
    #[arg(long, value_name = "PATH")]
    policy: Vec<PathBuf>,
    /// Not before: a time span like 2h or 7d, or a time like 2026-01-31T08:00:00Z.
    #[arg(long, default_value = "7d", value_parser = moment::since)]
    since: Timestamp,
    #[command(flatten)]
    ledger: LedgerArgs,
    /// Exit with 7 if any decision would change or is not known.
    #[arg(long)]
    exit_code: bool,
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// The replayed verdicts are not those of the ledger: an exit code of its own, and no failure.
#[derive(Debug, thiserror::Error)]
#[error("{changed} decisions would change, and {unknown} are not known")]
pub(crate) struct Differs {
    changed: u64,
    unknown: u64,
}

impl Differs {
    pub(crate) const EXIT_CODE: u8 = 7;
}

pub(super) fn run(args: &ReplayArgs) -> Result<()> {
    let Compiled { pack, .. } = compiled(&args.policy)?;
    let pack = pack.guarding(&args.ledger.own_namespace());
    let history = args.ledger.history()?;
    let from = if pack.needs_window() {
        args.since.checked_sub(WINDOW).unwrap_or(Timestamp::MIN)
    } else {
        args.since
    };
    let bar = spinner::bar("replaying", history.count(from)?);
    let mut tally = Tally::new(&pack, args.since);
    history.each(from, &mut |entry| {
        tally.take(entry);
        bar.inc(1);
    })?;
    bar.finish_and_clear();
    let report = tally.report();
    print_report(&report, args.output)?;
    let (changed, unknown) = (report.changed + report.other_rules, report.unknown);
    match args.exit_code && changed + unknown > 0 {
        true => Err(Differs { changed, unknown }.into()),
        false => Ok(()),
    }
}

fn print_report(report: &Report, output: Output) -> Result<()> {
    let names = |it: &Report| it.items.iter().map(|it| it.audit_id.clone()).collect();
    if output::for_scripts(output, report, names)? {
        return Ok(());
    }
    print(&summary(report))?;
    if !report.items.is_empty() {
        print("\nOther verdicts, the latest first:")?;
        print(&changes(report))?;
    }
    let left = report.items.len().saturating_sub(SHOWN_MAX) as u64 + report.items_left_out;
    if left > 0 {
        print(&format!("and {left} more: -o json lists them"))?;
    }
    if !report.unknowns.is_empty() {
        print("\nWhat the ledger does not tell:")?;
        let mut table = printers::table(&["CALLS", "RULE", "WHY", "FOR EXAMPLE"]);
        for it in &report.unknowns {
            let cells = [it.calls.to_string(), it.rule.clone(), it.why.clone(), it.example.clone()];
            table.add_row(cells.map(|cell| Escaped::line(&cell).to_string()));
        }
        print(&table.trim_fmt())?;
    }
    if report.days.iter().any(|it| it.before + it.after + it.unknown > 0) {
        print("\nHolds by day:")?;
        let mut table = printers::table(&["DAY", "CALLS", "BEFORE", "AFTER", "NOT KNOWN"]);
        for it in &report.days {
            let numbers = [it.calls, it.before, it.after, it.unknown].map(|it| it.to_string());
            let [calls, before, after, unknown] = numbers;
            table.add_row([it.day.clone(), calls, before, after, unknown]);
        }
        print(&table.trim_fmt())?;
    }
    if !report.reviewers.is_empty() {
        print("\nHolds by who decided them:")?;
        let mut table = printers::table(&["REVIEWER", "BEFORE", "AFTER", "NOT KNOWN"]);
        for it in &report.reviewers {
            let name = if it.reviewer.is_empty() { "(nobody yet)" } else { &it.reviewer };
            let numbers = [it.before, it.after, it.unknown].map(|it| it.to_string());
            let [before, after, unknown] = numbers;
            table.add_row([Escaped::line(name).to_string(), before, after, unknown]);
        }
        print(&table.trim_fmt())?;
    }
    Ok(())
}

fn summary(report: &Report) -> String {
    let Report { calls, reads, same, changed, other_rules, unknown, not_judged, .. } = report;
    let mut text = format!(
        "{calls} calls since {}, {reads} of them reads, by the policy set {}\n",
        moment::shown(report.since),
        report.policy
    );
    let mut line = |count: u64, what: &str| {
        if count > 0 {
            text.push_str(&format!("{count:>9} {what}\n"));
        }
    };
    line(*same, "the same verdict");
    line(*changed, "another verdict");
    line(*other_rules, "the same verdict by other rules");
    line(*unknown, "not known: the ledger does not tell what these rules read");
    line(
        *not_judged,
        "never judged by policy: malformed, frozen, or refused by the API server's dry run",
    );
    let (holds, previews) = (&report.holds, &report.previews);
    text.push_str(&format!(
        "Holds: {} before, {} after ({} new, {} gone). Previews, which agents wait for: {} new, {} gone.",
        holds.before, holds.after, holds.added, holds.removed, previews.added, previews.removed
    ));
    text
}

fn changes(report: &Report) -> String {
    let mut table =
        printers::table(&[&moment::head("TIME"), "AGENT", "CALL", "FROM", "TO", "AUDIT ID"]);
    for it in report.items.iter().take(SHOWN_MAX) {
        let cells = [
            moment::shown(it.time),
            printers::short_user(&it.user).into_owned(),
            printers::describe_request(&it.request),
            it.from.describe(),
            it.to.describe(),
            it.audit_id.clone(),
        ];
        table.add_row(cells.map(|cell| Escaped::line(&cell).to_string()));
    }
    table.trim_fmt()
}
