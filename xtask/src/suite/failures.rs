//! What failed tests printed, to be said again at the end: whoever reads the last page of a long output
//! needs no other.

use std::collections::VecDeque;

/// Of what one test printed, so many lines: from its panic on, or from its end if it did not panic.
const LINES_MAX: usize = 60;

/// A test that failed, and what is said again of what it printed.
#[derive(Debug, Default, Eq, PartialEq)]
struct Failure {
    name: String,
    lines: VecDeque<String>,
    panicked: bool,
}

impl Failure {
    fn read(&mut self, line: &str) {
        if !self.panicked && line.starts_with("thread '") && line.contains(" panicked at ") {
            self.lines.clear();
            self.panicked = true;
        }
        match (self.lines.len() < LINES_MAX, self.panicked) {
            (true, _) => {}
            // What follows is the way to it, and what others logged.
            (false, true) => return,
            (false, false) => drop(self.lines.pop_front()),
        }
        self.lines.push_back(line.to_owned());
    }
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
            self.found.push(Failure { name: name.to_owned(), ..Failure::default() });
            self.is_open = true;
        } else if line == "failures:" || line.starts_with("test result: ") {
            self.is_open = false;
        } else if let Some(failure) = self.found.last_mut().filter(|_| self.is_open) {
            failure.read(line);
        }
    }

    /// All of them, as they are shown.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        self.found.iter().flat_map(|failure| {
            let name = format!("failed: {}", failure.name);
            [name].into_iter().chain(failure.lines.iter().map(|line| format!("    {line}")))
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

    #[test]
    fn says_again_why_it_panicked_whatever_came_before_and_after() {
        let mut failures = Failures::default();
        let panic = "thread 'a' (7) panicked at tests/a.rs:1:1:\n2 wrong:";
        let printed =
            format!("---- a stdout ----\nbefore\n{panic}\n{}", "  0: frame\n".repeat(200));
        printed.lines().for_each(|line| failures.read(line));
        let lines: Vec<String> = failures.lines().collect();
        let said = ["failed: a", "    thread 'a' (7) panicked at tests/a.rs:1:1:", "    2 wrong:"];
        assert_eq!(lines.get(..3).unwrap_or_default(), said);
        assert_eq!(lines.len(), LINES_MAX + 1);
    }
}
