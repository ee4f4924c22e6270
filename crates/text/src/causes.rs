//! An error with what led to it, on one line.

use std::error::Error;

/// An error with all its causes, on one line, the outermost first.
pub fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read x")]
    struct Outer(#[source] io::Error);

    #[test]
    fn names_the_outermost_first() {
        let error = Outer(io::Error::other("it is gone"));
        assert_eq!(causes(&error), "cannot read x: it is gone");
        assert_eq!(causes(&io::Error::other("alone")), "alone");
    }
}
