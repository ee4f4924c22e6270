//! The reviewer's commands.

use anyhow::{Context, Result};
use api::body::{Approval, CallBody, Denial, HoldDetail, HoldSummary, List, NamespaceBody};
use clap::{Args, Subcommand};
use jiff::{SignedDuration, Timestamp};

use crate::{
    client::{Client, Connection},
    human,
    output::{Output, for_scripts, print},
    words,
};

#[derive(Debug, Subcommand)]
pub(crate) enum ReviewCommand {
    /// List what waits for a decision.
    #[command(
        after_help = "Examples:\n  agent-shield holds\n  agent-shield holds --state all -o wide\n  agent-shield holds -o json | jq -r '.items[].id'"
    )]
    Holds {
        /// pending, approved, running, denied, expired, done, unknown, or all; open ones by default.
        #[arg(long)]
        state: Option<String>,
        /// Only this namespace.
        #[arg(long, short)]
        namespace: Option<String>,
        /// Only this agent.
        #[arg(long)]
        agent: Option<String>,
        /// How to print.
        #[arg(long, short, value_enum, default_value_t)]
        output: Output,
    },
    /// Show one hold: who, what, where, what would change and what goes with it.
    #[command(
        after_help = "Examples:\n  agent-shield show k3mq7xzw\n  agent-shield show k3mq7xzw -o json | jq -r .preview.digest"
    )]
    Show {
        /// The hold's id, from `holds`.
        id: String,
        /// How to print.
        #[arg(long, short, value_enum, default_value_t)]
        output: Output,
    },
    /// Approve a hold, in your name, exactly as it stands now.
    #[command(
        after_help = "Examples:\n  agent-shield approve k3mq7xzw --reason 'agreed in #on-call'\n  agent-shield approve k3mq --digest \"$(agent-shield show k3mq -o json | jq -r .preview.digest)\""
    )]
    Approve {
        /// The hold's id, from `holds`.
        id: String,
        /// Why; the agent sees it, and it is recorded.
        #[arg(long, default_value = "")]
        reason: String,
        /// Approve only if the preview still has this digest (`preview.digest` of `show -o json`).
        #[arg(long)]
        digest: Option<String>,
    },
    /// Deny a hold, in your name.
    #[command(after_help = "Examples:\n  agent-shield deny k3mq7xzw --reason 'wrong namespace'")]
    Deny {
        /// The hold's id, from `holds`.
        id: String,
        /// Why; the agent sees it, and it is recorded.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Show what was called, decided and done, newest first.
    #[command(
        after_help = "Examples:\n  agent-shield timeline --since 2h --writes\n  agent-shield timeline --namespace payments --verb delete\n  agent-shield timeline --resource deployments --object web -o wide"
    )]
    Timeline(Box<TimelineArgs>),
    /// Show how each namespace is seen, why, and the command that declares it otherwise.
    #[command(
        after_help = "Examples:\n  agent-shield namespaces\n  agent-shield namespaces -o json | jq -r '.items[] | select(.production) | .name'"
    )]
    Namespaces {
        /// How to print.
        #[arg(long, short, value_enum, default_value_t)]
        output: Output,
    },
}

#[derive(Args, Debug)]
pub(crate) struct TimelineArgs {
    /// Only this namespace.
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
    #[arg(long, value_parser = moment)]
    since: Option<Timestamp>,
    /// Not after.
    #[arg(long, value_parser = moment)]
    until: Option<Timestamp>,
    /// allow, hold, deny or refuse.
    #[arg(long)]
    decision: Option<String>,
    /// Only what belongs to this hold.
    #[arg(long)]
    hold: Option<String>,
    /// Only this call.
    #[arg(long, value_name = "ID")]
    audit_id: Option<String>,
    /// Agent-shield's own dry runs and reads too.
    #[arg(long)]
    probes: bool,
    /// Leave reads out.
    #[arg(long)]
    writes: bool,
    /// At most so many calls.
    #[arg(long, default_value_t = 200)]
    limit: usize,
    /// How to print.
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
}

pub(crate) async fn run(command: ReviewCommand, connection: Connection) -> Result<()> {
    let client = Client::new(&connection).await?;
    match command {
        ReviewCommand::Holds { state, namespace, agent, output } => {
            let query = query(&[("state", state), ("namespace", namespace), ("user", agent)]);
            let holds: List<HoldSummary> = client.get(&format!("/v1/holds{query}")).await?;
            let names =
                |list: &List<HoldSummary>| list.items.iter().map(|hold| hold.id.clone()).collect();
            if !for_scripts(output, &holds, names)? {
                let wide = output == Output::Wide;
                print(&human::holds(&holds.items, wide, Timestamp::now()))?;
            }
        }
        ReviewCommand::Show { id, output } => {
            let hold = fetch(&client, &id).await?;
            if !for_scripts(output, &hold, |hold| vec![hold.summary.id.clone()])? {
                print(&human::hold(&hold, Timestamp::now()))?;
            }
        }
        ReviewCommand::Approve { id, reason, digest } => {
            let hold = fetch(&client, &id).await?;
            print(&words::sentence(&hold.summary, Some(&hold.preview)))?;
            let digest = digest.unwrap_or(hold.preview.digest);
            let path = format!("/v1/holds/{}/approve", segment(&id));
            let decided: HoldDetail = client.post(&path, &Approval { reason, digest }).await?;
            let waits = match decided.summary.waiting {
                0 => "the agent has gone: its next identical request runs, once",
                _ => "the agent waits: its request runs now",
            };
            print(&format!("approved; {waits}"))?;
        }
        ReviewCommand::Deny { id, reason } => {
            let hold = fetch(&client, &id).await?;
            print(&words::sentence(&hold.summary, Some(&hold.preview)))?;
            let path = format!("/v1/holds/{}/deny", segment(&id));
            let _: HoldDetail = client.post(&path, &Denial { reason }).await?;
            print("denied; the same effect stays denied for 10 minutes")?;
        }
        ReviewCommand::Timeline(args) => timeline(&client, *args).await?,
        ReviewCommand::Namespaces { output } => {
            let namespaces: List<NamespaceBody> = client.get("/v1/namespaces").await?;
            let names =
                |list: &List<NamespaceBody>| list.items.iter().map(|it| it.name.clone()).collect();
            if !for_scripts(output, &namespaces, names)? {
                print(&human::namespaces(&namespaces.items))?;
            }
        }
    }
    Ok(())
}

async fn timeline(client: &Client, args: TimelineArgs) -> Result<()> {
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
    let calls: List<CallBody> = client.get(&format!("/v1/timeline{query}")).await?;
    let names =
        |list: &List<CallBody>| list.items.iter().map(|call| call.audit_id.clone()).collect();
    if !for_scripts(args.output, &calls, names)? {
        print(&human::timeline(&calls.items, args.output == Output::Wide))?;
    }
    Ok(())
}

async fn fetch(client: &Client, id: &str) -> Result<HoldDetail> {
    client.get(&format!("/v1/holds/{}", segment(id))).await
}

/// One path segment, whatever was typed.
fn segment(text: &str) -> String {
    text.trim().bytes().map(encoded).collect()
}

fn query(pairs: &[(&str, Option<String>)]) -> String {
    let pairs: Vec<String> = pairs
        .iter()
        .filter_map(|(key, value)| Some((key, value.as_ref()?)))
        .map(|(key, value)| format!("{key}={}", value.bytes().map(encoded).collect::<String>()))
        .collect();
    if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
}

fn encoded(byte: u8) -> String {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
            char::from(byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    }
}

/// `2h`, `7d`, or a moment.
fn moment(text: &str) -> Result<Timestamp> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment);
    }
    let days = text.strip_suffix('d').and_then(|days| days.parse::<i64>().ok());
    let span = match days.and_then(|days| days.checked_mul(24)) {
        Some(hours) => SignedDuration::from_hours(hours),
        None => text
            .parse::<SignedDuration>()
            .context("give a time span like 2h or 7d, or a time like 2026-01-31T08:00:00Z")?,
    };
    Timestamp::now().checked_sub(span).context("that is too long ago")
}
