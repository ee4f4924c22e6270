//! Where a secret ends: with the word, as a shell reads it.

/// How a shell reads what comes next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Quote {
    None,
    Single,
    /// `$'…'`: a backslash escapes in it.
    Ansi,
    Double,
    Comment,
}

/// A secret at the beginning of a text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Value {
    /// Bytes of it.
    pub(super) len: usize,
    /// Whether it ends inside a quote that opened in it, as what follows there might be run.
    pub(super) is_broken: bool,
}

/// One shell word, inside the quote that is open around it. Where `is_sure`, nothing before leaves a
/// doubt what is quoted: then a quote that opens in it is believed up to where it closes. Otherwise
/// what could be a command of its own is no part of it.
pub(super) fn value(text: &str, outer: Quote, is_sure: bool) -> Value {
    let (mut len, mut is_broken) = (0_usize, false);
    while let Some(rest) = text.get(len..)
        && !is_over(rest, outer)
    {
        let Some((opening, inner)) = quoted(rest, outer) else {
            len = len.saturating_add(unquoted(rest, outer));
            continue;
        };
        let cut = cut(opening, inner, is_sure && outer == Quote::None);
        len = len.saturating_add(opening.len()).saturating_add(cut.unwrap_or(inner.len()));
        if cut.is_some() {
            is_broken = true;
            break;
        }
        len = len.saturating_add(if opening == "\\\"" { 2 } else { 1 });
        // `"a"b` is one word; behind `"a",` another value comes.
        let goes_on = |it: char| it.is_alphanumeric() || "\"'\\$_-".contains(it);
        if !text.get(len..).is_some_and(|it| it.starts_with(goes_on)) {
            break;
        }
    }
    if text.get(..len).is_some_and(is_reference) {
        return Value { len: 0, is_broken: false };
    }
    Value { len, is_broken }
}

/// Whether the word has ended: at what a shell ends it with, at what it would run, or with the quote
/// around it.
fn is_over(rest: &str, outer: Quote) -> bool {
    let Some(first) = rest.chars().next() else { return true };
    let closes = match outer {
        Quote::Double => first == '"',
        Quote::Single | Quote::Ansi => first == '\'',
        Quote::None | Quote::Comment => false,
    };
    closes || first.is_whitespace() || ";&|<>()`".contains(first) || rest.starts_with("$(")
}

/// A quote that opens here and closes on the same line, inside the outer one: how it opens, and what is
/// in it.
fn quoted(rest: &str, outer: Quote) -> Option<(&str, &str)> {
    let opening = ["$'", "\\\"", "'", "\""].into_iter().find(|it| rest.starts_with(it))?;
    let opening = rest.get(..opening.len())?;
    match (outer, opening) {
        (Quote::None, "\\\"") | (Quote::Comment, _) => return None,
        (Quote::Double | Quote::Single | Quote::Ansi, "$'") => return None,
        _ => {}
    }
    let behind = rest.get(opening.len()..)?;
    let mut is_escaped = false;
    for (at, char) in behind.char_indices() {
        let here = behind.get(at..)?;
        let closes = match opening {
            "\\\"" => here.starts_with("\\\""),
            "\"" => char == '"' && !is_escaped,
            "$'" => char == '\'' && !is_escaped,
            _ => char == '\'',
        };
        if closes {
            return Some((opening, behind.get(..at)?));
        }
        let ends_outer = match outer {
            Quote::Double => char == '"' && !is_escaped,
            Quote::Single | Quote::Ansi => char == '\'',
            Quote::None | Quote::Comment => false,
        };
        if char == '\n' || ends_outer {
            return None;
        }
        is_escaped = char == '\\' && !is_escaped;
    }
    None
}

/// Where in a quote that opens in it the secret ends, as what follows might be run.
fn cut(opening: &str, inner: &str, is_sure: bool) -> Option<usize> {
    match (is_sure, opening) {
        (true, "\"") => [inner.find('`'), inner.find("$(")].into_iter().flatten().min(),
        (true, _) => None,
        (false, _) => inner.find([';', '&', '|', '`', '$']),
    }
}

/// Bytes of one character outside of quotes, with what a backslash before it escapes.
fn unquoted(rest: &str, outer: Quote) -> usize {
    let mut chars = rest.chars();
    let first = chars.next().unwrap_or_default();
    let escaped = match (first, outer) {
        ('\\', Quote::None | Quote::Double) => chars.next().filter(|it| *it != '\n'),
        _ => None,
    };
    first.len_utf8().saturating_add(escaped.map_or(0, char::len_utf8))
}

/// `$NAME`, `"${NAME}"`: it names where the secret is, and is none.
fn is_reference(word: &str) -> bool {
    let bare = word.trim_matches('"');
    let Some(name) = bare.strip_prefix('$') else { return false };
    let name = name.strip_prefix('{').and_then(|it| it.strip_suffix('}')).unwrap_or(name);
    !name.is_empty() && name.chars().all(|it| it.is_ascii_alphanumeric() || it == '_')
}
