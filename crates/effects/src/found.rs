//! What is found of one object, gathered into effects.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashSet},
};

use crate::{
    EffectKind,
    about::{About, Count, Counted, Part, Parts, Power, RunsAs},
    effect::Effect,
    object::ObjectRef,
};

/// Kinds with the parts that were seen of each, so that ten paths of one kind are one effect. Counts
/// stand each for itself, and so does what is no part of the object.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) kinds: BTreeMap<EffectKind, Vec<Part>>,
    seen: HashSet<(EffectKind, Part)>,
    pub(crate) others: Vec<Effect>,
}

impl Found {
    pub(crate) fn add(&mut self, kind: EffectKind, part: Part) {
        if self.seen.insert((kind, part.clone())) {
            self.kinds.entry(kind).or_default().push(part);
        }
    }

    pub(crate) fn borrows(&mut self, powers: impl IntoIterator<Item = Power>) {
        for power in powers {
            self.add(EffectKind::Borrow, Part::Power(power));
        }
    }

    pub(crate) fn scaled(&mut self, object: &ObjectRef, counted: Counted, old: i64, new: i64) {
        let kind = match new.cmp(&old) {
            Ordering::Less => EffectKind::ScaleDown,
            Ordering::Greater => EffectKind::ScaleUp,
            Ordering::Equal => return,
        };
        let count = Count::new(counted, Some(old), Some(new));
        self.others.push(Effect { kind, object: object.clone(), about: About::Count(count) });
    }

    pub(crate) fn effects(self, object: &ObjectRef) -> Vec<Effect> {
        let effect = |(kind, parts): (EffectKind, Vec<Part>)| Effect {
            kind,
            object: object.clone(),
            about: About::Parts(Parts::bounded(parts)),
        };
        self.kinds.into_iter().map(effect).chain(self.others).collect()
    }
}

/// Code runs with the rights of a service account: what these are is RBAC's to say.
pub(crate) fn runs_as(account: &str, of: &ObjectRef) -> Effect {
    let object = ObjectRef {
        resource: "serviceaccounts".to_owned(),
        namespace: of.namespace.clone(),
        name: account.to_owned(),
        ..ObjectRef::default()
    };
    let about = About::RunsAs(RunsAs { of: of.into(), ..RunsAs::default() });
    Effect { kind: EffectKind::Borrow, object, about }
}
