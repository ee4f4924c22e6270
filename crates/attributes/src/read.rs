//! The reading itself: a port of `RequestInfoFactory.NewRequestInfo` behind a door that lets in
//! only what Go and everybody else read alike.

use http::{HeaderMap, Method, header};
use percent_encoding::percent_decode_str;

use crate::{
    attributes::{Attributes, Query},
    error::AttributesError,
    headers::{self, Upgrade},
    selector::{self, Selected},
};

/// Query options that decide what is done: given twice, two readers may take different ones.
const SINGLE_OPTIONS: [&str; 17] = [
    "dryRun",
    "labelSelector",
    "fieldSelector",
    "propagationPolicy",
    "gracePeriodSeconds",
    "orphanDependents",
    "force",
    "fieldManager",
    "fieldValidation",
    "watch",
    "timeout",
    "timeoutSeconds",
    "resourceVersion",
    "resourceVersionMatch",
    "limit",
    "continue",
    "ignoreStoreReadErrorWithClusterBreakingPotential",
];

/// Parts of a Namespace that are not resources in it.
const NAMESPACE_SUBRESOURCES: [&str; 2] = ["status", "finalize"];

/// Reads the attributes of one request from its head.
///
/// # Errors
/// [`AttributesError`] for whatever two readers could read in two ways, and for a bare
/// `/api/v1/watch`, which the API server refuses too.
pub fn read(
    method: &Method,
    target: &str,
    headers: &HeaderMap,
) -> Result<Attributes, AttributesError> {
    let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    if !known.contains(&method.as_str()) {
        return Err(AttributesError::Method(method.to_string()));
    }
    let (raw_path, raw_query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let path = read_path(raw_path)?;
    let query = read_query(raw_query.unwrap_or_default())?;
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let mut attributes = Attributes {
        method: method.to_string(),
        target: target.to_owned(),
        verb: method.as_str().to_ascii_lowercase(),
        query,
        content_type,
        ..Attributes::default()
    };
    read_resource(method, &path, &mut attributes)?;
    attributes.path = path;
    let upgrade = headers::upgrade_of(headers);
    attributes.asks_upgrade = upgrade.is_some();
    attributes.is_upgrade = attributes.is_resource_request
        && method == Method::GET
        && !attributes.has_connect_path()
        && match upgrade {
            None => false,
            Some(Upgrade::WebSocket) => !attributes.streams(),
            Some(Upgrade::Spdy) => true,
        };
    Ok(attributes)
}

/// Follows `NewRequestInfo` step by step.
fn read_resource(
    method: &Method,
    path: &str,
    attributes: &mut Attributes,
) -> Result<(), AttributesError> {
    let segments: Vec<&str> = match path.trim_matches('/') {
        "" => return Ok(()),
        trimmed => trimmed.split('/').collect(),
    };
    let (prefix, group, version, rest) = match segments.as_slice() {
        ["api", version, rest @ ..] if !rest.is_empty() => ("api", "", *version, rest),
        ["apis", group, version, rest @ ..] if !rest.is_empty() => ("apis", *group, *version, rest),
        // RequestInfo keeps what it has consumed of a path that is too short for a resource.
        ["apis", _, _] => {
            "apis".clone_into(&mut attributes.api_prefix);
            return Ok(());
        }
        _ => return Ok(()),
    };
    attributes.is_resource_request = true;
    prefix.clone_into(&mut attributes.api_prefix);
    group.clone_into(&mut attributes.api_group);
    version.clone_into(&mut attributes.api_version);
    let rest = match rest {
        // The verb may stand in the path, whatever the method is.
        [verb @ ("watch" | "proxy"), rest @ ..] => {
            if rest.is_empty() {
                return Err(AttributesError::NoResource);
            }
            (*verb).clone_into(&mut attributes.verb);
            rest
        }
        rest => {
            verb_of(method).clone_into(&mut attributes.verb);
            rest
        }
    };
    read_parts(rest, attributes);
    if attributes.name.is_empty() {
        refine_verb(attributes)?;
    }
    Ok(())
}

/// The verb of a method, before it is known whether the request names one object.
fn verb_of(method: &Method) -> &'static str {
    match method.as_str() {
        "POST" => "create",
        "GET" | "HEAD" => "get",
        "PUT" => "update",
        "PATCH" => "patch",
        "DELETE" => "delete",
        _ => "",
    }
}

/// Reads namespace, resource, name and subresource from what follows the version.
fn read_parts(rest: &[&str], attributes: &mut Attributes) {
    let parts = match rest {
        ["namespaces", namespace, below, ..] if !NAMESPACE_SUBRESOURCES.contains(below) => {
            (*namespace).clone_into(&mut attributes.namespace);
            rest.get(2..).unwrap_or_default()
        }
        // A request on a Namespace itself is in that namespace too.
        ["namespaces", namespace, ..] => {
            (*namespace).clone_into(&mut attributes.namespace);
            rest
        }
        rest => rest,
    };
    attributes.parts = parts.iter().map(|part| (*part).to_owned()).collect();
    let part = |index: usize| parts.get(index).map(|it| (*it).to_owned()).unwrap_or_default();
    attributes.resource = part(0);
    attributes.name = part(1);
    // What follows a name in a `proxy` path is the path to proxy to.
    if attributes.verb != "proxy" {
        attributes.subresource = part(2);
    }
}

/// Without a name, a get lists or watches, and a delete is of a collection.
fn refine_verb(attributes: &mut Attributes) -> Result<(), AttributesError> {
    match attributes.verb.as_str() {
        "get" => {
            let watch = attributes
                .query
                .first("watch")
                // As Go reads the option: whatever is not false is true.
                .is_some_and(|value| !matches!(value.to_ascii_lowercase().as_str(), "false" | "0"));
            attributes.verb = if watch { "watch" } else { "list" }.to_owned();
            // RequestInfo takes `metadata.name=x` for the name, and RBAC then asks about x alone.
            match selector::selected(&attributes.query) {
                Selected::Any => {}
                Selected::Name(name) => attributes.name = name,
                Selected::Unsure(option) => return Err(AttributesError::Selector(option)),
            }
        }
        "delete" => "deletecollection".clone_into(&mut attributes.verb),
        _ => {}
    }
    Ok(())
}

fn read_path(raw: &str) -> Result<String, AttributesError> {
    if !raw.starts_with('/') {
        return Err(AttributesError::Form);
    }
    if let Some(byte) = raw.bytes().find(|byte| !byte.is_ascii_graphic()) {
        return Err(AttributesError::Byte(byte));
    }
    // Before decoding: an escaped slash is refused below in any case.
    if raw.contains("//") {
        return Err(AttributesError::EmptySegment);
    }
    for escape in escapes(raw).ok_or(AttributesError::BadEscape { place: "path" })? {
        let plain = escape.is_ascii_alphanumeric() || b"-._~".contains(&escape);
        // A `%25` could be decoded once more by somebody; a plain letter is escaped only to hide
        // it.
        if matches!(escape, b'/' | b'%') || escape.is_ascii_control() || plain {
            return Err(AttributesError::Encoded(format!("%{escape:02X}")));
        }
    }
    let path = percent_decode_str(raw)
        .decode_utf8()
        .map_err(|_| AttributesError::NotUtf8 { place: "path" })?;
    if path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err(AttributesError::DotSegment);
    }
    Ok(path.into_owned())
}

fn read_query(raw: &str) -> Result<Query, AttributesError> {
    if let Some(byte) = raw.bytes().find(|byte| !byte.is_ascii_graphic()) {
        return Err(AttributesError::Byte(byte));
    }
    if raw.contains(';') {
        return Err(AttributesError::Semicolon);
    }
    escapes(raw).ok_or(AttributesError::BadEscape { place: "query" })?;
    let decode = |text: &str| {
        // A query is a form: `+` is a blank in it, as Go decodes it; in a path it is a plus.
        let spaced = text.replace('+', " ");
        percent_decode_str(&spaced)
            .decode_utf8()
            .map(std::borrow::Cow::into_owned)
            .map_err(|_| AttributesError::NotUtf8 { place: "query" })
    };
    let mut pairs: Vec<(String, String)> = Vec::new();
    for pair in raw.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (key, value) = (decode(key)?, decode(value)?);
        if SINGLE_OPTIONS.contains(&key.as_str()) && pairs.iter().any(|(it, _)| *it == key) {
            return Err(AttributesError::Twice(key));
        }
        if key == "dryRun" && value != "All" {
            return Err(AttributesError::DryRun(value));
        }
        pairs.push((key, value));
    }
    Ok(Query(pairs))
}

/// The bytes that are escaped; `None` where a `%` is not followed by two hexadecimal digits.
fn escapes(raw: &str) -> Option<Vec<u8>> {
    let mut parts = raw.split('%');
    parts.next();
    parts
        .map(|part| {
            let digits = part.get(..2)?;
            let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            is_hex.then(|| u8::from_str_radix(digits, 16).ok())?
        })
        .collect()
}
