//! `policy explain`: what each rule makes of a request that somebody wrote, or of a call in the ledger.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use ::policy::{Compiled, Decision, Pack, PolicyDecision, Step, case::Case, document::Time};
use ::replay::{
    Open, Said,
    tally::{Explained, Tally},
};
use anyhow::{Context, Result, bail};
use clap::Args;
use jiff::Timestamp;
use ledger::History;
use text::Escaped;

use super::{
    compiled::compiled,
    ledger_args::{LedgerArgs, WINDOW},
};
use crate::{moment, output::print, printers, spinner};

#[derive(Args, Debug)]
pub(crate) struct ExplainArgs {
    /// A file with a request, or the audit id of a call, or a unique beginning of it.
    #[arg(value_name = "REQUEST|AUDIT-ID")]
    request: PathBuf,
    /// Files and directories of policies.
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Also show rules that do not apply to the request.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    ledger: LedgerArgs,
}

pub(super) fn run(args: &ExplainArgs) -> Result<()> {
    let Compiled { pack, .. } = compiled(&args.paths)?;
    match audit_id(&args.request) {
        Some(audit_id) => {
            explain_call(args, audit_id, &pack.guarding(&args.ledger.own_namespace()))
        }
        None => explain_request(args, &pack),
    }
}

/// An audit id, or as much of one as tells when its call began.
const ID_DIGITS: usize = 36;
const ID_DIGITS_MIN: usize = 8;
/// Ids that are named where several begin so.
const NAMED_MAX: usize = 5;

/// An audit id or the beginning of one, unless a file has that name.
fn audit_id(request: &Path) -> Option<&str> {
    let text = request.to_str()?;
    let is_id = (ID_DIGITS_MIN..=ID_DIGITS).contains(&text.len())
        && text.bytes().all(|it| it.is_ascii_hexdigit() || it == b'-');
    (is_id && !request.exists()).then_some(text)
}

fn explain_request(args: &ExplainArgs, pack: &Pack) -> Result<()> {
    let name = args.request.display();
    let text =
        std::fs::read_to_string(&args.request).with_context(|| format!("cannot read {name}"))?;
    let case: Case =
        serde_saphyr::from_str(&text).with_context(|| format!("{name} is not a request"))?;
    let trace = case.judged(pack).map_err(|why| anyhow::anyhow!("{name}: {why}"))?;
    let decision = past_tense(trace.verdict.decision());
    print(&format!("{decision}, by the policy set {}", pack.digest()))?;
    if trace.verdict.decision() == Decision::Hold {
        print(Escaped::line(&describe_demand(&trace.verdict)).as_str())?;
    }
    print_steps(&trace.steps, args.all)?;
    for shadow in trace.verdict.shadow() {
        let why = match shadow.exception.as_str() {
            "" => "mode: shadow".to_owned(),
            name => format!("exception {name}"),
        };
        let line = format!("  {} did not count: {why}", shadow.rule);
        print(Escaped::line(&line).as_str())?;
    }
    Ok(())
}

/// The audit id that was typed, or the only one that begins so.
fn whole_id(history: &dyn History, typed: &str) -> Result<String> {
    let typed = typed.to_ascii_lowercase();
    if typed.len() == ID_DIGITS {
        return Ok(typed);
    }
    let mut ids = BTreeSet::new();
    history.each(earliest(&typed), &mut |entry| {
        if entry.audit_id.starts_with(&typed) {
            ids.insert(entry.audit_id);
        }
    })?;
    match ids.len() {
        0 => bail!("there is no file `{typed}`, and no call whose audit id begins so"),
        1 => Ok(ids.pop_first().unwrap_or_default()),
        _ => {
            let named: Vec<String> = ids.into_iter().take(NAMED_MAX).collect();
            bail!("more than one audit id begins with `{typed}`: {}", named.join(", "))
        }
    }
}

/// When calls began whose ids begin so, at the earliest: only ids of version 7 have their time in them.
fn earliest(typed: &str) -> Timestamp {
    let digits: String = typed.chars().filter(|it| *it != '-').take(12).collect();
    let digits = format!("{digits:0<12}");
    let (first, second) = digits.split_at_checked(8).unwrap_or_default();
    let began = ledger::began(&format!("{first}-{second}-7000-8000-000000000000"));
    began.unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Each judgement of a call: a held one may be judged again before it runs.
fn explain_call(args: &ExplainArgs, audit_id: &str, pack: &Pack) -> Result<()> {
    let history = args.ledger.history()?;
    let audit_id = &*whole_id(history.as_ref(), audit_id)?;
    let from = ledger::began(audit_id).and_then(|it| it.checked_sub(WINDOW).ok());
    let from = from.unwrap_or(Timestamp::UNIX_EPOCH);
    let bar = spinner::bar("looking", history.count(from)?);
    let mut tally = Tally::new(pack, from).explaining(audit_id);
    history.each(from, &mut |entry| {
        tally.take(entry);
        bar.inc(1);
    })?;
    bar.finish_and_clear();
    let explained = tally.explained();
    if explained.is_empty() {
        let dir = args.ledger.data_dir.display();
        bail!(
            "no policy judged a call {audit_id} in the ledger of {dir}: is that its data directory? What was refused before any policy (malformed, frozen, refused by the API server's dry run) has no rules to explain"
        );
    }
    for it in &explained {
        print_judgement(it, pack, args.all)?;
    }
    Ok(())
}

fn print_judgement(it: &Explained, pack: &Pack, all: bool) -> Result<()> {
    let (when, who) = (moment::shown(it.time), printers::short_user(&it.user));
    let line = format!("{when}  {who}  {}", printers::describe_request(&it.request));
    print(Escaped::line(&line).as_str())?;
    let rules = match it.decision.rules.join(", ") {
        rules if rules.is_empty() => String::new(),
        rules => format!(" ({rules})"),
    };
    let then = it.decision.action.as_str();
    let line = format!("then: {then}{rules}, by the policy set {}", it.decision.policy);
    print(Escaped::line(&line).as_str())?;
    let (said, steps) = match &it.said {
        Ok(said) => said,
        Err(why) => {
            return print(Escaped::line(&format!("by these policies: not known, {why}")).as_str());
        }
    };
    let same = if it.decision.policy == pack.digest() { "the same set" } else { pack.digest() };
    print(&format!("by these policies: {}, {same}", describe_now(said)))?;
    for Open { rule, why } in &said.open {
        let rule = if rule.is_empty() { "the decision" } else { rule };
        print(Escaped::line(&format!("? {rule}: not known, {why}")).as_str())?;
    }
    print_steps(steps, all)
}

fn describe_now(said: &Said) -> &'static str {
    if said.open.is_empty() { past_tense(said.decision) } else { "not known for certain" }
}

fn past_tense(decision: Decision) -> &'static str {
    match decision {
        Decision::Allow => "allowed",
        Decision::Hold => "held",
        Decision::Deny => "denied",
    }
}

/// Rules that asked, then those that were near it.
fn print_steps(steps: &[Step], all: bool) -> Result<()> {
    let (asking, others): (Vec<&Step>, Vec<&Step>) =
        steps.iter().partition(|step| step.outcome.asks());
    let near = others.into_iter().filter(|step| all || step.outcome.is_near());
    for step in asking.into_iter().chain(near) {
        let mark = if step.outcome.asks() { "*" } else { " " };
        let line = format!("{mark} {}: {}", step.rule, step.outcome);
        print(Escaped::line(&line).as_str())?;
    }
    Ok(())
}

/// Whom a hold asks, until when, and how bad it is.
fn describe_demand(verdict: &PolicyDecision) -> String {
    let people: Vec<String> = verdict.reviewers().iter().map(ToString::to_string).collect();
    let people = if people.is_empty() { "1".to_owned() } else { people.join("; and by ") };
    let within = verdict.deadline().map(|it| format!(", within {}", Time(it))).unwrap_or_default();
    format!("to be approved by {people}{within}; severity {}", verdict.severity().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_audit_id_may_be_cut() {
        let table = [
            ("01a225d5-7fff-7abc-8def-0123456789ab", true),
            ("01a225d5", true),
            ("01a225d5-7f", true),
            ("01a225d", false),
            ("01a225dz", false),
            ("request.yaml", false),
            ("01a225d5-7fff-7abc-8def-0123456789abc", false),
        ];
        for (typed, want) in table {
            assert_eq!(audit_id(Path::new(typed)).is_some(), want, "{typed}");
        }
        let whole = ledger::began("01a225d5-7fff-7abc-8def-0123456789ab").expect("a time");
        let first = earliest("01a225d5");
        assert!(first <= whole && whole.duration_since(first).as_secs() < 66, "{first} {whole}");
        assert_eq!(earliest("01a225d5-7fff-7"), whole);
    }
}
