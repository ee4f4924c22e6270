//! The attributes of one request, and what follows from them alone.

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
    /// Whether a GET asks for a connection of its own, where neither its path names one nor the API server
    /// alone would speak on it: what is said there is the client's to choose.
    pub is_upgrade: bool,
    /// Whether its connection should become another one, whatever the request is.
    pub asks_upgrade: bool,
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

/// Subresources that open a way into something that runs.
const CONNECTS: [&str; 4] = ["exec", "attach", "portforward", "proxy"];

impl Attributes {
    /// Whether the request provably changes nothing: a GET or HEAD that gets, lists or watches, and
    /// a non-resource GET, HEAD or OPTIONS. Everything else is judged.
    pub fn is_read(&self) -> bool {
        let reads = matches!(self.method.as_str(), "GET" | "HEAD" | "OPTIONS");
        if !self.is_resource_request {
            return reads;
        }
        // OPTIONS on a resource has no verb, and reaches through `proxy` subresources.
        reads && !self.is_connect() && matches!(self.verb.as_str(), "get" | "list" | "watch")
    }

    /// Whether the request opens a way into a pod, service or node, whatever its method is: exec
    /// and port-forward over WebSocket are GETs. So is every other upgrade.
    pub fn is_connect(&self) -> bool {
        self.is_resource_request
            && (self.is_upgrade || self.has_connect_path())
            && !self.reads_kubelet()
    }

    /// Whether it is one of the kubelet's pages that dashboards and triage read through the API server, and
    /// nothing else at that node: written plainly, by the node's bare name (k8s.io/kubernetes,
    /// pkg/kubelet/server/server.go). What runs code there, and the node's own files below `logs/`, is not
    /// among them.
    pub fn reads_kubelet(&self) -> bool {
        self.kubelet_page().is_some_and(|page| {
            matches!(
                page.as_slice(),
                ["stats", "summary"]
                    | ["metrics"]
                    | ["metrics", "cadvisor" | "resource" | "probes"]
                    | ["healthz" | "configz" | "pods" | "runningpods"]
                    | ["containerLogs", _, _, _]
            )
        })
    }

    /// Whether it reads a node's logs by its kubelet: files below `/var/log`, among them perhaps the API
    /// server's audit log, or by its query those of a service.
    pub fn reads_node_logs(&self) -> bool {
        self.kubelet_page().is_some_and(|page| matches!(page.as_slice(), ["logs", ..]))
    }

    /// The path below `nodes/NAME/proxy/` of a plain GET.
    fn kubelet_page(&self) -> Option<Vec<&str>> {
        let is_plain = self.method == "GET"
            && !self.asks_upgrade
            && self.verb == "get"
            && self.api_prefix == "api"
            && self.namespace.is_empty()
            && !self.target.split('?').next().unwrap_or_default().contains('%');
        let parts: Vec<&str> = self.parts.iter().map(String::as_str).collect();
        let ["nodes", node, "proxy", page @ ..] = parts.as_slice() else { return None };
        let is_name =
            |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || b"-.".contains(&it);
        (is_plain && node.bytes().all(is_name)).then(|| page.to_vec())
    }

    /// Whether the path alone says that the request opens a way into something.
    pub(crate) fn has_connect_path(&self) -> bool {
        self.verb == "proxy" || CONNECTS.contains(&self.subresource.as_str())
    }

    /// Whether the API server answers with a stream, on a WebSocket too if it is asked for one: a watch,
    /// or the log of a pod (k8s.io/apiserver, pkg/endpoints/handlers/watch.go and
    /// pkg/endpoints/handlers/responsewriters `StreamObject`). The client then only listens.
    pub fn streams(&self) -> bool {
        let is_log = self.api_group.is_empty()
            && (self.resource.as_str(), self.subresource.as_str()) == ("pods", "log");
        self.is_resource_request && (self.verb == "watch" || self.verb == "get" && is_log)
    }
}

/// `deletecollection pods prod`, `create pods/eviction prod db`, `get /version`.
impl std::fmt::Display for Attributes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.is_resource_request {
            return write!(f, "{} {}", self.verb, self.path);
        }
        write!(f, "{} {}", self.verb, self.resource)?;
        if !self.subresource.is_empty() {
            write!(f, "/{}", self.subresource)?;
        }
        for part in [&self.api_group, &self.namespace, &self.name] {
            if !part.is_empty() {
                write!(f, " {part}")?;
            }
        }
        Ok(())
    }
}
