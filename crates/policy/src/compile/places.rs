//! Where in a file something stands: for messages, and for editors.

use expression::Problem;
use serde_saphyr::{Location, Spanned};

use crate::{Issue, source::Source};

/// An issue at a place of a file.
pub(super) fn issue_at(source: &Source, at: Location, message: String) -> Issue {
    Issue::at(&source.name, &source.text, (number(at.line()), number(at.column())), message)
}

/// A problem of an expression at its place in the file.
pub(super) fn problem_at(source: &Source, written: &Spanned<String>, problem: Problem) -> Issue {
    let start = (number(written.referenced.line()), number(written.referenced.column()));
    let at = number(problem.span.start.into());
    let found = find_in_file(&source.text, start, &written.value, at).unwrap_or(start);
    let mut issue = Issue::at(&source.name, &source.text, found, problem.message);
    issue.suggestion = problem.suggestion;
    issue.is_retired_field = problem.successor.is_some();
    issue
}

/// Line and column of byte `at` of a scalar that starts at `(line, column)`. The parser has undone
/// indentation, folding and quotes; what all of them keep is the order of the letters. So the letter
/// is found by counting how often the same one stands before it.
fn find_in_file(
    text: &str,
    (line, column): (usize, usize),
    scalar: &str,
    at: usize,
) -> Option<(usize, usize)> {
    let wanted = scalar.get(at..)?.chars().find(|it| !it.is_whitespace())?;
    let mut before = scalar.get(..at)?.matches(wanted).count();
    for (number, text) in text.lines().enumerate().skip(line.checked_sub(1)?) {
        let is_first = number + 1 == line;
        for (index, letter) in text.chars().enumerate() {
            if is_first && index + 1 < column {
                continue;
            }
            if is_first && index + 1 == column && matches!(letter, '>' | '|') {
                break; // The block begins on the next line.
            }
            match (letter == wanted, before) {
                (true, 0) => return Some((number + 1, index + 1)),
                (true, _) => before -= 1,
                _ => {}
            }
        }
    }
    None
}

/// A line or column; 0, which means unknown, where it does not fit.
pub(super) fn number(it: u64) -> usize {
    usize::try_from(it).unwrap_or(0)
}
