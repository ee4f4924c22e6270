//! Lines that are longer than a terminal is wide.

use unicode_width::UnicodeWidthChar;

/// In front of the rest of a line: it is escaped wherever an agent writes it.
const GOES_ON: &str = "\n  \u{21aa} ";
const GOES_ON_COLUMNS: usize = 4;
/// In a narrower terminal, marks would be all that there is.
const COLUMNS_MIN: usize = 20;

/// Ends each line before the terminal does, and marks what goes on: where a terminal wraps a line, its
/// rest looks like a line of its own. Colours take no room.
pub(super) fn wrapped(page: &str, columns: usize) -> String {
    let columns = columns.max(COLUMNS_MIN);
    let mut text = String::with_capacity(page.len());
    let (mut used, mut is_colour) = (0_usize, false);
    // Where in the text, and in which column, the last word began.
    let mut word: Option<(usize, usize)> = None;
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
                (used, word) = (0, None);
                0
            }
            (char, false) => char.width().unwrap_or(0),
        };
        if width > 0 && used.saturating_add(width) > columns {
            let is_short = |(_, began): &(usize, usize)| used.saturating_sub(*began) < columns / 3;
            let (at, began) = word.take().filter(is_short).unwrap_or((text.len(), used));
            text.insert_str(at, GOES_ON);
            used = GOES_ON_COLUMNS.saturating_add(used.saturating_sub(began));
        }
        used = used.saturating_add(width);
        text.push(char);
        if char == ' ' && used > GOES_ON_COLUMNS {
            word = Some((text.len(), used));
        }
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
        let words = "some words, and then one";
        assert_eq!(wrapped(words, 20), "some words, and \n  \u{21aa} then one");
        let red = format!("\u{1b}[31m{a}\u{1b}[0m\n{a}");
        assert_eq!(wrapped(&red, 20), red);
        assert_eq!(wrapped(&"語".repeat(11), 20), format!("{}\n  \u{21aa} 語", "語".repeat(10)));
        assert_eq!(text::Escaped::line("\u{21aa}").as_str(), "\\u{21aa}");
    }
}
