//! Which parts of a text are secrets.
//!
//! Whoever reads a command decides by what is left of it, so no more is hidden than the secret itself:
//! one word as a shell reads it, one value, one block of a key. What a shell would run is no part of a
//! secret: not what follows a separator, not a substitution. Where it is in doubt what is quoted, less
//! is hidden.

use super::{
    names::{name, separator},
    value::{Quote, value},
};

/// A token that no name stands beside has more characters.
const TOKEN_CHARS: usize = 40;

/// A part of a text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Part<'t> {
    /// It can be shown.
    Plain(&'t str),
    /// It is a secret.
    Hidden(&'t str),
}

/// A text in parts: one after the other they are the text.
pub(super) fn parts(text: &str) -> Vec<Part<'_>> {
    let (quote, is_sure, parts) = (Quote::None, true, Vec::new());
    let mut scan = Scan { text, at: 0, told: 0, quote, is_sure, parts };
    while scan.at < text.len() {
        scan.step();
    }
    scan.show();
    scan.parts
}

/// Both `at` and `told` are at the beginning of a character.
struct Scan<'t> {
    text: &'t str,
    at: usize,
    /// Up to here it is in parts.
    told: usize,
    quote: Quote,
    /// Whether it is known what is quoted.
    is_sure: bool,
    parts: Vec<Part<'t>>,
}

impl<'t> Scan<'t> {
    /// Takes what is next: a secret by its form, a name with the secret behind it, or one character.
    fn step(&mut self) {
        let rest = self.text.get(self.at..).unwrap_or_default();
        if let Some((header, key)) = key_block(rest) {
            self.at = self.at.saturating_add(header);
            return self.hide(key);
        }
        if let Some(user) = url_user(rest) {
            self.at = self.at.saturating_add("://".len());
            return self.hide(user);
        }
        let name = name(rest);
        if name.is_empty() {
            return self.follow(rest);
        }
        if name.starts_with("eyJ") && name.len() > TOKEN_CHARS {
            return self.hide(name.len());
        }
        self.at = self.at.saturating_add(name.len());
        let behind = self.text.get(self.at..).unwrap_or_default();
        if let Some(between) = separator(name, behind) {
            self.follow_to(self.at.saturating_add(between));
            self.hide_value();
        }
    }

    fn hide_value(&mut self) {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let found = value(rest, self.quote, self.is_sure);
        self.is_sure &= !found.is_broken;
        self.hide(found.len);
    }

    fn follow_to(&mut self, end: usize) {
        while self.at < end {
            self.follow(self.text.get(self.at..).unwrap_or_default());
        }
    }

    /// One character that is no secret. Quotes and comments are followed, so that it is known whether a
    /// quote opens a word; whatever makes that doubtful is remembered.
    fn follow(&mut self, rest: &str) {
        let mut chars = rest.chars();
        let (Some(first), next) = (chars.next(), chars.next()) else { return };
        let before = self.text.get(..self.at).unwrap_or_default();
        self.at = self.at.saturating_add(first.len_utf8());
        let is_quote = matches!(first, '\'' | '"');
        let is_doubtful = match self.quote {
            Quote::None => false,
            Quote::Single => first == '\n' || (first == '\\' && next == Some('\'')),
            Quote::Ansi => first == '\n',
            Quote::Double => {
                matches!(first, '\n' | '`') || (first == '$' && matches!(next, Some('(' | '{')))
            }
            Quote::Comment => is_quote,
        };
        self.is_sure &= !is_doubtful;
        self.quote = match (self.quote, first) {
            (Quote::None | Quote::Double | Quote::Ansi, '\\') => {
                self.at = self.at.saturating_add(next.map_or(0, char::len_utf8));
                self.quote
            }
            (Quote::None, '#') if !before.ends_with(|it: char| !it.is_whitespace()) => {
                Quote::Comment
            }
            (Quote::None, '\'') if before.ends_with('$') => Quote::Ansi,
            (Quote::None, '\'') => Quote::Single,
            (Quote::None, '"') => Quote::Double,
            (Quote::Single | Quote::Ansi, '\'') | (Quote::Double, '"') => Quote::None,
            (Quote::Comment, '\n') => Quote::None,
            (quote, _) => quote,
        };
    }

    fn show(&mut self) {
        let plain = self.text.get(self.told..self.at).unwrap_or_default();
        self.parts.extend((!plain.is_empty()).then_some(Part::Plain(plain)));
        self.told = self.at;
    }

    fn hide(&mut self, len: usize) {
        if len == 0 {
            return;
        }
        self.show();
        self.at = self.at.saturating_add(len);
        let secret = self.text.get(self.told..self.at).unwrap_or_default();
        self.parts.push(Part::Hidden(secret));
        self.told = self.at;
    }
}

/// A private key that begins here: the bytes of its first line, and those of its lines of base64. Any
/// other line might be a command between two lines that only look like a key's.
fn key_block(rest: &str) -> Option<(usize, usize)> {
    const BEGIN: &str = "-----BEGIN ";
    const KIND: &str = "PRIVATE KEY-----";
    let label = rest.strip_prefix(BEGIN)?;
    // `RSA `, `ENCRYPTED ` and the like stand before it: no more is looked at.
    let is_kind = |at: &usize| label.get(*at..).is_some_and(|it| it.starts_with(KIND));
    let kind = (0..30).find(is_kind)?;
    let header = BEGIN.len().saturating_add(kind).saturating_add(KIND.len());
    let body = rest.get(header..)?;
    let (mut whole, mut is_in_key, mut is_behind_key) = (0_usize, false, false);
    for (at, char) in body.char_indices() {
        match char {
            '\n' => {
                whole = at.saturating_add(1);
                (is_in_key, is_behind_key) = (false, false);
            }
            ' ' | '\t' | '\r' => is_behind_key = is_in_key,
            '-' if body.get(at..).is_some_and(|it| it.starts_with("-----END")) => {
                return Some((header, at));
            }
            char if is_behind_key || !(char.is_ascii_alphanumeric() || "+/=\\".contains(char)) => {
                return Some((header, whole));
            }
            _ => is_in_key = true,
        }
    }
    Some((header, body.len()))
}

/// Bytes of `user:password` where a URL has them.
fn url_user(rest: &str) -> Option<usize> {
    let behind = rest.strip_prefix("://")?;
    let is_over = |it: char| it.is_whitespace() || "/@'\"`;&|<>()".contains(it);
    let end = behind.find(is_over)?;
    let user = behind.get(..end)?;
    let is_user = behind.get(end..)?.starts_with('@') && user.contains(':');
    is_user.then_some(end)
}
