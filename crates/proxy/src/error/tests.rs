//! Every answer that agent-shield itself gives to an agent, as the agent's client prints it.

use hold::{Freeze, HoldError, StateName};
use judge::Basis;
use ledger::{Action, DecisionRecord, Identity};
use testkit::one_of_each;

use super::*;

fn id() -> HoldId {
    HoldId::parse("k3mq7xzw")
}

fn at(minute: i8) -> Timestamp {
    let time = jiff::civil::date(2026, 1, 31).at(8, minute, 0, 0).in_tz("UTC");
    time.map(|it| it.timestamp()).unwrap_or_default()
}

fn alice() -> Identity {
    Identity { username: "alice".into(), uid: String::new(), groups: Vec::new() }
}

fn denial() -> Box<Denial> {
    Box::new(Denial::new(alice(), "web is in use".into(), at(0), at(10)))
}

fn refusal() -> Box<Refusal> {
    let decision = DecisionRecord {
        action: Action::Deny,
        rules: Vec::new(),
        reason: String::new(),
        policy: String::new(),
        shadow: Vec::new(),
        frozen: None,
    };
    let words = "agent-shield denies this request by rule node-proxy: it reaches the kubelet";
    Box::new(Refusal { words: words.into(), decision, basis: Basis::default() })
}

/// One of each that stands in [`ProxyError::Attributes`].
fn attributes() -> Vec<AttributesError> {
    use AttributesError as E;
    one_of_each!(AttributesError:
        E::Method(_) => E::Method("BREW".into()),
        E::Form => E::Form,
        E::Byte(_) => E::Byte(0x7f),
        E::EmptySegment => E::EmptySegment,
        E::DotSegment => E::DotSegment,
        E::Encoded(_) => E::Encoded("%2F".into()),
        E::BadEscape { .. } => E::BadEscape { place: "path" },
        E::Semicolon => E::Semicolon,
        E::NotUtf8 { .. } => E::NotUtf8 { place: "query" },
        E::Twice(_) => E::Twice("dryRun".into()),
        E::DryRun(_) => E::DryRun("all".into()),
        E::Selector(_) => E::Selector("continue"),
        E::NoResource => E::NoResource,
        E::TwoHeaders(_) => E::TwoHeaders("content-type"),
        E::Connection(_) => E::Connection("authorization".into()),
        E::LookAlike(_) => E::LookAlike("x_remote_user".into()),
        E::TransferEncoding => E::TransferEncoding,
        E::UpgradeBody => E::UpgradeBody,
        E::ContentEncoding(_) => E::ContentEncoding("gzip".into()),
        E::Authorization => E::Authorization,
        E::Subprotocol => E::Subprotocol,
        E::Impersonates(_) => E::Impersonates("impersonate-user".into()),
    )
}

/// One of each that stands in [`ProxyError::Certificate`].
fn certificates() -> Vec<CertificateError> {
    use CertificateError as E;
    one_of_each!(CertificateError:
        E::Untrusted(_) => E::Untrusted("it has expired".into()),
        E::NoAuthority => E::NoAuthority,
        E::Unreadable => E::Unreadable,
        E::NoCommonName => E::NoCommonName,
        E::Name(_) => E::Name(" admin".into()),
        E::System(_) => E::System("system:node:a".into()),
    )
}

fn everything_else() -> Vec<ProxyError> {
    use ProxyError as E;
    let needed = "; still needed: a member of sre";
    let (rule, retry) = ("delete-workload", Duration::from_secs(5));
    let reason = "it deletes a workload";
    one_of_each!(ProxyError:
        E::Attributes(_) => AttributesError::EmptySegment.into(),
        E::Unauthenticated => E::Unauthenticated,
        E::Certificate(_) => CertificateError::NoCommonName.into(),
        E::TwoCredentials => E::TwoCredentials,
        E::Unidentified(_) => E::Unidentified("the API server refused (403)".into()),
        E::TooLarge { .. } => E::TooLarge { max: 3_145_728 },
        E::HeadTooLarge { .. } => E::HeadTooLarge { headers: 100, bytes: 65_536 },
        E::BodySlow { .. } => E::BodySlow { max: Duration::from_secs(30) },
        E::Full => E::Full,
        E::TooManyRequests { .. } => E::TooManyRequests { max: 100 },
        E::TooManyHolds { .. } => E::TooManyHolds { max: 20 },
        E::Crowded => E::Crowded,
        E::BodyCut => E::BodyCut,
        E::Redirect => E::Redirect,
        E::Denied(_) => E::Denied(refusal()),
        E::Rejected { .. } => E::Rejected { id: id(), rule: rule.into(), denial: denial() },
        E::StillRejected { .. } => E::StillRejected { id: id(), denial: denial() },
        E::Barred { .. } => E::Barred { id: id(), denial: denial(), until: at(59) },
        E::Frozen(_) => E::Frozen(Box::new(Freeze {
            username: "system:serviceaccount:dev:triage".into(),
            by: alice(),
            reason: "runs wild".into(),
            at: at(0),
        })),
        E::Lapsed { .. } => E::Lapsed { id: id(), rule: rule.into(), until: at(30) },
        E::Expired { .. } => E::Expired { id: id(), rule: rule.into(), needed: needed.into() },
        E::Pending { .. } => E::Pending {
            id: id(), rule: rule.into(), reason: reason.into(), needed: needed.into(), retry,
        },
        E::Undecided { .. } => E::Undecided {
            id: id(), rule: rule.into(), reason: reason.into(), needed: String::new(), deadline: at(30),
        },
        E::Cancelled { .. } => E::Cancelled { id: id() },
        E::NoSuchHold(_) => E::NoSuchHold(id()),
        E::Settled(_) => E::Settled(HoldError::Settled(StateName::Denied)),
        E::OutcomeUnknown { .. } => E::OutcomeUnknown { audit_id: "0198c0de".into() },
        E::JudgedSlowly { .. } => E::JudgedSlowly { max: Duration::from_secs(20) },
        E::NotNow { .. } => E::NotNow { id: id(), code: 500 },
        E::Broken => E::Broken,
        E::Unsent => E::Unsent,
        E::Silent => E::Silent,
        E::Unrecorded(_) => StoreError::Unavailable("the disk is full".into()).into(),
        E::AlreadyRun { .. } => E::AlreadyRun { id: id(), code: 200 },
    )
}

#[test]
fn every_answer_to_an_agent_is_a_sentence() {
    let of_others = attributes().into_iter().map(ProxyError::from);
    let of_others = of_others.chain(certificates().into_iter().map(ProxyError::from));
    let answers = everything_else().into_iter().chain(of_others);
    let told = answers.map(|error| {
        let status = Status::from(&error);
        let retry = status.retry_after_seconds().map(|it| format!(", again in {it} s"));
        format!(
            "{} {}{}: {}",
            status.code(),
            status.reason(),
            retry.unwrap_or_default(),
            status.text()
        )
    });
    insta::assert_snapshot!(told.collect::<Vec<_>>().join("\n"));
}
