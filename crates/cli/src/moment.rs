//! A moment as people write it: so long ago, or a time.

use anyhow::{Context, Result};
use jiff::Timestamp;
use text::duration;

/// Reads `2h`, `7d`, or a time like `2026-01-31T08:00:00Z`.
pub(crate) fn parse(text: &str) -> Result<Timestamp> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment);
    }
    let span = duration::parse_signed(text)
        .context("give a time span like 2h or 7d, or a time like 2026-01-31T08:00:00Z")?;
    Timestamp::now().checked_sub(span).context("that is too long ago")
}
