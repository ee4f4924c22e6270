//! Moments as people write and read them.
//!
//! On a terminal they are in the reader's zone (`TZ`, or the system's), with the offset at each and the zone's
//! name in a table's head; anywhere else they are RFC 3339 in UTC, as in JSON. What is printed can be typed
//! back.

use std::{io::IsTerminal, sync::OnceLock, time::Duration};

use anyhow::{Context, Result};
use jiff::{Timestamp, ToSpan, civil, tz::TimeZone};
use text::duration::{self, DurationError};

/// The reader's zone, where somebody reads.
static READER: OnceLock<TimeZone> = OnceLock::new();

/// From now on moments are printed for whoever sits before standard output, if that is a terminal.
pub(crate) fn remember_reader() {
    if std::io::stdout().is_terminal() {
        let _ = READER.set(TimeZone::system());
    }
}

/// A moment, to the second.
pub(crate) fn shown(at: Timestamp) -> String {
    shown_in(at, READER.get())
}

fn shown_in(at: Timestamp, zone: Option<&TimeZone>) -> String {
    let Some(zone) = zone else { return at.strftime("%FT%TZ").to_string() };
    at.to_zoned(zone.clone()).strftime("%F %T%:z").to_string()
}

/// A moment to the second, in a field that has no blanks wherever it is read.
pub(crate) fn in_utc(at: Timestamp) -> String {
    shown_in(at, None)
}

/// The head of a column of moments: `TIME (Europe/Berlin)`.
pub(crate) fn head(name: &str) -> String {
    head_in(name, READER.get())
}

fn head_in(name: &str, zone: Option<&TimeZone>) -> String {
    match zone.and_then(TimeZone::iana_name) {
        Some(zone) => format!("{name} ({zone})"),
        None => name.to_owned(),
    }
}

/// Reads the begin of a span: `2h` or `7d` ago, a date, or a time as tables print it. Without an offset, both are in the
/// reader's zone.
pub(crate) fn since(text: &str) -> Result<Timestamp> {
    Ok(parse(text, &TimeZone::system())?.0)
}

/// The same for its end, which is in it: all of the day, or of the second.
pub(crate) fn until(text: &str) -> Result<Timestamp> {
    Ok(parse(text, &TimeZone::system())?.1)
}

/// The first and the last moment of what was written.
fn parse(text: &str, zone: &TimeZone) -> Result<(Timestamp, Timestamp)> {
    let text = text.trim();
    let whole = |at: Timestamp| {
        let last = at.checked_add(Duration::from_micros(999_999)).unwrap_or(Timestamp::MAX);
        if at.subsec_nanosecond() == 0 { (at, last) } else { (at, at) }
    };
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(whole(moment));
    }
    let is_date = text.len() == "2026-01-31".len();
    if let Some(date) = text.parse::<civil::Date>().ok().filter(|_| is_date) {
        let begin = |date: civil::Date| anyhow::Ok(date.to_zoned(zone.clone())?.timestamp());
        let first = begin(date)?;
        let last = begin(date.checked_add(1.day())?)?.checked_sub(Duration::from_micros(1))?;
        return Ok((first, last));
    }
    if let Some(at) = text.parse::<civil::DateTime>().ok().filter(|_| text.contains(':')) {
        return Ok(whole(at.to_zoned(zone.clone())?.timestamp()));
    }
    if let Some(at) = of_clock(text, zone, Timestamp::now()) {
        return Ok(whole(at));
    }
    let span = duration::parse_signed(text).map_err(|error| {
        let give = "give a time span like 2h or 7d, a clock time like 08:00, a date like 2026-01-31, or a time like \"2026-01-31 08:00\" or 2026-01-31T08:00:00Z";
        match error {
            DurationError::NoUnit(_) => anyhow::anyhow!("{error}"),
            _ => anyhow::anyhow!(give),
        }
    })?;
    let at = Timestamp::now().checked_sub(span).context("that is too long ago")?;
    Ok((at, at))
}

/// The last time that the clock showed `HH:MM` or `HH:MM:SS`.
fn of_clock(text: &str, zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
    let is_clock = matches!(text.len(), 5 | 8)
        && text.bytes().all(|it| it.is_ascii_digit() || it == b':')
        && text.contains(':');
    let time = is_clock.then(|| text.parse::<civil::Time>().ok())??;
    let today = now.to_zoned(zone.clone()).date();
    let on =
        |day: civil::Date| Some(day.to_datetime(time).to_zoned(zone.clone()).ok()?.timestamp());
    match on(today)? {
        at if at <= now => Some(at),
        _ => on(today.checked_sub(1.day()).ok()?),
    }
}

/// Why nothing can be in a span of time.
pub(crate) fn is_empty(since: Option<Timestamp>, until: Option<Timestamp>) -> Option<&'static str> {
    match (since, until) {
        (Some(since), _) if since > Timestamp::now() => Some("--since is in the future"),
        (Some(since), Some(until)) if since > until => Some("--since is after --until"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

    #[test]
    fn a_reader_sees_their_own_zone_and_a_script_sees_utc() -> Result<()> {
        let berlin = TimeZone::get("Europe/Berlin")?;
        let at: Timestamp = "2026-01-31T07:00:05.7Z".parse()?;
        assert_eq!(shown_in(at, Some(&berlin)), "2026-01-31 08:00:05+01:00");
        assert_eq!(shown_in(at, Some(&TimeZone::UTC)), "2026-01-31 07:00:05+00:00");
        assert_eq!(shown_in(at, None), "2026-01-31T07:00:05Z");
        assert_eq!(head_in("TIME", Some(&berlin)), "TIME (Europe/Berlin)");
        assert_eq!((head_in("TIME", None), shown(at)), ("TIME".into(), shown_in(at, None)));
        Ok(())
    }

    #[test]
    fn a_clock_time_is_the_last_one_of_the_readers_zone() -> Result<()> {
        let berlin = TimeZone::get("Europe/Berlin")?;
        let now: Timestamp = "2026-01-31T09:30:00Z".parse()?;
        let table = [
            ("09:00", Some("2026-01-31T08:00:00Z")),
            ("09:00:07", Some("2026-01-31T08:00:07Z")),
            ("10:30", Some("2026-01-31T09:30:00Z")),
            ("10:31", Some("2026-01-30T09:31:00Z")),
            ("23:59:59", Some("2026-01-30T22:59:59Z")),
            ("24:01", None),
            ("9:00", None),
            ("09:00:0", None),
            ("-9:00", None),
            ("12345", None),
        ];
        for (text, want) in table {
            let got = of_clock(text, &berlin, now).map(|it| it.to_string());
            assert_eq!(got.as_deref(), want, "{text}");
        }
        // Never so long before now: 09:00:00 is no span of nine hours.
        for text in ["9:00:00", "09:00:0", "25:00:00", "1d 09:00:00"] {
            assert!(parse(text, &berlin).is_err(), "{text}");
        }
        let said = parse("8", &berlin).err().map(|it| it.to_string());
        assert_eq!(said.as_deref(), Some("`8` has no unit: 8s, 8m, 8h or 8d"));
        Ok(())
    }

    #[test]
    fn what_is_printed_is_read_back() -> Result<()> {
        let berlin = TimeZone::get("Europe/Berlin")?;
        let span = |text: &str| -> Result<String> {
            let (first, last) = parse(text, &berlin)?;
            Ok(format!("{first} {last}"))
        };
        let second = "2026-01-31T07:00:05Z 2026-01-31T07:00:05.999999Z";
        for text in ["2026-01-31 08:00:05+01:00", "2026-01-31T07:00:05Z", "2026-01-31 08:00:05"] {
            assert_eq!(span(text)?, second, "{text}");
        }
        let table = [
            ("2026-01-31T07:00:05.5Z", "2026-01-31T07:00:05.5Z 2026-01-31T07:00:05.5Z"),
            ("2026-01-31", "2026-01-30T23:00:00Z 2026-01-31T22:59:59.999999Z"),
            ("2026-01-31 08:00", "2026-01-31T07:00:00Z 2026-01-31T07:00:00.999999Z"),
            // A day of 23 hours, and an hour that there is twice.
            ("2026-03-29", "2026-03-28T23:00:00Z 2026-03-29T21:59:59.999999Z"),
            ("2026-10-25 02:30:00+01:00", "2026-10-25T01:30:00Z 2026-10-25T01:30:00.999999Z"),
        ];
        for (text, want) in table {
            assert_eq!(span(text)?, want, "{text}");
        }
        let ago = Timestamp::now().duration_since(since("2h")?).as_secs();
        assert!((7_190..7_260).contains(&ago), "{ago}");
        for text in ["", "yesterday", "2026-13-01", "20260131", "8:00"] {
            assert!(parse(text, &berlin).is_err(), "{text}");
        }
        Ok(())
    }
}
