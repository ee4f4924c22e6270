//! A namespace that is made anew under the name of a guarded one: whoever deletes the one and makes the
//! other has taken its labels away, in two steps that each look like routine.

use effects::{About, Effect, EffectKind, NamespaceClass, ObjectRef, about::ClassChange};
use serde_json::Value;
use upstream::Namespaces;

use crate::call::Write;

/// What making this namespace takes away from the guard that its name had; nothing of other
/// writes. `new` is the dry run's answer, where there is one.
pub(crate) async fn effect_of(
    namespaces: &Namespaces,
    write: &Write,
    new: Option<&Value>,
) -> Option<Effect> {
    let a = write.attributes();
    if (a.verb.as_str(), a.api_group.as_str(), a.resource.as_str()) != ("create", "", "namespaces")
        || !a.subresource.is_empty()
    {
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
    let before = namespaces.last(name).await?;
    let labels = new.pointer("/metadata/labels").and_then(Value::as_object);
    let labels = labels
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()))
        .collect();
    let after = NamespaceClass::of(name, Some(&labels), namespaces.config());
    after.is_weaker_than(&before).then(|| Effect {
        kind: EffectKind::Unprotect,
        object: ObjectRef {
            resource: "namespaces".to_owned(),
            name: name.to_owned(),
            ..ObjectRef::default()
        },
        about: About::Class(ClassChange { old: before.mark(), new: after.mark(), recreated: true }),
    })
}
