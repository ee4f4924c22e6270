//! kubectl's copy of what it applied (`kubectl.kubernetes.io/last-applied-configuration`), as a reviewer reads it.
//!
//! The API server does not make sure that it is one: whoever writes the object writes this text too, and the next
//! `kubectl apply` goes by it. So a copy that says something else than the rest is shown whole, field by field, and
//! only one that says the same is folded.

use effects::{Change, applied_beyond_changes, applied_beyond_object, applied_path};
use payload::MediaType;
use serde_json::Value;
use text::plain;

/// Paths that a note names, and characters of each.
const PATHS_MAX: usize = 5;
const PATH_CHARS_MAX: usize = 120;

/// The copy among the differences.
pub(crate) struct AppliedCopy {
    /// The path of its annotation.
    pub(crate) path: String,
    /// What it is, and whether it says the same as the rest.
    pub(crate) note: String,
    /// Its sides as objects, where it does not say the same and can be read.
    pub(crate) sides: Option<[Option<Value>; 2]>,
    /// It says the same: nothing of it is shown.
    pub(crate) is_same: bool,
}

/// Finds it; `None` where it does not change.
pub(crate) fn applied_copy(changes: &[Change]) -> Option<AppliedCopy> {
    let path = applied_path();
    let whole = changes.iter().find(|it| it.path.is_empty());
    let ([old, new], created) = match whole {
        Some(Change { old: None, new: Some(object), .. }) => {
            ([None, Some(object.pointer(&path)?)], Some(object))
        }
        Some(_) => return None,
        None => (changes.iter().find_map(|it| sides(it, &path))?, None),
    };
    let side = |side: Option<&Value>| side.map_or(Some(None), |it| read(it).map(Some));
    let (Some(old), Some(new)) = (side(old), side(new)) else {
        let note = "where kubectl keeps its copy of what was applied: this is none that it could have written";
        return Some(AppliedCopy { path, note: note.to_owned(), sides: None, is_same: false });
    };
    let (what, beyond) = match (&old, &new, created) {
        (_, Some(new), Some(object)) => ("", Some(applied_beyond_object(new, object))),
        (Some(old), Some(new), None) => {
            let rest: Vec<Change> = changes.iter().filter(|it| it.path != path).cloned().collect();
            ("", applied_beyond_changes(old, new, &rest))
        }
        (None, _, None) => (", which the object did not have before", None),
        _ => (", which goes", None),
    };
    let is_same = beyond.as_ref().is_some_and(Vec::is_empty);
    let differs = match beyond {
        Some(beyond) if beyond.is_empty() => "it says the same as the rest".to_owned(),
        Some(beyond) => format!(
            "it says something else than the rest about {}, and the next `kubectl apply` goes by it",
            some(&beyond)
        ),
        None => "the next `kubectl apply` goes by it".to_owned(),
    };
    let note = format!("kubectl's copy of what was applied{what}: {differs}");
    let sides = (!is_same).then_some([old, new]);
    Some(AppliedCopy { path, note, sides, is_same })
}

/// Both sides of the annotation, where a change is of it, or of all annotations.
fn sides<'c>(change: &'c Change, path: &str) -> Option<[Option<&'c Value>; 2]> {
    let within = path.strip_prefix(change.path.as_str())?;
    let side = |side: &'c Option<Value>| side.as_ref()?.pointer(within);
    let sides = [side(&change.old), side(&change.new)];
    sides.iter().any(Option::is_some).then_some(sides)
}

/// A copy where there is exactly one reading of it: of a key that stands there twice, one value would not be seen.
fn read(side: &Value) -> Option<Value> {
    payload::read(MediaType::Json, side.as_str()?.as_bytes()).ok().filter(Value::is_object)
}

fn some(paths: &[String]) -> String {
    let shown = paths.iter().take(PATHS_MAX).map(|path| {
        let short: String = path.chars().take(PATH_CHARS_MAX).collect();
        plain(if short.is_empty() { "all of it" } else { &short })
    });
    let shown = shown.collect::<Vec<_>>().join(", ");
    match paths.len().saturating_sub(PATHS_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
