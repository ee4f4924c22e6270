//! Small steps that add up (DEFAULTS Q4): a cut is judged against the largest size that the ledger
//! knows of the last day, so that 10 -> 8 -> 6 -> 4 is one drastic cut and not three small ones.
//! The ledger outlives a restart, and it is the same for every agent: it does not matter who cut.

use effects::{
    About, Effect, EffectKind, ObjectRef,
    about::{Before, Counted, Step, Steps},
};
use jiff::Timestamp;
use ledger::{Action, Call, Filter, HoldEvent};

use crate::remembered::Remembered;

/// How far back it is looked.
const WINDOW: std::time::Duration = std::time::Duration::from_secs(24 * 60 * 60);
/// Calls that are read of one object.
const CALLS_MAX: usize = 1_000;
/// Earlier steps that are named.
const STEPS_SHOWN_MAX: usize = 8;

/// One earlier change of a size.
struct PastStep {
    step: Step,
    /// A person has agreed to it: what was before does not count any more.
    approved: bool,
}

/// Makes each scale-down start at the largest size of the last day, and names the steps between.
pub(crate) async fn add_up(remembered: &Remembered, effects: &mut [Effect]) {
    for effect in effects.iter_mut().filter(|it| it.kind == EffectKind::ScaleDown) {
        let About::Count(count) = &mut effect.about else { continue };
        let (Some(old), Some(_)) = (count.old, count.new) else { continue };
        count.before = match steps(remembered, &effect.object, count.counted).await {
            Ok(steps) => before(since_the_last_approval(steps), old),
            Err(error) => {
                // Nobody can say that it is small.
                tracing::warn!(%error, "the ledger cannot tell what was before");
                Before::Unknown
            }
        };
    }
}

/// What the steps say of the size before; those that are named are the last.
fn before(steps: Vec<PastStep>, now: i64) -> Before {
    let baseline = baseline(&steps, now);
    if baseline <= now {
        return Before::Same;
    }
    let earlier = steps.len().saturating_sub(STEPS_SHOWN_MAX);
    let named = steps.into_iter().skip(earlier).map(|it| it.step).collect();
    Before::Larger(Steps { baseline, steps: named, earlier })
}

/// What was done to the size of an object before, oldest first.
async fn steps(
    remembered: &Remembered,
    object: &ObjectRef,
    counted: Counted,
) -> Result<Vec<PastStep>, ledger::StoreError> {
    let calls = remembered.ledger.calls(Filter {
        namespace: Some(object.namespace.clone()),
        resource: Some(object.resource.clone()),
        name: Some(object.name.clone()),
        since: Some(Timestamp::now() - WINDOW),
        writes_only: true,
        limit: Some(CALLS_MAX),
        ..Filter::default()
    });
    let mut steps: Vec<PastStep> =
        calls.await?.items.iter().filter_map(|call| step(call, object, counted)).collect();
    steps.reverse();
    Ok(steps)
}

/// The step that a call took. An allowed one counts while it is without its answer; an approved one
/// once it ran, which the request that is judged now has not.
fn step(call: &Call, object: &ObjectRef, counted: Counted) -> Option<PastStep> {
    let code = call.response.as_ref().map(|answer| answer.code);
    let is_approved = |event| {
        // A call that joined a hold has nothing of its approval but that it ran.
        matches!(event, HoldEvent::Approved | HoldEvent::Running | HoldEvent::Done)
    };
    let approved = call.holds.iter().any(|(_, hold)| is_approved(hold.event));
    let allowed = call.decision.as_ref().is_some_and(|it| it.action == Action::Allow);
    let ran = code.is_some_and(|code| (200..300).contains(&code));
    if !(allowed && (ran || code.is_none()) || approved && ran) {
        return None;
    }
    let effects = call.effects.iter().filter(|it| it.api_group == object.api_group);
    let size = effects
        .filter_map(|it| it.effect().ok())
        .find(|effect| matches!(&effect.about, About::Count(count) if count.counted == counted));
    let (from, to) = size?.count()?;
    Some(PastStep { step: Step { audit_id: call.audit_id.clone(), from, to }, approved })
}

/// What a person has agreed to is where counting begins.
fn since_the_last_approval(mut steps: Vec<PastStep>) -> Vec<PastStep> {
    if let Some(last) = steps.iter().rposition(|step| step.approved) {
        let mut rest = steps.split_off(last);
        if let Some(approved) = rest.first_mut() {
            approved.step.from = approved.step.to;
        }
        return rest;
    }
    steps
}

fn baseline(steps: &[PastStep], now: i64) -> i64 {
    steps.iter().flat_map(|it| [it.step.from, it.step.to]).fold(now, i64::max)
}

#[cfg(test)]
mod tests {
    use effects::about::Count;
    use ledger::{Entry, HoldRecord, Outcome, ResponseRecord, Stage};

    use super::*;

    fn object() -> ObjectRef {
        ObjectRef { resource: "deployments".into(), name: "web".into(), ..ObjectRef::default() }
    }

    /// A cut from 10 to 4 that was held and had these events, and its answer.
    fn held(events: &[HoldEvent], code: u16) -> Option<PastStep> {
        let count =
            Count { counted: Counted::Replicas, old: Some(10), new: Some(4), before: Before::Same };
        let effect =
            Effect { kind: EffectKind::ScaleDown, object: object(), about: About::Count(count) };
        let now = Timestamp::UNIX_EPOCH;
        let of_hold = events.iter().map(|event| Entry {
            hold: Some(HoldRecord {
                id: "h".into(),
                event: *event,
                reviewer: None,
                reason: String::new(),
                digest: String::new(),
            }),
            effects: vec![(&effect).into()],
            ..Entry::new(now, "a", Stage::Held)
        });
        let response =
            ResponseRecord { code, outcome: Outcome::Answered, latency_micros: 1, bytes: 0 };
        let answer =
            Entry { response: Some(response), ..Entry::new(now, "a", Stage::ResponseComplete) };
        let calls = ledger::calls(of_hold.chain([answer]));
        step(calls.first().expect("a call"), &object(), Counted::Replicas)
    }

    #[test]
    fn an_approved_cut_counts_once_it_ran() {
        use HoldEvent::{Approved, Created, Denied, Done, Drifted, Running};
        let table: [(&[HoldEvent], u16, bool); 6] = [
            (&[Created, Approved, Running, Done], 200, true),
            (&[Running, Done], 200, true),
            (&[Created, Approved, Drifted, Approved, Running, Done], 200, true),
            (&[Created, Approved, Running, Done], 409, false),
            (&[Created, Approved], 429, false),
            (&[Created, Denied], 403, false),
        ];
        for (events, code, want) in table {
            let step = held(events, code);
            assert_eq!(step.is_some_and(|it| it.approved), want, "{events:?} {code}");
        }
    }

    #[test]
    fn counts_from_the_largest_size_or_the_last_approval() {
        let step = |from, to, approved| PastStep {
            step: Step { audit_id: "a".into(), from, to },
            approved,
        };
        let table = [
            (vec![], 10, 10),
            (vec![step(10, 8, false), step(8, 6, false)], 6, 10),
            (vec![step(10, 20, false), step(20, 12, false)], 12, 20),
            (vec![step(10, 8, false), step(8, 4, true)], 4, 4),
            (vec![step(10, 4, true), step(4, 8, false), step(8, 6, false)], 6, 8),
        ];
        for (index, (steps, now, want)) in table.into_iter().enumerate() {
            assert_eq!(baseline(&since_the_last_approval(steps), now), want, "row {index}");
        }
    }
}
