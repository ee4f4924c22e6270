//! Lines that are longer than a terminal is wide.

use unicode_width::UnicodeWidthChar;

/// In front of the rest of a line: it is escaped wherever an agent writes it.
const GOES_ON: &str = "  \u{21aa} ";
const GOES_ON_COLUMNS: usize = 4;
/// In a narrower terminal, marks would be all that there is.
const COLUMNS_MIN: usize = 20;

/// Ends each line before the terminal does, and marks what goes on: where a terminal wraps a line, its
/// rest looks like a line of its own. Colours take no room.
pub(super) fn wrapped(page: &str, columns: usize) -> String {
    let columns = columns.max(COLUMNS_MIN);
    let mut text = String::with_capacity(page.len());
    let (mut used, mut is_colour) = (0_usize, false);
    for char in page.chars() {
        let width = match (char, is_colour) {
            ('\u{1b}', _) => {
                is_colour = true;
                0
            }
            (_, true) => {
                is_colour = char != 'm';
                0
            }
            ('\n', _) => {
                used = 0;
                0
            }
            (char, false) => char.width().unwrap_or(0),
        };
        if width > 0 && used.saturating_add(width) > columns {
            text.push('\n');
            text.push_str(GOES_ON);
            used = GOES_ON_COLUMNS;
        }
        used = used.saturating_add(width);
        text.push(char);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_is_marked() {
        let line = "x".repeat(45);
        let (a, b) = ("x".repeat(20), "x".repeat(16));
        assert_eq!(
            wrapped(&line, 20),
            format!("{a}\n  \u{21aa} {b}\n  \u{21aa} {}", "x".repeat(9))
        );
        assert_eq!(wrapped("a\nb", 1), "a\nb");
        let red = format!("\u{1b}[31m{a}\u{1b}[0m\n{a}");
        assert_eq!(wrapped(&red, 20), red);
        assert_eq!(wrapped(&"語".repeat(11), 20), format!("{}\n  \u{21aa} 語", "語".repeat(10)));
        assert_eq!(text::Escaped::line("\u{21aa}").as_str(), "\\u{21aa}");
    }
}
