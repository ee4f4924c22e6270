//! Names under which secrets stand, and what stands between a name and its secret.

/// Words in the name of a variable, flag or query option whose value is a secret.
const SECRET_WORDS: [&str; 12] = [
    "password",
    "passwd",
    "passphrase",
    "token",
    "secret",
    "apikey",
    "api_key",
    "api-key",
    "credential",
    "private",
    "access_key",
    "authorization",
];
/// Words between the name of a header and the secret.
const SCHEMES: [&str; 5] = ["bearer", "basic", "token", "digest", "negotiate"];

/// How a name ends whose value only says where a secret is: `secretName`, `PASSWORD_FILE`, `--token-path`.
const REFERENCES: [&str; 6] = ["name", "namespace", "ref", "file", "path", "dir"];

/// Whether what stands under this name is a secret.
pub(super) fn is_telling(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    if REFERENCES.iter().any(|end| lower.ends_with(end)) {
        return false;
    }
    SECRET_WORDS.iter().any(|word| lower.contains(word))
        || lower.ends_with("_key")
        || lower.ends_with("pwd")
}

/// The name that a text begins with; may be empty.
pub(super) fn name(text: &str) -> &str {
    let is_name = |it: char| it.is_ascii_alphanumeric() || "_.-".contains(it);
    text.get(..text.find(|it| !is_name(it)).unwrap_or(text.len())).unwrap_or_default()
}

/// Bytes between a name and the secret behind it; `None` where no secret follows.
pub(super) fn separator(name: &str, rest: &str) -> Option<usize> {
    if name.eq_ignore_ascii_case("bearer") {
        return blanks(rest).or_else(|| rest.starts_with("%20").then_some(3));
    }
    if !is_telling(name) {
        return None;
    }
    let closing =
        ["\\\"", "\"", "'"].into_iter().find(|it| rest.starts_with(it)).map_or(0, str::len);
    let after = rest.get(closing..)?;
    let between = match closing {
        0 if name.starts_with('-') => assigned(after).or_else(|| flag(after)),
        _ => assigned(after),
    }?;
    let behind = closing.saturating_add(between);
    Some(behind.saturating_add(scheme(rest.get(behind..)?)))
}

/// `=`, ` = `, `: `, also percent-encoded. A blank behind a bare `=` ends the word for a shell.
fn assigned(rest: &str) -> Option<usize> {
    for encoded in ["%3D", "%3d", "%3A", "%3a"] {
        if rest.starts_with(encoded) {
            return Some(encoded.len());
        }
    }
    let before = blanks(rest).unwrap_or(0);
    let sign = rest.get(before..)?;
    let behind = sign.get(1..)?;
    match sign.chars().next()? {
        '=' if behind.starts_with('=') => None,
        '=' if before == 0 => Some(1),
        '=' => Some(before.saturating_add(1).saturating_add(blanks(behind).unwrap_or(0))),
        ':' if before == 0 && behind.starts_with(['"', '\'', '\\']) => Some(1),
        ':' => Some(before.saturating_add(1).saturating_add(blanks(behind)?)),
        _ => None,
    }
}

/// Blanks behind a flag, where its value follows and not another flag.
fn flag(rest: &str) -> Option<usize> {
    let blanks = blanks(rest)?;
    (!rest.get(blanks..)?.starts_with('-')).then_some(blanks)
}

/// `Bearer `, as it stands behind `Authorization: `.
fn scheme(rest: &str) -> usize {
    let word = name(rest);
    let is_one = SCHEMES.iter().any(|it| word.eq_ignore_ascii_case(it));
    let blanks = rest.get(word.len()..).and_then(blanks).filter(|_| is_one);
    blanks.map_or(0, |blanks| word.len().saturating_add(blanks))
}

/// How many blanks a text begins with; `None` for none.
fn blanks(text: &str) -> Option<usize> {
    let count = text.find(|it| it != ' ' && it != '\t').unwrap_or(text.len());
    (count > 0).then_some(count)
}
