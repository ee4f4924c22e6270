//! Whether anybody serves what a write is to, by the API server's own discovery.
//!
//! It would refuse what nobody serves, so that refusal is the answer and no reviewer is asked. Another server
//! behind it need not list everything that it does: of that one only a read of the object tells.

use attributes::Attributes;
use bytes::Bytes;
use effects::is_builtin_group;
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use status::Status;
use upstream::{Probe, ProbeAnswer, Served};

use crate::{call::Write, view::ClusterView};

/// The API server's refusal of a write to what it does not serve; `None` where it may serve it.
///
/// `served` is who answers for it, where that has been asked.
pub(crate) async fn refusal(
    view: &ClusterView,
    write: &Write,
    served: Option<&Served>,
) -> Option<ProbeAnswer> {
    let a = write.attributes();
    if !a.is_resource_request {
        return refusal_of_path(view, write).await;
    }
    if a.is_connect() {
        return None;
    }
    if !is_builtin_group(&a.api_group) {
        let is_elsewhere = match served {
            Some(served) => *served == Served::Elsewhere,
            None => view.served(a).await == Served::Elsewhere,
        };
        if is_elsewhere {
            return refusal_of_another(view, write).await;
        }
    }
    let target = match a.api_group.as_str() {
        "" => format!("/api/{}", a.api_version),
        group => format!("/apis/{group}/{}", a.api_version),
    };
    let answer = view.ask(write, Probe::get(target), false).await.ok()?;
    if answer.status == StatusCode::NOT_FOUND {
        return Some(not_found());
    }
    refused_by(&answer.json.filter(|_| answer.status.is_success())?, a)
}

/// What a read of the same tells: that the server behind the API server cannot be reached, or that it has no
/// such object. Another answer to a read says nothing about a write.
async fn refusal_of_another(view: &ClusterView, write: &Write) -> Option<ProbeAnswer> {
    let a = write.attributes();
    let makes_it = write.applied_by().is_some();
    let (target, tells_absence) = match (a.verb.as_str(), write.object_target()) {
        ("delete", Some(object)) => (object, true),
        ("patch", Some(object)) if !makes_it => (object, true),
        _ => (format!("/apis/{}/{}", a.api_group, a.api_version), false),
    };
    let answer = view.ask(write, Probe::get(target), false).await.ok()?;
    let is_refusal = match answer.status {
        StatusCode::NOT_FOUND => tells_absence,
        StatusCode::SERVICE_UNAVAILABLE => true,
        _ => false,
    };
    is_refusal.then_some(answer)
}

/// What a discovery document of the write's group and version says against it; nothing where it cannot
/// be read.
fn refused_by(list: &Value, a: &Attributes) -> Option<ProbeAnswer> {
    let resources = list.get("resources")?.as_array()?;
    let served = match a.subresource.as_str() {
        "" => a.resource.clone(),
        subresource => format!("{}/{subresource}", a.resource),
    };
    let found = resources.iter().find(|it| text(it, "name") == Some(&served));
    let Some(found) = found else { return Some(not_found()) };
    let namespaced = found.get("namespaced")?.as_bool()?;
    let verbs = found.get("verbs")?.as_array()?;
    // `RequestInfo` says that a Namespace is in itself.
    let in_namespace = !a.namespace.is_empty() && a.resource != "namespaces";
    match (namespaced, in_namespace, a.name.is_empty()) {
        (false, true, _) | (true, false, false) => return Some(not_found()),
        (true, false, true) => return Some(not_allowed()),
        _ => {}
    }
    // A create names its object in the body, except for a subresource of an existing object.
    let misplaced = match a.verb.as_str() {
        "create" => a.subresource.is_empty() && !a.name.is_empty(),
        "update" | "patch" | "delete" => a.name.is_empty(),
        "deletecollection" => false,
        // Only GET has a route below `/watch/`.
        _ => true,
    };
    let has_verb = verbs.iter().any(|verb| verb.as_str() == Some(&a.verb));
    (misplaced || !has_verb).then(not_allowed)
}

/// Of a write to no resource: the API server picks handlers by path alone, so a path that GET does not
/// find exists for no method.
async fn refusal_of_path(view: &ClusterView, write: &Write) -> Option<ProbeAnswer> {
    let a = write.attributes();
    let parts: Vec<&str> = a.path.trim_matches('/').split('/').collect();
    match parts.as_slice() {
        // Discovery paths have no route but GET's.
        ["version" | "api" | "apis"] | ["api", "v1"] => Some(not_allowed()),
        ["apis", group] | ["apis", group, _] if is_builtin_group(group) => Some(not_allowed()),
        // Aggregated servers answer below these, each by its own rules.
        ["api" | "apis", ..] => None,
        _ => {
            let path = a.target.split('?').next().unwrap_or_default();
            let answer = view.ask(write, Probe::get(path), false).await.ok()?;
            (answer.status == StatusCode::NOT_FOUND).then(not_found)
        }
    }
}
fn text<'a>(value: &'a Value, field: &str) -> Option<&'a str> {
    value.get(field)?.as_str()
}

fn not_found() -> ProbeAnswer {
    refused(StatusCode::NOT_FOUND, "NotFound", "the server could not find the requested resource")
}

fn not_allowed() -> ProbeAnswer {
    let message = "the server does not allow this method on the requested resource";
    refused(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message)
}

/// The words of client-go for an answer without a `Status`, as the API server's own is here.
fn refused(status: StatusCode, reason: &'static str, message: &str) -> ProbeAnswer {
    let json = Status::failure(status.as_u16(), reason).message(message).to_json();
    let bytes = Bytes::from(json.to_string());
    ProbeAnswer { status, headers: HeaderMap::new(), bytes, json: Some(json) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn refuses_what_discovery_does_not_serve() {
        let list = json!({"resources": [
            {"name": "pods", "namespaced": true, "verbs": ["create", "delete", "update"]},
            {"name": "pods/eviction", "namespaced": true, "verbs": ["create"]},
            {"name": "nodes", "namespaced": false, "verbs": ["create", "deletecollection"]},
            {"name": "namespaces", "namespaced": false, "verbs": ["create", "delete"]},
        ]});
        // Verb, resource, subresource, namespace, name, and the API server's answer.
        let table = [
            ("delete", "pods", "", "shop", "web", None),
            ("create", "pods", "", "shop", "", None),
            ("create", "pods", "eviction", "shop", "web", None),
            ("delete", "namespaces", "", "shop", "shop", None),
            ("deletecollection", "nodes", "", "", "", None),
            ("delete", "widgets", "", "shop", "a", Some(404)),
            ("create", "pods", "binding", "shop", "web", Some(404)),
            ("create", "nodes", "", "shop", "", Some(404)),
            ("delete", "pods", "", "", "web", Some(404)),
            ("deletecollection", "pods", "", "", "", Some(405)),
            ("create", "pods", "", "shop", "web", Some(405)),
            ("delete", "pods", "", "shop", "", Some(405)),
            ("patch", "pods", "", "shop", "web", Some(405)),
            ("watch", "pods", "", "shop", "web", Some(405)),
        ];
        for (verb, resource, subresource, namespace, name, want) in table {
            let asked = Attributes {
                verb: verb.into(),
                resource: resource.into(),
                subresource: subresource.into(),
                namespace: namespace.into(),
                name: name.into(),
                ..Attributes::default()
            };
            let code = refused_by(&list, &asked).map(|answer| answer.status.as_u16());
            assert_eq!(code, want, "{verb} {resource}/{subresource} {namespace}/{name}");
        }
    }

    #[test]
    fn believes_no_document_that_it_cannot_read() {
        let asked = Attributes { resource: "pods".into(), ..Attributes::default() };
        for list in [json!({}), json!({"resources": [{"name": "pods"}]})] {
            assert!(refused_by(&list, &asked).is_none(), "{list}");
        }
    }
}
