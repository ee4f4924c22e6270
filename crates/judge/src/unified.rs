//! Long values and texts of several lines, compared as a unified diff: what is alike is folded away, so a
//! reader sees each place that differs and nothing else. One line of the diff is one line of the text, or of a
//! long one what differs in it, with the folds marked: a line end is never lost.

use std::time::Instant;

use similar::{DiffOp, DiffTag, TextDiff};

/// Shorter values of one line are read as they are, in characters.
const ONE_LINE_CHARS_MAX: usize = 300;
/// A longer line is compared by its words, in bytes.
const LINE_BYTES_MAX: usize = 200;
/// Values of more lines, or lines of more words, are not compared.
const PARTS_MAX: usize = 50_000;
/// Lines, or words of long lines, that are shown around what differs.
const LINES_AROUND: usize = 3;
const WORDS_AROUND: usize = 12;
/// Characters of one diff.
const DIFF_CHARS_MAX: usize = 16 << 10;

/// How two values differ.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Unified {
    /// Lines that begin with `@@`, ` `, `-`, `+` or `\\`, as those of any unified diff.
    pub(crate) text: String,
    /// Whether there is more of it.
    pub(crate) is_cut: bool,
}

/// The diff of two values, either of which may not be there; `None` for short ones of one line, and for what is
/// too large to be compared. What is not compared by `until` counts as different.
pub(crate) fn unified(old: Option<&str>, new: Option<&str>, until: Instant) -> Option<Unified> {
    let is_long = |text: &str| text.chars().count() > ONE_LINE_CHARS_MAX;
    let has_lines = |text: &str| text.trim_end().contains('\n');
    let sides = [old, new];
    let compares =
        sides.iter().all(Option::is_some) && sides.iter().flatten().any(|it| is_long(it));
    if !compares && !sides.iter().flatten().any(|it| has_lines(it)) {
        return None;
    }
    let [old, new] =
        sides.map(|it| it.unwrap_or_default().split_inclusive('\n').collect::<Vec<_>>());
    if old.len().max(new.len()) > PARTS_MAX {
        return None;
    }
    let ends = |lines: &[&str]| lines.last().map(|it| it.ends_with('\n'));
    let tells_end = ends(&old).zip(ends(&new)).is_some_and(|(old, new)| old != new);
    let lines = Lines { old: &old, new: &new, tells_end, until };
    let diff = TextDiff::configure().deadline(until).diff_slices(&old, &new);
    let mut text = String::new();
    for hunk in diff.grouped_ops(LINES_AROUND) {
        text.push_str(&header(&hunk));
        hunk.iter().for_each(|op| lines.push(&mut text, op));
    }
    let short: String = text.chars().take(DIFF_CHARS_MAX).collect();
    let is_cut = short.len() < text.len();
    Some(Unified { text: short, is_cut })
}

/// `@@ -3,7 +3,8 @@`: from which line on, and how many lines.
fn header(hunk: &[DiffOp]) -> String {
    let side = |from: Option<usize>, to: Option<usize>| {
        let (from, to) = (from.unwrap_or_default(), to.unwrap_or_default());
        let count = to.saturating_sub(from);
        format!("{},{count}", from.saturating_add(usize::from(count > 0)))
    };
    let (first, last) = (hunk.first(), hunk.last());
    let old = side(first.map(|it| it.old_range().start), last.map(|it| it.old_range().end));
    let new = side(first.map(|it| it.new_range().start), last.map(|it| it.new_range().end));
    format!("@@ -{old} +{new} @@\n")
}

/// Both values, by their lines.
struct Lines<'a> {
    old: &'a [&'a str],
    new: &'a [&'a str],
    /// Whether one of them alone ends with a line end.
    tells_end: bool,
    until: Instant,
}

impl Lines<'_> {
    fn push(&self, text: &mut String, op: &DiffOp) {
        let old = self.old.get(op.old_range()).unwrap_or_default();
        let new = self.new.get(op.new_range()).unwrap_or_default();
        if op.tag() == DiffTag::Equal {
            old.iter().for_each(|line| self.push_line(text, ' ', line, &begin(line)));
            return;
        }
        // Lines in the same place are compared with each other, where one of them is long.
        let place = |at: usize| Some((old.get(at)?, new.get(at)?));
        let is_long = |it: &str| it.len() > LINE_BYTES_MAX;
        let compared = |at: usize| {
            place(at)
                .filter(|(old, new)| is_long(old) || is_long(new))
                .and_then(|(old, new)| by_words(bare(old), bare(new), self.until))
        };
        let pairs: Vec<_> = (0..old.len().max(new.len())).map(compared).collect();
        for (line, pair) in old.iter().zip(&pairs) {
            let shown = pair.as_ref().map_or(bare(line), |(old, _)| old);
            self.push_line(text, '-', line, shown);
        }
        for (line, pair) in new.iter().zip(&pairs) {
            let shown = pair.as_ref().map_or(bare(line), |(_, new)| new);
            self.push_line(text, '+', line, shown);
        }
    }

    fn push_line(&self, text: &mut String, mark: char, line: &str, shown: &str) {
        text.push(mark);
        text.push_str(shown);
        text.push('\n');
        if self.tells_end && !line.ends_with('\n') {
            text.push_str("\\ no line end here\n");
        }
    }
}

fn bare(line: &str) -> &str {
    line.strip_suffix('\n').unwrap_or(line)
}

/// A line that is the same on both sides, or how it begins.
fn begin(line: &str) -> String {
    let line = bare(line);
    if line.len() <= LINE_BYTES_MAX {
        return line.to_owned();
    }
    let begin: String = line.chars().take(LINE_BYTES_MAX / 2).collect();
    format!("{begin}{}", fold(line.get(begin.len()..).unwrap_or_default()))
}

/// Stands for what is the same on both sides.
fn fold(alike: &str) -> String {
    match alike.chars().count() {
        0 => String::new(),
        count => format!("[… {count} characters alike …]"),
    }
}

/// Of each of two lines what the other has not, with some words around it; `None` where there are too many.
fn by_words(old: &str, new: &str, until: Instant) -> Option<(String, String)> {
    let is_end =
        |it: char| matches!(it, ' ' | ',' | ';' | '{' | '}' | '[' | ']' | '(' | ')' | '&' | '|');
    let [old, new] = [old, new].map(|it| it.split_inclusive(is_end).collect::<Vec<_>>());
    if old.len().max(new.len()) > PARTS_MAX {
        return None;
    }
    let diff = TextDiff::configure().deadline(until).diff_slices(&old, &new);
    let (mut from, mut to, mut end) = (String::new(), String::new(), 0);
    let words =
        |side: &[&str], range: std::ops::Range<usize>| side.get(range).unwrap_or_default().concat();
    for op in diff.grouped_ops(WORDS_AROUND).iter().flatten() {
        let alike = fold(&words(&old, end..op.old_range().start));
        from.push_str(&alike);
        to.push_str(&alike);
        from.push_str(&words(&old, op.old_range()));
        to.push_str(&words(&new, op.new_range()));
        end = op.old_range().end;
    }
    let alike = fold(&words(&old, end..old.len()));
    from.push_str(&alike);
    to.push_str(&alike);
    Some((from, to))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(600)
    }

    fn text(old: Option<&str>, new: Option<&str>) -> String {
        unified(old, new, later()).map(|it| it.text).unwrap_or_default()
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
        assert_eq!((lines.len(), lines[0]), (3, "@@ -1,1 +1,1 @@"), "{text}");
        assert!(lines[1].starts_with("-[… ") && lines[1].contains(" x=1 "), "{text}");
        assert!(lines[2].starts_with("+[… ") && lines[2].contains(" x=2 "), "{text}");
        assert!(lines[2].ends_with("characters alike …]") && text.len() < 500, "{text}");
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
            assert_eq!(unified(old, new, later()).map(|it| it.text).as_deref(), want);
        }
    }

    #[test]
    fn what_is_cut_is_known() {
        let [old, new] = ["a\n", "b\n"].map(|it| it.repeat(20_000));
        let it = unified(Some(&old), Some(&new), later());
        assert!(it.is_some_and(|it| it.is_cut && it.text.chars().count() == DIFF_CHARS_MAX));
    }

    #[test]
    fn a_line_end_that_comes_or_goes_is_seen() {
        let about = "# Runbook: what follows is done by hand, and never by a script; ".repeat(4);
        let (in_comment, runs) =
            (format!("{about}rm -rf /data\n"), format!("{about}\nrm -rf /data\n"));
        let commented = text(Some(&in_comment), Some(&runs));
        let lines: Vec<&str> = commented.lines().collect();
        assert_eq!(lines.last(), Some(&"+rm -rf /data"), "{commented}");
        assert!(!lines.iter().any(|it| it.starts_with(' ')), "nothing is alike: {commented}");

        let verified = format!("step {}; verify || exit 1; drop\nend\n", "x ".repeat(120));
        let not = verified.replace("verify", "# see T-12 verify");
        let shown = text(Some(&verified), Some(&not));
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!((lines.len(), lines[3]), (4, " end"), "one line became one line: {shown}");
        assert!(lines[2].contains("# see T-12 verify || exit 1; drop"), "{shown}");

        assert_eq!(
            text(Some("a\nb"), Some("a\nb\n")),
            "@@ -1,2 +1,2 @@\n a\n-b\n\\ no line end here\n+b\n"
        );
    }
}
