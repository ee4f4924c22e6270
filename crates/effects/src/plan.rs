//! What the attributes alone say, and how the rest is to be learned: the static table that leaves
//! no road open. Whatever is not provably harmless by its attributes is previewed, and what cannot
//! be previewed is held as unknown.

use attributes::Attributes;

use crate::{
    Effect, EffectKind, ObjectRef,
    builtin::Builtin,
    custom::{self, Custom},
};

/// How a request is to be judged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Route {
    /// Reads: forwarded at once.
    Read,
    /// Creates that store nothing: access reviews, token reviews.
    Review,
    /// The server's own dry run of a built-in API.
    DryRun,
    /// Events and ordinary leases: nothing that rules ask about can come of them.
    Ordinary,
    /// Create, update, patch: the live object against the dry run.
    Preview,
    /// A delete of one object.
    PreviewDelete,
    /// A delete of whatever matches.
    PreviewCollection,
    /// Must not or cannot be previewed: connects, token requests, unknown APIs.
    Blind,
}

impl Route {
    /// Whether the API server stores anything: reviews and dry runs leave nothing behind.
    pub fn stores(self) -> bool {
        !matches!(self, Self::Review | Self::DryRun)
    }

    /// Whether anybody looks at what the request would do: where a rule `asks` about it, or where a
    /// reviewer will want to see it, because it is `held` by its attributes already.
    pub fn is_looked_at(self, asks: bool, held: bool) -> bool {
        match self {
            Self::Review | Self::DryRun => false,
            Self::Ordinary => asks,
            Self::Preview | Self::PreviewDelete | Self::PreviewCollection => asks || held,
            Self::Read | Self::Blind => true,
        }
    }

    /// Whether looking at it takes the API server's dry run, which its agent waits for.
    pub fn is_previewed(self) -> bool {
        match self {
            Self::Preview | Self::PreviewDelete | Self::PreviewCollection | Self::Ordinary => true,
            Self::Read | Self::Review | Self::DryRun | Self::Blind => false,
        }
    }
}

/// What is known before anybody is asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Plan {
    /// How to learn the rest.
    pub route: Route,
    /// What the attributes alone say.
    pub effects: Vec<Effect>,
}

/// Groups whose objects are rights, or decide what the API server does with every request.
const ACCESS_GROUPS: [&str; 6] = [
    "rbac.authorization.k8s.io",
    "admissionregistration.k8s.io",
    "apiregistration.k8s.io",
    "apiextensions.k8s.io",
    "flowcontrol.apiserver.k8s.io",
    "certificates.k8s.io",
];

/// ConfigMaps of `kube-system` by which an API server knows users.
const ACCESS_MAPS: [&str; 2] = ["aws-auth", "extension-apiserver-authentication"];

/// Reads the static table for one request. `is_dry_run` is by the server's own rule.
pub fn plan(attributes: &Attributes, is_dry_run: bool) -> Plan {
    let a = attributes;
    let only = |route| Plan { route, effects: Vec::new() };
    let with = |route, kind, detail: String| Plan {
        route,
        effects: vec![Effect { kind, object: object_of(a), detail, count: None }],
    };
    if a.is_read() {
        return only(Route::Read);
    }
    if !a.is_resource_request {
        let detail = format!("writes to {}, which is no API resource", a.path);
        return with(Route::Blind, EffectKind::Unknown, detail);
    }
    if a.is_connect() {
        return connect(a);
    }
    let known = Builtin::find(&a.api_group, &a.resource);
    if known.is_none_or(|it| !it.has(&a.subresource)) {
        return unknown_api(a, known.is_some());
    }
    let what = (a.api_group.as_str(), a.resource.as_str(), a.subresource.as_str());
    match (a.verb.as_str(), what) {
        ("create", ("authentication.k8s.io" | "authorization.k8s.io", _, "")) => {
            only(Route::Review)
        }
        ("create", ("", "serviceaccounts", "token")) => {
            let detail = format!("mints a token of ServiceAccount {}", place(a));
            with(Route::Blind, EffectKind::MintCredential, detail)
        }
        ("create" | "update" | "patch" | "delete" | "deletecollection", _) if is_dry_run => {
            only(Route::DryRun)
        }
        ("delete", (_, _, "")) => {
            with(Route::PreviewDelete, EffectKind::Delete, format!("deletes {}", named(a)))
        }
        ("deletecollection", (_, _, "")) => {
            let detail = format!("deletes all {} that match in {}", a.resource, scope(a));
            with(Route::PreviewCollection, EffectKind::Delete, detail)
        }
        ("create" | "update" | "patch", ("" | "events.k8s.io", "events", "")) => {
            only(Route::Ordinary)
        }
        ("create" | "update" | "patch", ("coordination.k8s.io", "leases", ""))
            if !matches!(a.namespace.as_str(), "kube-system" | "kube-node-lease") =>
        {
            only(Route::Ordinary)
        }
        ("create", ("", "pods", "eviction")) => {
            with(Route::Preview, EffectKind::Evict, format!("evicts pod {}", place(a)))
        }
        ("create", ("", "bindings", "") | ("", "pods", "binding")) => {
            let detail = format!("binds pod {} to a node, past the scheduler", place(a));
            with(Route::Preview, EffectKind::GrantAccess, detail)
        }
        ("update" | "patch", ("", "pods", "ephemeralcontainers")) => {
            let detail = format!("runs a container of the agent's choice in pod {}", place(a));
            with(Route::Preview, EffectKind::RunCode, detail)
        }
        ("update" | "patch" | "create", ("", "namespaces", "finalize")) => {
            let detail = format!("finalizes namespace {}: what is in it is left behind", a.name);
            with(Route::Preview, EffectKind::Delete, detail)
        }
        ("create" | "update" | "patch", _) => only(Route::Preview),
        _ => {
            let detail =
                format!("{} {}: a verb that this resource does not have", a.verb, named(a));
            with(Route::Blind, EffectKind::Unknown, detail)
        }
    }
}

/// The effect of a request whose effects cannot be worked out: it counts as the worst.
pub fn unknown(attributes: &Attributes, why: &str) -> Effect {
    Effect {
        kind: EffectKind::Unknown,
        object: object_of(attributes),
        detail: format!("{} {}: {why}", attributes.verb, named(attributes)),
        count: None,
    }
}

/// The object that the attributes name; its uid is not known yet.
pub fn object_of(a: &Attributes) -> ObjectRef {
    // RequestInfo gives a Namespace its own name as namespace; as an object it is in none.
    let in_itself = a.resource == "namespaces" && a.api_group.is_empty();
    ObjectRef {
        api_group: a.api_group.clone(),
        resource: a.resource.clone(),
        namespace: if in_itself { String::new() } else { a.namespace.clone() },
        name: a.name.clone(),
        uid: String::new(),
    }
}

/// What a write would do that the API server refuses as things are now.
pub fn of_refused(attributes: &Attributes, why: &str) -> Vec<Effect> {
    let mut effect = unknown(attributes, why);
    if decides_access(attributes) {
        effect.kind = EffectKind::GrantAccess;
    }
    vec![effect]
}

/// Whether the object is, or holds, rights, or decides what the API server does with requests: any
/// change of it may give somebody more.
pub fn decides_access(a: &Attributes) -> bool {
    let is_database = a.api_group.is_empty()
        && a.resource == "configmaps"
        && a.namespace == "kube-system"
        && ACCESS_MAPS.contains(&a.name.as_str());
    ACCESS_GROUPS.contains(&a.api_group.as_str()) || is_database
}

/// A write that the table does not know. Custom resources lie among them, and cannot be told from
/// aggregated APIs, which may run a dry run for real: none of them is ever previewed.
fn unknown_api(a: &Attributes, known_resource: bool) -> Plan {
    // `status` and `scale` are what every custom resource may have.
    let shaped = !known_resource && matches!(a.subresource.as_str(), "" | "status" | "scale");
    let known = custom::of(&a.api_group);
    let what = match known {
        Custom::Acts(what) => format!(", which {what}"),
        Custom::Plain => ": what goes with it is not known".to_owned(),
        Custom::OfKubernetes => ": an API that agent-shield does not know".to_owned(),
    };
    let kind = match (a.verb.as_str(), known) {
        ("delete" | "deletecollection", _) if shaped && a.subresource.is_empty() => {
            EffectKind::Delete
        }
        ("create" | "update" | "patch", Custom::Acts(_)) if shaped => EffectKind::WriteActing,
        ("create" | "update" | "patch", Custom::Plain) if shaped => EffectKind::WriteCustom,
        _ => EffectKind::Unknown,
    };
    let does = match a.verb.as_str() {
        "delete" | "deletecollection" => "deletes",
        "create" => "creates",
        "update" | "patch" => "changes",
        verb => verb,
    };
    let detail = format!("{does} {}{what}", named(a));
    let effects = vec![Effect { kind, object: object_of(a), detail, count: None }];
    Plan { route: Route::Blind, effects }
}

/// Whether Kubernetes itself serves this resource; what it does not is an unknown API.
pub fn is_builtin(api_group: &str, resource: &str) -> bool {
    Builtin::find(api_group, resource).is_some()
}

/// Whether Kubernetes itself serves this API group.
pub fn is_builtin_group(api_group: &str) -> bool {
    Builtin::serves(api_group)
}

fn connect(a: &Attributes) -> Plan {
    let blind = |kind, detail| Plan {
        route: Route::Blind,
        effects: vec![Effect { kind, object: object_of(a), detail, count: None }],
    };
    match (a.resource.as_str(), a.subresource.as_str()) {
        ("nodes", _) => {
            let detail = format!(
                "reaches the kubelet of node {} through the API server: every pod on it",
                a.name
            );
            blind(EffectKind::ProxyToNode, detail)
        }
        (_, "proxy") if is_api_server(a) => {
            let detail = format!("reaches an API server through {} {}", a.resource, place(a));
            blind(EffectKind::ProxyToApiServer, detail)
        }
        (_, "proxy") => {
            let path = a.parts.iter().skip(3).cloned().collect::<Vec<_>>().join("/");
            let detail =
                format!("sends {} /{path} to {} through the API server", a.method, named(a));
            blind(EffectKind::RunCode, detail)
        }
        (_, "portforward") => {
            blind(EffectKind::RunCode, format!("opens ports of pod {}", place(a)))
        }
        _ => {
            let command: Vec<&str> = a
                .query
                .0
                .iter()
                .filter(|(key, _)| key == "command")
                .map(|(_, value)| value.as_str())
                .collect();
            // The command may hold a secret; it is shown redacted with the request's URI.
            let words = command.len();
            let detail =
                format!("{} in pod {} ({words} words of command)", a.subresource, place(a));
            blind(EffectKind::RunCode, detail)
        }
    }
}

/// Services and pods whose other end is an API server: it would see its own node or no user at all
/// where it should see the agent.
fn is_api_server(a: &Attributes) -> bool {
    // `[scheme:]name[:port]` (k8s.io/apimachinery, pkg/util/net `SplitSchemeNamePort`); which part
    // is the name does not matter where any of them would do harm as one.
    let mut parts = a.name.split(':');
    let serves_api = |name: &str| name.contains("kube-apiserver");
    match (a.resource.as_str(), a.namespace.as_str()) {
        ("services", "default") => parts.any(|it| it == "kubernetes" || serves_api(it)),
        ("services" | "pods", _) => parts.any(serves_api),
        _ => false,
    }
}

fn named(a: &Attributes) -> String {
    match a.subresource.as_str() {
        "" => object_of(a).words(),
        subresource => format!("{}/{subresource} {}", a.resource, place(a)),
    }
}

fn place(a: &Attributes) -> String {
    let object = object_of(a);
    match (object.namespace.as_str(), object.name.as_str()) {
        ("", name) => name.to_owned(),
        (namespace, "") => namespace.to_owned(),
        (namespace, name) => format!("{namespace}/{name}"),
    }
}

fn scope(a: &Attributes) -> String {
    match a.namespace.as_str() {
        "" => "the cluster".to_owned(),
        namespace => format!("namespace {namespace}"),
    }
}
