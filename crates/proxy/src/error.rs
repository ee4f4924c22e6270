//! Why a request ends here, and what its agent is told.

use std::time::Duration;

use attributes::AttributesError;
use authn::{CertificateError, TokenError};
use hold::{Denial, HoldId};
use jiff::{RoundMode, Timestamp, TimestampRound, Unit};
use judge::{JudgeError, Refusal};
use ledger::StoreError;
use status::{Cause, Status};
use upstream::{NoAnswer, SendError};

const BUSY_RETRY: Duration = Duration::from_secs(1);
/// People decide more slowly than requests end.
const HOLDS_RETRY: Duration = Duration::from_secs(10);

/// Every way in which agent-shield itself ends a request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProxyError {
    /// It can be read in two ways, or not at all.
    #[error("agent-shield refuses this request: {0}")]
    Attributes(#[from] AttributesError),
    /// The API server does not know the token.
    #[error("Unauthorized")]
    Unauthenticated,
    /// A client certificate that names nobody, or nobody who may be an agent.
    #[error("agent-shield: {0}")]
    Certificate(#[from] CertificateError),
    /// A client certificate and a token.
    #[error("agent-shield: the request shows a client certificate and a token; send one of them")]
    TwoCredentials,
    /// Nobody could be asked who it is.
    #[error("agent-shield cannot tell whose request this is, so the request was not sent: {0}")]
    Unidentified(String),
    /// More than can be judged.
    #[error(
        "agent-shield: the request body is larger than {max} bytes, which is also the API server's limit"
    )]
    TooLarge {
        /// The limit in bytes.
        max: usize,
    },
    /// Its headers are.
    #[error(
        "agent-shield: the request has more than {headers} headers, or more than {bytes} bytes of them"
    )]
    HeadTooLarge {
        /// How many there may be.
        headers: usize,
        /// How large they may be together.
        bytes: usize,
    },
    /// The body is still not whole.
    #[error("agent-shield: the request body did not arrive within {} seconds; the request was not sent", .max.as_secs())]
    BodySlow {
        /// The limit.
        max: Duration,
    },
    /// Bodies of everybody fill what there is for them.
    #[error(
        "agent-shield has too many request bodies in memory; the request was not sent: send it again later"
    )]
    Full,
    /// One credential has too many requests under way.
    #[error(
        "agent-shield: this agent has {max} requests under way already, watches included; this one was not sent: send it again when others have ended"
    )]
    TooManyRequests {
        /// The limit.
        max: usize,
    },
    /// One user has too many open holds.
    #[error(
        "agent-shield: {max} requests of this agent wait for a reviewer already; this one was \
         neither held nor sent: send it again when others are decided"
    )]
    TooManyHolds {
        /// The limit.
        max: usize,
    },
    /// Too many connections, of this address or of all.
    #[error(
        "agent-shield has too many connections, from this address or in total: try again later"
    )]
    Crowded,
    /// The client stopped in the middle.
    #[error("agent-shield: the request body ended early; the request was not sent")]
    BodyCut,
    /// An upgrade that leads somewhere else.
    #[error("agent-shield: the API server answered an upgrade with a redirect, which is refused")]
    Redirect,
    /// Policy denies it, whoever would approve.
    #[error("{}", .0.words)]
    Denied(Box<Refusal>),
    /// A reviewer said no.
    #[error(
        "agent-shield: {} denied this request (hold {id}, rule {rule}){}",
        .denial.reviewer().username,
        said(.denial.reason())
    )]
    Rejected {
        /// The hold.
        id: HoldId,
        /// The rules that held it.
        rule: String,
        /// Who, and why.
        denial: Box<Denial>,
    },
    /// A reviewer said no to the same a short while ago.
    #[error(
        "agent-shield: {} denied the same at {} (hold {id}){}; it stays denied{}, in whatever form it is \
         asked for. Another value or another object is another question",
        .denial.reviewer().username,
        second(.denial.at()),
        said(.denial.reason()),
        .denial.until().map(|it| format!(" until {}", second(it))).unwrap_or_default()
    )]
    StillRejected {
        /// The hold that was denied.
        id: HoldId,
        /// Who, and why.
        denial: Box<Denial>,
    },
    /// Reviewers said no so often about one object that they are not asked about it any more.
    #[error(
        "agent-shield: reviewers denied three requests of yours about this object within an hour, the last one \
         by {} (hold {id}){}; no reviewer is asked about it again until {}: leave it as it is, and ask a person what \
         they want",
        .denial.reviewer().username,
        said(.denial.reason()),
        second(*.until)
    )]
    Barred {
        /// The hold that was denied last.
        id: HoldId,
        /// Who, and why.
        denial: Box<Denial>,
        /// Until when.
        until: Timestamp,
    },
    /// Somebody refused all writes of this agent.
    #[error(
        "agent-shield: {} froze this agent{}; its writes are refused until a reviewer thaws it",
        .0.by.username,
        said(&.0.reason)
    )]
    Frozen(Box<hold::Freeze>),
    /// Nobody decided in time.
    #[error(
        "agent-shield: nobody decided on this request in time (hold {id}, rule {rule}){needed}; it \
         was not run. Asked again, it is held anew"
    )]
    Expired {
        /// The hold.
        id: HoldId,
        /// The rules that held it.
        rule: String,
        /// `; still needed: …`, where one approval of anybody would not do.
        needed: String,
    },
    /// It was approved, and nobody has used that in time.
    #[error(
        "agent-shield: this request was approved, but its approval was not used before {} and has ended \
         (hold {id}, rule {rule}); it was not run. Asked again, it is held anew",
        second(*.until)
    )]
    Lapsed {
        /// The hold.
        id: HoldId,
        /// The rules that held it.
        rule: String,
        /// When the approval ended.
        until: Timestamp,
    },
    /// It waits, and the connection cannot be kept open any longer.
    #[error(
        "agent-shield holds this request for a reviewer (hold {id}, rule {rule}: {reason}){needed}; \
         send the same request again to wait on"
    )]
    Pending {
        /// The hold.
        id: HoldId,
        /// The rules that hold it.
        rule: String,
        /// Why.
        reason: String,
        /// `; still needed: …`, where one approval of anybody would not do.
        needed: String,
        /// When to ask again.
        retry: Duration,
    },
    /// It waits, and its client does not.
    #[error(
        "agent-shield: not executed; a person must decide on this request (hold {id}, rule {rule}: {reason}) \
         until {}{needed}. Ask for the same again later: it runs once somebody has approved it. Do not try \
         another way",
        second(*.deadline)
    )]
    Undecided {
        /// The hold.
        id: HoldId,
        /// The rules that hold it.
        rule: String,
        /// Why.
        reason: String,
        /// `; still needed: …`, where one approval of anybody would not do.
        needed: String,
        /// Undecided then, it is denied.
        deadline: Timestamp,
    },
    /// Its agent gave it up.
    #[error("agent-shield: its agent gave this request up (hold {id}); it was not run")]
    Cancelled {
        /// The hold.
        id: HoldId,
    },
    /// An agent asks about a hold that it does not have.
    #[error("agent-shield: you have no hold `{0}`")]
    NoSuchHold(HoldId),
    /// It gives up what has ended or runs.
    #[error("agent-shield: {0}")]
    Settled(hold::HoldError),
    /// The bytes left and no answer came.
    #[error(
        "agent-shield sent this request and got no answer: whether it ran is not known \
         (audit id {audit_id}); look before you ask again"
    )]
    OutcomeUnknown {
        /// The call.
        audit_id: String,
    },
    /// Judging it took too long.
    #[error("agent-shield could not judge this request within {} seconds; it was not sent: send it again later", .max.as_secs())]
    JudgedSlowly {
        /// The limit.
        max: Duration,
    },
    /// The last look at what was approved failed at the API server.
    #[error(
        "agent-shield: the API server answered {code} when the approved request (hold {id}) was looked at once \
         more; it was not sent, and its approval stays: send the same request again"
    )]
    NotNow {
        /// The hold.
        id: HoldId,
        /// What the API server answered.
        code: u16,
    },
    /// A defect of ours.
    #[error(
        "agent-shield failed to judge this request; it was not sent: tell whoever runs agent-shield, whose log says why"
    )]
    Broken,
    /// Nothing left.
    #[error(
        "agent-shield cannot reach the API server; the request was not sent: send it again later"
    )]
    Unsent,
    /// It was asked, and did not answer.
    #[error(
        "agent-shield got no answer from the API server; nothing was sent that changes anything: send the request again later"
    )]
    Silent,
    /// The record cannot be written, so nothing is done.
    #[error("agent-shield cannot record this request, so it was not sent: {0}")]
    Unrecorded(#[from] StoreError),
    /// It ran or was refused, and its answer was already given to another connection.
    #[error(
        "agent-shield: this request has run already (hold {id}), and its answer was {code}; an approval is for one run"
    )]
    AlreadyRun {
        /// The hold.
        id: HoldId,
        /// The API server's answer.
        code: u16,
    },
}

/// To the second that has begun, as reviewers read it.
fn second(at: Timestamp) -> Timestamp {
    let to = TimestampRound::new().smallest(Unit::Second).mode(RoundMode::Floor);
    at.round(to).unwrap_or(at)
}

fn said(reason: &str) -> String {
    match reason {
        "" => String::new(),
        reason => format!(": {reason}"),
    }
}

impl From<&ProxyError> for Status {
    fn from(error: &ProxyError) -> Self {
        use ProxyError as E;
        // No `_` arm: whoever adds an error chooses here what the agent sees. The message is the
        // outermost one only; sources may name internal hosts, and go to the log.
        match error {
            E::Attributes(AttributesError::Impersonates(_)) => Self::failure(403, "Forbidden"),
            E::Certificate(CertificateError::System(_) | CertificateError::Name(_)) => {
                Self::failure(403, "Forbidden")
            }
            E::Certificate(_) => Self::failure(401, "Unauthorized"),
            E::Attributes(_) | E::BodyCut | E::TwoCredentials => Self::failure(400, "BadRequest"),
            E::Unauthenticated => Self::failure(401, "Unauthorized"),
            E::Denied(_)
            | E::Rejected { .. }
            | E::StillRejected { .. }
            | E::Barred { .. }
            | E::Expired { .. }
            | E::Lapsed { .. }
            | E::Cancelled { .. }
            | E::Undecided { .. }
            | E::Frozen(_) => Self::failure(403, "Forbidden"),
            E::NoSuchHold(_) => Self::failure(404, "NotFound"),
            E::AlreadyRun { .. } | E::Settled(_) => Self::failure(409, "Conflict"),
            E::TooLarge { .. } => Self::failure(413, "RequestEntityTooLarge"),
            E::HeadTooLarge { .. } => Self::failure(431, "RequestHeaderFieldsTooLarge"),
            E::BodySlow { .. } => Self::failure(408, "RequestTimeout"),
            E::TooManyRequests { .. } => Self::failure(429, "TooManyRequests").retry(BUSY_RETRY),
            E::TooManyHolds { .. } => Self::failure(429, "TooManyRequests").retry(HOLDS_RETRY),
            E::Full | E::Crowded | E::JudgedSlowly { .. } | E::NotNow { .. } => {
                Self::failure(503, "ServiceUnavailable").retry(BUSY_RETRY)
            }
            E::Pending { retry, .. } => Self::failure(429, "TooManyRequests").retry(*retry),
            E::Broken => Self::failure(500, "InternalError"),
            E::Redirect => Self::failure(502, "BadGateway"),
            E::Unrecorded(_) => Self::failure(503, "ServiceUnavailable"),
            E::Unidentified(_) | E::Unsent => {
                Self::failure(503, "ServiceUnavailable").retry(BUSY_RETRY)
            }
            E::Silent => Self::failure(504, "Timeout").retry(BUSY_RETRY),
            // It may have run, so the status must be one that no client retries.
            E::OutcomeUnknown { .. } => Self::failure(504, "Timeout"),
        }
        .message(error)
        .causes(error.hold().into_iter().collect())
    }
}

impl From<TokenError> for ProxyError {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Unauthenticated => Self::Unauthenticated,
            TokenError::NoAnswer(no_answer) => no_answer.into(),
            TokenError::Unavailable(why) => Self::Unidentified(why),
        }
    }
}

impl From<JudgeError> for ProxyError {
    fn from(error: JudgeError) -> Self {
        match error {
            JudgeError::Store(error) => Self::Unrecorded(error),
            JudgeError::Late(max) => Self::JudgedSlowly { max },
            JudgeError::NoAnswer(no_answer) => no_answer.into(),
        }
    }
}

impl From<NoAnswer> for ProxyError {
    fn from(no_answer: NoAnswer) -> Self {
        match no_answer {
            NoAnswer::Unreachable => Self::Unsent,
            NoAnswer::Silent => Self::Silent,
        }
    }
}

impl From<Box<Refusal>> for ProxyError {
    fn from(refusal: Box<Refusal>) -> Self {
        Self::Denied(refusal)
    }
}

impl ProxyError {
    /// The hold that it is about, and how that stands, for programs.
    fn hold(&self) -> Option<Cause> {
        let (reason, id) = match self {
            Self::Undecided { id, .. } | Self::Pending { id, .. } => ("HoldPending", id),
            Self::Rejected { id, .. }
            | Self::StillRejected { id, .. }
            | Self::Barred { id, .. } => ("HoldDenied", id),
            Self::Expired { id, .. } | Self::Lapsed { id, .. } => ("HoldExpired", id),
            Self::Cancelled { id } => ("HoldCancelled", id),
            _ => return None,
        };
        Some(Cause { reason, message: id.to_string(), field: "hold" })
    }

    /// What became of a request that was sent for real.
    pub(crate) fn sent(error: &SendError, audit_id: &str) -> Self {
        match error {
            SendError::Unsent(_) => Self::Unsent,
            SendError::Unknown(_) | SendError::Stale(_) | SendError::Silent => {
                Self::OutcomeUnknown { audit_id: audit_id.to_owned() }
            }
        }
    }
}

#[cfg(test)]
mod tests;
