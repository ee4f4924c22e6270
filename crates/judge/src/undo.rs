//! What its agent did a moment ago, it may take back: whoever tries something and puts it as it was needs
//! nobody for the second half.
//!
//! The ledger has each own write as it found its object and as it left it. A write undoes the last one where
//! nobody has written since and the object becomes what that one found. Neither an image nor requests or
//! limits are put back unasked, nor what is put back once taken away again: a person looks at those.

use std::{cmp::Reverse, collections::BTreeSet, time::Duration};

use effects::{
    About, Effect, EffectKind,
    about::{OldNew, Part, Taint},
};
use ledger::{Call, Identity, ObjectState, RequestRecord, StoreError};

use crate::{
    call::Write,
    left::{self, Found},
    remembered::Remembered,
};

/// What is older than this is no step that is taken back.
const UNDO_TIME_MAX: Duration = Duration::from_secs(30 * 60);

/// Marks what undoes the agent's own last step.
pub(crate) async fn mark(
    remembered: &Remembered,
    write: &Write,
    found: Option<&Found>,
    effects: &mut [Effect],
) {
    let Some(found) = found.filter(|_| effects.iter().any(may_be_undone)) else { return };
    let steps = match last_steps(remembered, write).await {
        Ok(steps) => steps.unwrap_or_default(),
        Err(error) => {
            tracing::warn!(%error, "the ledger cannot tell what the agent did last");
            return;
        }
    };
    if !steps.first().is_some_and(|last| undoes(write, last, found)) {
        return;
    }
    // There and back again is no way to do something twice.
    let undone: BTreeSet<EffectKind> = steps.iter().flat_map(undone).collect();
    let is_first = |it: &&mut Effect| may_be_undone(it) && !undone.contains(&it.kind);
    effects.iter_mut().filter(is_first).for_each(Effect::set_undoes);
}

/// What a step took back.
fn undone(step: &Call) -> impl Iterator<Item = EffectKind> {
    let effects = step.effects.iter().filter_map(|it| it.effect().ok());
    effects.filter(Effect::undoes).map(|it| it.kind)
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

fn undoes(write: &Write, step: &Call, found: &Found) -> bool {
    let agent = Identity::from(&write.user);
    let is_own = |user: &Identity| (&user.username, &user.uid) == (&agent.username, &agent.uid);
    let Some(object) = left::object_of(step) else { return false };
    // Its own name stays among the writers.
    let is_back = |before: &ObjectState| before.digest == found.then.digest;
    step.user.as_ref().is_some_and(is_own)
        && undone(step).next().is_none()
        && left::is_same(&object.left, &found.now)
        && object.found.as_ref().is_some_and(is_back)
}

/// The writes to the object that may have run lately, by whomever, the last first; `None` where there are too
/// many to tell.
async fn last_steps(
    remembered: &Remembered,
    write: &Write,
) -> Result<Option<Vec<Call>>, StoreError> {
    let object = effects::object_of(write.attributes());
    let calls = remembered.writes_to(&object, UNDO_TIME_MAX).await?;
    Ok(calls.map(|mut calls| {
        calls.retain(|call| {
            let is_it = |it: &RequestRecord| it.api_group == object.api_group && !it.dry_run;
            let is_refused = call.response.as_ref().is_some_and(|it| it.code >= 300);
            let is_this = call.audit_id == write.call.audit_id.as_str();
            call.request.as_ref().is_some_and(is_it) && !is_this && !is_refused
        });
        calls.sort_by_key(|call| Reverse(call.time));
        calls
    }))
}
