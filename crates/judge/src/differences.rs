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
use text::plain;

use crate::{
    applied_copy::{AppliedCopy, applied_copy},
    unified::unified,
};

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
    let copy = applied_copy(&changes);
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
        let (record, is_cut) = match &copy {
            Some(copy) if copy.path == change.path => of_copy(copy, change, until),
            _ => {
                let note = of_variable(&change);
                let (record, is_cut) = shortened(change, until);
                (ChangeRecord { note, ..record }, is_cut)
            }
        };
        let texts = [&record.old, &record.new, &record.diff].into_iter().flatten();
        let texts = texts.chain([&record.note]);
        chars = texts.fold(chars, |sum, it| sum.saturating_add(it.chars().count()));
        if is_cut {
            shown.cut.push(format!("the value of {} is long and cut", named(&record.path)));
        }
        shown.changes.push(record);
    }
    if !left_out.is_empty() {
        let names: Vec<String> = left_out.iter().take(LEFT_OUT_MAX).map(|it| named(it)).collect();
        let more = if left_out.len() > LEFT_OUT_MAX { ", …" } else { "" };
        let count = left_out.len();
        shown.cut.push(format!("{count} of {all} differences ({}{more})", names.join(", ")));
    }
    shown
}

fn named(path: &str) -> String {
    if path.is_empty() { "the whole object".to_owned() } else { plain(path) }
}

/// A new object by its fields: what runs must not stand behind hundreds of labels. Annotations and environment
/// variables that come or go, one by one.
fn field_by_field(change: Change) -> Vec<Change> {
    let Change { path, old, new } = &change;
    let (value, is_new) = match (old, new) {
        (None, Some(new)) => (new, true),
        (Some(old), None) => (old, false),
        _ => return vec![change],
    };
    let mut fields = Vec::new();
    match value {
        Value::Object(_) if path.is_empty() && is_new => {
            push_fields(value, path.clone(), &mut fields)
        }
        Value::Object(_) if path == "/metadata/annotations" => {
            push_fields(value, path.clone(), &mut fields);
        }
        Value::Array(items) if path.ends_with("/env") && keyed(items).iter().all(is_variable) => {
            push_fields(value, path.clone(), &mut fields);
        }
        item => match path.rsplit_once('/').and_then(|(_, at)| variable(at, item)) {
            Some((field, value)) => fields.push(Change {
                path: format!("{path}/{field}"),
                old: None,
                new: Some(value.clone()),
            }),
            None => return vec![change],
        },
    }
    let side = |it: Change| match is_new {
        true => it,
        false => Change { path: without_field(it.path), old: it.new, new: None },
    };
    fields.into_iter().map(side).collect()
}

/// The field of an environment variable that says what it is, where its path ends with its name: name and value
/// are one thing.
fn variable<'v>(at: &str, item: &'v Value) -> Option<(&'v str, &'v Value)> {
    let item = item.as_object().filter(|it| it.len() == 2)?;
    let name = item.get("name")?.as_str().filter(|it| pointer_token(it) == at)?;
    let (field, value) = item.iter().find(|(key, _)| *key != "name")?;
    let is_one = !name.is_empty() && matches!(field.as_str(), "value" | "valueFrom");
    is_one.then_some((field, value))
}

/// A variable that goes is gone whole: it is not there without a value.
fn without_field(path: String) -> String {
    let parts: Vec<&str> = path.rsplit('/').collect();
    match parts.as_slice() {
        [field @ ("value" | "valueFrom"), _, "env", ..] => {
            let len = path.len().saturating_sub(field.len()).saturating_sub(1);
            path.get(..len).unwrap_or(&path).to_owned()
        }
        _ => path,
    }
}

/// What becomes of a variable that loses its value: gone and empty look the same.
fn of_variable(change: &Change) -> String {
    let parts: Vec<&str> = change.path.rsplit('/').collect();
    let note = match (parts.as_slice(), &change.old, &change.new) {
        ([_, "env", ..], Some(_), None) => "the variable is taken away",
        (["value", _, "env", ..], Some(_), None | Some(Value::Null)) => {
            "the variable stays, without a value"
        }
        (["value", _, "env", ..], Some(_), Some(new)) if *new == "" => {
            "the variable stays, without a value"
        }
        _ => "",
    };
    note.to_owned()
}

fn is_variable((at, item): &(String, &Value)) -> bool {
    variable(at, item).is_some()
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
                match variable(&at, item) {
                    Some((field, value)) => to.push(Change {
                        path: format!("{path}/{at}/{field}"),
                        old: None,
                        new: Some(value.clone()),
                    }),
                    None => push_fields(item, format!("{path}/{at}"), to),
                }
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

/// One row of kubectl's copy: only what it is, where it says the same as the rest.
fn of_copy(copy: &AppliedCopy, change: Change, until: Instant) -> (ChangeRecord, bool) {
    let note = copy.note.clone();
    if copy.is_same {
        return (ChangeRecord { path: change.path, note, ..ChangeRecord::default() }, false);
    }
    let path = change.path.clone();
    let change = match &copy.sides {
        Some([old, new]) => Change { path, old: old.clone(), new: new.clone() },
        None => change,
    };
    let (record, is_cut) = shortened(change, until);
    (ChangeRecord { note, ..record }, is_cut)
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
    let diff = diff.map(|it| it.text);
    (ChangeRecord { path, old, new, diff, note: String::new() }, is_cut)
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

    fn rows(changes: Vec<Change>) -> Vec<String> {
        let row = |it: &ChangeRecord| {
            let side = |side: &Option<String>| side.clone().unwrap_or_else(|| "none".to_owned());
            format!("{} {} -> {}", it.path, side(&it.old), side(&it.new))
        };
        differences(changes, &[]).changes.iter().map(row).collect()
    }

    #[test]
    fn a_variable_is_one_row() {
        let env = json!([
            {"name": "MODE", "value": "on"},
            {"name": "KEY", "valueFrom": {"secretKeyRef": {"key": "k", "name": "s"}}},
        ]);
        let object = |it: &Value| json!({"spec": {"containers": [{"name": "c", "env": it}]}});
        let without = json!({"spec": {"containers": [{"name": "c"}]}});
        let (none, one) = (object(&json!([])), object(&json!([env[0]])));
        let (mode, key) = (
            r#"/spec/containers/c/env/MODE/value none -> "on""#,
            r#"/spec/containers/c/env/KEY/valueFrom none -> {"secretKeyRef":{"key":"k","name":"s"}}"#,
        );
        let diff = |old: &Value, new: &Value| rows(effects::diff(Some(old), Some(new)));
        assert_eq!(diff(&none, &one), [mode]);
        assert_eq!(diff(&without, &object(&env)), [mode, key]);
        assert_eq!(diff(&one, &object(&env)), [key]);
        let gone = r#"/spec/containers/c/env/MODE "on" -> none"#;
        assert_eq!(diff(&one, &without), [gone]);
        assert_eq!(diff(&one, &none), [gone]);
        // Gone is not empty, and each says which it is.
        let notes = |new: &Value| {
            let shown = differences(effects::diff(Some(&one), Some(new)), &[]).changes;
            shown.into_iter().map(|it| it.note).collect::<Vec<_>>()
        };
        assert_eq!(notes(&none), ["the variable is taken away"]);
        for empty in [json!([{"name": "MODE"}]), json!([{"name": "MODE", "value": ""}])] {
            assert_eq!(notes(&object(&empty)), ["the variable stays, without a value"]);
        }
        let new = vec![Change { path: String::new(), old: None, new: Some(object(&env)) }];
        let rows = rows(new);
        let of_env = |it: &&String| it.contains("/env/");
        assert_eq!(rows.iter().filter(of_env).collect::<Vec<_>>(), [mode, key]);
        // What is more than name and value is shown whole.
        let more = json!([{"name": "MODE", "value": "on", "valueFrom": {"x": "y"}}]);
        let shown = diff(&none, &object(&more));
        assert!(shown.len() == 1 && shown[0].contains("valueFrom"), "{shown:?}");
    }

    #[test]
    fn the_copy_of_kubectl_is_folded_only_where_it_says_the_same() {
        let path = effects::applied_path();
        let object = |replicas: i64, copy: &str| {
            json!({
                "metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": copy}},
                "spec": {"replicas": replicas},
            })
        };
        let copy = |replicas: i64| json!({"spec": {"replicas": replicas}}).to_string();
        let row = |old: Option<&Value>, new: &Value| {
            let changes = effects::diff(old, Some(new));
            let shown = differences(changes, &[]).changes.into_iter();
            shown.into_iter().find(|it| it.path == path).expect("a row")
        };
        let before = object(1, &copy(1));
        let doubled = r#"{"spec":{"replicas":2,"replicas":1}}"#;
        let table = [
            (Some(&before), object(2, &copy(2)), "it says the same", false),
            (None, object(2, &copy(2)), "it says the same", false),
            (
                Some(&before),
                object(2, &copy(3)),
                "something else than the rest about /spec/replicas,",
                true,
            ),
            (None, object(2, &copy(3)), "something else than the rest about /spec/replicas,", true),
            (Some(&before), object(1, &copy(2)), "something else than the rest", true),
            (Some(&before), object(1, "nothing differs"), "this is none", true),
            (Some(&before), object(1, doubled), "this is none", true),
            (None, object(1, doubled), "this is none", true),
        ];
        for (old, new, note, is_shown) in table {
            let row = row(old, &new);
            assert!(row.note.contains(note), "{new}: {}", row.note);
            assert_eq!(row.new.is_some() || row.diff.is_some(), is_shown, "{new}: {row:?}");
        }
        let first = json!({"metadata": {"annotations": {}}, "spec": {"replicas": 1}});
        for old in [first, json!({"metadata": {}, "spec": {"replicas": 1}})] {
            let row = row(Some(&old), &before);
            assert!(row.note.contains("did not have before"), "{row:?}");
            assert!(row.new.is_some(), "{row:?}");
        }
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
