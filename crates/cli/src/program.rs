//! What the program calls itself.

/// What to type in front of a command.
pub(crate) fn name() -> &'static str {
    "agent-shield"
}
