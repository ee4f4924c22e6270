//! Quantities, exact as in `resource.Quantity`: `100m`, `1.5Gi`, `1e3`.

use std::fmt;

/// Kubernetes keeps no more precision than this.
pub(crate) const NANOS: i128 = 1_000_000_000;
/// And caps what has a binary suffix here.
const BINARY_MAX: i128 = i64::MAX as i128 * NANOS;
/// Others it does not cap. Here what is larger, some 4e28, counts as this; two of them add up.
const MAX: i128 = 1 << 125;

/// A quantity, in billionths.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Quantity(i128);

impl Quantity {
    /// So many billionths, as far as a quantity goes.
    pub(crate) fn from_nanos(nanos: i128) -> Self {
        Self(nanos.clamp(-MAX, MAX))
    }

    /// In billionths; never beyond 2^125, so that two of them add up.
    pub(crate) fn nanos(self) -> i128 {
        self.0
    }

    /// Reads one; finer than a billionth is rounded up, away from zero, as Kubernetes does.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let digits = rest.chars().take_while(|it| it.is_ascii_digit() || *it == '.').count();
        let (number, suffix) = rest.split_at(digits);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return None;
        }
        let (binary, decimal) = suffix_of(suffix)?;
        let max = if binary == 0 { MAX } else { BINARY_MAX };
        // The number is `mantissa`, times 10 to the power of `shift`, times 2 to that of `binary`.
        let mut mantissa: i128 = 0;
        let mut dropped = false;
        let mut shift = decimal + 9;
        for (index, digit) in whole.chars().chain(fraction.chars()).enumerate() {
            let is_fraction = index >= whole.len();
            let digit = i128::from(digit.to_digit(10)?);
            match mantissa.checked_mul(10).and_then(|it| it.checked_add(digit)) {
                Some(more) if more < i128::MAX >> 61 => {
                    mantissa = more;
                    shift -= i32::from(is_fraction);
                }
                _ if is_fraction => dropped |= digit != 0,
                _ => return Some(Self(if negative { -max } else { max })),
            }
        }
        let mut value = mantissa.checked_shl(binary).filter(|it| it >> binary == mantissa);
        for _ in 0..shift {
            value = value.and_then(|it| it.checked_mul(10));
        }
        let mut value = value.unwrap_or(max);
        for _ in shift..0 {
            dropped |= value % 10 != 0;
            value /= 10;
        }
        let value = (value + i128::from(dropped)).min(max);
        Some(Self(if negative { -value } else { value }))
    }

    /// One that was capped is no integer, as in Kubernetes: nobody knows what it was.
    pub(crate) fn whole(self) -> Option<i64> {
        (self.0 % NANOS == 0 && self.0.abs() < BINARY_MAX)
            .then(|| i64::try_from(self.0 / NANOS).ok())
            .flatten()
    }
}

/// Powers of two and of ten.
fn suffix_of(suffix: &str) -> Option<(u32, i32)> {
    Some(match suffix {
        "" => (0, 0),
        "n" => (0, -9),
        "u" => (0, -6),
        "m" => (0, -3),
        "k" => (0, 3),
        "M" => (0, 6),
        "G" => (0, 9),
        "T" => (0, 12),
        "P" => (0, 15),
        "E" => (0, 18),
        "Ki" => (10, 0),
        "Mi" => (20, 0),
        "Gi" => (30, 0),
        "Ti" => (40, 0),
        "Pi" => (50, 0),
        "Ei" => (60, 0),
        other => {
            let power = other.strip_prefix(['e', 'E'])?;
            let power: i32 = power.parse().ok()?;
            (0, Some(power).filter(|it| it.abs() <= 30)?)
        }
    })
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / NANOS, (self.0 % NANOS).abs());
        if part == 0 {
            return write!(f, "{whole}");
        }
        let sign = if self.0 < 0 && whole == 0 { "-" } else { "" };
        let part = format!("{part:09}");
        write!(f, "{sign}{whole}.{}", part.trim_end_matches('0'))
    }
}
