//! The name that a list or watch is limited to by its selectors: `RequestInfo.name` then. Follows
//! `fields.ParseSelector` and `RequiresExactMatch` (k8s.io/apimachinery, pkg/fields).

use crate::attributes::Query;

const OPERATORS: [&str; 3] = ["!=", "==", "="];

/// What the selectors of a list say of one name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Selected {
    /// Nothing, or a field selector that the API server refuses.
    Any,
    /// The one name.
    Name(String),
    /// One name, beside an option that may not decode: RequestInfo then forgets the name, so this
    /// option has two readings.
    Unsure(&'static str),
}

/// Reads the selectors of a list or watch.
pub(crate) fn selected(query: &Query) -> Selected {
    let Some(name) = query.first("fieldSelector").and_then(exact_name) else {
        return Selected::Any;
    };
    let number = |key| query.first(key).is_none_or(|it| it.parse::<i64>().is_ok());
    if let Some(key) = ["limit", "timeoutSeconds"].into_iter().find(|key| !number(key)) {
        return Selected::Unsure(key);
    }
    match query.first("labelSelector").is_none_or(is_plain_label_selector) {
        true => Selected::Name(name),
        false => Selected::Unsure("labelSelector"),
    }
}

/// The value that `metadata.name` must have, where it can be a segment of a path.
fn exact_name(selector: &str) -> Option<String> {
    let mut terms = terms(selector);
    terms.sort_unstable(); // The API server does, before it takes the first.
    let mut name = None;
    for term in terms.into_iter().filter(|term| !term.is_empty()) {
        let (field, operator, value) = split(term)?;
        let value = unescaped(value)?;
        if field == "metadata.name" && operator != "!=" {
            name.get_or_insert(value);
        }
    }
    name.filter(|it| {
        !it.is_empty() && !matches!(it.as_str(), "." | "..") && !it.contains(['/', '%'])
    })
}

/// Parts between commas that are not escaped.
fn terms(selector: &str) -> Vec<&str> {
    let mut escaped = false;
    let is_end = |char: char| {
        let ends = char == ',' && !escaped;
        escaped = char == '\\' && !escaped;
        ends
    };
    selector.split(is_end).collect()
}

fn split(term: &str) -> Option<(&str, &'static str, &str)> {
    let (at, operator) = term.char_indices().find_map(|(at, _)| {
        let rest = term.get(at..)?;
        OPERATORS.into_iter().find(|it| rest.starts_with(it)).map(|it| (at, it))
    })?;
    let (field, rest) = term.split_at_checked(at)?;
    Some((field, operator, rest.strip_prefix(operator)?))
}

/// `None` for an escape that there is not, and for a bare `=` or `,`.
fn unescaped(value: &str) -> Option<String> {
    let mut text = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(char) = chars.next() {
        text.push(match char {
            '\\' => chars.next().filter(|it| matches!(it, '\\' | ',' | '='))?,
            ',' | '=' => return None,
            char => char,
        });
    }
    Some(text)
}

/// Label selectors as clients write them: `k`, `!k`, `k=v`, `k==v`, `k!=v`, `k in (v,w)`,
/// `k notin (v)`. All of these the API server reads; it reads a few more.
fn is_plain_label_selector(selector: &str) -> bool {
    let mut rest = selector;
    while !rest.is_empty() {
        let requirement = match (rest.find(','), rest.find('(')) {
            (Some(comma), Some(open)) if open < comma => {
                rest.find(')').map_or(rest.len(), |it| it + 1)
            }
            (Some(comma), _) => comma,
            (None, _) => rest.len(),
        };
        let Some((this, others)) = rest.split_at_checked(requirement) else { return false };
        if !is_plain_requirement(this) {
            return false;
        }
        rest = match others.strip_prefix(',') {
            Some(others) if !others.is_empty() => others,
            None if others.is_empty() => others,
            _ => return false,
        };
    }
    true
}

fn is_plain_requirement(requirement: &str) -> bool {
    let sets = [" in (", " notin ("].into_iter().find_map(|it| requirement.split_once(it));
    if let Some((key, values)) = sets {
        let values = values.strip_suffix(')');
        return is_key(key) && values.is_some_and(|it| it.split(',').all(is_value));
    }
    match split(requirement) {
        Some((key, _, value)) => is_key(key) && is_value(value),
        None => is_key(requirement.strip_prefix('!').unwrap_or(requirement)),
    }
}

fn is_key(key: &str) -> bool {
    let (prefix, name) = key.split_once('/').unwrap_or(("x", key));
    let is_domain = prefix.len() <= 253
        && prefix.split('.').all(|it| is_value(it) && !it.contains('_'))
        && !prefix.contains(|char: char| char.is_ascii_uppercase());
    // Words of the selector language itself.
    let is_word = matches!(key, "in" | "notin");
    is_domain && is_value(name) && !is_word
}

fn is_value(value: &str) -> bool {
    let inner = |char: char| char.is_ascii_alphanumeric() || "-_.".contains(char);
    let outer = |char: Option<char>| char.is_some_and(|it| it.is_ascii_alphanumeric());
    value.len() <= 63
        && value.chars().all(inner)
        && outer(value.chars().next())
        && outer(value.chars().next_back())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selects_a_name_as_the_api_server_does() {
        let name = |it: &str| Selected::Name(it.to_owned());
        let labels = Selected::Unsure("labelSelector");
        let table: [(&[(&str, &str)], Selected); 18] = [
            (&[("fieldSelector", "metadata.name=x")], name("x")),
            (&[("fieldSelector", "metadata.name==x,a!=b")], name("x")),
            (&[("fieldSelector", "metadata.name=b,metadata.name=a")], name("a")),
            (&[("fieldSelector", r"metadata.name=a\,b")], name("a,b")),
            (&[("fieldSelector", r"metadata.name=a\b")], Selected::Any),
            (&[("fieldSelector", "metadata.name!=x")], Selected::Any),
            (&[("fieldSelector", "metadata.name=a=b")], Selected::Any),
            (&[("fieldSelector", "metadata.name=x,bad")], Selected::Any),
            (&[("fieldSelector", "metadata.name=..")], Selected::Any),
            (&[("fieldSelector", "spec.nodeName=x")], Selected::Any),
            (&[("fieldSelector", "metadata.name=x"), ("limit", "5")], name("x")),
            (&[("fieldSelector", "metadata.name=x"), ("limit", "5x")], Selected::Unsure("limit")),
            (&[("fieldSelector", "metadata.name=x"), ("labelSelector", "app=web")], name("x")),
            (&[("fieldSelector", "metadata.name=x"), ("labelSelector", "!a.b/c,d!=e")], name("x")),
            (&[("fieldSelector", "metadata.name=x"), ("labelSelector", "a in (b,c),d")], name("x")),
            (&[("fieldSelector", "metadata.name=x"), ("labelSelector", "a in (b")], labels.clone()),
            (&[("fieldSelector", "metadata.name=x"), ("labelSelector", "a=b,")], labels.clone()),
            (&[("fieldSelector", "metadata.name=x"), ("labelSelector", "=")], labels),
        ];
        for (pairs, want) in table {
            let owned = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            assert_eq!(selected(&Query(owned)), want, "{pairs:?}");
        }
    }
}
