//! What a URL says of a write, beside what is seen of the cluster or refused there.

use attributes::Attributes;
use effects::{Effect, EffectKind, Unknown};
use http::StatusCode;
use upstream::ProbeAnswer;

use crate::{call::Write, seen::Seen};

/// What is known of a write that the API server would refuse now: whoever reaches for what guards the
/// cluster is shown to a person all the same.
pub(crate) fn refused_now(attributes: &Attributes, answer: &ProbeAnswer) -> Seen {
    let why = Unknown::WouldFail(answer.status.as_u16());
    Seen { effects: effects::of_refused(attributes, why.clone()), ..Seen::nothing(why) }
}

/// agent-shield's own group.
const OWN_GROUP: &str = "agent-shield.io";

/// Whether a write is to a protected namespace, to what decides access, or to agent-shield itself, and would
/// only fail for what is there now: an object that is not, or a value that is not valid.
pub(crate) fn hides_guarded_target(write: &Write, answer: &ProbeAnswer) -> bool {
    let fails_now =
        matches!(answer.status, StatusCode::NOT_FOUND | StatusCode::UNPROCESSABLE_ENTITY);
    // An answer without a kind comes from the router: nothing serves the path, so nothing is guarded.
    let is_object = answer.json.as_ref().is_some_and(|it| it.pointer("/details/kind").is_some());
    let a = write.attributes();
    let is_protected = write.class.protected && !write.class.is_absent();
    let is_guarded = is_protected || effects::decides_access(a);
    fails_now && (is_object && is_guarded || a.api_group == OWN_GROUP)
}

/// What the URL says and what was seen: where the live object shows an effect, that is more than what
/// the URL says of it. Of what was seen nothing is left out.
pub(crate) fn more_than_said(said: Vec<Effect>, seen: Vec<Effect>) -> Vec<Effect> {
    let is_shown = |it: &Effect| {
        it.object.uid.is_empty()
            && seen.iter().any(|effect| {
                effect.kind == it.kind
                    || (effect.kind, it.kind) == (EffectKind::ReplacePod, EffectKind::Delete)
            })
    };
    let mut effects: Vec<Effect> = said.into_iter().filter(|it| !is_shown(it)).collect();
    effects.extend(seen);
    effects
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_out_nothing_that_was_seen() {
        let effect = |kind, said: &str| Effect {
            kind,
            object: effects::ObjectRef::default(),
            about: effects::About::Said(said.into()),
        };
        let said = vec![effect(EffectKind::Delete, "by the URL")];
        let two =
            || vec![effect(EffectKind::Borrow, "priority"), effect(EffectKind::Borrow, "account")];
        let details = |seen| {
            let all = more_than_said(said.clone(), seen);
            all.iter().map(effects::describe::detail).collect::<Vec<_>>()
        };
        // A harmless account must not hide the priority class beside it.
        assert_eq!(details(two()), ["by the URL", "priority", "account"]);
        assert_eq!(details(vec![effect(EffectKind::Delete, "live")]), ["live"]);
        assert_eq!(details(vec![effect(EffectKind::ReplacePod, "one")]), ["one"]);
    }
}
