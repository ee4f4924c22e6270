//! Whether the API server left a question unanswered without which a write cannot be judged.

use std::sync::OnceLock;

use upstream::{NoAnswer, ProbeError};

/// What is noted of one write while it is judged.
#[derive(Debug, Default)]
pub struct Silence(OnceLock<NoAnswer>);

impl Silence {
    /// With what was noted before.
    pub fn since(no_answer: Option<NoAnswer>) -> Self {
        Self(no_answer.map(OnceLock::from).unwrap_or_default())
    }

    /// Notes why a question has no answer; one that is too large is an answer.
    pub(crate) fn hear(&self, error: &ProbeError) {
        if let Some(no_answer) = NoAnswer::to_probe(error) {
            self.0.get_or_init(|| no_answer);
        }
    }

    /// What was noted.
    pub(crate) fn noted(&self) -> Option<NoAnswer> {
        self.0.get().copied()
    }
}
