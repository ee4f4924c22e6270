//! `timeline`: what was called, decided and done, on our side or on both.

use std::{collections::BTreeMap, num::NonZeroUsize, path::PathBuf};

use anyhow::Result;
use api::{
    agent_name::{self, Meant},
    body::Timeline,
};
use audit::EventFilter;
use clap::Args;
use jiff::Timestamp;

use crate::{
    client::{Client, ClientError},
    joined_timeline::{self, JoinedTimeline},
    live_names, moment,
    output::{Output, for_scripts},
    pager::page,
    printers, restricted,
    urls::query,
    usage::WrongUsage,
};

/// Calls that are shown unless more or fewer are asked for.
const LIMIT: NonZeroUsize = NonZeroUsize::MIN.saturating_add(199);

#[derive(Args, Debug)]
pub(crate) struct TimelineArgs {
    /// Only this namespace, and calls that are about every namespace at once.
    #[arg(long, short, add = live_names::namespaces())]
    namespace: Option<String>,
    /// Only this resource: deployments, deploy, Deployment, deployments.apps or pods/exec.
    #[arg(long)]
    resource: Option<String>,
    /// Only objects of this name, and the calls that made them.
    #[arg(long, value_name = "NAME")]
    object: Option<String>,
    /// Only this agent, and what reviewers did to it: NAMESPACE/NAME or NAMESPACE:NAME of a ServiceAccount, its name
    /// where only one has it, or a full username.
    #[arg(long, add = live_names::agents())]
    agent: Option<String>,
    /// Only calls in which this reviewer had a say, and what they did to agents.
    #[arg(long, value_name = "NAME")]
    reviewer: Option<String>,
    /// Only this verb: delete, patch, …
    #[arg(long)]
    verb: Option<String>,
    /// Not before: 2h or 7d ago, 08:00 (the last one), a date like 2026-01-31, or a time as tables print it. Without
    /// an offset, it is in your zone.
    #[arg(long, value_parser = moment::since)]
    since: Option<Timestamp>,
    /// Not after; a date is all of that day.
    #[arg(long, value_parser = moment::until)]
    until: Option<Timestamp>,
    /// allow, hold (whatever became of it), deny (by policy or by a reviewer) or refuse.
    #[arg(long)]
    decision: Option<String>,
    /// Only entries of this hold: its id, or a unique beginning of it.
    #[arg(long)]
    hold: Option<String>,
    /// Only the call with this audit id, or with the only one that begins so.
    #[arg(long, value_name = "ID")]
    audit_id: Option<String>,
    /// Include agent-shield's own dry runs and reads. Those whose call is not recorded are always listed.
    #[arg(long)]
    probes: bool,
    /// Only writes. Dry runs and access reviews that were let through are none.
    #[arg(long)]
    writes: bool,
    /// Maximum number of calls; if more match, the older ones are left out, and a message says so.
    #[arg(long, default_value_t = LIMIT)]
    limit: NonZeroUsize,
    /// The API server's own audit log (JSON lines; - for standard input): shows both sides of each
    /// call, and what agents did without agent-shield. Repeat it for rotated files.
    #[arg(long, value_name = "FILE")]
    audit_log: Vec<PathBuf>,
    /// How to print.
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
}

/// Asks for the calls and prints them.
pub(crate) async fn run(client: &Client, args: TimelineArgs) -> Result<()> {
    if let Some(why) = moment::is_empty(args.since, args.until) {
        return Err(WrongUsage(format!("{why}: nothing can match")).into());
    }
    let calls = asked(client, &args).await?;
    let left_out = calls.left_out.then(|| left_out(calls.items.len(), args.limit.get()));
    restricted::warn(calls.restricted);
    let wide = args.output == Output::Wide;
    if !args.audit_log.is_empty() {
        let filter = event_filter(&args, &calls.filter);
        let joined = joined_timeline::read(client, &args.audit_log, calls, &filter).await?;
        let names = |it: &JoinedTimeline| it.items.iter().map(|it| it.audit_id.clone()).collect();
        if !for_scripts(args.output, &joined, names)? {
            page(&printers::joined(&joined, wide))?;
        }
    } else {
        let names = |it: &Timeline| it.items.iter().map(|call| call.audit_id.clone()).collect();
        if !for_scripts(args.output, &calls, names)? {
            page(&printers::timeline(&calls, wide))?;
        }
    }
    // Not among the rows: whoever reads these by a script must not take it for one.
    if let Some(left_out) = left_out {
        eprintln!("{left_out}");
    }
    Ok(())
}

/// Our side of it. The API server's may know an agent that ours does not.
async fn asked(client: &Client, args: &TimelineArgs) -> Result<Timeline> {
    let flag = |set: bool| set.then(|| "true".to_owned());
    let time = |at: Option<Timestamp>| at.map(|it| it.to_string());
    let query = query(&[
        ("namespace", args.namespace.clone()),
        ("resource", args.resource.clone()),
        ("name", args.object.clone()),
        ("user", args.agent.clone()),
        ("reviewer", args.reviewer.clone()),
        ("verb", args.verb.clone()),
        ("since", time(args.since)),
        ("until", time(args.until)),
        ("decision", args.decision.clone()),
        ("hold", args.hold.clone()),
        ("auditID", args.audit_id.clone()),
        ("probes", flag(args.probes)),
        ("writes", flag(args.writes)),
        ("limit", Some(args.limit.to_string())),
    ]);
    let calls = client.get(&format!("/v1/timeline{query}")).await;
    match (calls, &args.agent) {
        (Err(error), Some(typed)) if !args.audit_log.is_empty() && is_unknown(&error) => {
            let username = match agent_name::meant(typed, &[]) {
                Meant::Unknown(spellings) => spellings.into_iter().next_back(),
                Meant::One(_) | Meant::Many(_) => None,
            };
            let username = username.unwrap_or_else(|| typed.clone());
            let filter = [("user".to_owned(), username)].into();
            Ok(Timeline { items: Vec::new(), left_out: false, restricted: false, filter })
        }
        (calls, _) => calls.map_err(|it| restricted::hinted(it, args.namespace.as_deref())),
    }
}

fn is_unknown(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(ClientError::Answered { code: 404, .. }))
}

/// The same for the API server's side, in the words that ours was taken for.
fn event_filter(args: &TimelineArgs, meant: &BTreeMap<String, String>) -> EventFilter {
    let word = |key: &str, typed: &Option<String>| meant.get(key).or(typed.as_ref()).cloned();
    let is_ours = [&args.decision, &args.hold, &args.audit_id, &args.reviewer];
    EventFilter {
        namespace: args.namespace.clone(),
        resource: word("resource", &args.resource),
        api_group: word("apiGroup", &None),
        subresource: word("subresource", &None),
        name: args.object.clone(),
        agent: word("user", &args.agent),
        verb: word("verb", &args.verb),
        since: args.since,
        until: args.until,
        writes: args.writes,
        ours_alone: is_ours.iter().any(|it| it.is_some()),
    }
}

/// What is missing, and how to see it; a store gives so many in one answer and no more.
fn left_out(shown: usize, limit: usize) -> String {
    let larger = if shown < limit { "" } else { "a larger --limit, or " };
    format!(
        "Only the latest {shown} calls are shown; older ones that match are left out. Give {larger}\
         --until with the time of the last one."
    )
}
