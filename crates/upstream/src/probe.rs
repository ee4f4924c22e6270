//! Questions asked as the agent that change nothing: a GET, or the server's own dry run.
//!
//! `DELETE …?dryRun=All` with any body at all deletes (seen on 1.37.2), token requests mint under
//! `dryRun`, and aggregated APIs may ignore it. So a probe is made only in the three ways below,
//! and its constructors are the only ones: there is no way to hand it a method and a target.

use std::time::Duration;

use attributes::Attributes;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use serde_json::Value;

use crate::{ApiServer, Outgoing, RunAs, probe_error::ProbeError, repeat::Repeat};

/// Largest answer that is read.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// Values in an answer that are read: as a tree, each takes some 150 bytes of memory, whatever its text
/// takes.
pub(crate) const VALUES_MAX: usize = 500_000;
const PROBE_TIME_MAX: Duration = Duration::from_secs(10);
/// Of a dry run: the API server gives up on a write, and on the webhooks that it asks, after 34 s
/// (k8s.io/apiserver, pkg/endpoints/handlers `requestTimeoutUpperBound`).
const DRY_RUN_TIME_MAX: Duration = Duration::from_secs(35);

/// A request that cannot change anything.
pub struct Probe {
    method: Method,
    target: String,
    content_type: Option<HeaderValue>,
    accept: &'static str,
    body: Bytes,
    values_max: usize,
}

/// The answer to a probe.
#[derive(Clone, Debug)]
pub struct ProbeAnswer {
    /// HTTP status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body as it came.
    pub bytes: Bytes,
    /// Its body as JSON, where it is JSON.
    pub json: Option<Value>,
}

impl Probe {
    /// A read of one object or collection.
    pub fn get(target: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            target: target.into(),
            content_type: None,
            accept: "application/json",
            body: Bytes::new(),
            values_max: VALUES_MAX,
        }
    }

    /// No answer with more values than this is read.
    #[must_use]
    pub fn at_most(self, values_max: usize) -> Self {
        Self { values_max, ..self }
    }

    /// A read of names and uids only.
    pub fn get_metadata(target: impl Into<String>) -> Self {
        Self {
            accept: "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
            ..Self::get(target)
        }
    }

    /// What the API server serves: `/api` or `/apis`, each in one answer (KEP-3352).
    pub fn discovery(target: impl Into<String>) -> Self {
        Self {
            accept: "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
            ..Self::get(target)
        }
    }

    /// The server's dry run of a create, update or patch with the agent's own bytes. `None` for a
    /// delete, whose body would win over the query, for a request that names `dryRun` itself, and for
    /// what happens under `dryRun` too: a token is minted, a connection is made.
    pub fn dry_run(
        attributes: &Attributes,
        content_type: Option<HeaderValue>,
        body: Bytes,
    ) -> Option<Self> {
        let method = match attributes.verb.as_str() {
            "create" => Method::POST,
            "update" => Method::PUT,
            "patch" => Method::PATCH,
            _ => return None,
        };
        if attributes.method != method.as_str() || attributes.query.has("dryRun") {
            return None;
        }
        if attributes.subresource == "token" || attributes.is_connect() {
            return None;
        }
        let separator = if attributes.target.contains('?') { '&' } else { '?' };
        let target = format!("{}{separator}dryRun=All", attributes.target);
        let (accept, values_max) = ("application/json", VALUES_MAX);
        Some(Self { method, target, content_type, accept, body, values_max })
    }

    /// The server's dry run of a delete: JSON `DeleteOptions` with `dryRun: ["All"]` in the body,
    /// as `payload::DeleteOptions::with_dry_run` writes it. The query is kept for its selectors;
    /// what it says of options is ignored by the server, because there is a body.
    pub fn dry_run_delete(
        attributes: &Attributes,
        options: &payload::DeleteOptions,
    ) -> Option<Self> {
        if !matches!(attributes.verb.as_str(), "delete" | "deletecollection")
            || attributes.method != "DELETE"
        {
            return None;
        }
        Some(Self {
            method: Method::DELETE,
            target: attributes.target.clone(),
            content_type: Some(HeaderValue::from_static("application/json")),
            accept: "application/json",
            body: Bytes::from(options.with_dry_run()),
            values_max: VALUES_MAX,
        })
    }
}

/// The objects of a list, taken out of it; `None` where it is no list.
///
/// One that is empty may say `null`: a list of metadata does
/// (k8s.io/apiserver, pkg/endpoints/handlers `asPartialObjectMetadataList`).
pub fn take_items(list: &mut Value) -> Option<Vec<Value>> {
    match list.get_mut("items").map(Value::take)? {
        Value::Array(items) => Some(items),
        Value::Null => Some(Vec::new()),
        _ => None,
    }
}

impl ApiServer {
    /// Asks as the agent. `audit_id` is the probe's own, so the cluster's audit log tells them apart.
    ///
    /// # Errors
    /// [`ProbeError`] where no whole answer came; an error status is an answer.
    pub async fn probe(
        &self,
        run_as: RunAs,
        username: String,
        user_agent: Option<HeaderValue>,
        audit_id: &str,
        probe: Probe,
    ) -> Result<ProbeAnswer, ProbeError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static(probe.accept));
        if let Some(content_type) = probe.content_type {
            headers.insert(header::CONTENT_TYPE, content_type);
        }
        // The default field manager is made of the user agent: another one would be another writer.
        if let Some(user_agent) = user_agent {
            headers.insert(header::USER_AGENT, user_agent);
        }
        let outgoing = Outgoing {
            method: probe.method,
            target: probe.target,
            headers,
            run_as,
            username: Some(username),
            body: probe.body,
        };
        let time_max = match outgoing.method {
            Method::GET => PROBE_TIME_MAX,
            _ => DRY_RUN_TIME_MAX,
        };
        tokio::time::timeout(time_max, async {
            let repeat = Repeat::Harmless(None);
            let (head, body) = self.deliver(outgoing, audit_id, repeat).await?.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
            let bytes = body.map_err(ProbeError::Answer)?.to_bytes();
            if values(&bytes) > probe.values_max {
                return Err(ProbeError::TooMany(probe.values_max));
            }
            let json = serde_json::from_slice(&bytes).ok();
            Ok(ProbeAnswer { status: head.status, headers: head.headers, bytes, json })
        })
        .await
        .map_err(|_| ProbeError::Timeout(time_max))?
    }
}

/// How many values a JSON text has, or a few less: each but the first follows on one of these.
pub(crate) fn values(json: &[u8]) -> usize {
    let (mut count, mut in_text, mut is_escaped) = (1, false, false);
    for byte in json {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_text => is_escaped = true,
            b'"' => in_text = !in_text,
            b',' | b'[' | b'{' if !in_text => count += 1,
            _ => {}
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_empty_list_is_one() {
        let table = [
            (json!({"items": [1, 2]}), Some(2)),
            (json!({"items": []}), Some(0)),
            (json!({"items": null}), Some(0)),
            (json!({"items": {}}), None),
            (json!({"kind": "Status"}), None),
            (json!([]), None),
        ];
        for (mut list, want) in table {
            let said = list.to_string();
            assert_eq!(take_items(&mut list).map(|it| it.len()), want, "{said}");
        }
    }

    #[test]
    fn counts_values_and_not_what_texts_say() {
        let table = [
            ("1", 1),
            (r#"{"a":1,"b":[1,2]}"#, 5),
            (r#""a,b,[{""#, 1),
            (r#"["a\",b,","c"]"#, 3),
            (r#"["\\",1]"#, 3),
        ];
        for (json, want) in table {
            assert_eq!(values(json.as_bytes()), want, "{json}");
        }
    }

    #[test]
    fn dry_runs_only_what_a_dry_run_leaves_undone() {
        let table = [
            ("POST", "/api/v1/namespaces/d/pods", true),
            ("PATCH", "/apis/apps/v1/namespaces/d/deployments/web", true),
            ("PUT", "/apis/apps/v1/namespaces/d/deployments/web/scale", true),
            ("POST", "/api/v1/namespaces/d/pods/web/eviction", true),
            ("POST", "/api/v1/namespaces/d/serviceaccounts/a/token", false),
            ("POST", "/api/v1/namespaces/d/pods/web/exec", false),
            ("POST", "/api/v1/namespaces/d/services/web/proxy", false),
            ("POST", "/api/v1/namespaces/d/pods?dryRun=All", false),
            ("DELETE", "/api/v1/namespaces/d/pods/web", false),
        ];
        for (method, target, want) in table {
            let method = method.parse::<Method>().expect("a method");
            let read = attributes::read(&method, target, &HeaderMap::new()).expect("a request");
            let probe = Probe::dry_run(&read, None, Bytes::new());
            assert_eq!(probe.is_some(), want, "{method} {target}");
            if let Some(probe) = probe {
                assert!(probe.target.ends_with("dryRun=All"), "{}", probe.target);
            }
        }
    }
}
