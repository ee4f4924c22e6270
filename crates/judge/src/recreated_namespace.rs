//! A namespace that is made anew under the name of a guarded one: whoever deletes the one and makes the
//! other has taken its labels away, in two steps that each look like routine.

use effects::{
    About, Effect, EffectKind, NamespaceClass, ObjectRef,
    about::{ClassChange, ClassMark},
};
use ledger::{ClassRecord, Filter};
use serde_json::Value;
use upstream::Namespaces;

use crate::{call::Write, remembered::Remembered};

/// What making this namespace takes away from the guard that its name had; nothing of other
/// writes. `new` is the dry run's answer, where there is one.
pub(crate) async fn effect_of(
    namespaces: &Namespaces,
    remembered: &Remembered,
    write: &Write,
    new: Option<&Value>,
) -> Option<Effect> {
    let a = write.attributes();
    let makes = match a.verb.as_str() {
        "create" => true,
        // Of one that is there, the class is known.
        "patch" => write.applied_by().is_some() && write.class.labels.is_none(),
        _ => false,
    };
    let is_namespace = (a.api_group.as_str(), a.resource.as_str()) == ("", "namespaces");
    if !makes || !is_namespace || !a.subresource.is_empty() {
        return None;
    }
    let read;
    let new = match new {
        Some(new) => new,
        None => {
            read = payload::read(write.media, &write.body).unwrap_or_default();
            &read
        }
    };
    let name = new.pointer("/metadata/name").and_then(Value::as_str)?;
    let before = match namespaces.last(name).await {
        Some(seen) => seen.mark(),
        None => recorded(remembered, name).await?,
    };
    let labels = new.pointer("/metadata/labels").and_then(Value::as_object);
    let labels = labels
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()))
        .collect();
    let after = NamespaceClass::of(name, Some(&labels), namespaces.config()).mark();
    after.is_weaker_than(before).then(|| Effect {
        kind: EffectKind::Unprotect,
        object: ObjectRef {
            resource: "namespaces".to_owned(),
            name: name.to_owned(),
            ..ObjectRef::default()
        },
        about: About::Class(ClassChange { old: before, new: after, recreated: true }),
    })
}

/// How a namespace of this name was classed when an agent last wrote in it, by the ledger: what is only
/// remembered does not outlive a restart. What cannot be told counts as the worst.
async fn recorded(remembered: &Remembered, name: &str) -> Option<ClassMark> {
    let calls = remembered.all_calls(Filter {
        namespace: Some(name.to_owned()),
        writes_only: true,
        ..Filter::default()
    });
    let worst = ClassMark { protected: true, production: true };
    match calls.await {
        Ok(Some(calls)) => calls.iter().find_map(|call| {
            let ran = call.response.as_ref().is_some_and(|it| (200..300).contains(&it.code));
            let is_in_it = call.request.as_ref().is_some_and(|it| it.namespace == name);
            call.class.filter(|_| ran && is_in_it).map(mark)
        }),
        Ok(None) => Some(worst),
        Err(error) => {
            tracing::warn!(namespace = name, %error, "the ledger cannot tell what it was");
            Some(worst)
        }
    }
}

fn mark(class: ClassRecord) -> ClassMark {
    ClassMark { protected: class.is_protected(), production: class.is_production() }
}
