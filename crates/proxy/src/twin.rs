//! A namespace that is made anew under the name of a guarded one: whoever deletes the one and makes the
//! other has taken its labels away, in two steps that each look like routine.

use effects::{Effect, EffectKind, NamespaceClass, ObjectRef};
use http::StatusCode;
use serde_json::Value;
use upstream::ProbeAnswer;

use crate::{Proxy, call::Write};

impl Proxy {
    /// What making this namespace takes away from the guard that its name had; nothing of other
    /// writes. `new` is the dry run's answer, where there is one.
    pub(crate) fn of_twin(&self, write: &Write, new: Option<&Value>) -> Option<Effect> {
        let a = write.attributes();
        if (a.verb.as_str(), a.api_group.as_str(), a.resource.as_str())
            != ("create", "", "namespaces")
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
        let before = self.namespaces.last(name)?;
        let labels = new.pointer("/metadata/labels").and_then(Value::as_object);
        let labels = labels
            .into_iter()
            .flatten()
            .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()))
            .collect();
        let after = NamespaceClass::of(name, Some(&labels), self.namespaces.config());
        after.is_weaker_than(&before).then(|| Effect {
            kind: EffectKind::Unprotect,
            object: ObjectRef {
                resource: "namespaces".to_owned(),
                name: name.to_owned(),
                ..ObjectRef::default()
            },
            detail: format!(
                "namespace {name} anew, with other labels than it had: {} -> {}",
                before.words(),
                after.words()
            ),
            count: None,
        })
    }

    /// As [`Proxy::of_twin`], where the dry run says that there is such a namespace still.
    pub(crate) fn of_untimely_twin(&self, write: &Write, answer: &ProbeAnswer) -> Option<Effect> {
        let exists = answer.status == StatusCode::CONFLICT;
        exists.then(|| self.of_twin(write, None)).flatten()
    }
}
