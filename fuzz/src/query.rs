//! Laws of reading a query: an oracle that ports Go's `url.ParseQuery`.

use http::{HeaderMap, Method};
use payload::DeleteOptions;

/// A query without its `?`: what is accepted are the pairs that Go reads, none dropped, and what is
/// refused has a reason.
pub fn query(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let target = format!("/api/v1/pods?{text}");
    let go = parse(text);
    let Ok(accepted) = attributes::read(&Method::DELETE, &target, &HeaderMap::new()) else {
        assert!(go.is_none_or(|pairs| is_ambiguous(text, &pairs)), "refused without a reason");
        return;
    };
    let pairs = go.expect("accepted, and Go drops a pair");
    let ours: Vec<_> = accepted.query.0.iter().map(|(k, v)| (k.as_bytes(), v.as_bytes())).collect();
    let theirs: Vec<_> = pairs.iter().map(|(k, v)| (k.as_slice(), v.as_slice())).collect();
    assert_eq!(ours, theirs);
    for (key, _) in &accepted.query.0 {
        let first = pairs.iter().find(|(it, _)| it == key.as_bytes()).map(|(_, v)| v.as_slice());
        assert_eq!(accepted.query.first(key).map(str::as_bytes), first, "another first value");
    }
    if let Ok(options) = DeleteOptions::from_query(&accepted.query.0) {
        assert_eq!(options.is_dry_run(), accepted.query.first("dryRun") == Some("All"));
    }
}

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// Go's `url.ParseQuery`; `None` where it reports an error, after which the API server goes on with
/// whatever pairs are left.
fn parse(query: &str) -> Option<Pairs> {
    let mut pairs = Vec::new();
    for pair in query.split('&') {
        if pair.contains(';') {
            return None;
        }
        if pair.is_empty() {
            continue;
        }
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        pairs.push((unescape(key)?, unescape(value)?));
    }
    Some(pairs)
}

/// Go's `url.QueryUnescape`.
fn unescape(text: &str) -> Option<Vec<u8>> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        at += 1;
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |at: usize| char::from(*bytes.get(at)?).to_digit(16);
                let value = digit(at)? * 16 + digit(at + 1)?;
                at += 2;
                u8::try_from(value).ok()?
            }
            byte => *byte,
        });
    }
    Some(out)
}

/// Why a query that Go reads whole is refused all the same.
fn is_ambiguous(text: &str, pairs: &Pairs) -> bool {
    let unescaped = text.bytes().any(|byte| !byte.is_ascii_graphic());
    let no_text = pairs
        .iter()
        .any(|(k, v)| [k, v].iter().any(|it| String::from_utf8((*it).clone()).is_err()));
    let dry_run = pairs.iter().any(|(key, value)| key == b"dryRun" && value != b"All");
    let mut keys: Vec<_> = pairs.iter().map(|(key, _)| key).collect();
    keys.sort();
    let twice = keys.windows(2).any(|two| two[0] == two[1]);
    unescaped || no_text || dry_run || twice
}
