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
    exit::WrongUsage,
    holds, outcome,
    output::{self, print},
    printers, program,
    sentences::sentence,
};

/// Approves the hold as `digest` says that it was shown; without one, as it is shown now to who can
/// answer. Ends with what became of it, where it `waits`.
pub(crate) async fn run(
    client: &Client,
    hold: HoldDetail,
    reason: String,
    digest: Option<String>,
    waits: bool,
) -> Result<()> {
    let id = hold.summary.id.clone();
    let digest = match digest {
        Some(digest) => {
            print(&sentence(&hold.summary, Some(&hold.preview)))?;
            digest
        }
        None => agreed(&hold)?,
    };
    let approved = match holds::approve(client, &id, reason, digest).await {
        Ok(approved) => approved,
        Err(error) => return Err(too_late(client, &id, error).await),
    };
    let now = if waits { outcome::follow(client, approved).await? } else { approved };
    let outcome = outcome::of(&hold, &now);
    match outcome.code {
        0 => print(&outcome.text),
        _ => Err(outcome.into()),
    }
}

/// Why an approval was not taken, with who was first.
async fn too_late(client: &Client, id: &str, error: anyhow::Error) -> anyhow::Error {
    let Some(ClientError::Answered { code: 409, message, hint: None }) = error.downcast_ref()
    else {
        return error;
    };
    match holds::fetch(client, id).await {
        Ok(hold) if hold.summary.state != "pending" => {
            let message = format!("{message}. {}", outcome::lost(&hold.summary));
            ClientError::Answered { code: 409, message, hint: None }.into()
        }
        _ => error,
    }
}

/// Shows the hold and asks; the digest of what was shown.
fn agreed(hold: &HoldDetail) -> Result<String> {
    let (stdin, id) = (std::io::stdin(), Escaped::line(&hold.summary.id).to_string());
    if !stdin.is_terminal() || !std::io::stdout().is_terminal() {
        let program = program::name();
        let why = format!(
            "there is no terminal to ask on: give --digest, of what you have reviewed; `{program} show {id}` prints the whole command"
        );
        return Err(WrongUsage(why).into());
    }
    if hold.summary.state != "pending" {
        let message = format!("the hold is already {}", hold.summary.state);
        return Err(ClientError::Answered { code: 409, message, hint: None }.into());
    }
    print(&printers::hold(hold, Timestamp::now(), output::columns()))?;
    // What was typed before the hold was on the screen is no answer to it.
    rustix::termios::tcflush(&stdin, rustix::termios::QueueSelector::IFlush)?;
    match is_agreed(&id, &mut stdin.lock(), &mut std::io::stderr())? {
        true => Ok(hold.preview.digest.clone()),
        false => bail!("{id} is not approved"),
    }
}

/// Anything but a clear yes is a no.
fn is_agreed(id: &str, from: &mut impl BufRead, to: &mut impl Write) -> Result<bool> {
    write!(to, "\nApprove {id}, exactly as it is shown above? [y/N] ")?;
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
