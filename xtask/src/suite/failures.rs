//! What failed tests printed, to be said again at the end: whoever reads the last page of a long output
//! needs no other.

use std::collections::VecDeque;

/// Of what one test printed, so many lines from its end: there it says what went wrong.
const LINES_MAX: usize = 60;

/// A test that failed, and the end of what it printed.
#[derive(Debug, Default, Eq, PartialEq)]
struct Failure {
    name: String,
    end: VecDeque<String>,
}

/// Reads what the test binaries print, line by line.
#[derive(Debug, Default)]
pub(super) struct Failures {
    found: Vec<Failure>,
    /// Whether the lines that come are what the last of them printed.
    is_open: bool,
}

impl Failures {
    /// Takes one line of the output.
    pub(super) fn read(&mut self, line: &str) {
        let named = line.strip_prefix("---- ").and_then(|it| it.strip_suffix(" stdout ----"));
        if let Some(name) = named {
            self.found.push(Failure { name: name.to_owned(), end: VecDeque::new() });
            self.is_open = true;
        } else if line == "failures:" || line.starts_with("test result: ") {
            self.is_open = false;
        } else if let Some(failure) = self.found.last_mut().filter(|_| self.is_open) {
            if failure.end.len() == LINES_MAX {
                failure.end.pop_front();
            }
            failure.end.push_back(line.to_owned());
        }
    }

    /// All of them, as they are shown.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        self.found.iter().flat_map(|failure| {
            let name = format!("failed: {}", failure.name);
            [name].into_iter().chain(failure.end.iter().map(|line| format!("    {line}")))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_again_how_each_test_failed() {
        let mut failures = Failures::default();
        let before = "test a ... FAILED\nfailures:\n\n---- a stdout ----";
        before.lines().for_each(|line| failures.read(line));
        (0..=LINES_MAX).for_each(|n| failures.read(&format!("a says {n}")));
        let after =
            "---- b stdout ----\nb broke\n\nfailures:\n    a\n    b\n\ntest result: FAILED.\nnext";
        after.lines().for_each(|line| failures.read(line));
        let lines: Vec<String> = failures.lines().collect();
        assert_eq!(lines.first().map(String::as_str), Some("failed: a"));
        assert_eq!(lines.get(1).map(String::as_str), Some("    a says 1"));
        let end = lines.get(LINES_MAX + 1..).unwrap_or_default();
        assert_eq!(end, ["failed: b", "    b broke", "    "]);
    }
}
