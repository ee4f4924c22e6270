//! What is asked: method, request target and headers -> request attributes.
//!
//! The API server authorises its own reading of the URL; a request read otherwise here walks past
//! every policy. [`read`] follows `RequestInfoFactory` (k8s.io/apiserver, pkg/endpoints/request),
//! and `tests/conformance` compares the two. Pure; the body is never read.

mod user;

pub use user::{AuditId, User};

/// What kube-apiserver's RequestInfo says of a request, with its query options.
///
/// Strings are empty where the request has no such part, as in RequestInfo.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Attributes {
    /// The HTTP method as sent, upper case.
    pub method: String,
    /// The request target byte for byte: path and query. This is what goes upstream.
    pub target: String,
    /// The percent-decoded path.
    pub path: String,
    /// Decoded query pairs in the order sent.
    pub query: Query,
    /// True for requests on API resources, false for `/version`, `/healthz`, discovery.
    pub is_resource_request: bool,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`, `proxy`;
    /// the lower-case method for non-resource requests; empty for an unknown method.
    pub verb: String,
    /// `api` or `apis`, empty for others.
    pub api_prefix: String,
    /// Empty for the core group.
    pub api_group: String,
    /// `v1`, `v1beta1`, …
    pub api_version: String,
    /// Plural resource: `deployments`.
    pub resource: String,
    /// `scale`, `status`, `exec`, …
    pub subresource: String,
    /// Empty for cluster-scoped requests; for the resource `namespaces` the namespace's own name.
    pub namespace: String,
    /// Object name; also from `fieldSelector=metadata.name=` as RequestInfo does.
    pub name: String,
    /// Path segments from the resource on.
    pub parts: Vec<String>,
    /// The `Content-Type` as sent, if there was one.
    pub content_type: Option<String>,
}

/// Decoded query pairs in order; keys are case-sensitive, the first of duplicates counts.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Query(pub Vec<(String, String)>);

impl Query {
    /// The first value of `key`.
    pub fn first(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// Whether `key` appears at all.
    pub fn has(&self, key: &str) -> bool {
        self.0.iter().any(|(k, _)| k == key)
    }
}
