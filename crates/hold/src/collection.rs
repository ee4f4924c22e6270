//! An approved delete of a collection, as it is sent: one object at a time, each by name and uid.
//!
//! A collection is whatever matches when the API server looks. What was approved are the objects that
//! were shown, so each is asked for by itself: as the same agent, by the same verb, with the agent's own
//! selectors, and with the uid that was seen as a precondition.

use bytes::Bytes;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{Target, request::Request};

/// Query options that say where a list begins and how long it is.
const PAGING: [&str; 5] =
    ["limit", "continue", "resourceVersion", "resourceVersionMatch", "fieldSelector"];

/// The delete of one object of a collection.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Piece {
    /// Which object.
    pub object: Target,
    /// Path and query.
    pub target: String,
    /// `DeleteOptions` in JSON, with the uid as precondition.
    pub body: Bytes,
}

/// The delete of this object alone; `None` where the agent's own preconditions are of another one.
pub(crate) fn piece(request: &Request<'_>, object: &Target) -> Option<Piece> {
    let options = request.delete_options()?;
    let body = Bytes::from(options.pinned(&object.uid, None).ok()?);
    let query = &request.attributes.query;
    let named = format!("metadata.name={}", escaped(&object.name));
    let selector = match query.first("fieldSelector") {
        None | Some("") => named,
        Some(own) => format!("{own},{named}"),
    };
    let mut pairs = vec![("fieldSelector", selector.as_str())];
    let kept = query.0.iter().filter(|(key, _)| !PAGING.contains(&key.as_str()));
    pairs.extend(kept.map(|(key, value)| (key.as_str(), value.as_str())));
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let pairs: Vec<String> =
        pairs.iter().map(|(key, value)| format!("{}={}", encoded(key), encoded(value))).collect();
    let path = request.attributes.target.split('?').next().unwrap_or_default();
    let target = format!("{path}?{}", pairs.join("&"));
    Some(Piece { object: object.clone(), target, body })
}

/// A value in a field selector (k8s.io/apimachinery, pkg/fields, EscapeValue).
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=")
}

#[cfg(test)]
mod tests {
    use attributes::User;
    use http::{HeaderMap, Method};
    use payload::MediaType;

    use super::*;

    #[test]
    fn asks_for_one_object_and_by_the_agents_own_selectors() {
        let table = [
            (
                "/api/v1/namespaces/a/pods",
                "/api/v1/namespaces/a/pods?fieldSelector=metadata%2Ename%3Dweb",
            ),
            (
                "/api/v1/namespaces/a/pods?labelSelector=a%3Db&limit=5&continue=x&resourceVersion=0",
                "/api/v1/namespaces/a/pods?fieldSelector=metadata%2Ename%3Dweb&labelSelector=a%3Db",
            ),
            (
                "/api/v1/pods?fieldSelector=status.phase%3DFailed",
                "/api/v1/pods?fieldSelector=status%2Ephase%3DFailed%2Cmetadata%2Ename%3Dweb",
            ),
        ];
        let (user, body) =
            (User::default(), Bytes::from_static(b"{\"propagationPolicy\":\"Orphan\"}"));
        for (target, want) in table {
            let attributes = attributes::read(&Method::DELETE, target, &HeaderMap::new());
            let attributes = attributes.expect("a request");
            let request = Request {
                attributes: &attributes,
                user: &user,
                media: MediaType::Json,
                body: &body,
            };
            let object = Target { name: "web".into(), uid: "u-1".into() };
            let piece = piece(&request, &object).expect("a delete");
            assert_eq!(piece.target, want);
            let body = String::from_utf8_lossy(&piece.body).into_owned();
            assert!(body.contains(r#""uid":"u-1""#) && body.contains("Orphan"), "{body}");
        }
        assert_eq!(escaped("a=b,c\\"), "a\\=b\\,c\\\\");
    }
}
