//! Durations and timestamps.

use jiff::{SignedDuration, Timestamp, civil::Weekday, tz::TimeZone};

use super::overload::{Answer, Call, Function, G, T, function, method, unfit};
use crate::{error::Fault, value::Value};

const INT: G = G::Is(T::Int);
const DURATION: G = G::Is(T::Duration);
const TIMESTAMP: G = G::Is(T::Timestamp);
const ONE: &[T] = &[T::Timestamp];
const ZONED: &[T] = &[T::Timestamp, T::Text];

#[rustfmt::skip] // A table, read down its columns.
pub(super) const FUNCTIONS: &[Function] = &[
    function("duration", &[T::Text], DURATION, duration),
    function("duration", &[T::Duration], DURATION, |_, v| v.first().cloned().ok_or_else(unfit)),
    function("timestamp", &[T::Text], TIMESTAMP, timestamp),
    function("timestamp", &[T::Timestamp], TIMESTAMP, |_, v| v.first().cloned().ok_or_else(unfit)),
    function("timestamp", &[T::Int], TIMESTAMP, timestamp),
    method("getFullYear", ONE, INT, |_, v| part(v, |it| it.year().into())),
    method("getFullYear", ZONED, INT, |_, v| part(v, |it| it.year().into())),
    method("getMonth", ONE, INT, |_, v| part(v, |it| i64::from(it.month()) - 1)),
    method("getMonth", ZONED, INT, |_, v| part(v, |it| i64::from(it.month()) - 1)),
    method("getDate", ONE, INT, |_, v| part(v, |it| it.day().into())),
    method("getDate", ZONED, INT, |_, v| part(v, |it| it.day().into())),
    method("getDayOfMonth", ONE, INT, |_, v| part(v, |it| i64::from(it.day()) - 1)),
    method("getDayOfMonth", ZONED, INT, |_, v| part(v, |it| i64::from(it.day()) - 1)),
    method("getDayOfWeek", ONE, INT, |_, v| part(v, |it| weekday(it.weekday()))),
    method("getDayOfWeek", ZONED, INT, |_, v| part(v, |it| weekday(it.weekday()))),
    method("getDayOfYear", ONE, INT, |_, v| part(v, |it| i64::from(it.day_of_year()) - 1)),
    method("getDayOfYear", ZONED, INT, |_, v| part(v, |it| i64::from(it.day_of_year()) - 1)),
    method("getHours", ONE, INT, |_, v| part(v, |it| it.hour().into())),
    method("getHours", ZONED, INT, |_, v| part(v, |it| it.hour().into())),
    method("getMinutes", ONE, INT, |_, v| part(v, |it| it.minute().into())),
    method("getMinutes", ZONED, INT, |_, v| part(v, |it| it.minute().into())),
    method("getSeconds", ONE, INT, |_, v| part(v, |it| it.second().into())),
    method("getSeconds", ZONED, INT, |_, v| part(v, |it| it.second().into())),
    method("getMilliseconds", ONE, INT, |_, v| part(v, |it| it.millisecond().into())),
    method("getHours", &[T::Duration], INT, |_, v| whole(v, |it| it.as_hours())),
    method("getMinutes", &[T::Duration], INT, |_, v| whole(v, |it| it.as_mins())),
    method("getSeconds", &[T::Duration], INT, |_, v| whole(v, |it| it.as_secs())),
    method("getMilliseconds", &[T::Duration], INT, |_, v| whole(v, |it| i64::from(it.subsec_millis()))),
];

fn weekday(day: Weekday) -> i64 {
    day.to_sunday_zero_offset().into()
}

fn whole<'a>(values: &[Value<'a>], of: impl Fn(&SignedDuration) -> i64) -> Answer<'a> {
    match values {
        [Value::Duration(it)] => Ok(Value::Int(of(it))),
        _ => Err(unfit()),
    }
}

fn part<'a>(values: &[Value<'a>], of: impl Fn(&jiff::Zoned) -> i64) -> Answer<'a> {
    let (time, zone) = match values {
        [Value::Timestamp(time)] => (time, TimeZone::UTC),
        [Value::Timestamp(time), Value::Text(name)] => (time, zone(name.as_str())?),
        _ => return Err(unfit()),
    };
    Ok(Value::Int(of(&time.to_zoned(zone))))
}

/// A name of the IANA database, or an offset: `Europe/Berlin`, `+02:00`.
fn zone(name: &str) -> Result<TimeZone, Fault> {
    let unknown = || Fault::error(format!("`{name}` is not a time zone"));
    match name.chars().next() {
        // CEL's offsets; no name of the IANA database starts like one.
        Some('+' | '-' | '0'..='9') => {
            let (sign, rest) = match name.strip_prefix('-') {
                Some(rest) => (-1, rest),
                None => (1, name.strip_prefix('+').unwrap_or(name)),
            };
            let (hours, minutes) = rest.split_once(':').ok_or_else(unknown)?;
            // An offset may come from an agent's object: 16 bits times 3,600 fit, more do not parse.
            let number = |it: &str| it.parse::<u16>().map(i32::from).map_err(|_| unknown());
            let seconds = sign * (number(hours)? * 3600 + number(minutes)? * 60);
            let offset = jiff::tz::Offset::from_seconds(seconds).map_err(|_| unknown())?;
            Ok(TimeZone::fixed(offset))
        }
        _ => TimeZone::get(name).map_err(|_| unknown()),
    }
}

fn timestamp<'a>(_: &Call<'_>, values: &[Value<'a>]) -> Answer<'a> {
    let time = match values {
        [Value::Text(text)] => text.as_str().parse::<Timestamp>().ok(),
        [Value::Int(seconds)] => Timestamp::from_second(*seconds).ok(),
        _ => return Err(unfit()),
    };
    time.map(Value::Timestamp).ok_or_else(|| Fault::error("is not a timestamp"))
}

fn duration<'a>(_: &Call<'_>, values: &[Value<'a>]) -> Answer<'a> {
    let [Value::Text(text)] = values else { return Err(unfit()) };
    let found = parse(text.as_str());
    found.map(Value::Duration).ok_or_else(|| Fault::error("is not a duration"))
}

/// As Go reads it: `1h30m`, `-1.5s`, `250ms`, `0`.
fn parse(text: &str) -> Option<SignedDuration> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(SignedDuration::ZERO);
    }
    let mut nanos: i128 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let number = rest.chars().take_while(|it| it.is_ascii_digit() || *it == '.').count();
        let (digits, after) = rest.split_at(number);
        let unit = after.chars().take_while(|it| !it.is_ascii_digit() && *it != '.').count();
        let unit: String = after.chars().take(unit).collect();
        rest = after.get(unit.len()..)?;
        let each: i128 = match unit.as_str() {
            "h" => 3_600_000_000_000,
            "m" => 60_000_000_000,
            "s" => 1_000_000_000,
            "ms" => 1_000_000,
            "us" | "µs" => 1_000,
            "ns" => 1,
            _ => return None,
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        nanos = nanos.checked_add(whole.checked_mul(each)?)?;
        let mut part = each;
        // Finer than a nanosecond counts nothing, and so neither does what comes after these
        // digits.
        for digit in fraction.chars().take(18) {
            part /= 10;
            nanos = nanos.checked_add(part.checked_mul(i128::from(digit.to_digit(10)?))?)?;
        }
    }
    let nanos = nanos * sign;
    let seconds = i64::try_from(nanos / 1_000_000_000).ok()?;
    Some(SignedDuration::new(seconds, i32::try_from(nanos % 1_000_000_000).ok()?))
}

/// `5400s`, `1.5s`.
pub(super) fn duration_text(it: SignedDuration) -> String {
    let sign = if it.is_negative() { "-" } else { "" };
    let (seconds, nanos) = (it.as_secs().unsigned_abs(), it.subsec_nanos().unsigned_abs());
    match nanos {
        0 => format!("{sign}{seconds}s"),
        _ => {
            let fraction = format!("{nanos:09}");
            format!("{sign}{seconds}.{}s", fraction.trim_end_matches('0'))
        }
    }
}
