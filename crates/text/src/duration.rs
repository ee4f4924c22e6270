//! Durations as people write them, in flags, policies and requests: one grammar for all.
//!
//! The grammar is jiff's, without its times of a clock: `90s`, `1h30m`, `2 days`, and ISO 8601 (`PT5M`). A day is 24 hours, as no
//! setting of ours follows a calendar; a month or a year has no length and is refused.

use std::{fmt, ops::RangeInclusive, time::Duration};

use jiff::{SignedDuration, Span, SpanRelativeTo};

/// So many digits may be a number of something; more are a date.
const DIGITS_MAX: usize = 6;

/// Why a text is no duration.
#[derive(Debug, thiserror::Error)]
pub enum DurationError {
    /// It is written in another way.
    #[error("`{0}` is not a time like 90s, 30m, 2h or 7d")]
    Grammar(String),
    /// It is a number.
    #[error("`{0}` has no unit: {0}s, {0}m, {0}h or {0}d")]
    NoUnit(String),
    /// It is in months or years.
    #[error("`{0}` has no fixed length: give days, like 30d")]
    NoLength(String),
    /// It is zero, or less.
    #[error("`{0}` must be more than zero")]
    NotPositive(String),
    /// It is shorter or longer than makes sense.
    #[error("`{text}` must be from {} to {}", Short(*.least), Short(*.most))]
    OutOfRange {
        /// What was written.
        text: String,
        /// The shortest that is taken.
        least: Duration,
        /// The longest that is taken.
        most: Duration,
    },
}

/// Reads a duration that is longer than nothing.
///
/// # Errors
/// [`DurationError`] with what was written.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    match Duration::try_from(parse_signed(text)?) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err(DurationError::NotPositive(text.to_owned())),
    }
}

/// As [`parse`], within a range: a setting that never ends, or ends before it begins, is a mistake that
/// should be told of at once.
///
/// # Errors
/// [`DurationError`] with what was written.
pub fn parse_within(
    text: &str,
    range: RangeInclusive<Duration>,
) -> Result<Duration, DurationError> {
    let duration = parse(text)?;
    if range.contains(&duration) {
        return Ok(duration);
    }
    let (least, most) = range.into_inner();
    Err(DurationError::OutOfRange { text: text.to_owned(), least, most })
}

/// As [`parse`], also zero and less.
///
/// # Errors
/// [`DurationError`] with what was written.
pub fn parse_signed(text: &str) -> Result<SignedDuration, DurationError> {
    let number = text.trim();
    if (1..=DIGITS_MAX).contains(&number.len()) && number.bytes().all(|it| it.is_ascii_digit()) {
        return Err(DurationError::NoUnit(number.to_owned()));
    }
    // `09:00:00` would be nine hours, and is written by those who mean a time of the clock.
    let span = (!text.contains(':')).then(|| text.parse::<Span>().ok()).flatten();
    let span = span.ok_or_else(|| DurationError::Grammar(text.to_owned()))?;
    span.to_duration(SpanRelativeTo::days_are_24_hours())
        .map_err(|_| DurationError::NoLength(text.to_owned()))
}

/// A duration in whole seconds, shortest form first: `2h`, `90s`, `7d`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Short(pub Duration);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let units = [(86_400, 'd'), (3_600, 'h'), (60, 'm')];
        let whole =
            units.into_iter().find(|(each, _)| seconds >= *each && seconds.is_multiple_of(*each));
        let (each, unit) = whole.unwrap_or((1, 's'));
        write!(f, "{}{unit}", seconds / each)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        let table = [
            ("90s", Some(90_000)),
            ("30m", Some(1_800_000)),
            ("2h", Some(7_200_000)),
            ("7d", Some(604_800_000)),
            ("1h30m", Some(5_400_000)),
            ("1m30s", Some(90_000)),
            ("500ms", Some(500)),
            ("1.5h", Some(5_400_000)),
            ("1d12h", Some(129_600_000)),
            ("1w", Some(604_800_000)),
            ("PT5M", Some(300_000)),
            ("0s", None),
            ("-5s", None),
            ("1mo", None),
            ("1y", None),
            ("5", None),
            ("", None),
            ("s", None),
            ("x", None),
        ];
        for (text, want) in table {
            let got = parse(text).ok();
            assert_eq!(got, want.map(Duration::from_millis), "{text}");
        }
        assert_eq!(parse_signed("-5s").ok(), Some(SignedDuration::from_secs(-5)));
    }

    #[test]
    fn says_what_is_wrong() {
        let said = |text: &str| parse(text).err().map(|it| it.to_string()).unwrap_or_default();
        assert_eq!(said("0s"), "`0s` must be more than zero");
        assert_eq!(said("soon"), "`soon` is not a time like 90s, 30m, 2h or 7d");
        assert_eq!(said("8"), "`8` has no unit: 8s, 8m, 8h or 8d");
        assert_eq!(said("1mo"), "`1mo` has no fixed length: give days, like 30d");
        assert_eq!(said("09:00:00"), "`09:00:00` is not a time like 90s, 30m, 2h or 7d");
    }

    #[test]
    fn takes_what_is_within_a_range() {
        let range = || Duration::from_secs(1)..=Duration::from_secs(30 * 86_400);
        let said = |text: &str| parse_within(text, range()).map_err(|it| it.to_string());
        for text in ["1s", "30m", "30d"] {
            assert!(said(text).is_ok(), "{text}");
        }
        for text in ["500ms", "31d", "3000000d"] {
            assert_eq!(said(text), Err(format!("`{text}` must be from 1s to 30d")));
        }
        assert!(said("0s").is_err() && said("99999999999999d").is_err());
    }

    #[test]
    fn writes_the_shortest_form() {
        let table = [(0, "0s"), (90, "90s"), (120, "2m"), (5_400, "90m"), (172_800, "2d")];
        for (seconds, want) in table {
            let short = Short(Duration::from_secs(seconds)).to_string();
            assert_eq!(short, want);
            assert_eq!(
                parse(&short).ok(),
                Some(Duration::from_secs(seconds)).filter(|it| !it.is_zero())
            );
        }
    }
}
