//! Parts of URLs, whatever was typed.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// All but the unreserved signs of RFC 3986, less the tilde, which some servers do not expect.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.');

/// One segment of a path.
pub(crate) fn segment(text: &str) -> String {
    utf8_percent_encode(text.trim(), ENCODED).to_string()
}

/// `?key=value&…` of what is given.
pub(crate) fn query(pairs: &[(&str, Option<String>)]) -> String {
    let pairs: Vec<String> = pairs
        .iter()
        .filter_map(|(key, value)| Some((key, value.as_ref()?)))
        .map(|(key, value)| format!("{key}={}", utf8_percent_encode(value, ENCODED)))
        .collect();
    if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_typed_leaves_its_place() {
        let table = [
            ("k3mq7xzw", "k3mq7xzw"),
            (" a ", "a"),
            ("../v1/x?y#z", "..%2Fv1%2Fx%3Fy%23z"),
            ("a-b_c.d~", "a-b_c.d%7E"),
            ("é", "%C3%A9"),
        ];
        for (typed, want) in table {
            assert_eq!(segment(typed), want);
        }
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(query(&[("a", some("x&b=1")), ("b", None), ("c", some(""))]), "?a=x%26b%3D1&c=");
        assert_eq!(query(&[("a", None)]), "");
    }
}
