//! The head of a request as text: `METHOD TARGET`, then a line for each header.

use http::{HeaderMap, HeaderName, HeaderValue, Method};

/// What an HTTP parser makes of a request's head.
pub(crate) struct Head<'a> {
    pub(crate) method: Method,
    pub(crate) target: &'a str,
    pub(crate) headers: HeaderMap,
}

/// Reads a head; what no HTTP parser would let through is left out.
pub(crate) fn read(data: &[u8]) -> Option<Head<'_>> {
    let mut lines = data.split(|byte| *byte == b'\n');
    let (method, target) = std::str::from_utf8(lines.next()?).ok()?.split_once(' ')?;
    let mut headers = HeaderMap::new();
    for line in lines.take(100) {
        let at = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = (HeaderName::from_bytes(&line[..at]), &line[at + 1..]);
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.trim_ascii())) {
            headers.append(name, value);
        }
    }
    Some(Head { method: method.parse().ok()?, target, headers })
}
