//! What is this agent's own by the ledger: the name that it was the first to apply in, the lock that it
//! took. What somebody else had before is not.

use std::time::Duration;

use effects::{
    About, Effect, ObjectRef,
    about::{FieldsChange, FieldsTaken, LeaseChange, LeaseStep, Part, Whose},
};
use jiff::Timestamp;
use ledger::{Call, Filter, StoreError};
use serde_json::Value;

use crate::{call::Write, remembered::Remembered};

/// Calls that are read of one object.
const CALLS_MAX: usize = 1_000;
/// The call that creates an object begins so long before the object is there.
const CREATE_TIME_MAX: Duration = Duration::from_secs(60);

/// Marks in effects what is the agent's own. A deploy tool's name never is, nor what was edited by hand.
pub(crate) async fn tell_apart(
    remembered: &Remembered,
    write: &Write,
    live: Option<&Value>,
    effects: &mut [Effect],
) {
    let created = live.and_then(|it| it.pointer("/metadata/creationTimestamp")?.as_str());
    let Some(created) = created.and_then(|it| it.parse::<Timestamp>().ok()) else { return };
    for effect in effects.iter_mut().filter(|it| is_claimed(it)) {
        match own_effects(remembered, write, &effect.object, created).await {
            Ok(own) => mark(effect, &own),
            Err(error) => tracing::warn!(%error, "the ledger cannot tell what is the agent's own"),
        }
    }
}

/// Whether it is held for being somebody's who may be this agent.
fn is_claimed(effect: &Effect) -> bool {
    match &effect.about {
        About::Parts(parts) => parts.parts.iter().any(|part| fields(part).is_some()),
        About::Lease(lease) => lease.step == LeaseStep::Released,
        _ => false,
    }
}

fn fields(part: &Part) -> Option<&FieldsTaken> {
    let Part::Fields(taken) = part else { return None };
    (taken.whose == Whose::Others && taken.change != FieldsChange::Edited).then_some(taken)
}

fn mark(effect: &mut Effect, own: &[Effect]) {
    match &mut effect.about {
        About::Parts(parts) => {
            for part in &mut parts.parts {
                let is_own = fields(part).is_some_and(|it| has_applied_first(own, &it.manager));
                if let Part::Fields(taken) = part
                    && is_own
                {
                    taken.whose = Whose::Own;
                }
            }
        }
        About::Lease(lease) if has_taken(own, &lease.old) => lease.step = LeaseStep::GivenBack,
        _ => {}
    }
}

/// Whether this agent applied under a manager of fields that nobody had used before.
fn has_applied_first(own: &[Effect], manager: &str) -> bool {
    let parts = own.iter().filter_map(|it| match &it.about {
        About::Parts(parts) => Some(&parts.parts),
        _ => None,
    });
    let (created, mine) = (FieldsChange::Created, Whose::Own);
    parts.flatten().any(|part| {
        matches!(part, Part::Fields(it)
            if it.change == created && it.whose == mine && it.manager == manager)
    })
}

/// Whether this agent took a lock, as this holder, when it was nobody's.
fn has_taken(own: &[Effect], holder: &str) -> bool {
    let taken = |it: &LeaseChange| it.step == LeaseStep::Taken && it.new == holder;
    own.iter().any(|it| matches!(&it.about, About::Lease(lease) if taken(lease)))
}

/// What this agent did to the object, since it is there.
async fn own_effects(
    remembered: &Remembered,
    write: &Write,
    object: &ObjectRef,
    created: Timestamp,
) -> Result<Vec<Effect>, StoreError> {
    let calls = remembered.ledger.calls(Filter {
        namespace: Some(write.attributes().namespace.clone()),
        resource: Some(object.resource.clone()),
        username: Some(write.user.username.clone()),
        // Without a moment before it, nothing is too old.
        since: created.checked_sub(CREATE_TIME_MAX).ok(),
        writes_only: true,
        limit: Some(CALLS_MAX),
        ..Filter::default()
    });
    let calls = calls.await?.items;
    let ran = calls.iter().filter(|call| ran_since(call, created));
    let effects = ran.flat_map(|call| &call.effects).filter_map(|it| it.effect().ok());
    let is_of_object =
        |it: &Effect| it.object.name == object.name && it.object.api_group == object.api_group;
    Ok(effects.filter(is_of_object).collect())
}

/// Whether the API server answered a call, and that it had run, when the object was there.
fn ran_since(call: &Call, created: Timestamp) -> bool {
    call.response.as_ref().is_some_and(|answer| {
        let ended = call.time.checked_add(Duration::from_micros(answer.latency_micros));
        (200..300).contains(&answer.code) && ended.is_ok_and(|ended| ended >= created)
    })
}
