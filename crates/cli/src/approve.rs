//! `approve`: what the reviewer has seen, and nothing else.
//!
//! An agent can make its own hold drift whenever it likes. Whatever is fetched at the moment of the
//! approval is therefore shown first, and the digest that is sent is of what was shown.

use std::io::{BufRead, IsTerminal, Write};

use anyhow::{Result, bail};
use api::body::HoldDetail;
use jiff::Timestamp;
use text::Escaped;

use crate::{
    client::{Client, ClientError},
    exit::Outcome,
    group, holds, outcome,
    output::{self, print},
    printers, program,
    sentences::sentence,
    usage::WrongUsage,
};

/// What is to be approved, and how its reviewer has seen it.
pub(crate) struct Seen {
    pub(crate) hold: HoldDetail,
    /// Of what was reviewed; without one it is shown now, to who can answer.
    pub(crate) digest: Option<String>,
}

/// Approves each hold as its digest says that it was shown. Ends with what became of them, where it
/// `waits`.
pub(crate) async fn run(client: &Client, seen: Vec<Seen>, reason: &str, waits: bool) -> Result<()> {
    let mut agreed = Vec::new();
    for Seen { hold, digest } in seen {
        let digest = match digest {
            Some(digest) => {
                print(&sentence(&hold.summary, Some(&hold.preview)))?;
                digest
            }
            None => is_agreed_as_shown(&hold)?,
        };
        agreed.push((hold, digest));
    }
    send(client, agreed, reason, waits).await
}

/// Approves all that waits of one command, as `digest` says that it was shown; without one, as it is shown
/// now to who can answer.
pub(crate) async fn run_all(
    client: &Client,
    hold: HoldDetail,
    digest: Option<String>,
    reason: &str,
    waits: bool,
) -> Result<()> {
    let id = hold.summary.id.clone();
    let rows = group::of_command(client, hold).await?;
    let now = group::digest(&rows);
    match digest {
        Some(digest) if digest == now => {
            for row in &rows {
                print(&group::row(row))?;
            }
        }
        Some(_) => {
            let program = program::name();
            let message = format!(
                "what waits of this command has changed since it was shown; see `{program} show --all-of {id}`"
            );
            return Err(ClientError::Answered { code: 409, message, hint: None }.into());
        }
        None => {
            needs_terminal(&format!(
                "give --digest of all that you have reviewed; `{} show --all-of {id}`",
                program::name()
            ))?;
            for row in &rows {
                print(&printers::hold(row, Timestamp::now(), output::columns()))?;
            }
            agrees(&format!("these {} requests, exactly as they are", rows.len()), &id)?;
        }
    }
    let agreed = rows.into_iter().map(|it| {
        let digest = it.preview.digest.clone();
        (it, digest)
    });
    send(client, agreed.collect(), reason, waits).await
}

/// Approves them one after the other, as each has its own record, and tells what became of each.
async fn send(
    client: &Client,
    agreed: Vec<(HoldDetail, String)>,
    reason: &str,
    waits: bool,
) -> Result<()> {
    let is_one = agreed.len() == 1;
    let (mut approved, mut outcomes) = (Vec::new(), Vec::new());
    for (hold, digest) in agreed {
        let id = hold.summary.id.clone();
        match holds::approve(client, &id, reason.to_owned(), digest.clone()).await {
            Ok(now) => approved.push((hold, now)),
            Err(error) if is_one => return Err(too_late(client, &hold, &digest, error).await),
            Err(error) => {
                let error = too_late(client, &hold, &digest, error).await;
                outcomes.push((id, Outcome::refused(&error)));
            }
        }
    }
    for (before, now) in approved {
        let id = now.summary.id.clone();
        let followed = if waits { outcome::follow(client, now).await } else { Ok(now) };
        let outcome = match followed {
            Ok(now) => outcome::of(&before, &now),
            Err(error) => Outcome::untold(&error),
        };
        outcomes.push((id, outcome));
    }
    match outcome::joined(outcomes) {
        outcome if outcome.code == 0 => print(&outcome.text),
        outcome => Err(outcome.into()),
    }
}

/// Why an approval was not taken, with who was first, or with what to do.
async fn too_late(
    client: &Client,
    hold: &HoldDetail,
    digest: &str,
    error: anyhow::Error,
) -> anyhow::Error {
    let Some(ClientError::Answered { code, message, hint: None }) = error.downcast_ref() else {
        return error;
    };
    let (code, message) = (*code, message.clone());
    let (program, id) = (program::name(), hold.summary.id.as_str());
    let with = |hint: String| {
        let (message, hint) = (message.clone(), Some(hint));
        ClientError::Answered { code, message, hint }.into()
    };
    if code == 400 && hold.summary.reason_required {
        return with("Give it with --reason '…'".to_owned());
    }
    if code != 409 {
        return error;
    }
    match holds::fetch(client, id).await {
        Ok(now) if now.summary.state == "pending" && now.preview.digest != digest => {
            with(format!("`{program} show {id}` shows what it is now"))
        }
        Ok(hold) if hold.summary.state != "pending" => {
            let message = format!("{message}. {}", outcome::lost(&hold.summary));
            ClientError::Answered { code: 409, message, hint: None }.into()
        }
        _ => error,
    }
}

/// Shows the hold and asks; the digest of what was shown.
fn is_agreed_as_shown(hold: &HoldDetail) -> Result<String> {
    let id = Escaped::line(&hold.summary.id).to_string();
    needs_terminal(&format!(
        "give --digest, or {id}@DIGEST, of what you have reviewed; `{} show {id}`",
        program::name()
    ))?;
    if hold.summary.state != "pending" {
        let message = format!("the hold is already {}", hold.summary.state);
        return Err(ClientError::Answered { code: 409, message, hint: None }.into());
    }
    print(&printers::hold(hold, Timestamp::now(), output::columns()))?;
    agrees(&format!("{id}, exactly as it is"), &id)?;
    Ok(hold.preview.digest.clone())
}

/// Ends the command where nobody can be asked; `instead` is what to give, and what prints it.
fn needs_terminal(instead: &str) -> Result<()> {
    if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
        return Ok(());
    }
    let why = format!("there is no terminal to ask on: {instead} prints the whole command");
    Err(WrongUsage(why).into())
}

/// Why something is denied: as it was given, or as it is typed now. An agent that is told nothing asks again.
pub(crate) fn reason_to_deny(given: String) -> Result<String> {
    let mut reason = given.trim().to_owned();
    let stdin = std::io::stdin();
    if reason.is_empty() && stdin.is_terminal() && std::io::stdout().is_terminal() {
        eprint!("Why? The agent is told (Enter for nothing): ");
        stdin.lock().read_line(&mut reason)?;
        reason = reason.trim().to_owned();
    }
    if reason.is_empty() {
        eprintln!("The agent is told no reason: --reason gives one.");
    }
    Ok(reason)
}

/// Ends the command with anything but a yes.
fn agrees(what: &str, id: &str) -> Result<()> {
    let stdin = std::io::stdin();
    // What was typed before the hold was on the screen is no answer to it.
    rustix::termios::tcflush(&stdin, rustix::termios::QueueSelector::IFlush)?;
    match is_agreed(what, &mut stdin.lock(), &mut std::io::stderr())? {
        true => Ok(()),
        false => bail!("{id} is not approved"),
    }
}

/// Anything but a clear yes is a no.
fn is_agreed(what: &str, from: &mut impl BufRead, to: &mut impl Write) -> Result<bool> {
    write!(to, "\nApprove {what} shown above? [y/N] ")?;
    to.flush()?;
    let mut answer = String::new();
    from.read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_one() {
        let table = [
            ("y\n", true),
            ("yes\n", true),
            ("", false),
            ("\n", false),
            ("n\n", false),
            ("yn\n", false),
        ];
        for (typed, want) in table {
            let mut asked = Vec::new();
            let agreed = is_agreed("k3mq7xzw", &mut typed.as_bytes(), &mut asked);
            assert_eq!(agreed.expect("an answer"), want, "{typed:?}");
            assert!(String::from_utf8_lossy(&asked).contains("Approve k3mq7xzw"));
        }
    }
}
