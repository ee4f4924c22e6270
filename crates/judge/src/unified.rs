//! Long values and texts of several lines, compared as a unified diff: what is alike is folded away, so a
//! reader sees each place that differs and nothing else.

use std::time::Duration;

use similar::{ChangeTag, DiffOp, TextDiff};

/// Shorter values of one line are read as they are, in characters.
const ONE_LINE_CHARS_MAX: usize = 300;
/// A longer line is compared by its words, in bytes.
const LINE_BYTES_MAX: usize = 200;
/// Values of more parts than this, on either side, are not compared.
const PARTS_MAX: usize = 50_000;
/// After so long, what is left to compare counts as different.
const COMPARE_TIME_MAX: Duration = Duration::from_millis(200);
/// Lines, or words of long lines, that are shown around what differs.
const LINES_AROUND: usize = 3;
const WORDS_AROUND: usize = 12;
/// Characters of one diff.
const DIFF_CHARS_MAX: usize = 16 << 10;

/// How two values differ.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Unified {
    /// Lines that begin with `@@`, ` `, `-` or `+`, as those of any unified diff.
    pub(crate) text: String,
    /// Whether there is more of it.
    pub(crate) is_cut: bool,
}

/// The diff of two values, either of which may not be there; `None` for short ones of one line, and for what is
/// too large to be compared.
pub(crate) fn unified(old: Option<&str>, new: Option<&str>) -> Option<Unified> {
    let is_long = |text: &str| text.chars().count() > ONE_LINE_CHARS_MAX;
    let has_lines = |text: &str| text.trim_end().contains('\n');
    let sides = [old, new];
    let compares =
        sides.iter().all(Option::is_some) && sides.iter().flatten().any(|it| is_long(it));
    if !compares && !sides.iter().flatten().any(|it| has_lines(it)) {
        return None;
    }
    let [old, new] = sides.map(|it| parts(it.unwrap_or_default()));
    let (old, new) = (old?, new?);
    let has_words = |parts: &[&str]| parts.iter().rev().skip(1).any(|it| !it.ends_with('\n'));
    let around = if has_words(&old) || has_words(&new) { WORDS_AROUND } else { LINES_AROUND };
    let diff = TextDiff::configure().timeout(COMPARE_TIME_MAX).diff_slices(&old, &new);
    let mut text = String::new();
    for hunk in diff.grouped_ops(around) {
        text.push_str(&header(&hunk, &old, &new));
        push_hunk(&mut text, &diff, &hunk);
    }
    let short: String = text.chars().take(DIFF_CHARS_MAX).collect();
    let is_cut = short.len() < text.len();
    Some(Unified { text: short, is_cut })
}

/// Lines with their ends; of long ones, words with what follows them. `None` where there are too many.
fn parts(text: &str) -> Option<Vec<&str>> {
    let is_end =
        |it: char| matches!(it, ' ' | ',' | ';' | '{' | '}' | '[' | ']' | '(' | ')' | '&' | '|');
    let mut parts: Vec<&str> = Vec::new();
    for line in text.split_inclusive('\n') {
        match line.len() {
            0..=LINE_BYTES_MAX => parts.push(line),
            _ => parts.extend(line.split_inclusive(is_end)),
        }
        if parts.len() > PARTS_MAX {
            return None;
        }
    }
    Some(parts)
}

/// `@@ -3,7 +3,8 @@`: from which line on, and how many lines.
fn header(hunk: &[DiffOp], old: &[&str], new: &[&str]) -> String {
    let lines = |parts: &[&str], from: Option<usize>, to: Option<usize>| {
        let (from, to) = (from.unwrap_or_default(), to.unwrap_or_default());
        let ends = |parts: &[&str]| parts.iter().filter(|it| it.ends_with('\n')).count();
        let before = parts.get(..from).map_or(0, ends);
        let here = parts.get(from..to).unwrap_or_default();
        let is_open = here.last().is_some_and(|it| !it.ends_with('\n'));
        let count = ends(here).saturating_add(usize::from(is_open));
        (before.saturating_add(usize::from(count > 0)), count)
    };
    let (first, last) = (hunk.first(), hunk.last());
    let (a, b) =
        lines(old, first.map(|it| it.old_range().start), last.map(|it| it.old_range().end));
    let (c, d) =
        lines(new, first.map(|it| it.new_range().start), last.map(|it| it.new_range().end));
    format!("@@ -{a},{b} +{c},{d} @@\n")
}

/// Parts that belong to one line and one side are one line of the diff.
fn push_hunk(text: &mut String, diff: &TextDiff<'_, '_, str>, hunk: &[DiffOp]) {
    let mut open: Option<ChangeTag> = None;
    for change in hunk.iter().flat_map(|op| diff.iter_changes(op)) {
        let (tag, part) = (change.tag(), change.value());
        if open != Some(tag) {
            if open.is_some() {
                text.push('\n');
            }
            text.push(match tag {
                ChangeTag::Equal => ' ',
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
            });
        }
        text.push_str(part);
        open = (!part.ends_with('\n')).then_some(tag);
    }
    if open.is_some() {
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(old: Option<&str>, new: Option<&str>) -> String {
        unified(old, new).map(|it| it.text).unwrap_or_default()
    }

    #[test]
    fn shows_each_place_that_differs_with_the_lines_around_it() {
        let lines = |changed: &[(usize, &str)]| {
            let line = |n: usize| {
                let changed = changed.iter().find(|(at, _)| *at == n);
                changed.map_or_else(|| format!("line {n}\n"), |(_, it)| format!("{it}\n"))
            };
            (1..=5_000).map(line).collect::<String>()
        };
        let (old, new) = (lines(&[]), lines(&[(2_500, "rm -rf /"), (4_999, "x")]));
        assert_eq!(
            text(Some(&old), Some(&new)),
            "@@ -2497,7 +2497,7 @@\n line 2497\n line 2498\n line 2499\n-line 2500\n+rm -rf /\n line 2501\n line 2502\n line 2503\n\
             @@ -4996,5 +4996,5 @@\n line 4996\n line 4997\n line 4998\n-line 4999\n+x\n line 5000\n"
        );
    }

    #[test]
    fn compares_a_long_line_by_its_words() {
        let line = |changed: &str| {
            format!("{{{} {changed} {}}}", "\"a\": 1, ".repeat(5_000), "\"b\": 2, ".repeat(100))
        };
        let text = text(Some(&line("x=1")), Some(&line("x=2")));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 5, "{text}");
        assert_eq!((lines[0], lines[2], lines[3]), ("@@ -1,1 +1,1 @@", "-x=1 ", "+x=2 "), "{text}");
        assert!(text.len() < 400, "{text}");
    }

    #[test]
    fn what_is_short_or_too_large_is_left_as_it_is() {
        let long = "x".repeat(ONE_LINE_CHARS_MAX + 1);
        let many = "a\n".repeat(PARTS_MAX + 1);
        type Row<'a> = (Option<&'a str>, Option<&'a str>, Option<&'a str>);
        let table: [Row<'_>; 6] = [
            (Some("a"), Some("b"), None),
            (None, Some(&long), None),
            (Some("a"), Some(&many), None),
            (None, Some("a\n"), None),
            (None, Some("a\nb"), Some("@@ -0,0 +1,2 @@\n+a\n+b\n")),
            (Some("a\nb\n"), None, Some("@@ -1,2 +0,0 @@\n-a\n-b\n")),
        ];
        for (old, new, want) in table {
            assert_eq!(unified(old, new).map(|it| it.text).as_deref(), want);
        }
    }

    #[test]
    fn what_is_cut_is_known() {
        let [old, new] = ["a\n", "b\n"].map(|it| it.repeat(20_000));
        let it = unified(Some(&old), Some(&new));
        assert!(it.is_some_and(|it| it.is_cut && it.text.chars().count() == DIFF_CHARS_MAX));
    }
}
