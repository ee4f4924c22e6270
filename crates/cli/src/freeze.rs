//! `freeze`, `thaw` and `frozen`: all writes of one agent, at once.

use anyhow::Result;
use api::{
    agent_name::{self, Meant},
    body::{FreezeAsked, FreezeBody, List, Reason, Thawed},
};
use clap::Subcommand;
use text::Escaped;

use crate::{
    client::Client,
    live_names, moment,
    output::{Output, for_scripts, print},
    printers, program,
    urls::segment,
    usage::WrongUsage,
};

#[derive(Debug, Subcommand)]
pub(crate) enum FreezeCommand {
    /// Refuse all writes of an agent from now on, including those that wait, and cut its sessions.
    #[command(
        after_help = "Examples:\n  agent-shield freeze dev/triage --reason 'deletes what it should restart'\n  agent-shield freeze system:serviceaccount:dev:triage"
    )]
    Freeze {
        /// The agent: NAMESPACE/NAME or NAMESPACE:NAME of a ServiceAccount, its name where only one has it, or a
        /// full username.
        #[arg(add = live_names::agents())]
        agent: String,
        /// Why; shown to the agent and recorded. Without it, a freeze that is in force keeps its own.
        #[arg(long, default_value = "")]
        reason: String,
        /// Freeze an agent, too, of which no request was ever seen.
        #[arg(long)]
        unseen: bool,
    },
    /// Let a frozen agent write again; its requests are judged as before.
    #[command(after_help = "Examples:\n  agent-shield thaw dev/triage --reason 'prompt mended'")]
    Thaw {
        /// The agent: NAMESPACE/NAME or NAMESPACE:NAME of a ServiceAccount, its name where only one has it, or a
        /// full username.
        #[arg(add = live_names::frozen_agents())]
        agent: String,
        /// Why; recorded.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// List the agents that are frozen.
    #[command(
        after_help = "Examples:\n  agent-shield frozen\n  agent-shield frozen -o json | jq -r '.items[].user'"
    )]
    Frozen {
        /// How to print.
        #[arg(long, short, value_enum, default_value_t)]
        output: Output,
    },
}

pub(crate) async fn run(command: FreezeCommand, client: &Client) -> Result<()> {
    match command {
        FreezeCommand::Freeze { agent, reason, unseen } => {
            let username = meant(client, &agent).await?;
            let path = format!("/v1/agents/{}/freeze", segment(&username));
            let is_new = !reason.is_empty();
            let asked = FreezeAsked { reason, unseen };
            let frozen: FreezeBody = client.post(&path, &asked).await?;
            print(&is_frozen(&frozen, is_new, &agent))?;
        }
        FreezeCommand::Thaw { agent, reason } => {
            let username = meant(client, &agent).await?;
            let path = format!("/v1/agents/{}/thaw", segment(&username));
            let thawed: Thawed = client.post(&path, &Reason { reason }).await?;
            let name = Escaped::line(&username).to_string();
            print(&match thawed.was_frozen {
                true => format!("{name} may write again; its requests are judged as always"),
                false => format!("{name} was not frozen"),
            })?;
        }
        FreezeCommand::Frozen { output } => {
            let freezes: List<FreezeBody> = client.get("/v1/freezes").await?;
            let names =
                |list: &List<FreezeBody>| list.items.iter().map(|it| it.user.clone()).collect();
            if !for_scripts(output, &freezes, names)? {
                print(&printers::freezes(&freezes.items))?;
            }
        }
    }
    Ok(())
}

/// What a freeze came to; `is_new` is its reason.
fn is_frozen(freeze: &FreezeBody, is_new: bool, typed: &str) -> String {
    let name = Escaped::line(&freeze.user);
    let thaw = format!("`{} thaw {}` ends that", program::name(), Escaped::line(typed));
    if freeze.was_frozen != Some(true) {
        return format!("{name} is frozen: all its writes are refused; {thaw}");
    }
    let (since, reason) = (moment::shown(freeze.at), Escaped::line(&freeze.reason));
    if is_new {
        return format!(
            "{name} is frozen already, since {since}; the reason is now: {reason}; {thaw}"
        );
    }
    let why = if freeze.reason.is_empty() { String::new() } else { format!(": {reason}") };
    let by = Escaped::line(&freeze.reviewer.username);
    format!("{name} is frozen already, since {since}, by {by}{why}; {thaw}")
}

/// Whom somebody means: as for a filter, by those who were seen as agents, where the caller may list them.
async fn meant(client: &Client, typed: &str) -> Result<String> {
    let known = client.get::<List<String>>("/v1/agents").await;
    let known = known.map(|it| it.items).unwrap_or_default();
    match agent_name::meant(typed, &known) {
        Meant::One(username) => Ok(username),
        Meant::Many(usernames) => {
            let (typed, all) = (Escaped::line(typed), usernames.join(", "));
            let text = format!("`{typed}` is the name of several agents: {all}. Give one of these");
            Err(WrongUsage(text).into())
        }
        Meant::Unknown(spellings) => {
            Ok(spellings.into_iter().next_back().unwrap_or_else(|| typed.trim().to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use ledger::Identity;

    use super::*;
    use crate::printers::tests::at;

    #[test]
    fn says_what_was_frozen_before() {
        let table = [
            (
                false,
                false,
                "",
                "dev/bot is frozen: all its writes are refused; `agent-shield thaw bot`",
            ),
            (true, false, "wild", "by alice: wild;"),
            (true, false, "", "by alice; `agent-shield thaw bot`"),
            (true, true, "wild", "the reason is now: wild;"),
        ];
        for (was_frozen, is_new, reason, want) in table {
            let freeze = FreezeBody {
                user: "dev/bot".into(),
                reviewer: Identity { username: "alice".into(), ..Identity::default() },
                reason: reason.into(),
                at: at(0),
                is_known: Some(true),
                was_frozen: Some(was_frozen),
            };
            let got = is_frozen(&freeze, is_new, "bot");
            assert!(got.contains(want), "{got}");
            assert_eq!(got.contains("already, since"), was_frozen, "{got}");
        }
    }
}
