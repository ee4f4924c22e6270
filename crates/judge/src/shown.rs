//! What a reviewer is shown of a write, and the digest that an approval binds to.

use effects::{Change, Effect};
use hold::{ChangeRecord, GoesWith, Preview};
use payload::Redactor;
use serde_json::Value;

use crate::seen::Seen;

/// Differences that are stored for reviewers, and the length of each side.
const CHANGES_MAX: usize = 300;
const VALUE_CHARS_MAX: usize = 4_096;

/// The preview of what was seen. What goes with the write is shown, and is no part of what an approval
/// binds to: pods come and go meanwhile.
pub(crate) fn preview(
    redactor: &Redactor,
    effects: &[Effect],
    mut seen: Seen,
    goes_with: Vec<GoesWith>,
) -> Preview {
    let text = |path: &str| {
        let found = seen.live.as_ref().and_then(|live| live.pointer(path));
        found.and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let (uid, resource_version) = (text("/metadata/uid"), text("/metadata/resourceVersion"));
    // INVARIANT: an approval binds to effects, differences, and the identity of every object.
    let mut input = effects::digest_input(effects, &seen.changes, &uid);
    for target in &seen.targets {
        input.extend_from_slice(target.uid.as_bytes());
        input.push(0);
    }
    let changes = changes(seen.changes, &mut seen.notes);
    Preview {
        digest: redactor.digest(&input),
        uid,
        resource_version,
        changes,
        targets: seen.targets,
        goes_with,
        notes: seen.notes,
    }
}

/// The differences as they are stored: so many, each so long; what is left out is noted.
fn changes(changes: Vec<Change>, notes: &mut Vec<String>) -> Vec<ChangeRecord> {
    if changes.len() > CHANGES_MAX {
        notes.push(format!(
            "{} differences, of which the first {CHANGES_MAX} are shown",
            changes.len()
        ));
    }
    let mut is_cut = false;
    let mut shorten = |value: Option<Value>| {
        value.map(|value| {
            let text = value.to_string();
            let short: String = text.chars().take(VALUE_CHARS_MAX).collect();
            is_cut |= short.len() < text.len();
            short
        })
    };
    let shown = changes
        .into_iter()
        .take(CHANGES_MAX)
        .map(|Change { path, old, new }| ChangeRecord {
            path,
            old: shorten(old),
            new: shorten(new),
        })
        .collect();
    if is_cut {
        notes.push("long values are cut".to_owned());
    }
    shown
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn says_what_it_leaves_out() {
        let change =
            |value: &str| Change { path: "spec.a".into(), old: Some(json!(value)), new: None };
        let long = "é".repeat(VALUE_CHARS_MAX + 1);
        let table = [
            (vec![change("a")], 1, vec![]),
            (vec![change(&long)], 1, vec!["long values are cut".to_owned()]),
            (
                vec![change("a"); CHANGES_MAX + 1],
                CHANGES_MAX,
                vec!["301 differences, of which the first 300 are shown".to_owned()],
            ),
        ];
        for (given, count, want) in table {
            let mut notes = Vec::new();
            let shown = changes(given, &mut notes);
            assert_eq!((shown.len(), notes), (count, want));
            assert!(shown.iter().all(|it| {
                it.old.as_ref().is_some_and(|it| it.chars().count() <= VALUE_CHARS_MAX)
            }));
        }
    }
}
