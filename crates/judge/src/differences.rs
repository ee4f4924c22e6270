//! The differences as a reviewer reads them: what decides first, long values around what differs, and
//! what is left out said.

use std::{
    borrow::Cow,
    collections::HashSet,
    time::{Duration, Instant},
};

use effects::{Change, Effect, by_name, pointer_token};
use hold::ChangeRecord;
use serde_json::Value;

use crate::unified::unified;

/// Differences that are stored for reviewers.
const CHANGES_MAX: usize = 300;
/// Characters of one side of one difference, beside a diff, and before the first character that differs.
const VALUE_CHARS_MAX: usize = 4_096;
const BESIDE_CHARS_MAX: usize = 600;
const BEFORE_CHARS: usize = 200;
/// Characters of all of them.
const CHARS_MAX: usize = 128 << 10;
/// After so long, what is left to compare of one write counts as different.
const COMPARE_TIME_MAX: Duration = Duration::from_millis(300);
/// Names that are said of what was left out.
const LEFT_OUT_MAX: usize = 3;

/// Differences, ordered by what a person should read first, and what is not shown of them.
#[derive(Debug, Default)]
pub(crate) struct Differences {
    pub(crate) changes: Vec<ChangeRecord>,
    pub(crate) cut: Vec<String>,
}

/// The differences as they are stored.
pub(crate) fn differences(changes: Vec<Change>, effects: &[Effect]) -> Differences {
    let mut changes: Vec<Change> = changes.into_iter().flat_map(field_by_field).collect();
    let said: Vec<String> =
        effects.iter().filter_map(|it| serde_json::to_string(&it.about).ok()).collect();
    let said: HashSet<&str> = said.iter().flat_map(|it| it.split(['"', ' '])).collect();
    changes.sort_by_cached_key(|it| rank(&it.path, &said));
    let mut shown = Differences::default();
    let now = Instant::now();
    let until = now.checked_add(COMPARE_TIME_MAX).unwrap_or(now);
    let (mut chars, mut left_out, all) = (0_usize, Vec::new(), changes.len());
    for change in changes {
        if shown.changes.len() >= CHANGES_MAX || chars >= CHARS_MAX {
            left_out.push(change.path);
            continue;
        }
        let (record, is_cut) = shortened(change, until);
        let texts = [&record.old, &record.new, &record.diff].into_iter().flatten();
        chars = texts.fold(chars, |sum, it| sum.saturating_add(it.chars().count()));
        if is_cut {
            shown.cut.push(format!("the value of {} is long and cut", named(&record.path)));
        }
        shown.changes.push(record);
    }
    if !left_out.is_empty() {
        let names: Vec<&str> = left_out.iter().take(LEFT_OUT_MAX).map(String::as_str).collect();
        let more = if left_out.len() > LEFT_OUT_MAX { ", …" } else { "" };
        let count = left_out.len();
        shown.cut.push(format!("{count} of {all} differences ({}{more})", names.join(", ")));
    }
    shown
}

fn named(path: &str) -> &str {
    if path.is_empty() { "the whole object" } else { path }
}

/// A new object by its fields: what runs must not stand behind hundreds of labels.
fn field_by_field(change: Change) -> Vec<Change> {
    match (&change.path, &change.old, &change.new) {
        (path, None, Some(new @ Value::Object(_))) if path.is_empty() => {
            let mut fields = Vec::new();
            push_fields(new, String::new(), &mut fields);
            fields
        }
        _ => vec![change],
    }
}

fn push_fields(value: &Value, path: String, to: &mut Vec<Change>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                push_fields(value, format!("{path}/{}", pointer_token(key)), to);
            }
        }
        // A command is read as one; of objects each has a name or a number.
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for (at, item) in keyed(items) {
                push_fields(item, format!("{path}/{at}"), to);
            }
        }
        value => to.push(Change { path, old: None, new: Some(value.clone()) }),
    }
}

/// Each item with the part of a path that names it.
pub(crate) fn keyed(items: &[Value]) -> Vec<(String, &Value)> {
    match by_name(items) {
        Some(named) => named.into_iter().map(|(name, it)| (pointer_token(name), it)).collect(),
        None => items.iter().enumerate().map(|(index, it)| (index.to_string(), it)).collect(),
    }
}

/// What runs, then the rest of what is asked for and what an effect names, then what only describes,
/// then what controllers say.
fn rank(path: &str, said: &HashSet<&str>) -> u8 {
    let runs = |it: &str| matches!(it, "command" | "args" | "exec" | "image" | "script" | "source");
    let is_described = path.starts_with("/metadata/") || path.contains("/template/metadata/");
    let key = path.rsplit('/').next().unwrap_or_default().replace("~1", "/").replace("~0", "~");
    match path.split('/').nth(1) {
        Some("status") => 4,
        Some("metadata") if path.contains("/managedFields") => 4,
        _ if path.split('/').any(runs) && !is_described => 0,
        _ if !is_described => 1,
        _ if !key.is_empty() && (said.contains(key.as_str()) || said.contains(path)) => 2,
        _ => 3,
    }
}

/// Both sides as JSON text; of long ones, their diff, and what is around the first character that differs.
fn shortened(change: Change, until: Instant) -> (ChangeRecord, bool) {
    let Change { path, old, new } = change;
    let [a, b] = [&old, &new].map(|it| it.as_ref().map(lines));
    let diff = unified(a.as_deref(), b.as_deref(), until);
    let most = if diff.is_some() { BESIDE_CHARS_MAX } else { VALUE_CHARS_MAX };
    let [old, new] = [old, new].map(|it| it.map(|it| it.to_string()));
    let alike = match (&old, &new) {
        (Some(old), Some(new)) => old.chars().zip(new.chars()).take_while(|(a, b)| a == b).count(),
        _ => 0,
    };
    let mut is_cut = false;
    let mut window = |text: String| {
        if text.chars().count() <= most {
            return text;
        }
        is_cut = true;
        let from = alike.saturating_sub(BEFORE_CHARS);
        let part: String = text.chars().skip(from).take(most).collect();
        let is_end = text.chars().count() <= from.saturating_add(most);
        format!("{}{part}{}", if from > 0 { "… " } else { "" }, if is_end { "" } else { " …" })
    };
    let (old, new) = (old.map(&mut window), new.map(&mut window));
    let is_cut = diff.as_ref().map_or(is_cut, |it| it.is_cut);
    (ChangeRecord { path, old, new, diff: diff.map(|it| it.text) }, is_cut)
}

/// A value as its lines are compared.
fn lines(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        value => Cow::Owned(serde_json::to_string_pretty(value).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use effects::{EffectKind, ObjectRef};
    use serde_json::json;

    use super::*;

    fn change(path: &str, old: Option<&str>, new: &str) -> Change {
        Change { path: path.into(), old: old.map(|it| json!(it)), new: Some(json!(new)) }
    }

    #[test]
    fn says_what_it_leaves_out() {
        let long = "é".repeat(VALUE_CHARS_MAX + 1);
        let table = [
            (vec![change("/spec/a", None, "a")], 1, vec![]),
            (
                vec![change("/spec/a", None, &long)],
                1,
                vec!["the value of /spec/a is long and cut".to_owned()],
            ),
            (
                vec![change("/spec/a", None, "a"); CHANGES_MAX + 1],
                CHANGES_MAX,
                vec!["1 of 301 differences (/spec/a)".to_owned()],
            ),
        ];
        for (given, count, want) in table {
            let shown = differences(given, &[]);
            assert_eq!((shown.changes.len(), shown.cut), (count, want));
        }
    }

    #[test]
    fn bounds_all_of_it_in_characters() {
        let [old, new] = ["x ", "y "].map(|it| it.repeat(40_000));
        let shown = differences(vec![change("/spec/a", Some(&old), &new); CHANGES_MAX], &[]);
        let texts = |it: &ChangeRecord| [it.old.clone(), it.new.clone(), it.diff.clone()];
        let chars: usize = shown.changes.iter().flat_map(texts).flatten().map(|it| it.len()).sum();
        assert!((CHARS_MAX..CHARS_MAX + (20 << 10)).contains(&chars), "{chars}");
        assert_eq!(shown.cut.len(), shown.changes.len() + 1, "{:?}", shown.cut.last());
    }

    #[test]
    fn shows_what_differs_however_long_it_is_alike() {
        let (before, after) = ("a".repeat(9_000), "b".repeat(9_000));
        let text = |it: &str| format!("{before}{it}{after}");
        let shown =
            differences(vec![change("/data/x", Some(&text("sleep")), &text("rm -rf"))], &[]);
        let one = &shown.changes[0];
        assert!(one.old.as_ref().is_some_and(|it| it.contains("asleepb")), "{one:?}");
        assert!(one.new.as_ref().is_some_and(|it| it.contains("arm -rfb")), "{one:?}");
        assert_eq!(shown.cut.len(), 1);
    }

    #[test]
    fn what_runs_stands_before_what_describes() {
        let mut changes: Vec<Change> = (0..400)
            .map(|n| change(&format!("/metadata/annotations/note-{n}"), None, "x"))
            .collect();
        changes.push(change("/metadata/labels/x.io~1acts", None, "x"));
        changes.push(change("/spec/replicas", None, "x"));
        changes.push(change("/spec/template/spec/containers/c/command", None, "rm -rf"));
        let object = ObjectRef::default();
        let about = effects::About::Said("label x.io/acts".into());
        let shown =
            differences(changes, &[Effect { kind: EffectKind::ChangeTrigger, object, about }]);
        let first: Vec<&str> = shown.changes.iter().take(3).map(|it| it.path.as_str()).collect();
        assert_eq!(
            first,
            [
                "/spec/template/spec/containers/c/command",
                "/spec/replicas",
                "/metadata/labels/x.io~1acts"
            ]
        );
    }

    #[test]
    fn a_new_object_is_shown_by_its_fields() {
        let new = json!({
            "metadata": {"annotations": {"a/b": "x"}},
            "spec": {"containers": [{"name": "c", "command": ["sh", "-c", "rm -rf /"]}]},
        });
        let shown =
            differences(vec![Change { path: String::new(), old: None, new: Some(new) }], &[]);
        let lines: Vec<String> = shown
            .changes
            .iter()
            .map(|it| format!("{} {}", it.path, it.new.clone().unwrap_or_default()))
            .collect();
        assert_eq!(
            lines,
            [
                r#"/spec/containers/c/command ["sh","-c","rm -rf /"]"#,
                r#"/spec/containers/c/name "c""#,
                r#"/metadata/annotations/a~1b "x""#,
            ]
        );
    }
}
