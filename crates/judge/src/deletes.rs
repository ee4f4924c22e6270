//! What a delete decides besides which object goes: what becomes of all that the object owns, and how
//! long it has to end. Reviewers read it in the words of its effect, and an exception for one delete is
//! none for another.

use std::collections::HashSet;

use attributes::Attributes;
use effects::{About, Effect, about::Propagation};
use payload::{DeleteOptions, PayloadError};
use serde_json::Value;

use crate::call::Write;

/// What a delete asks for besides the object: from the body where there is one, else the query.
///
/// # Errors
/// [`PayloadError`] where its options cannot be read in exactly one way.
pub fn options(write: &Write) -> Result<DeleteOptions, PayloadError> {
    match payload::delete_options(write.media, &write.body)? {
        Some(options) => Ok(options),
        None => DeleteOptions::from_query(&write.attributes().query.0),
    }
}

/// Whether dependants stay: by the request, by the object's finalizers, or by the kind's default
/// (`DefaultGarbageCollectionPolicy` of each registry strategy).
pub(crate) fn orphans(options: &DeleteOptions, a: &Attributes, live: Option<&Value>) -> bool {
    match options.propagation() {
        Some(policy) => policy == "Orphan",
        None => live.is_some_and(has_orphan) || is_orphaned_by_default(a),
    }
}

fn has_orphan(live: &Value) -> bool {
    let finalizers = live.pointer("/metadata/finalizers").and_then(Value::as_array);
    finalizers.into_iter().flatten().any(|it| it == "orphan")
}

fn is_orphaned_by_default(a: &Attributes) -> bool {
    matches!(
        (a.api_group.as_str(), a.resource.as_str()),
        ("", "replicationcontrollers") | ("batch", "jobs")
    )
}

/// Sets it in each effect that is this delete's own; `gone` are the objects, as far as they are known.
pub(crate) fn set_options<'v>(
    write: &Write,
    gone: impl Iterator<Item = &'v Value>,
    effects: &mut [Effect],
) {
    let a = write.attributes();
    let options = match (a.verb.as_str(), a.subresource.as_str()) {
        ("delete" | "deletecollection", _) => options(write).ok(),
        ("create", "eviction") => payload::eviction_options(write.media, &write.body).ok(),
        _ => return,
    };
    let uid = |it: &'v Value| it.pointer("/metadata/uid").and_then(Value::as_str);
    let orphaned: HashSet<&str> = gone.filter(|it| has_orphan(it)).filter_map(uid).collect();
    for effect in effects {
        let About::Deletion(deletion) = &mut effect.about else { continue };
        let by_object = orphaned.contains(effect.object.uid.as_str());
        match &options {
            Some(options) => {
                let by_default = by_object || is_orphaned_by_default(a);
                deletion.propagation = Some(propagation(options, by_default));
                deletion.grace_seconds = options.grace_seconds();
            }
            None => deletion.propagation = Some(Propagation::Unreadable),
        }
    }
}

/// What becomes of what the object owns; kubectl asks for `Background`.
fn propagation(options: &DeleteOptions, orphaned_by_default: bool) -> Propagation {
    match options.propagation() {
        Some("Background") => Propagation::Background,
        Some("Foreground") => Propagation::Foreground,
        Some("Orphan") => Propagation::Orphan,
        None if orphaned_by_default => Propagation::Orphan,
        None => Propagation::Background,
        Some(_) => Propagation::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_what_else_a_delete_does() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        use Propagation::{Background, Foreground, Orphan, Unknown};
        let table = [
            (vec![], false, Background, None),
            (vec![], true, Orphan, None),
            (vec![pair("propagationPolicy", "Background")], true, Background, None),
            (vec![pair("propagationPolicy", "Foreground")], false, Foreground, None),
            (vec![pair("propagationPolicy", "Orphan")], false, Orphan, None),
            (vec![pair("orphanDependents", "true")], false, Orphan, None),
            (vec![pair("propagationPolicy", "?")], true, Unknown, None),
            (vec![pair("gracePeriodSeconds", "0")], false, Background, Some(0)),
            (vec![pair("gracePeriodSeconds", "1")], true, Orphan, Some(1)),
        ];
        for (query, by_default, want, grace) in table {
            let options = DeleteOptions::from_query(&query).expect("options");
            assert_eq!(propagation(&options, by_default), want, "{query:?}");
            assert_eq!(options.grace_seconds(), grace, "{query:?}");
        }
    }
}
