//! Small steps that add up (DEFAULTS Q4): a cut is judged against the largest size that the ledger
//! knows of the last day, so that 10 -> 8 -> 6 -> 4 is one drastic cut and not three small ones; and
//! growth against the size before the steps up that it knows, so that 3 -> 53 -> 103 is one.
//! The ledger outlives a restart, and it is the same for every agent: it does not matter who cut.

use effects::{
    About, Effect, EffectKind, ObjectRef,
    about::{Before, Counted, Step, Steps},
};
use ledger::{Action, Call, HoldEvent};

use crate::remembered::Remembered;

/// How far back it is looked.
const WINDOW: std::time::Duration = std::time::Duration::from_secs(24 * 60 * 60);
/// Earlier steps that are named.
const STEPS_SHOWN_MAX: usize = 8;

/// Which steps are added up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Summed {
    Cuts,
    Growth,
}

/// One earlier change of a size.
struct PastStep {
    step: Step,
    /// A person has agreed to it: what was before does not count any more.
    approved: bool,
}

/// Makes each change of a size start where the steps of the last day began, and names those between.
pub(crate) async fn add_up(remembered: &Remembered, effects: &mut [Effect]) {
    for effect in effects {
        let summed = match effect.kind {
            EffectKind::ScaleDown => Summed::Cuts,
            EffectKind::ScaleUp => Summed::Growth,
            _ => continue,
        };
        let About::Count(count) = &mut effect.about else { continue };
        let (Some(old), Some(_)) = (count.old, count.new) else { continue };
        count.before = match steps(remembered, summed, &effect.object, count.counted).await {
            Ok(Some(steps)) => before(summed, since_the_last_approval(steps), old),
            // Nobody can say that it is small.
            Ok(None) => Before::Unknown,
            Err(error) => {
                tracing::warn!(%error, "the ledger cannot tell what was before");
                Before::Unknown
            }
        };
    }
}

/// What the steps say of the size before; those that are named are the last.
fn before(summed: Summed, steps: Vec<PastStep>, now: i64) -> Before {
    let baseline = baseline(summed, &steps, now);
    let is_more = match summed {
        Summed::Cuts => baseline > now,
        Summed::Growth => baseline < now,
    };
    if !is_more {
        return Before::Same;
    }
    let earlier = steps.len().saturating_sub(STEPS_SHOWN_MAX);
    let named = steps.into_iter().skip(earlier).map(|it| it.step).collect();
    let steps = Steps { baseline, steps: named, earlier };
    match summed {
        Summed::Cuts => Before::Larger(steps),
        Summed::Growth => Before::Smaller(steps),
    }
}

/// What was done to the size of an object before, oldest first; `None` where too much was asked of it to
/// tell.
async fn steps(
    remembered: &Remembered,
    summed: Summed,
    object: &ObjectRef,
    counted: Counted,
) -> Result<Option<Vec<PastStep>>, ledger::StoreError> {
    let Some(calls) = remembered.writes_to(object, WINDOW).await? else { return Ok(None) };
    let steps = calls.iter().rev().filter_map(|it| step(it, summed, object, counted));
    Ok(Some(steps.collect()))
}

/// The step that a call took. An allowed one counts while it is without its answer; an approved one
/// once it ran, which the request that is judged now has not.
fn step(call: &Call, summed: Summed, object: &ObjectRef, counted: Counted) -> Option<PastStep> {
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
    let size = effects.filter_map(|it| it.effect().ok()).find_map(|it| match it.about {
        About::Count(count) if count.counted == counted => Some(count),
        _ => None,
    })?;
    let (from, to) = match summed {
        Summed::Cuts => size.sizes()?,
        // Growth is a sum: what came before a step is in the steps before it.
        Summed::Growth => (size.old?, size.new?),
    };
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

fn baseline(summed: Summed, steps: &[PastStep], now: i64) -> i64 {
    match summed {
        Summed::Cuts => steps.iter().flat_map(|it| [it.step.from, it.step.to]).fold(now, i64::max),
        Summed::Growth => {
            // An autoscaler that made it larger in between is none of these steps.
            let grown = steps.iter().fold(0_i64, |sum, it| {
                sum.saturating_add(it.step.to.saturating_sub(it.step.from)).max(0)
            });
            let least = steps.iter().map(|it| it.step.from).fold(now, i64::min);
            now.saturating_sub(grown).max(least)
        }
    }
}

#[cfg(test)]
mod tests {
    use effects::about::Count;
    use jiff::Timestamp;
    use ledger::{Entry, HoldRecord, Outcome, ResponseRecord, Stage};

    use super::*;

    fn object() -> ObjectRef {
        ObjectRef { resource: "deployments".into(), name: "web".into(), ..ObjectRef::default() }
    }

    /// A cut from 10 to 4 that was held and had these events, and its answer.
    fn held(events: &[HoldEvent], code: u16) -> Option<PastStep> {
        let count = Count::new(Counted::Replicas, Some(10), Some(4));
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
                rules: Vec::new(),
            }),
            effects: vec![(&effect).into()],
            ..Entry::new(now, "a", Stage::Held)
        });
        let response = ResponseRecord {
            code,
            outcome: Outcome::Answered,
            latency_micros: 1,
            bytes: 0,
            object: None,
        };
        let answer =
            Entry { response: Some(response), ..Entry::new(now, "a", Stage::ResponseComplete) };
        let calls = ledger::calls(of_hold.chain([answer]));
        step(calls.first().expect("a call"), Summed::Cuts, &object(), Counted::Replicas)
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
        use Summed::{Cuts, Growth};
        let table = [
            (Cuts, vec![], 10, 10),
            (Cuts, vec![step(10, 8, false), step(8, 6, false)], 6, 10),
            (Cuts, vec![step(10, 20, false), step(20, 12, false)], 12, 20),
            (Cuts, vec![step(10, 8, false), step(8, 4, true)], 4, 4),
            (Cuts, vec![step(10, 4, true), step(4, 8, false), step(8, 6, false)], 6, 8),
            (Growth, vec![], 3, 3),
            (Growth, vec![step(3, 53, false)], 53, 3),
            (Growth, vec![step(3, 53, false), step(53, 103, false)], 103, 3),
            (Growth, vec![step(3, 53, true)], 53, 53),
            // Somebody else made it larger, or smaller, in between.
            (Growth, vec![step(3, 4, false)], 60, 59),
            (Growth, vec![step(3, 53, false)], 3, 3),
            // There and back again.
            (Growth, vec![step(10, 20, false), step(20, 12, false)], 12, 10),
            (Growth, vec![step(20, 12, false)], 12, 12),
        ];
        for (index, (summed, steps, now, want)) in table.into_iter().enumerate() {
            let found = baseline(summed, &since_the_last_approval(steps), now);
            assert_eq!(found, want, "row {index}");
        }
    }
}
