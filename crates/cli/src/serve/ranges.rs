//! Within what each setting of `serve` makes sense: one beyond is told of at the start, and not by the first
//! request that it breaks.

use std::time::Duration;

use text::duration::{self, DurationError};

pub(super) const MILLISECOND: Duration = Duration::from_millis(1);
pub(super) const SECOND: Duration = Duration::from_secs(1);
/// Largest bound on how many of something there may be.
const COUNT_MAX: usize = 1_000_000;

pub(super) const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

pub(super) const fn days(count: u64) -> Duration {
    Duration::from_secs(count.saturating_mul(24 * 60 * 60))
}

/// Reads a time of a range.
pub(super) fn within(
    least: Duration,
    most: Duration,
) -> impl Fn(&str) -> Result<Duration, DurationError> + Clone + Send + Sync {
    move |text| duration::parse_within(text, least..=most)
}

/// Reads how many of something there may be: one at least.
pub(super) fn count(text: &str) -> Result<usize, String> {
    let count = text.parse::<usize>().ok().filter(|count| (1..=COUNT_MAX).contains(count));
    count.ok_or_else(|| format!("`{text}` must be a number from 1 to {COUNT_MAX}"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::args::ServeArgs;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        serve: ServeArgs,
    }

    /// Every setting that is a time or a number, found by what clap says of it: a new one has a range too.
    #[test]
    fn every_setting_has_a_range() {
        let command = <Program as clap::CommandFactory>::command();
        let measured = |arg: &&clap::Arg| {
            let name = arg.get_value_names().and_then(|names| names.first());
            name.is_some_and(|name| matches!(name.as_str(), "TIME" | "N" | "BYTES"))
        };
        let flags: Vec<_> =
            command.get_arguments().filter(measured).filter_map(|arg| arg.get_long()).collect();
        assert!(flags.len() >= 14, "{flags:?}");
        for flag in flags {
            let absurd: &[&str] = match flag.ends_with("per-agent") || flag.contains("connections")
            {
                true => &["99999999999999", "x", "-1"],
                false => &["3000000d", "0s", "x", "99999999999999d", "99999999999999"],
            };
            for value in absurd {
                let refused = Program::try_parse_from(["serve", &format!("--{flag}={value}")]);
                let said = refused.err().map(|error| error.to_string()).unwrap_or_default();
                assert!(said.contains(flag), "--{flag}={value} starts: {said}");
            }
        }
    }
}
