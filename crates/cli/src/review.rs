//! The reviewer's commands.

use std::time::Duration;

use anyhow::{Result, bail};
use api::body::{Extension, HoldDetail, HoldSummary, List, NamespaceBody, Reason};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use text::{
    Escaped,
    duration::{self, DurationError},
};

use crate::{
    agents::{self, AgentsCommand},
    approve,
    client::{Client, ClientError},
    connection::Connection,
    freeze::{self, FreezeCommand},
    group,
    holds::{deny, fetch, stands, urgency},
    live_names,
    output::{Output, columns, for_scripts, print},
    pager::page,
    pick::{LETTERS_TO_APPROVE, LETTERS_TO_READ, Unclear, begins, pick},
    printers::{self, AskedFor},
    program,
    report::{self, ReportArgs},
    restricted,
    sentences::sentence,
    status::{self, StatusArgs},
    timeline::{self, TimelineArgs},
    urls::{query, segment},
    usage::WrongUsage,
    watch::{self, WatchArgs},
};

#[derive(Debug, Subcommand)]
pub(crate) enum ReviewCommand {
    /// List the holds that wait for a decision, the most severe first.
    #[command(
        after_help = "Examples:\n  agent-shield holds\n  agent-shield holds --state all -o wide\n  agent-shield holds -o json | jq -r '.items[].id'"
    )]
    Holds {
        /// pending, approved, running, denied, expired, cancelled, done, unknown, or all; open ones by default.
        #[arg(long)]
        state: Option<String>,
        #[command(flatten)]
        which: Which,
    },
    Watch(WatchArgs),
    /// Show one hold: who, what, where, what would change and what else would be affected.
    #[command(
        after_help = "Examples:\n  agent-shield show k3mq7xzw\n  agent-shield show k3mq7xzw -o json | jq -r .preview.digest\n  agent-shield show --all-of k3mq7xzw"
    )]
    Show {
        /// The hold's id from `holds`, or a unique beginning of it.
        #[arg(required_unless_present = "all_of", add = live_names::holds())]
        id: Option<String>,
        /// All that waits of the command that this hold is of.
        #[arg(long, value_name = "ID", add = live_names::pending_holds(), conflicts_with = "id")]
        all_of: Option<String>,
        /// How to print.
        #[arg(long, short, value_enum, default_value_t)]
        output: Output,
    },
    /// Approve a hold in your name, exactly as you saw it: without --digest, it is shown and you are
    /// asked.
    #[command(
        after_help = "Examples:\n  agent-shield approve k3mq7xzw --reason 'agreed in #incidents'\n  agent-shield approve k3mq7xzw --digest 5f0c…e1 --reason 'agreed in #incidents'\n  agent-shield approve k3mq7xzw@5f0c…e1 p9wn2c4d@77ab…02 --reason CHG-42\n  agent-shield approve --all-of k3mq7xzw"
    )]
    Approve {
        /// The hold's id from `holds`, or a unique beginning of it; ID@DIGEST of what you have reviewed. Several
        /// are approved one after the other.
        #[arg(value_name = "ID", required_unless_present = "all_of", add = live_names::pending_holds())]
        ids: Vec<String>,
        /// All that waits of the command that this hold is of; --digest is then of all of them.
        #[arg(long, value_name = "ID", add = live_names::pending_holds(), conflicts_with = "ids")]
        all_of: Option<String>,
        /// Why; shown to the agent and recorded. Some rules require a reason.
        #[arg(long, default_value = "")]
        reason: String,
        /// Of what you have reviewed, as `show` prints it: if the hold shows something else by now, it is not
        /// approved. Required where there is no terminal to ask on.
        #[arg(long, value_parser = a_digest)]
        digest: Option<String>,
        /// End at once (exit code 10), not with what becomes of the request.
        #[arg(long)]
        no_wait: bool,
    },
    /// Deny a hold in your name.
    #[command(after_help = "Examples:\n  agent-shield deny k3mq7xzw --reason 'wrong namespace'")]
    Deny {
        /// The hold's id from `holds`, or a unique beginning of it; several are denied one after the other.
        #[arg(value_name = "ID", required_unless_present = "all_of", add = live_names::open_holds())]
        ids: Vec<String>,
        /// All that waits of the command that this hold is of.
        #[arg(long, value_name = "ID", add = live_names::pending_holds(), conflicts_with = "ids")]
        all_of: Option<String>,
        /// Why; shown to the agent and recorded.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// List the denials that stand: the same is not asked again until then.
    #[command(
        after_help = "Examples:\n  agent-shield denials\n  agent-shield denials -n payments -o name"
    )]
    Denials(Which),
    /// Lift a denial: the agent may ask the same again, and is asked about as before.
    #[command(
        after_help = "Examples:\n  agent-shield lift k3mq7xzw --reason 'denied the wrong one'"
    )]
    Lift {
        /// The denied hold's id from `denials`, or a unique beginning of it.
        #[arg(add = live_names::denials())]
        id: String,
        /// Why; recorded.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Have a denial stand for longer.
    #[command(
        after_help = "Examples:\n  agent-shield extend k3mq7xzw --for 8h --reason 'not before the audit is over'"
    )]
    Extend {
        /// The denied hold's id from `denials`, or a unique beginning of it.
        #[arg(add = live_names::denials())]
        id: String,
        /// For how long from now on; a day at most.
        #[arg(long = "for", value_name = "TIME", value_parser = within_a_day)]
        time: Duration,
        /// Why; recorded.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Withdraw your own approval, until it is used.
    #[command(
        after_help = "Examples:\n  agent-shield withdraw k3mq7xzw --reason 'the backup is older than I thought'"
    )]
    Withdraw {
        /// The hold's id from `holds`, or a unique beginning of it.
        #[arg(add = live_names::open_holds())]
        id: String,
        /// Why; recorded.
        #[arg(long, default_value = "")]
        reason: String,
    },
    #[command(flatten)]
    Freeze(FreezeCommand),
    /// Show who was seen as an agent, and so cannot review.
    #[command(
        subcommand,
        after_help = "Examples:\n  agent-shield agents seen\n  agent-shield agents clear alice --reason 'typed the wrong --server'"
    )]
    Agents(AgentsCommand),
    /// Show calls, decisions and outcomes, newest first.
    #[command(
        after_help = "Examples:\n  agent-shield timeline --since 2h --writes\n  agent-shield timeline --namespace payments --verb delete\n  agent-shield timeline --resource deployments --object web -o wide\n  agent-shield timeline --audit-log /var/log/kubernetes/audit.log --writes"
    )]
    Timeline(Box<TimelineArgs>),
    Report(ReportArgs),
    Status(StatusArgs),
    /// Show how each namespace is classified, why, and the command that changes it.
    #[command(
        after_help = "Examples:\n  agent-shield namespaces\n  agent-shield namespaces -o json | jq -r '.items[] | select(.production) | .name'"
    )]
    Namespaces {
        /// How to print.
        #[arg(long, short, value_enum, default_value_t)]
        output: Output,
    },
}

/// SHA-256 in hex.
const DIGEST_LETTERS: usize = 64;

/// Which holds are listed, and how.
#[derive(Debug, Args)]
pub(crate) struct Which {
    /// Only this namespace.
    #[arg(long, short, add = live_names::namespaces())]
    namespace: Option<String>,
    /// Only this agent: NAMESPACE/NAME or NAMESPACE:NAME of a ServiceAccount, its name where only one has it, or a
    /// full username.
    #[arg(long, add = live_names::agents())]
    agent: Option<String>,
    /// How to print.
    #[arg(long, short, value_enum, default_value_t)]
    output: Output,
}

pub(crate) async fn run(command: ReviewCommand, connection: Connection) -> Result<()> {
    let client = Client::new(&connection).await?;
    match command {
        ReviewCommand::Holds { state, which } => {
            // What is over is history, and stays in the order of time.
            let is_queue = state.as_deref().is_none_or(|it| it == "pending");
            let mut holds = which.of(&client, "/v1/holds", state.clone()).await?;
            if is_queue {
                holds.items.sort_by_key(urgency);
            }
            if !for_scripts(which.output, &holds, ids)? {
                let wide = which.output == Output::Wide;
                page(&match holds.items.is_empty() {
                    true => which.nothing(&client, state).await,
                    false => printers::holds(&holds.items, wide, Timestamp::now()),
                })?;
            }
        }
        ReviewCommand::Watch(args) => watch::run(&args, client).await?,
        ReviewCommand::Show { all_of: Some(id), output, .. } => {
            let hold = meant(&client, &id, "", LETTERS_TO_READ).await?;
            let id = hold.summary.id.clone();
            let all = List::from(group::of_command(&client, hold).await?);
            let ids = |all: &List<HoldDetail>| {
                all.items.iter().map(|hold| hold.summary.id.clone()).collect()
            };
            if !for_scripts(output, &all, ids)? {
                page(&group::page(&id, &all.items, Timestamp::now(), columns()))?;
            }
        }
        ReviewCommand::Show { id, output, .. } => {
            let id = id.unwrap_or_default();
            let hold = meant(&client, &id, "?state=all", LETTERS_TO_READ).await?;
            if !for_scripts(output, &hold, |hold| vec![hold.summary.id.clone()])? {
                let mut text = printers::hold(&hold, Timestamp::now(), columns());
                if hold.summary.state == "pending" {
                    let id = hold.summary.id.clone();
                    let others = group::others(&id, &group::of_command(&client, hold).await?);
                    if !others.is_empty() {
                        text = format!("{}\n{others}", text.trim_end_matches('\n'));
                    }
                }
                page(&text)?;
            }
        }
        ReviewCommand::Approve { all_of: Some(id), reason, digest, no_wait, .. } => {
            let hold = meant(&client, &id, "", LETTERS_TO_APPROVE).await?;
            approve::run_all(&client, hold, digest, &reason, !no_wait).await?;
        }
        ReviewCommand::Approve { ids, reason, digest, no_wait, .. } => {
            let mut seen = Vec::new();
            for (id, digest) in with_digests(&ids, digest)? {
                let hold = meant(&client, &id, "", LETTERS_TO_APPROVE).await?;
                seen.push(approve::Seen { hold, digest });
            }
            approve::run(&client, seen, &reason, !no_wait).await?;
        }
        ReviewCommand::Deny { ids, all_of, reason } => {
            let mut holds = Vec::new();
            for id in &ids {
                holds.push(meant(&client, id, "", LETTERS_TO_READ).await?);
            }
            if let Some(id) = all_of {
                let hold = meant(&client, &id, "", LETTERS_TO_READ).await?;
                holds.extend(group::of_command(&client, hold).await?);
            }
            deny_each(&client, &holds, &approve::reason_to_deny(reason)?).await?;
        }
        ReviewCommand::Withdraw { id, reason } => {
            let hold = meant(&client, &id, "", LETTERS_TO_READ).await?;
            print(&sentence(&hold.summary, Some(&hold.preview)))?;
            let path = format!("/v1/holds/{}/withdraw", segment(&hold.summary.id));
            let hold: HoldDetail = client.post(&path, &Reason { reason }).await?;
            print(&format!("withdrawn; still needed: {}", Escaped::line(&hold.summary.missing)))?;
        }
        ReviewCommand::Denials(which) => {
            let denials = which.of(&client, "/v1/denials", None).await?;
            if !for_scripts(which.output, &denials, ids)? {
                page(&match denials.items.is_empty() {
                    true => printers::no_denials(&which.asked_for(None)),
                    false => {
                        let wide = which.output == Output::Wide;
                        printers::denials(&denials.items, wide, Timestamp::now())
                    }
                })?;
            }
        }
        ReviewCommand::Lift { id, reason } => {
            let hold = meant(&client, &id, "?state=denied", LETTERS_TO_READ).await?;
            print(&sentence(&hold.summary, Some(&hold.preview)))?;
            let path = format!("/v1/holds/{}/lift", segment(&hold.summary.id));
            let _: HoldDetail = client.post(&path, &Reason { reason }).await?;
            print("lifted: the same may be asked again")?;
        }
        ReviewCommand::Extend { id, time, reason } => {
            let hold = meant(&client, &id, "?state=denied", LETTERS_TO_READ).await?;
            print(&sentence(&hold.summary, Some(&hold.preview)))?;
            let path = format!("/v1/holds/{}/extend", segment(&hold.summary.id));
            let extension = Extension { reason, seconds: time.as_secs() };
            let hold: HoldDetail = client.post(&path, &extension).await?;
            print(&format!("extended{}", stands(&hold.summary)))?;
        }
        ReviewCommand::Freeze(command) => freeze::run(command, &client).await?,
        ReviewCommand::Agents(command) => agents::run(command, &client).await?,
        ReviewCommand::Timeline(args) => timeline::run(&client, *args).await?,
        ReviewCommand::Report(args) => report::run(&client, args).await?,
        ReviewCommand::Status(args) => status::run(&client, &args).await?,
        ReviewCommand::Namespaces { output } => {
            let namespaces: List<NamespaceBody> = client.get("/v1/namespaces").await?;
            let names =
                |list: &List<NamespaceBody>| list.items.iter().map(|it| it.name.clone()).collect();
            if !for_scripts(output, &namespaces, names)? {
                page(&printers::namespaces(&namespaces.items))?;
            }
        }
    }
    Ok(())
}

impl Which {
    fn asked_for(&self, state: Option<String>) -> AskedFor {
        AskedFor { state, agent: self.agent.clone(), namespace: self.namespace.clone() }
    }

    /// What is said where no hold is so.
    async fn nothing(&self, client: &Client, state: Option<String>) -> String {
        let asked = self.asked_for(state);
        let open = match asked.is_queue() {
            true => Ok(List::from(Vec::new())),
            false => client.get::<List<HoldSummary>>("/v1/holds?state=pending").await,
        };
        printers::no_holds(&asked, open.map_or(0, |it| it.items.len()))
    }

    /// What a route lists of them.
    async fn of(
        &self,
        client: &Client,
        route: &str,
        state: Option<String>,
    ) -> Result<List<HoldSummary>> {
        let (namespace, user) = (self.namespace.clone(), self.agent.clone());
        let query = query(&[("state", state), ("namespace", namespace), ("user", user)]);
        let holds = client.get::<List<HoldSummary>>(&format!("{route}{query}")).await;
        let holds = holds.map_err(|it| restricted::hinted(it, self.namespace.as_deref()))?;
        restricted::warn(holds.restricted);
        if holds.left_out {
            let shown = holds.items.len();
            eprintln!(
                "Only the newest {shown} holds are listed; older ones that match are left out. Narrow it \
                 with --state, --namespace or --agent."
            );
        }
        Ok(holds)
    }
}

fn ids(list: &List<HoldSummary>) -> Vec<String> {
    list.items.iter().map(|hold| hold.id.clone()).collect()
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
    // What is not among those that it can be done to is looked for among all: its state says why it cannot.
    let mut queries = vec![query, "?state=all"];
    queries.dedup();
    let mut unclear = None;
    for query in queries {
        // Who may not list holds is told what the server said, and no more.
        let Ok(holds) = client.get::<List<HoldSummary>>(&format!("/v1/holds{query}")).await else {
            return Err(unknown);
        };
        match pick(typed, &holds.items, letters_min) {
            Ok(hold) => return fetch(client, &hold.id).await,
            Err(it) => {
                let is_begun = it.ambiguous || it.near.iter().any(|it| begins(&it.id, typed));
                unclear = Some(no_such_hold(typed, &it));
                if is_begun {
                    break;
                }
            }
        }
    }
    Err(ClientError::NoSuchHold(unclear.unwrap_or_default()).into())
}

/// Denies one after the other. What is denied already, with another of them, is no error.
async fn deny_each(client: &Client, holds: &[HoldDetail], reason: &str) -> Result<()> {
    for hold in holds {
        print(&sentence(&hold.summary, Some(&hold.preview)))?;
        match deny(client, &hold.summary.id, reason.to_owned()).await {
            Ok(text) => print(&text)?,
            Err(error) if holds.len() > 1 && is_denied(client, hold).await => {
                tracing::debug!(%error, "denied with another");
                print("denied already")?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn is_denied(client: &Client, hold: &HoldDetail) -> bool {
    fetch(client, &hold.summary.id).await.is_ok_and(|it| it.summary.state == "denied")
}

/// Each id with the digest of what was reviewed, as far as they are given.
fn with_digests(ids: &[String], digest: Option<String>) -> Result<Vec<(String, Option<String>)>> {
    if ids.len() > 1 && digest.is_some() {
        let why = "--digest is of one hold: give ID@DIGEST for each, or --all-of ID";
        return Err(WrongUsage(why.to_owned()).into());
    }
    let with = |typed: &String| match typed.split_once('@') {
        Some((id, digest)) => Ok((id.to_owned(), Some(a_digest(digest)?))),
        None => Ok((typed.clone(), digest.clone())),
    };
    ids.iter().map(with).collect()
}

/// What can be a digest that `show` printed.
fn a_digest(text: &str) -> Result<String, WrongUsage> {
    let text = text.trim().to_ascii_lowercase();
    let is_digest = text.len() == DIGEST_LETTERS && text.bytes().all(|it| it.is_ascii_hexdigit());
    match is_digest {
        true => Ok(text),
        false => Err(WrongUsage(format!(
            "`{text}` is no digest: give all {DIGEST_LETTERS} signs of the one that `{} show` prints",
            program::name()
        ))),
    }
}

/// As long as a denial may stand.
fn within_a_day(text: &str) -> Result<Duration, DurationError> {
    duration::parse_within(text, Duration::from_secs(1)..=Duration::from_secs(24 * 60 * 60))
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
        text.push_str(&format!("\n  {id}  {state}  {}", sentence(hold, None)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_whole() {
        let whole = "5f".repeat(32);
        let table = [
            (whole.clone(), true),
            (whole.to_uppercase(), true),
            (format!(" {whole} "), true),
            (format!("{whole}0"), false),
            ("deadbeef".to_owned(), false),
            ("g".repeat(64), false),
            (String::new(), false),
        ];
        for (text, want) in table {
            assert_eq!(a_digest(&text).is_ok(), want, "{text}");
            let typed = [format!("k3mq7xzw@{text}")];
            assert_eq!(with_digests(&typed, None).is_ok(), want, "{text}");
        }
    }

    #[test]
    fn names_the_holds_that_may_be_meant() {
        let hold = printers::tests::detail().summary;
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
