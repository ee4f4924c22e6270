//! What a delete decides besides which object goes: what becomes of all that the object owns, and how
//! long it has to end. Reviewers read it in the words of its effect, and an exception for one delete is
//! none for another.

use std::collections::HashSet;

use attributes::Attributes;
use effects::{Effect, EffectKind};
use payload::DeleteOptions;
use serde_json::Value;

use crate::call::Write;

/// What a delete asks for besides the object: from the body where there is one, else the query.
///
/// # Errors
/// Why its options cannot be read in exactly one way.
pub fn options(write: &Write) -> Result<DeleteOptions, String> {
    let unreadable = |error: payload::PayloadError| {
        format!("the delete options cannot be read in exactly one way: {error}")
    };
    match payload::delete_options(write.media, &write.body).map_err(unreadable)? {
        Some(options) => Ok(options),
        None => DeleteOptions::from_query(&write.attributes().query.0).map_err(unreadable),
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

/// Says it of each effect that is this delete's own; `gone` are the objects, as far as they are known.
pub(crate) fn say_how<'v>(
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
    let is_own = |it: &&mut Effect| {
        matches!(it.kind, EffectKind::Delete | EffectKind::ReplacePod | EffectKind::Evict)
    };
    for effect in effects.iter_mut().filter(is_own) {
        let by_object = orphaned.contains(effect.object.uid.as_str());
        effect.detail.push_str(&match &options {
            Some(options) => words(options, by_object || is_orphaned_by_default(a)),
            None => "; with options that cannot be read".to_owned(),
        });
    }
}

/// Nothing for what kubectl asks for: dependants go after it, and the object has its own time to end.
fn words(options: &DeleteOptions, orphaned_by_default: bool) -> String {
    let owned = match options.propagation() {
        Some("Background") => "",
        Some("Foreground") => "; what it owns goes first",
        Some("Orphan") => "; what it owns is left behind",
        None if orphaned_by_default => "; what it owns is left behind",
        None => "",
        Some(_) => "; what becomes of what it owns is not known",
    };
    match options.grace_seconds() {
        None => owned.to_owned(),
        Some(0) => format!("{owned}; at once, with no time to end"),
        Some(seconds) => format!("{owned}; with {seconds} s to end"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_else_a_delete_does() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let table = [
            (vec![], false, ""),
            (vec![], true, "; what it owns is left behind"),
            (vec![pair("propagationPolicy", "Background")], true, ""),
            (vec![pair("propagationPolicy", "Foreground")], false, "; what it owns goes first"),
            (vec![pair("propagationPolicy", "Orphan")], false, "; what it owns is left behind"),
            (vec![pair("orphanDependents", "true")], false, "; what it owns is left behind"),
            (
                vec![pair("propagationPolicy", "?")],
                true,
                "; what becomes of what it owns is not known",
            ),
            (vec![pair("gracePeriodSeconds", "0")], false, "; at once, with no time to end"),
            (
                vec![pair("gracePeriodSeconds", "1")],
                true,
                "; what it owns is left behind; with 1 s to end",
            ),
        ];
        for (query, by_default, want) in table {
            let options = DeleteOptions::from_query(&query).expect("options");
            assert_eq!(words(&options, by_default), want, "{query:?}");
        }
    }
}
