//! Small steps that add up (DEFAULTS Q4): a cut is judged against the largest size that the ledger
//! knows of the last day, so that 10 -> 8 -> 6 -> 4 is one drastic cut and not three small ones.
//! The ledger outlives a restart, and it is the same for every agent: it does not matter who cut.

use effects::{Effect, EffectKind, ObjectRef};
use jiff::Timestamp;
use ledger::{Action, Call, EffectRecord, Filter, HoldEvent};

use crate::memory::Memory;

/// How far back it is looked.
const WINDOW: std::time::Duration = std::time::Duration::from_secs(24 * 60 * 60);
/// Calls that are read of one object.
const CALLS_MAX: usize = 1_000;
/// Earlier steps that are named.
const STEPS_SHOWN_MAX: usize = 8;

/// One earlier change of a size.
struct Step {
    audit_id: String,
    from: i64,
    to: i64,
    /// A person has agreed to it: what was before does not count any more.
    approved: bool,
}

/// Makes each scale-down start at the largest size of the last day, and names the steps between.
pub(crate) async fn add_up(memory: &Memory, effects: &mut [Effect]) {
    for effect in effects.iter_mut().filter(|it| it.kind == EffectKind::ScaleDown) {
        let Some((old, new)) = effect.count else { continue };
        let steps = match steps(memory, &effect.object, what(&effect.detail)).await {
            Ok(steps) => steps,
            Err(error) => {
                // Nobody can say that it is small.
                tracing::warn!(%error, "the ledger cannot tell what was before");
                effect.count = None;
                effect.detail.push_str("; what was before is not known");
                continue;
            }
        };
        let steps = since_the_last_approval(steps);
        let baseline = baseline(&steps, old);
        if baseline > old {
            effect.count = Some((baseline, new));
            let words = words(&steps);
            effect.detail = format!("{}, {baseline} -> {new} in all: {words}", effect.detail);
        }
    }
}

/// What was done to the size of an object before, oldest first.
async fn steps(
    memory: &Memory,
    object: &ObjectRef,
    what: &str,
) -> Result<Vec<Step>, ledger::StoreError> {
    let calls = memory.ledger.calls(Filter {
        namespace: Some(object.namespace.clone()),
        resource: Some(object.resource.clone()),
        name: Some(object.name.clone()),
        since: Some(Timestamp::now() - WINDOW),
        writes_only: true,
        limit: Some(CALLS_MAX),
        ..Filter::default()
    });
    let mut steps: Vec<Step> =
        calls.await?.iter().filter_map(|call| step(call, object, what)).collect();
    steps.reverse();
    Ok(steps)
}

/// `replicas` of `replicas 10 -> 8`: an autoscaler has two counts.
fn what(detail: &str) -> &str {
    detail.split(' ').next().unwrap_or_default()
}

/// The step that a call took. An allowed one counts while it is without its answer; an approved one
/// once it ran, which the request that is judged now has not.
fn step(call: &Call, object: &ObjectRef, of: &str) -> Option<Step> {
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
    let is_size = |it: &&EffectRecord| {
        matches!(it.kind.as_str(), "ScaleDown" | "ScaleUp")
            && it.api_group == object.api_group
            && what(&it.detail) == of
    };
    let (from, to) = call.effects.iter().find(is_size)?.count?;
    Some(Step { audit_id: call.audit_id.clone(), from, to, approved })
}

/// What a person has agreed to is where counting begins.
fn since_the_last_approval(mut steps: Vec<Step>) -> Vec<Step> {
    if let Some(last) = steps.iter().rposition(|step| step.approved) {
        let mut rest = steps.split_off(last);
        if let Some(approved) = rest.first_mut() {
            approved.from = approved.to;
        }
        return rest;
    }
    steps
}

fn baseline(steps: &[Step], now: i64) -> i64 {
    steps.iter().flat_map(|step| [step.from, step.to]).fold(now, i64::max)
}

fn words(steps: &[Step]) -> String {
    let more = steps.len().saturating_sub(STEPS_SHOWN_MAX);
    let mut words: Vec<String> = steps
        .iter()
        .skip(more)
        .map(|step| format!("{} -> {} (call {})", step.from, step.to, step.audit_id))
        .collect();
    if more > 0 {
        words.insert(0, format!("{more} earlier steps"));
    }
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use effects::{Effect, EffectKind};
    use ledger::{Entry, HoldRecord, Outcome, ResponseRecord, Stage};

    use super::*;

    fn object() -> ObjectRef {
        ObjectRef { resource: "deployments".into(), name: "web".into(), ..ObjectRef::default() }
    }

    /// A cut from 10 to 4 that was held and had these events, and its answer.
    fn held(events: &[HoldEvent], code: u16) -> Option<Step> {
        let effect = Effect {
            kind: EffectKind::ScaleDown,
            object: object(),
            detail: "replicas 10 -> 4".into(),
            count: Some((10, 4)),
        };
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
        step(calls.first().expect("a call"), &object(), "replicas")
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
        let step = |from, to, approved| Step { audit_id: "a".into(), from, to, approved };
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
