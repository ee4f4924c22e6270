//! Text that agents or the cluster wrote, made safe to print: nothing in it moves the cursor, turns
//! the direction of a line, hides, or looks like something else.

use std::fmt;

/// Text with everything invisible or misleading made visible, as `\u{202e}`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Escaped(String);

impl Escaped {
    /// One line: line breaks are escaped too.
    pub fn line(text: &str) -> Self {
        Self(escape(text, false))
    }

    /// Several lines: line breaks stay.
    pub fn lines(text: &str) -> Self {
        Self(escape(text, true))
    }

    /// The escaped text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Escaped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

fn escape(text: &str, keep_lines: bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        if char == '\n' && keep_lines {
            escaped.push(char);
        } else if misleads(char) {
            escaped.extend(char.escape_unicode());
        } else {
            escaped.push(char);
        }
    }
    escaped
}

/// Kubernetes names, verbs and most reasons are ASCII. Latin letters with accents pass, as people's
/// names have them; scripts with look-alikes of Latin letters do not.
fn misleads(char: char) -> bool {
    match char {
        ' '..='~' => false,
        // Latin-1 letters and Latin Extended-A, but not the soft hyphen or no-break space.
        '\u{a1}'..='\u{ac}' | '\u{ae}'..='\u{17f}' => false,
        // Dashes, quotes, ellipsis and arrows that our own texts use.
        '\u{2013}' | '\u{2014}' | '\u{2018}' | '\u{2019}' | '\u{201c}' | '\u{201d}'
        | '\u{2026}' | '\u{2192}' => false,
        // CJK has no look-alikes of Latin letters, and whole sentences are written in it.
        '\u{3041}'..='\u{30ff}' | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' => false,
        _ => true,
    }
}

/// JSON text in which what misleads a terminal is escaped as JSON does it.
pub fn json(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        if char != '\n' && misleads(char) {
            let mut units = [0; 2];
            for unit in char.encode_utf16(&mut units) {
                escaped.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            escaped.push(char);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_what_would_mislead() {
        let table = [
            ("web", "web"),
            ("Zoë", "Zoë"),
            ("a\u{1b}[2Kb", "a\\u{1b}[2Kb"),
            ("a\rb\n", "a\\u{d}b\\u{a}"),
            ("x\u{202e}y", "x\\u{202e}y"),
            ("p\u{430}yments", "p\\u{430}yments"),
            ("a\u{200b}b", "a\\u{200b}b"),
            ("\u{9b}2J", "\\u{9b}2J"),
        ];
        for (text, want) in table {
            assert_eq!(Escaped::line(text).as_str(), want);
        }
        assert_eq!(Escaped::lines("a\nb\t").as_str(), "a\nb\\u{9}");
        assert_eq!(json("\"\u{202e}\u{1f600}\""), "\"\\u202e\\ud83d\\ude00\"");
    }
}
