//! Laws of reading a request's head.

use attributes::Attributes;
use effects::Route;
use payload::Redactor;

use crate::head;

/// `METHOD TARGET` and headers: what is accepted keeps its target byte for byte, is read alike a
/// second time, and is taken for a read only where nothing can change.
pub fn attributes(data: &[u8]) {
    let Some(head) = head::read(data) else { return };
    let read = || attributes::read(&head.method, head.target, &head.headers);
    let Ok(accepted) = read() else { return };
    assert_eq!(read(), Ok(accepted.clone()), "read differently a second time");
    assert_eq!(accepted.target, head.target);
    assert_eq!(accepted.method, head.method.as_str());
    path(&accepted);
    judgement(&accepted);
    let shown = Redactor::new(b"key").redact_target(&accepted.target);
    let path = |target: &str| target.split('?').next().map(str::to_owned);
    assert_eq!(path(&shown), path(&accepted.target), "redaction changed the path");
    assert!(!accepted.to_string().contains('\n'), "a line that is none");
}

/// The path is decoded once, and segment by segment says the same as the whole: no escape makes or
/// hides a separator.
fn path(accepted: &Attributes) {
    let raw = accepted.target.split('?').next().unwrap_or_default();
    let segments: Vec<String> = raw.split('/').map(decoded).collect();
    assert_eq!(segments.join("/"), accepted.path);
    assert_eq!(accepted.path.split('/').count(), segments.len());
    assert!(!accepted.path.contains('%'), "decoding again would change it");
    assert!(!accepted.path.contains("//"));
    assert!(!segments.iter().any(|it| it == "." || it == ".."));
    assert!(!accepted.path.contains(char::is_control) || !accepted.path.is_ascii());
    let parts = accepted.parts.iter();
    assert!(parts.chain([&accepted.resource, &accepted.namespace]).all(|it| !it.contains('/')));
}

fn decoded(segment: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        let mut digit = || rest.next().and_then(|it| char::from(it).to_digit(16)).expect("a digit");
        match byte {
            b'%' => bytes.push(u8::try_from(digit() * 16 + digit()).expect("a byte")),
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).expect("UTF-8")
}

/// Whatever changes something or opens a way into something is no read, whatever it looks like.
fn judgement(accepted: &Attributes) {
    let is_read = accepted.is_read();
    if is_read {
        assert!(matches!(accepted.method.as_str(), "GET" | "HEAD" | "OPTIONS"));
        assert!(!accepted.is_connect());
    }
    if accepted.is_resource_request {
        let ways_in = ["exec", "attach", "portforward", "proxy"];
        assert!(!(is_read && ways_in.contains(&accepted.subresource.as_str())));
        assert!(!(is_read && accepted.verb == "proxy"));
        assert!(!(is_read && accepted.method == "OPTIONS"));
    }
    for is_dry_run in [false, true] {
        let plan = effects::plan(accepted, is_dry_run);
        assert_eq!(plan.route == Route::Read, is_read, "the plan thinks otherwise of reads");
        let harmless = matches!(plan.route, Route::Read | Route::Review | Route::Ordinary);
        assert!(!(harmless && accepted.verb.starts_with("delete")), "a delete that is harmless");
        assert!(plan.route != Route::DryRun || is_dry_run);
        assert!(!(plan.route == Route::Blind && plan.effects.is_empty()), "blind and silent");
    }
}
