//! What is wrong with an expression, and where.

use std::fmt;

/// A part of an expression's text, in bytes; `1` from the start is the second byte.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Span {
    /// The first byte.
    pub start: u32,
    /// One past the last.
    pub end: u32,
}

impl Span {
    /// Line and column of its start in `source`, both from 1; a column counts characters.
    pub fn place(self, source: &str) -> (usize, usize) {
        let at = usize::try_from(self.start).unwrap_or(usize::MAX);
        let before = source.get(..at).unwrap_or(source);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        (line, column)
    }
}

/// One thing that is wrong with an expression.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    /// Where.
    pub span: Span,
    /// What.
    pub message: String,
    /// What was meant, perhaps.
    pub suggestion: Option<String>,
    /// For a field that was there once: what to read in its place.
    pub successor: Option<String>,
}

impl Problem {
    /// A problem with nothing to suggest.
    pub fn new(span: Span, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), suggestion: None, successor: None }
    }

    /// A field that was there once, and what to read in its place.
    pub(crate) fn retired(span: Span, object: &str, field: &str, successor: &str) -> Self {
        let message = format!("{object} has no field `{field}` any more: {successor}");
        Self { span, message, suggestion: None, successor: Some(successor.to_owned()) }
    }

    /// The same, with the nearest of `names` to `written` as what was meant, if one is near.
    #[must_use]
    pub fn meant<'n>(mut self, written: &str, names: impl Iterator<Item = &'n str>) -> Self {
        let near = names.map(|name| (strsim::damerau_levenshtein(written, name), name)).min();
        let far = written.chars().count() / 3 + 1;
        self.suggestion = near.filter(|(by, _)| *by <= far).map(|(_, name)| name.to_owned());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.suggestion {
            Some(name) => write!(f, ": did you mean `{name}`?"),
            None => Ok(()),
        }
    }
}
