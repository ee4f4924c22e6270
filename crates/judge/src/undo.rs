//! What its agent did a moment ago, it may take back: whoever tries something and puts it as it was needs
//! nobody for the second half.
//!
//! The ledger has each own write as it found its object and as it left it. A write undoes the last one where
//! nobody has written since and the object becomes what that one found. Neither an image nor requests or
//! limits are put back unasked, nor what is put back once taken away again: a person looks at those.

use std::time::Duration;

use effects::{
    About, Effect, EffectKind,
    about::{OldNew, Part, Taint},
};
use jiff::Timestamp;
use ledger::{Call, Filter, Identity, ObjectState, StoreError};
use payload::Redactor;

use crate::{
    call::Write,
    left::{self, leaves_object},
    remembered::Remembered,
    seen::Seen,
};

/// What is older than this is no step that is taken back.
const UNDO_TIME_MAX: Duration = Duration::from_secs(30 * 60);

/// Marks what undoes the agent's own last step.
pub(crate) async fn mark(
    remembered: &Remembered,
    redactor: &Redactor,
    write: &Write,
    seen: &Seen,
    effects: &mut [Effect],
) {
    let is_update = matches!(write.attributes().verb.as_str(), "update" | "patch");
    if !is_update || !leaves_object(write) || !effects.iter().any(may_be_undone) {
        return;
    }
    let Some([now, then]) = states(redactor, write, seen) else { return };
    match last_step(remembered, write).await {
        Ok(Some(step)) if undoes(write, &step, &now, &then) => {}
        Ok(_) => return,
        Err(error) => {
            tracing::warn!(%error, "the ledger cannot tell what the agent did last");
            return;
        }
    }
    for effect in effects.iter_mut().filter(|it| may_be_undone(it)) {
        match &mut effect.about {
            About::Count(count) => count.undoes = true,
            About::Parts(parts) => parts.undoes = true,
            _ => {}
        }
    }
}

/// Whether to put it back only brings what was there before: not to nothing, nor to a taint that sends pods
/// away that have come since.
fn may_be_undone(effect: &Effect) -> bool {
    match (effect.kind, &effect.about) {
        (EffectKind::ScaleDown | EffectKind::ScaleUp, About::Count(count)) => {
            count.new.is_some_and(|it| it > 0)
        }
        (EffectKind::ChangeTemplate | EffectKind::ChangeSpec, About::Parts(_)) => true,
        (EffectKind::Taint, About::Parts(parts)) => {
            parts.more == 0 && parts.parts.iter().all(only_goes)
        }
        _ => false,
    }
}

fn only_goes(part: &Part) -> bool {
    let Part::Taints(OldNew { old, new }) = part else { return false };
    new.iter().all(|it: &Taint| old.contains(it))
}

/// The object as it is and as it would be. Of a `/scale`, the workload with that count.
fn states(redactor: &Redactor, write: &Write, seen: &Seen) -> Option<[ObjectState; 2]> {
    let (now, mut then) = (seen.object(write)?, seen.new.clone()?);
    if write.attributes().subresource == "scale" {
        let count = then.pointer("/spec/replicas")?.clone();
        then = now.clone();
        *then.pointer_mut("/spec/replicas")? = count;
    }
    Some([left::state(redactor, now)?, left::state(redactor, &then)?])
}

fn undoes(write: &Write, step: &Call, now: &ObjectState, then: &ObjectState) -> bool {
    let agent = Identity::from(&write.user);
    let is_own = |user: &Identity| (&user.username, &user.uid) == (&agent.username, &agent.uid);
    // There and back again is no way to do something twice.
    let is_undo = step.effects.iter().filter_map(|it| it.effect().ok()).any(|it| match it.about {
        About::Count(count) => count.undoes,
        About::Parts(parts) => parts.undoes,
        _ => false,
    });
    let Some(object) = left::object_of(step) else { return false };
    let Some(found) = &object.found else { return false };
    step.user.as_ref().is_some_and(is_own)
        && !is_undo
        && left::is_same(&object.left, now)
        && !found.digest.is_empty()
        && found.digest == then.digest
}

/// The last write to the object that may have run, by whomever; `None` where there is none or too many to
/// tell.
async fn last_step(remembered: &Remembered, write: &Write) -> Result<Option<Call>, StoreError> {
    let a = write.attributes();
    let calls = remembered.all_calls(Filter {
        // Of what is in none, no namespace is stored.
        namespace: Some(a.namespace.clone()).filter(|it| !it.is_empty()),
        resource: Some(a.resource.clone()),
        name: Some(a.name.clone()),
        since: Timestamp::now().checked_sub(UNDO_TIME_MAX).ok(),
        writes_only: true,
        ..Filter::default()
    });
    let Some(mut calls) = calls.await? else { return Ok(None) };
    calls.retain(|call| {
        let is_it = call.request.as_ref().is_some_and(|it| {
            (&it.api_group, &it.namespace) == (&a.api_group, &a.namespace) && !it.dry_run
        });
        let is_refused = call.response.as_ref().is_some_and(|it| it.code >= 300);
        is_it && call.audit_id != write.call.audit_id.as_str() && !is_refused
    });
    Ok(calls.into_iter().max_by_key(|call| call.time))
}
