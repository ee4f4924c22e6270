//! `timeline`: what was called, decided and done, on our side or on both.

use std::path::PathBuf;

use anyhow::Result;
use api::body::Timeline;
use audit::EventFilter;
use clap::Args;
use jiff::Timestamp;

use crate::{
    client::Client,
    joined_timeline::{self, JoinedTimeline},
    moment,
    output::{Output, for_scripts, print},
    printers,
    urls::query,
};

#[derive(Args, Debug)]
pub(crate) struct TimelineArgs {
    /// Only this namespace, and calls that are about every namespace at once.
    #[arg(long, short)]
    namespace: Option<String>,
    /// Only this resource (plural).
    #[arg(long)]
    resource: Option<String>,
    /// Only objects of this name.
    #[arg(long, value_name = "NAME")]
    object: Option<String>,
    /// Only this agent.
    #[arg(long)]
    agent: Option<String>,
    /// Only this verb: delete, patch, …
    #[arg(long)]
    verb: Option<String>,
    /// Not before: a time span like 2h or 7d, or a time like 2026-01-31T08:00:00Z.
    #[arg(long, value_parser = moment::parse)]
    since: Option<Timestamp>,
    /// Not after.
    #[arg(long, value_parser = moment::parse)]
    until: Option<Timestamp>,
    /// allow, hold, deny or refuse.
    #[arg(long)]
    decision: Option<String>,
    /// Only entries of this hold.
    #[arg(long)]
    hold: Option<String>,
    /// Only the call with this audit id.
    #[arg(long, value_name = "ID")]
    audit_id: Option<String>,
    /// Include agent-shield's own dry runs and reads. Those whose call is not recorded are always listed.
    #[arg(long)]
    probes: bool,
    /// Only writes. Dry runs and access reviews that were let through are none.
    #[arg(long)]
    writes: bool,
    /// Maximum number of calls; if more match, the older ones are left out, and a message says so.
    #[arg(long, default_value_t = 200)]
    limit: usize,
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
    let event_filter = EventFilter {
        namespace: args.namespace.clone(),
        resource: args.resource.clone(),
        name: args.object.clone(),
        agent: args.agent.clone(),
        verb: args.verb.clone(),
        since: args.since,
        until: args.until,
        writes: args.writes,
        ours_alone: args.decision.is_some() || args.hold.is_some() || args.audit_id.is_some(),
    };
    let flag = |set: bool| set.then(|| "true".to_owned());
    let query = query(&[
        ("namespace", args.namespace),
        ("resource", args.resource),
        ("name", args.object),
        ("user", args.agent),
        ("verb", args.verb),
        ("since", args.since.map(|it| it.to_string())),
        ("until", args.until.map(|it| it.to_string())),
        ("decision", args.decision),
        ("hold", args.hold),
        ("auditID", args.audit_id),
        ("probes", flag(args.probes)),
        ("writes", flag(args.writes)),
        ("limit", Some(args.limit.to_string())),
    ]);
    let calls: Timeline = client.get(&format!("/v1/timeline{query}")).await?;
    let left_out = calls.left_out.then(|| {
        format!(
            "Only the latest {} calls are shown; older ones that match are left out. Give a larger \
             --limit, or --until.",
            args.limit
        )
    });
    if !args.audit_log.is_empty() {
        let joined = joined_timeline::read(client, &args.audit_log, calls, &event_filter).await?;
        let names = |it: &JoinedTimeline| it.items.iter().map(|it| it.audit_id.clone()).collect();
        if !for_scripts(args.output, &joined, names)? {
            print(&printers::joined(&joined, args.output == Output::Wide))?;
        }
    } else {
        let names = |it: &Timeline| it.items.iter().map(|call| call.audit_id.clone()).collect();
        if !for_scripts(args.output, &calls, names)? {
            print(&printers::timeline(&calls.items, args.output == Output::Wide))?;
        }
    }
    // Not among the rows: whoever reads these by a script must not take it for one.
    if let Some(left_out) = left_out {
        eprintln!("{left_out}");
    }
    Ok(())
}
