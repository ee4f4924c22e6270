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
    holds,
    output::{self, print},
    printers, program,
    sentences::sentence,
};

/// Approves the hold as `digest` says that it was shown; without one, as it is shown now to who can
/// answer.
pub(crate) async fn run(
    client: &Client,
    hold: HoldDetail,
    reason: String,
    digest: Option<String>,
) -> Result<()> {
    let id = hold.summary.id.clone();
    let digest = match digest {
        Some(digest) => {
            print(&sentence(&hold.summary, Some(&hold.preview)))?;
            digest
        }
        None => agreed(hold)?,
    };
    print(&holds::approve(client, &id, reason, digest).await?)
}

/// Shows the hold and asks; the digest of what was shown.
fn agreed(hold: HoldDetail) -> Result<String> {
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
    print(&printers::hold(&hold, Timestamp::now(), output::columns()))?;
    // What was typed before the hold was on the screen is no answer to it.
    rustix::termios::tcflush(&stdin, rustix::termios::QueueSelector::IFlush)?;
    match is_agreed(&id, &mut stdin.lock(), &mut std::io::stderr())? {
        true => Ok(hold.preview.digest),
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
