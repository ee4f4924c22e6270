//! What is wrong with a policy file, and where: for people and for editors.

use std::fmt;

/// One thing that is wrong.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Issue {
    /// The file, as it was named.
    pub file: String,
    /// From 1; 0 where the place is not known.
    pub line: usize,
    /// In characters, from 1; 0 where the place is not known.
    pub column: usize,
    /// What.
    pub message: String,
    /// What was meant, perhaps.
    pub suggestion: Option<String>,
    /// The line itself.
    pub excerpt: String,
    /// Whether the set can be used all the same.
    pub is_warning: bool,
    /// Whether it reads a field that was there once; the message names what to read in its place.
    pub is_retired_field: bool,
}

impl Issue {
    /// Of no file in particular.
    pub fn of_set(message: String) -> Self {
        Self::at("the policy set", "", (0, 0), message)
    }

    /// Puts an issue at a place of a file's text.
    pub(crate) fn at(
        file: &str,
        text: &str,
        (line, column): (usize, usize),
        message: String,
    ) -> Self {
        let excerpt = text.lines().nth(line.wrapping_sub(1)).unwrap_or_default().to_owned();
        Self {
            file: file.to_owned(),
            line,
            column,
            message,
            suggestion: None,
            excerpt,
            is_warning: false,
            is_retired_field: false,
        }
    }

    /// The same, with the nearest of `names` to `written` as what was meant, if one is near.
    #[must_use]
    pub(crate) fn meant<'n>(mut self, written: &str, names: impl Iterator<Item = &'n str>) -> Self {
        let near = names.map(|name| (strsim::damerau_levenshtein(written, name), name)).min();
        let far = written.chars().count() / 3 + 1;
        self.suggestion = near.filter(|(by, _)| *by <= far).map(|(_, name)| name.to_owned());
        self
    }

    #[must_use]
    pub(crate) fn warning(mut self) -> Self {
        self.is_warning = true;
        self
    }
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_warning { "warning: " } else { "" };
        match self.line {
            0 => write!(f, "{}: {kind}{}", self.file, self.message)?,
            _ => write!(f, "{}:{}:{}: {kind}{}", self.file, self.line, self.column, self.message)?,
        }
        if let Some(name) = &self.suggestion {
            write!(f, ": did you mean `{name}`?")?;
        }
        if !self.excerpt.trim().is_empty() {
            let caret = " ".repeat(self.column.saturating_sub(1));
            write!(f, "\n{:>5} | {}\n      | {caret}^", self.line, self.excerpt)?;
        }
        Ok(())
    }
}
