//! The reviewer's commands.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use api::body::{Approval, CallBody, HoldDetail, HoldSummary, List, NamespaceBody, Reason};
use clap::{Args, Subcommand};
use jiff::Timestamp;

use crate::{
    audit_join::{self, EventFilter, JoinedTimeline},
    client::{Client, ClientError, Connection},
    escape::Escaped,
    freeze::{self, FreezeCommand},
    human,
    output::{Output, for_scripts, print},
    pick::{LETTERS_TO_APPROVE, LETTERS_TO_READ, Unclear, begins, pick},
    program,
    serve::parse_span,
    watch::{self, WatchArgs},
    words,
};

#[derive(Debug, Subcommand)]
pub(crate) enum ReviewCommand {
    /// List what waits for a decision, the most severe first.
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
    Watch(WatchArgs),
    /// Show one hold: who, what, where, what would change and what goes with it.
    #[command(
        after_help = "Examples:\n  agent-shield show k3mq7xzw\n  agent-shield show k3mq7xzw -o json | jq -r .preview.digest"
    )]
    Show {
        /// The hold's id, from `holds`, or enough of its beginning.
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
        /// The hold's id, from `holds`, or enough of its beginning.
        id: String,
        /// Why; the agent sees it, and it is recorded. Some rules require one.
        #[arg(long, default_value = "")]
        reason: String,
        /// Approve only if the preview still has this digest (`preview.digest` of `show -o json`).
        #[arg(long)]
        digest: Option<String>,
    },
    /// Deny a hold, in your name.
    #[command(after_help = "Examples:\n  agent-shield deny k3mq7xzw --reason 'wrong namespace'")]
    Deny {
        /// The hold's id, from `holds`, or enough of its beginning.
        id: String,
        /// Why; the agent sees it, and it is recorded.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Take your own approval back, as long as it was not used.
    #[command(
        after_help = "Examples:\n  agent-shield withdraw k3mq7xzw --reason 'the backup is older than I thought'"
    )]
    Withdraw {
        /// The hold's id, from `holds`, or enough of its beginning.
        id: String,
        /// Why; it is recorded.
        #[arg(long, default_value = "")]
        reason: String,
    },
    #[command(flatten)]
    Freeze(FreezeCommand),
    /// Show what was called, decided and done, newest first.
    #[command(
        after_help = "Examples:\n  agent-shield timeline --since 2h --writes\n  agent-shield timeline --namespace payments --verb delete\n  agent-shield timeline --resource deployments --object web -o wide\n  agent-shield timeline --audit-log /var/log/kubernetes/audit.log --writes"
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
    /// The API server's own audit log (JSON lines; - for standard input): shows both sides of each
    /// call, and what agents did without agent-shield. May be given again for rotated files.
    #[arg(long, value_name = "FILE")]
    audit_log: Vec<PathBuf>,
    /// How to print.
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
}

pub(crate) async fn run(command: ReviewCommand, connection: Connection) -> Result<()> {
    let client = Client::new(&connection).await?;
    match command {
        ReviewCommand::Holds { state, namespace, agent, output } => {
            // What is over is history, and stays in the order of time.
            let is_queue = state.as_deref().is_none_or(|it| it == "pending");
            let query = query(&[("state", state), ("namespace", namespace), ("user", agent)]);
            let mut holds: List<HoldSummary> = client.get(&format!("/v1/holds{query}")).await?;
            if is_queue {
                holds.items.sort_by_key(urgency);
            }
            let names =
                |list: &List<HoldSummary>| list.items.iter().map(|hold| hold.id.clone()).collect();
            if !for_scripts(output, &holds, names)? {
                let wide = output == Output::Wide;
                print(&human::holds(&holds.items, wide, Timestamp::now()))?;
            }
        }
        ReviewCommand::Watch(args) => watch::run(&args, client).await?,
        ReviewCommand::Show { id, output } => {
            let hold = meant(&client, &id, "?state=all", LETTERS_TO_READ).await?;
            if !for_scripts(output, &hold, |hold| vec![hold.summary.id.clone()])? {
                print(&human::hold(&hold, Timestamp::now()))?;
            }
        }
        ReviewCommand::Approve { id, reason, digest } => {
            let hold = meant(&client, &id, "", LETTERS_TO_APPROVE).await?;
            print(&words::sentence(&hold.summary, Some(&hold.preview)))?;
            let digest = digest.unwrap_or(hold.preview.digest);
            let approved = approve(&client, &hold.summary.id, reason, digest).await?;
            print(&approved)?;
        }
        ReviewCommand::Deny { id, reason } => {
            let hold = meant(&client, &id, "", LETTERS_TO_READ).await?;
            print(&words::sentence(&hold.summary, Some(&hold.preview)))?;
            print(&deny(&client, &hold.summary.id, reason).await?)?;
        }
        ReviewCommand::Withdraw { id, reason } => {
            let hold = meant(&client, &id, "", LETTERS_TO_READ).await?;
            print(&words::sentence(&hold.summary, Some(&hold.preview)))?;
            let path = format!("/v1/holds/{}/withdraw", segment(&hold.summary.id));
            let hold: HoldDetail = client.post(&path, &Reason { reason }).await?;
            print(&format!("withdrawn; still needed: {}", Escaped::line(&hold.summary.missing)))?;
        }
        ReviewCommand::Freeze(command) => freeze::run(command, &client).await?,
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
    let calls: List<CallBody> = client.get(&format!("/v1/timeline{query}")).await?;
    if !args.audit_log.is_empty() {
        let joined = audit_join::join(client, &args.audit_log, calls, &event_filter).await?;
        let names = |it: &JoinedTimeline| it.items.iter().map(|it| it.audit_id.clone()).collect();
        if !for_scripts(args.output, &joined, names)? {
            print(&human::joined(&joined, args.output == Output::Wide))?;
        }
        return Ok(());
    }
    let names =
        |list: &List<CallBody>| list.items.iter().map(|call| call.audit_id.clone()).collect();
    if !for_scripts(args.output, &calls, names)? {
        print(&human::timeline(&calls.items, args.output == Output::Wide))?;
    }
    Ok(())
}

/// Approves what was on the screen: `digest` is of the preview that was read. Answers with what
/// becomes of the request.
pub(crate) async fn approve(
    client: &Client,
    id: &str,
    reason: String,
    digest: String,
) -> Result<String> {
    let path = format!("/v1/holds/{}/approve", segment(id));
    let decided: HoldDetail = client.post(&path, &Approval { reason, digest }).await?;
    let HoldSummary { missing, waiting, .. } = &decided.summary;
    Ok(match (missing.as_str(), waiting) {
        ("", 0) => "approved; the agent has gone: its next identical request runs, once".to_owned(),
        ("", _) => "approved; the agent waits: its request runs now".to_owned(),
        (missing, _) => {
            format!("your approval is recorded; still needed: {}", Escaped::line(missing))
        }
    })
}

/// What a reviewer should look at first has the smallest: the worst, then the nearest deadline.
pub(crate) fn urgency(hold: &HoldSummary) -> (usize, Timestamp, String) {
    const WORST_FIRST: [&str; 4] = ["critical", "high", "medium", "low"];
    let severity = WORST_FIRST.iter().position(|it| *it == hold.severity);
    (severity.unwrap_or(0), hold.deadline, hold.id.clone())
}

/// Denies a hold. Answers with what becomes of the request.
pub(crate) async fn deny(client: &Client, id: &str, reason: String) -> Result<String> {
    let path = format!("/v1/holds/{}/deny", segment(id));
    let _: HoldDetail = client.post(&path, &Reason { reason }).await?;
    Ok("denied; the same effect stays denied for 10 minutes".to_owned())
}

/// One hold with all that is known of it.
pub(crate) async fn fetch(client: &Client, id: &str) -> Result<HoldDetail> {
    client.get(&format!("/v1/holds/{}", segment(id))).await
}

/// The hold of that id, or the one among those of `query` whose id begins so.
async fn meant(
    client: &Client,
    typed: &str,
    query: &str,
    letters_min: usize,
) -> Result<HoldDetail> {
    if typed.trim().is_empty() {
        bail!("give the id of a hold: `{} holds` lists them", program::name());
    }
    let unknown = match fetch(client, typed).await {
        Err(error) if is_unknown(&error) => error,
        answer => return answer,
    };
    // Who may not list holds is told what the server said, and no more.
    let Ok(holds) = client.get::<List<HoldSummary>>(&format!("/v1/holds{query}")).await else {
        return Err(unknown);
    };
    match pick(typed, &holds.items, letters_min) {
        Ok(hold) => fetch(client, &hold.id).await,
        Err(unclear) => Err(ClientError::NoSuchHold(no_such_hold(typed, &unclear)).into()),
    }
}

fn is_unknown(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<ClientError>();
    matches!(error, Some(ClientError::Answered { code: 404, .. }))
}

fn no_such_hold(typed: &str, unclear: &Unclear<'_>) -> String {
    let is_begun = unclear.near.iter().any(|it| begins(&it.id, typed));
    let mut text = match (unclear.near.is_empty(), unclear.ambiguous) {
        (true, _) => {
            return format!(
                "there is no hold `{typed}`: `{} holds --state all` lists them",
                program::name()
            );
        }
        (_, true) => format!("more than one hold begins with `{typed}`:"),
        (_, false) if is_begun => format!("`{typed}` is too short to be sure; did you mean:"),
        (_, false) => format!("there is no hold `{typed}`; did you mean:"),
    };
    for hold in &unclear.near {
        let (id, state) = (&hold.id, &hold.state);
        text.push_str(&format!("\n  {id}  {state}  {}", words::sentence(hold, None)));
    }
    text
}

/// One path segment, whatever was typed.
pub(crate) fn segment(text: &str) -> String {
    text.trim().bytes().map(encoded).collect()
}

/// `?key=value&…` of what is given, encoded.
pub(crate) fn query(pairs: &[(&str, Option<String>)]) -> String {
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
pub(crate) fn moment(text: &str) -> Result<Timestamp> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment);
    }
    let span = parse_span(text)
        .context("give a time span like 2h or 7d, or a time like 2026-01-31T08:00:00Z")?;
    Timestamp::now().checked_sub(span).context("that is too long ago")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_holds_that_may_be_meant() {
        let hold = human::tests::detail().summary;
        let mut other = hold.clone();
        other.id = "k2mq7xzw".into();
        let unclear = |near, ambiguous| Unclear { near, ambiguous };
        let table = [
            (
                unclear(vec![], false),
                "there is no hold `k3`: `agent-shield holds --state all` lists them",
            ),
            (
                unclear(vec![&other], false),
                "there is no hold `k3`; did you mean:\n  k2mq7xzw  pending  ServiceAccount agents/triage wants to delete namespace payments.",
            ),
            (
                unclear(vec![&hold], false),
                "`k3` is too short to be sure; did you mean:\n  k3mq7xzw  pending  ServiceAccount agents/triage wants to delete namespace payments.",
            ),
            (
                unclear(vec![&hold], true),
                "more than one hold begins with `k3`:\n  k3mq7xzw  pending  ServiceAccount agents/triage wants to delete namespace payments.",
            ),
        ];
        for (unclear, want) in table {
            assert_eq!(no_such_hold("k3", &unclear), want);
        }
    }
}
