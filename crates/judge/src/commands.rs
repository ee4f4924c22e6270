//! What a write would run: the command of a session, or those that it gives to containers, probes and hooks.

use std::collections::HashMap;

use effects::pointer_token;
use hold::CommandRecord;
use payload::Redactor;
use serde_json::{Value, json};

use crate::{call::Write, differences::keyed, seen::Seen};

/// Commands that are stored for reviewers, and characters of all of them.
const COMMANDS_MAX: usize = 20;
const CHARS_MAX: usize = 16 << 10;

/// The commands, secrets taken out, and what is not shown of them.
pub(crate) fn commands(
    redactor: &Redactor,
    write: &Write,
    seen: &Seen,
) -> (Vec<CommandRecord>, Option<String>) {
    let found = match write.attributes().is_connect() {
        true => of_session(write),
        false => given(write, seen),
    };
    let all = found.len();
    let mut chars = 0_usize;
    let mut shown: Vec<CommandRecord> =
        found.into_iter().map(|it| redacted(redactor, write, it)).collect();
    shown.truncate(COMMANDS_MAX);
    shown.retain(|it| {
        chars = it.words.iter().fold(chars, |sum, it| sum.saturating_add(it.chars().count()));
        chars <= CHARS_MAX
    });
    let left_out = all.saturating_sub(shown.len());
    let cut = (left_out > 0).then(|| format!("{left_out} of {all} commands that it would run"));
    (shown, cut)
}

fn of_session(write: &Write) -> Vec<CommandRecord> {
    let words = write.attributes().query.0.iter().filter(|(key, _)| key == "command");
    let words: Vec<String> = words.map(|(_, word)| word.clone()).collect();
    if words.is_empty() { Vec::new() } else { vec![CommandRecord { at: String::new(), words }] }
}

/// Those that differ from what is there; of an object that nobody has seen, those of the body.
fn given(write: &Write, seen: &Seen) -> Vec<CommandRecord> {
    let mut found = Vec::new();
    match &seen.new {
        Some(new) => push(seen.live.as_ref(), new, "", &mut found),
        None => {
            let body = payload::read(write.media, &write.body);
            body.iter().for_each(|body| push(None, body, "", &mut found));
        }
    }
    found
}

fn push(old: Option<&Value>, new: &Value, at: &str, to: &mut Vec<CommandRecord>) {
    match new {
        Value::Object(fields) => {
            let words = words(new);
            if !words.is_empty() && old.map(self::words).as_ref() != Some(&words) {
                to.push(CommandRecord { at: at.to_owned(), words });
            }
            for (key, value) in fields {
                let old = old.and_then(|it| it.get(key));
                push(old, value, &format!("{at}/{}", pointer_token(key)), to);
            }
        }
        Value::Array(items) => {
            let olds = old.and_then(Value::as_array).map(|it| keyed(it)).unwrap_or_default();
            let olds: HashMap<String, &Value> = olds.into_iter().collect();
            for (key, item) in keyed(items) {
                push(olds.get(&key).copied(), item, &format!("{at}/{key}"), to);
            }
        }
        _ => {}
    }
}

/// What is run: `command`, and `args` behind it.
fn words(value: &Value) -> Vec<String> {
    let list = |key: &str| value.get(key).and_then(Value::as_array).into_iter().flatten();
    let words = list("command").chain(list("args"));
    words.filter_map(|it| it.as_str().map(str::to_owned)).collect()
}

fn redacted(redactor: &Redactor, write: &Write, command: CommandRecord) -> CommandRecord {
    let redacted = write.redacted(redactor, &json!({"command": command.words}));
    CommandRecord { at: command.at, words: words(&redacted) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_each_command_that_is_new_or_other() {
        let container = |name: &str, command: &[&str], args: &[&str]| json!({"name": name, "command": command, "args": args});
        let pod =
            |containers: Value| json!({"spec": {"template": {"spec": {"containers": containers}}}});
        let old = pod(json!([container("a", &["sh"], &["x"]), container("b", &["run"], &[])]));
        let mut probed = container("b", &["run"], &[]);
        probed["livenessProbe"] = json!({"exec": {"command": ["sh", "-c", "curl evil"]}});
        let new =
            pod(json!([probed, container("a", &["sh"], &["y"]), {"name": "c", "image": "i"}]));
        let mut found = Vec::new();
        push(Some(&old), &new, "", &mut found);
        let found: Vec<String> =
            found.iter().map(|it| format!("{} {}", it.at, it.words.join(" "))).collect();
        let at = "/spec/template/spec/containers";
        assert_eq!(
            found,
            [format!("{at}/b/livenessProbe/exec sh -c curl evil"), format!("{at}/a sh y")]
        );
    }
}
