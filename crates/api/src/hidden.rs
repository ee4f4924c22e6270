//! How much of a hold is hidden as secret: its reader must know that there is more than they see.

use std::collections::BTreeMap;

use hold::Shown;
use payload::REDACTED;

use crate::body::HiddenBody;

impl HiddenBody {
    /// Counts the marks of the redactor, each secret once.
    pub(crate) fn in_what_is(shown: &Shown) -> Self {
        let sides = |it: &hold::ChangeRecord| [it.old.clone(), it.new.clone()];
        let changes = shown.preview.changes.iter().flat_map(sides).flatten();
        let words = shown.preview.commands.iter().flat_map(|it| it.words.clone());
        let words = words.map(|word| (word, Place::Line));
        let changes = changes.map(|text| (text, Place::Value)).chain(words);
        let diffs = shown.preview.changes.iter().filter_map(|it| it.diff.as_deref());
        let lines = diffs.chain([shown.payload.as_str()]).flat_map(str::lines);
        let lines = lines.map(|it| (it.to_owned(), Place::Line));
        let mut found: BTreeMap<String, (u64, bool)> = BTreeMap::new();
        for (text, place) in changes.chain(lines) {
            for (mark, is_part) in marks(&text, place) {
                let said =
                    mark.split_once(", ").and_then(|(_, it)| it.split(' ').next()?.parse().ok());
                let seen = found.entry(mark.to_owned()).or_insert((said.unwrap_or(0), false));
                seen.1 |= is_part;
            }
        }
        Self {
            secrets: found.len(),
            characters: found.values().fold(0, |sum, (length, _)| sum.saturating_add(*length)),
            in_text: found.values().filter(|(_, is_part)| *is_part).count(),
        }
    }
}

/// A mark is shorter.
const MARK_CHARS_MAX: usize = 80;

/// What a text is of a hold.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Place {
    /// One side of a difference, as JSON.
    Value,
    /// A line of the body, as JSON is printed.
    Line,
}

/// Each mark of a text, and whether it is less than a whole value: `"[redacted …]"` behind a key is one,
/// a word of a command is not.
fn marks(text: &str, place: Place) -> Vec<(&str, bool)> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices(REDACTED) {
        let (before, rest) = text.split_at_checked(at).unwrap_or_default();
        // Whoever writes what looks like a mark makes it no longer to read.
        let end = rest.char_indices().take(MARK_CHARS_MAX).find(|(_, it)| *it == ']');
        let Some((end, _)) = end else { continue };
        let (mark, after) = rest.split_at_checked(end).unwrap_or_default();
        let key = before.strip_suffix('"').filter(|_| after.starts_with("]\"")).map(str::trim_end);
        let is_value = match key {
            Some("") => place == Place::Value,
            Some(key) => key.ends_with(':'),
            None => false,
        };
        found.push((mark, !is_value));
    }
    found
}

#[cfg(test)]
mod tests {
    use hold::{ChangeRecord, Preview};

    use super::*;

    #[test]
    fn tells_what_is_hidden_in_a_command_from_a_value() {
        let table = [
            (r#"  "p": "[redacted 0a, 7 characters]","#, (1, 7, 0)),
            (r#"    "[redacted 0a, 7 characters]""#, (1, 7, 1)),
            (r#"  "x": "run --token=[redacted 0a, 7 characters]""#, (1, 7, 1)),
            (r#"  "x": "[redacted 0a, 7 characters] run [redacted 0b, 9 characters]""#, (2, 16, 2)),
            (r#"  "x": "plain [redact""#, (0, 0, 0)),
        ];
        for (line, want) in table {
            let shown = Shown { payload: line.to_owned(), ..Shown::default() };
            let HiddenBody { secrets, characters, in_text } = HiddenBody::in_what_is(&shown);
            assert_eq!((secrets, characters, in_text), want, "{line}");
        }
        let change = |new: &str| ChangeRecord {
            path: "/x".into(),
            new: Some(new.into()),
            ..ChangeRecord::default()
        };
        let changes = vec![
            change(r#""[redacted 0a, 7 characters]""#),
            change(r#"["mysql","--password","[redacted 0b, 8 characters]"]"#),
        ];
        let shown =
            Shown { preview: Preview { changes, ..Preview::default() }, ..Shown::default() };
        let hidden = HiddenBody::in_what_is(&shown);
        assert_eq!(hidden, HiddenBody { secrets: 2, characters: 15, in_text: 1 });
    }
}
