//! `report`: what one agent did, was held for, was denied and ran, and where it was stopped.

use anyhow::Result;
use api::body::{CallBody, FreezeBody, List, Timeline};
use clap::Args;
use jiff::Timestamp;

use crate::{
    account::Account,
    client::Client,
    live_names, moment,
    output::{Output, for_scripts, print},
    printers,
    urls::query,
    usage::WrongUsage,
};

/// What the server gives in one answer.
const CALLS_MAX: usize = 10_000;

/// Show what one agent did, on a page: what ran and on whose word, what was held and denied, and where it was
/// stopped.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  agent-shield report --agent dev/triage\n  agent-shield report --agent triage --since 12h\n  agent-shield report --agent dev/triage --since 2026-01-31 --until 2026-01-31 -o json"
)]
pub(crate) struct ReportArgs {
    /// The agent: NAMESPACE/NAME or NAMESPACE:NAME of a ServiceAccount, its name where only one has it, or a full
    /// username.
    #[arg(long, add = live_names::agents())]
    agent: String,
    /// Not before: 2h or 7d ago, a date like 2026-01-31, or a time as tables print it.
    #[arg(long, default_value = "24h", value_parser = moment::since)]
    since: Timestamp,
    /// Not after; a date is all of that day.
    #[arg(long, value_parser = moment::until)]
    until: Option<Timestamp>,
    /// Print every line of each part, not the latest only; what people stopped is printed whole either way.
    #[arg(long)]
    all: bool,
    /// How to print.
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
}

/// Asks for the agent's calls and tells what became of them.
pub(crate) async fn run(client: &Client, args: ReportArgs) -> Result<()> {
    if let Some(why) = moment::is_empty(Some(args.since), args.until) {
        return Err(WrongUsage(format!("{why}: nothing can match")).into());
    }
    // What could have changed something first: it must not be lost among many reads.
    let writes = asked(client, &args, true).await?;
    let all = asked(client, &args, false).await?;
    let left_out = writes.left_out || all.left_out;
    let agent = all.filter.get("user").cloned().unwrap_or_else(|| args.agent.clone());
    // Who may list in some namespaces only is not told who is frozen.
    let freezes = client.get::<List<FreezeBody>>("/v1/freezes").await.ok();
    let is_frozen = freezes.map(|it| it.items.iter().any(|freeze| freeze.user == agent));
    let calls = merged(writes.items, all.items);
    let account =
        Account::of(agent, (args.since, args.until), &calls, is_frozen, left_out, printers::what);
    if !for_scripts(args.output, &account, |it| vec![it.agent.clone()])? {
        print(&printers::account(&account, args.all))?;
    }
    if left_out {
        eprintln!(
            "Only the latest {CALLS_MAX} calls are counted; older ones are left out. Ask for less at once with \
             --since and --until."
        );
    }
    Ok(())
}

async fn asked(client: &Client, args: &ReportArgs, writes: bool) -> Result<Timeline> {
    let query = query(&[
        ("user", Some(args.agent.clone())),
        ("since", Some(args.since.to_string())),
        ("until", args.until.map(|it| it.to_string())),
        ("writes", writes.then(|| "true".to_owned())),
        ("limit", Some(CALLS_MAX.to_string())),
    ]);
    client.get(&format!("/v1/timeline{query}")).await
}

/// Each call once, the oldest first.
fn merged(writes: Vec<CallBody>, all: Vec<CallBody>) -> Vec<CallBody> {
    let known: std::collections::BTreeSet<String> =
        all.iter().map(|it| it.audit_id.clone()).collect();
    let more = writes.into_iter().filter(|it| !known.contains(&it.audit_id)).collect::<Vec<_>>();
    let mut calls = all;
    calls.extend(more);
    calls.sort_by_key(|call| call.time);
    calls
}
