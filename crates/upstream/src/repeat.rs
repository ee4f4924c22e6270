//! Whether a request may be sent a second time.

use std::time::Duration;

/// What may be done about a request that gets no answer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Repeat {
    /// Nothing: it may have run.
    Never,
    /// It changes nothing, and may be asked again; after so long it has no answer.
    Harmless(Option<Duration>),
}

impl Repeat {
    /// How long an answer may take.
    pub(crate) fn time_max(self) -> Option<Duration> {
        match self {
            Self::Never => None,
            Self::Harmless(max) => max,
        }
    }

    /// The same, after some of its time has gone.
    pub(crate) fn after(self, gone: Duration) -> Self {
        match self {
            Self::Never => Self::Never,
            Self::Harmless(max) => Self::Harmless(max.map(|it| it.saturating_sub(gone))),
        }
    }
}
