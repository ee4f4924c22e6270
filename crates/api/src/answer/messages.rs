//! Every answer of the review API that is an error, as its clients print it.

use hold::{HoldId, StateName};
use jiff::Timestamp;
use testkit::one_of_each;

use super::*;

fn store() -> Vec<StoreError> {
    use StoreError as E;
    one_of_each!(StoreError:
        E::Unavailable(_) => E::Unavailable("the disk is full".into()),
        E::Conflict => E::Conflict,
        E::Corrupt(_) => E::Corrupt("a hold's state".into()),
    )
}

fn hold() -> Vec<HoldError> {
    use HoldError as E;
    let missing = "a member of sre".to_owned();
    one_of_each!(HoldError:
        E::Settled(_) => E::Settled(StateName::Denied),
        E::Expired(_) => E::Expired(Timestamp::UNIX_EPOCH),
        E::Stale => E::Stale,
        E::Twice(_) => E::Twice(missing.clone()),
        E::NotAsked { .. } => E::NotAsked { groups: vec!["dev".into()], missing: missing.clone() },
        E::NoReason => E::NoReason,
        E::NotApproved => E::NotApproved,
        E::NotDenied(_) => E::NotDenied(StateName::Pending),
        E::LiftedAlready => E::LiftedAlready,
        E::NotDue => E::NotDue,
        E::OtherRequest => E::OtherRequest,
        E::NotMet => E::NotMet,
    )
}

fn reviewer() -> Vec<ReviewerError> {
    use ReviewerError as E;
    let (username, verb) = ("alice".to_owned(), "approve".to_owned());
    one_of_each!(ReviewerError:
        E::Never { .. } => E::Never { username: "bot".into(), why: "it has sent requests as an agent" },
        E::Forbidden { .. } => E::Forbidden { username, verb, namespace: "payments".into() },
        E::Unavailable(_) => E::Unavailable("the API server does not answer".into()),
        E::Store(_) => E::Store(StoreError::Unavailable("the disk is full".into())),
    )
}

fn review() -> Vec<ReviewError> {
    use ReviewError as E;
    let near = vec![HoldId::parse("k3mq7xzw"), HoldId::parse("k3mq7xzx")];
    one_of_each!(ReviewError:
        E::NotFound { .. } => E::NotFound { id: HoldId::parse("k3mq7xzv"), near },
        E::Hold(_) => HoldError::Stale.into(),
        E::Reviewer(_) => ReviewerError::Unavailable("it does not answer".into()).into(),
        E::NeverCleared(_) => E::NeverCleared("system:serviceaccount:dev:triage".into()),
        E::Frozen(_) => E::Frozen(Box::new(hold::Freeze {
            username: "bot".into(),
            by: ledger::Identity { username: "alice".into(), ..ledger::Identity::default() },
            reason: "runs wild".into(),
            at: jiff::Timestamp::UNIX_EPOCH,
        })),
        E::NeverSeen(_) => E::NeverSeen("bot".into()),
        E::Username => E::Username,
        E::Store(_) => StoreError::Conflict.into(),
    )
}

fn api() -> Vec<ApiError> {
    use ApiError as E;
    one_of_each!(ApiError:
        E::Unauthenticated => E::Unauthenticated,
        E::UnknownCredential => E::UnknownCredential,
        E::Certificate(_) => E::Certificate(CertificateError::NoCommonName),
        E::TwoCredentials => E::TwoCredentials,
        E::Impersonates(_) => E::Impersonates("impersonate-user".into()),
        E::Unavailable(_) => E::Unavailable("the API server does not answer".into()),
        E::Crowded => E::Crowded,
        E::BadRequest(_) => E::BadRequest("seconds must be from 1 to 86400, a day".into()),
        E::NoRoute(_) => E::NoRoute("/v1/hold".into()),
        E::NotKnown(_) => E::NotKnown("no call of an agent `bot` is recorded".into()),
        E::Review(_) => E::Review(ReviewError::Username),
    )
}

#[test]
fn every_answer_to_a_reviewer_is_a_sentence() {
    let of_store = store().into_iter().map(ReviewError::from);
    let of_hold = hold().into_iter().map(ReviewError::from);
    let of_reviewer = reviewer().into_iter().map(ReviewError::from);
    let of_review = review().into_iter().chain(of_store).chain(of_hold).chain(of_reviewer);
    let told = api().into_iter().chain(of_review.map(ApiError::from)).map(|error| {
        let status = Status::from(&error);
        format!("{} {}: {}", status.code(), status.reason(), status.text())
    });
    insta::assert_snapshot!(told.collect::<Vec<_>>().join("\n"));
}
