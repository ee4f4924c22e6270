//! Exit codes: what scripts can tell from how a command ends.

use std::process::ExitCode;

use agents::AgentsError;

use crate::{client::ClientError, policy::Differs, usage::WrongUsage};

/// What became of an approval.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub(crate) struct Outcome {
    /// For people.
    pub(crate) text: String,
    /// For scripts, as docs/cli.md lists them; 0 where it ran.
    pub(crate) code: u8,
}

/// Something needs somebody, as the page above says.
#[derive(Debug, thiserror::Error)]
#[error("{}", match .0 { 1 => "1 thing needs attention".to_owned(), n => format!("{n} things need attention") })]
pub(crate) struct NeedsAttention(pub(crate) usize);

impl NeedsAttention {
    const EXIT_CODE: u8 = 11;
}

/// The exit code of a command that ended with this error, as docs/cli.md lists them.
pub(crate) fn code(error: &anyhow::Error) -> ExitCode {
    ExitCode::from(number(error))
}

/// The same as a number.
pub(crate) fn number(error: &anyhow::Error) -> u8 {
    if error.is::<Differs>() {
        return Differs::EXIT_CODE;
    }
    if error.is::<NeedsAttention>() {
        return NeedsAttention::EXIT_CODE;
    }
    if error.is::<WrongUsage>() {
        return 2;
    }
    if let Some(outcome) = error.downcast_ref::<Outcome>() {
        return outcome.code;
    }
    let of_client = error.downcast_ref::<ClientError>().map(of_client);
    let code = of_client.or_else(|| error.downcast_ref::<AgentsError>().map(of_agents));
    code.unwrap_or(1)
}

fn of_client(error: &ClientError) -> u8 {
    match error {
        ClientError::Unreachable { .. } => 5,
        ClientError::Answered { code, .. } => of_answer(*code),
        ClientError::NoSuchHold(_) => 3,
        ClientError::OtherDoor { .. } => 2,
    }
}

fn of_agents(error: &AgentsError) -> u8 {
    match error {
        AgentsError::NoAnswer { .. } => 5,
        AgentsError::Refused { code, .. } => of_answer(*code),
        AgentsError::MissingRights(_) => 4,
        AgentsError::NoSuchAgent(_) => 3,
        // "There is none" and "already decided" are said of what was asked for alone.
        _ => 1,
    }
}

fn of_answer(code: u16) -> u8 {
    match code {
        401 | 403 => 4,
        404 => 3,
        409 => 6,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_can_tell_errors_apart() {
        let answered = |code| ClientError::Answered { code, message: String::new(), hint: None };
        let other = ClientError::OtherDoor { url: "u".into(), review: None };
        let table: [(anyhow::Error, u8); 12] = [
            (other.into(), 2),
            (NeedsAttention(2).into(), 11),
            (WrongUsage("x".into()).into(), 2),
            (answered(403).into(), 4),
            (answered(404).into(), 3),
            (answered(409).into(), 6),
            (answered(500).into(), 1),
            (ClientError::NoSuchHold("x".into()).into(), 3),
            (ClientError::Unreachable { url: "u".into(), why: "w".into() }.into(), 5),
            (AgentsError::MissingRights(Vec::new()).into(), 4),
            (AgentsError::Conflict("x".into()).into(), 1),
            (anyhow::anyhow!("anything"), 1),
        ];
        for (error, want) in table {
            assert_eq!(code(&error), ExitCode::from(want), "{error}");
        }
    }
}
