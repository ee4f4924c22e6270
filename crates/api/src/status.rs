//! How agent-shield stands: what is enforced, by which rules, what is missing, and what runs out.
//!
//! Everything is looked up when it is asked, but for what a start decides. What needs somebody is said as a
//! sentence in `attention`; an empty list means that nothing does.

use std::time::Duration;

use hold::{HoldFilter, StateName};
use jiff::{SignedDuration, Timestamp};
use ledger::Filter;
use policy::document::Mode;
use upstream::{CredentialEnd, CredentialKind, NEVER_NEEDED, POLICY_RIGHTS, RIGHTS, Right};

use crate::{
    Api,
    answer::ApiError,
    body::{ExpiryBody, HoldsBody, PolicyBody, RefusedBody, RightBody, RightsBody, StatusBody},
};

/// Verdicts of rules in shadow mode are counted for so long.
const SHADOW_TIME: Duration = Duration::from_secs(24 * 60 * 60);
/// A certificate that ends within this time needs somebody.
const CERTIFICATE_TIME_MIN: SignedDuration = SignedDuration::from_hours(30 * 24);
/// A token that nobody renews, too; both only in the last third of their life.
const TOKEN_TIME_MIN: SignedDuration = SignedDuration::from_hours(7 * 24);
/// A token in a file is renewed long before; one that is so near its end was not.
const TOKEN_FILE_TIME_MIN: SignedDuration = SignedDuration::from_mins(5);

/// How it stands now.
pub(crate) async fn status(api: &Api) -> Result<StatusBody, ApiError> {
    let posture = &api.posture;
    let policy = policy(api).await?;
    let holds = holds(api).await?;
    let freezes = api.queue.all_freezes().await?;
    let (rights, rights_unknown) = match rights(api).await {
        Ok(rights) => (Some(rights), None),
        Err(error) => (None, Some(error)),
    };
    let end = api.own.credential_end();
    let mut body = StatusBody {
        version: posture.version.to_owned(),
        started_at: posture.started_at,
        now: review::now(),
        mode: mode(&policy).to_owned(),
        policy,
        rights,
        certificate: posture
            .certificate_expires
            .map(|at| ExpiryBody { of: "server certificate".to_owned(), at }),
        credential: end.map(credential),
        holds,
        frozen: freezes.into_iter().map(|it| it.username).collect(),
        attention: Vec::new(),
    };
    body.attention = attention(&body, end, rights_unknown.as_deref());
    Ok(body)
}

/// `observing` where no rule that is in force counts.
fn mode(policy: &PolicyBody) -> &'static str {
    if policy.rules > policy.shadow_rules { "enforcing" } else { "observing" }
}

async fn policy(api: &Api) -> Result<PolicyBody, ApiError> {
    let posture = &api.posture;
    let pack = posture.policies.load_full();
    let shadow = pack.rules().iter().filter(|it| it.mode == Mode::Shadow).count();
    let dir = posture.data_dir.clone();
    let told = tokio::task::spawn_blocking(move || policy_source::status(&dir)).await;
    // What was told of another set says nothing of this one.
    let told = told.ok().and_then(Result::ok);
    let of_this = told.as_ref().filter(|it| it.digest == pack.digest());
    let filter = Filter {
        shadowed: true,
        since: review::now().checked_sub(SHADOW_TIME).ok(),
        ..Filter::default()
    };
    let shadowed = api.queue.ledger().calls(filter).await?;
    Ok(PolicyBody {
        digest: pack.digest().to_owned(),
        rules: pack.rules().len(),
        shadow_rules: shadow,
        disabled: pack.disabled().iter().map(ToString::to_string).collect(),
        files: of_this.map(|it| it.files.clone()).unwrap_or_default(),
        since: of_this.map(|it| it.since),
        refused: told
            .and_then(|it| it.refused)
            .map(|it| RefusedBody { at: it.at, issues: it.issues }),
        shadow_verdicts: shadowed.items.len(),
        more_shadow_verdicts: shadowed.next.is_some(),
    })
}

async fn holds(api: &Api) -> Result<HoldsBody, ApiError> {
    let states = StateName::OPEN.to_vec();
    let open = api.queue.list(HoldFilter { states, ..HoldFilter::default() }).await?;
    let pending = open.iter().filter(|it| it.state().name() == StateName::Pending);
    Ok(HoldsBody {
        open: open.len(),
        pending: pending.clone().count(),
        next_deadline: pending.map(|it| it.summary().deadline).min(),
    })
}

async fn rights(api: &Api) -> Result<RightsBody, String> {
    let of_policies: &[Right] = if api.posture.policy_objects { &POLICY_RIGHTS } else { &[] };
    let needed: Vec<Right> = RIGHTS.iter().chain(of_policies).copied().collect();
    let ask = async {
        let missing = api.own.missing(&needed).await?;
        let lacking = api.own.missing(&NEVER_NEEDED).await?;
        Ok::<_, Box<_>>((missing, lacking))
    };
    let (missing, lacking) = ask.await.map_err(|error: Box<_>| text::causes(&*error))?;
    let body = |it: &Right| RightBody { right: it.words(), without: it.without.to_owned() };
    let excess: Vec<&Right> = NEVER_NEEDED.iter().filter(|it| !lacking.contains(it)).collect();
    // Whoever may do everything may do each.
    let is_all = excess.first().copied() == NEVER_NEEDED.first();
    let told = if is_all { 1 } else { excess.len() };
    Ok(RightsBody {
        missing: missing.iter().map(body).collect(),
        excess: excess.into_iter().take(told).map(body).collect(),
    })
}

fn credential(end: CredentialEnd) -> ExpiryBody {
    let of = match end.kind {
        CredentialKind::TokenFile => "own token (renewed in its file)",
        CredentialKind::Token => "own token",
        CredentialKind::Certificate => "own client certificate",
    };
    ExpiryBody { of: of.to_owned(), at: end.at }
}

/// What needs somebody, the worst first.
fn attention(
    body: &StatusBody,
    credential: Option<CredentialEnd>,
    rights_unknown: Option<&str>,
) -> Vec<String> {
    let mut all = Vec::new();
    if body.mode == "observing" {
        all.push(
            "no rule counts: every write that agents may do passes, and nothing is held".to_owned(),
        );
    }
    if let Some(refused) = &body.policy.refused {
        // Its excerpt stands where the set is told of.
        let first = refused.issues.first().and_then(|it| it.lines().next()).unwrap_or_default();
        all.push(format!(
            "the policies that were written last are refused, and those of {} stay in force: {first}",
            body.policy.digest
        ));
    }
    if let Some(why) = rights_unknown {
        all.push(format!("its own rights are not known, as the API server does not tell: {why}"));
    }
    for right in body.rights.iter().flat_map(|it| &it.missing) {
        all.push(format!("it lacks the right to {}: {}", right.right, right.without));
    }
    for right in body.rights.iter().flat_map(|it| &it.excess) {
        all.push(format!("it may {}, and does not need to: {}", right.right, right.without));
    }
    let time_min = match credential {
        None => CERTIFICATE_TIME_MIN,
        Some(end) => end.notice(match end.kind {
            CredentialKind::TokenFile => TOKEN_FILE_TIME_MIN,
            CredentialKind::Token => TOKEN_TIME_MIN,
            CredentialKind::Certificate => CERTIFICATE_TIME_MIN,
        }),
    };
    let expiries = [(&body.certificate, CERTIFICATE_TIME_MIN), (&body.credential, time_min)];
    for (expiry, time_min) in expiries {
        let Some(ExpiryBody { of, at }) = expiry else { continue };
        let soon = body.now.saturating_add(time_min).unwrap_or(Timestamp::MAX);
        if *at <= body.now {
            all.push(format!("its {of} has expired"));
        } else if *at <= soon {
            all.push(format!("its {of} expires soon"));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body() -> StatusBody {
        let now = Timestamp::UNIX_EPOCH;
        StatusBody {
            version: "1".into(),
            started_at: now,
            now,
            mode: "enforcing".into(),
            policy: PolicyBody {
                digest: "d1".into(),
                rules: 3,
                shadow_rules: 1,
                disabled: vec![],
                files: vec![],
                since: Some(now),
                refused: None,
                shadow_verdicts: 0,
                more_shadow_verdicts: false,
            },
            rights: Some(RightsBody { missing: vec![], excess: vec![] }),
            certificate: None,
            credential: None,
            holds: HoldsBody { open: 1, pending: 1, next_deadline: None },
            frozen: vec!["bot".into()],
            attention: vec![],
        }
    }

    #[test]
    fn says_what_needs_somebody() {
        assert!(attention(&body(), None, None).is_empty());
        let in_hours = |hours: i64| {
            Some(ExpiryBody {
                of: "thing".into(),
                at: Timestamp::from_second(hours * 3_600).unwrap_or_default(),
            })
        };
        let right = || vec![RightBody { right: "get pods".into(), without: "why".into() }];
        let refused = Some(RefusedBody {
            at: Timestamp::UNIX_EPOCH,
            issues: vec!["a:1:2: x\n   1 | y".into()],
        });
        let mut refusing = body();
        refusing.policy.refused = refused;
        let cases = [
            (StatusBody { mode: "observing".into(), ..body() }, "no rule counts"),
            (refusing, "those of d1 stay in force: a:1:2: x"),
            (
                StatusBody {
                    rights: Some(RightsBody { missing: right(), excess: vec![] }),
                    ..body()
                },
                "it lacks the right to get pods: why",
            ),
            (
                StatusBody {
                    rights: Some(RightsBody { missing: vec![], excess: right() }),
                    ..body()
                },
                "it may get pods, and does not need to: why",
            ),
            (StatusBody { certificate: in_hours(24), ..body() }, "its thing expires soon"),
            (StatusBody { credential: in_hours(-1), ..body() }, "its thing has expired"),
        ];
        for (body, want) in cases {
            let got = attention(&body, None, None);
            assert!(
                got.len() == 1 && got.iter().all(|it| it.contains(want) && !it.contains('\n')),
                "{want}: {got:?}"
            );
        }
        let late = StatusBody { credential: in_hours(1), ..body() };
        let of = |kind, lives_hours: Option<i64>| {
            let at = late.credential.as_ref().map(|it| it.at).unwrap_or_default();
            let since = lives_hours.map(|it| at - SignedDuration::from_hours(it));
            attention(&late, Some(CredentialEnd { kind, at, since }), None).len()
        };
        assert_eq!(of(CredentialKind::TokenFile, None), 0, "it is renewed in time");
        assert_eq!(of(CredentialKind::Token, None), 1);
        assert_eq!(of(CredentialKind::Token, Some(8)), 1, "nobody renewed it");
        assert_eq!(of(CredentialKind::Token, Some(2)), 0, "half of its life is left");
        assert_eq!(of(CredentialKind::Certificate, Some(2)), 0, "half of its life is left");
        assert_eq!(attention(&body(), None, Some("no answer")).len(), 1);
    }
}
