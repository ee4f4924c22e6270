//! A hold's name.

use std::fmt;

/// A hold's name: short enough to be typed from a phone's screen.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct HoldId(String);

impl HoldId {
    // No vowels and none of 0, 1, l: no words, and nothing that is read as something else.
    const LETTERS: &[u8] = b"23456789bcdfghjkmnpqrstvwxyz";

    /// Makes an id of 8 letters (28^8, about 2^38) from random bytes of the caller.
    pub fn from_random(random: [u8; 8]) -> Self {
        let letters = random.iter().map(|byte| {
            let index = usize::from(*byte) % Self::LETTERS.len();
            char::from(Self::LETTERS.get(index).copied().unwrap_or(b'2'))
        });
        Self(letters.collect())
    }

    /// Takes an id as somebody typed it; it may name nothing.
    pub fn parse(typed: &str) -> Self {
        Self(typed.trim().to_ascii_lowercase())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HoldId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
