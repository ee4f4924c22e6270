//! What the attributes alone say, and how the rest is to be learned: the static table that leaves
//! no road open. Whatever is not provably harmless by its attributes is previewed, and what cannot
//! be previewed is held as unknown.

use attributes::Attributes;

use crate::{
    EffectKind,
    about::{About, Command, Connect, Custom, Deleted, Deletion, Proxied, UnknownWrite},
    builtin::Builtin,
    custom,
    effect::Effect,
    object::{ObjectRef, object_of},
    unknown::Unknown,
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
    /// New events: nothing that rules ask about can come of them.
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
    let with = |route, kind, about| Plan {
        route,
        effects: vec![Effect { kind, object: object_of(a), about }],
    };
    let deletes = |what| About::Deletion(Deletion::of(what));
    if a.is_read() {
        return only(Route::Read);
    }
    if !a.is_resource_request {
        let about = unknown_write(a, Unknown::NoResource(a.path.clone()));
        return with(Route::Blind, EffectKind::Unknown, about);
    }
    if a.is_upgrade {
        let about = unknown_write(a, Unknown::Upgrade);
        return with(Route::Blind, EffectKind::Unknown, about);
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
            with(Route::Blind, EffectKind::MintCredential, About::Token)
        }
        ("create" | "update" | "patch" | "delete" | "deletecollection", _) if is_dry_run => {
            only(Route::DryRun)
        }
        ("delete", (_, _, "")) => {
            with(Route::PreviewDelete, EffectKind::Delete, deletes(Deleted::Named))
        }
        ("deletecollection", (_, _, "")) => {
            with(Route::PreviewCollection, EffectKind::Delete, deletes(Deleted::Matching))
        }
        ("create", ("" | "events.k8s.io", "events", "")) => only(Route::Ordinary),
        ("create", ("", "pods", "eviction")) => {
            with(Route::Preview, EffectKind::Evict, deletes(Deleted::Evicted))
        }
        ("create", ("", "bindings", "") | ("", "pods", "binding")) => {
            with(Route::Preview, EffectKind::GrantAccess, About::Binding)
        }
        ("update" | "patch", ("", "pods", "ephemeralcontainers")) => {
            let about = About::Connect(Connect::EphemeralContainer);
            with(Route::Preview, EffectKind::RunCode, about)
        }
        ("update" | "patch" | "create", ("", "namespaces", "finalize")) => {
            with(Route::Preview, EffectKind::Delete, deletes(Deleted::Finalized))
        }
        ("create" | "update" | "patch", _) => only(Route::Preview),
        _ => {
            let about = unknown_write(a, Unknown::NoSuchVerb);
            with(Route::Blind, EffectKind::Unknown, about)
        }
    }
}

/// The effect of a request whose effects cannot be worked out: it counts as the worst.
pub fn unknown(attributes: &Attributes, why: Unknown) -> Effect {
    let about = unknown_write(attributes, why);
    Effect { kind: EffectKind::Unknown, object: object_of(attributes), about }
}

fn unknown_write(a: &Attributes, why: Unknown) -> About {
    About::Unknown(UnknownWrite { verb: a.verb.clone(), subresource: a.subresource.clone(), why })
}

/// What a write would do that the API server refuses as things are now.
pub fn of_refused(attributes: &Attributes, why: Unknown) -> Vec<Effect> {
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

/// A write that the table does not know. Custom resources lie among them, and the attributes do not tell
/// them from aggregated APIs, which may run a dry run for real: see [`plan_stored`].
fn unknown_api(a: &Attributes, known_resource: bool) -> Plan {
    // `status` and `scale` are what every custom resource may have.
    let shaped = !known_resource && matches!(a.subresource.as_str(), "" | "status" | "scale");
    let effect = match a.verb.as_str() {
        "delete" | "deletecollection" if shaped && a.subresource.is_empty() => deleted_custom(a),
        "create" | "update" | "patch" if shaped => written(a, object_of(a)),
        _ => Effect { kind: EffectKind::Unknown, ..written(a, object_of(a)) },
    };
    Plan { route: Route::Blind, effects: vec![effect] }
}

fn deleted_custom(a: &Attributes) -> Effect {
    Effect::delete(object_of(a), Deleted::Custom)
}

/// That a custom resource is written, by what is known of its kind.
pub(crate) fn written(a: &Attributes, object: ObjectRef) -> Effect {
    let known = custom::of(&a.api_group, &a.resource);
    let kind = match known {
        custom::Custom::Acts(_) => EffectKind::WriteActing,
        custom::Custom::Plain => EffectKind::WriteCustom,
        custom::Custom::OfKubernetes => EffectKind::Unknown,
    };
    let (verb, subresource) = (a.verb.clone(), a.subresource.clone());
    let about = About::Custom(Custom { verb, subresource, acts: custom::acts(known) });
    Effect { kind, object, about }
}

/// As [`plan()`], of a write to a custom resource that the API server is known to store itself, so that
/// its dry run is one. `None` of any other request.
pub fn plan_stored(attributes: &Attributes, is_dry_run: bool) -> Option<Plan> {
    let a = attributes;
    let is_plain = a.is_resource_request && !a.is_read() && !a.is_connect();
    if !is_plain || Builtin::find(&a.api_group, &a.resource).is_some() {
        return None;
    }
    let (route, effects) = match (a.verb.as_str(), a.subresource.as_str()) {
        ("delete", "") => (Route::PreviewDelete, vec![deleted_custom(a)]),
        ("deletecollection", "") => (Route::PreviewCollection, vec![deleted_custom(a)]),
        ("create", "") | ("update" | "patch", "" | "status" | "scale") => {
            (Route::Preview, Vec::new())
        }
        _ => return None,
    };
    Some(match is_dry_run {
        true => Plan { route: Route::DryRun, effects: Vec::new() },
        false => Plan { route, effects },
    })
}

/// The plan of a request; `is_stored` of what the API server is known to store itself.
pub fn plan_as(attributes: &Attributes, is_dry_run: bool, is_stored: bool) -> Plan {
    let stored = is_stored.then(|| plan_stored(attributes, is_dry_run)).flatten();
    stored.unwrap_or_else(|| plan(attributes, is_dry_run))
}

/// Whether it creates or changes an object of an API that Kubernetes itself does not serve, or the
/// status of one: what such a write says is judged by [`crate::of_custom`].
pub fn writes_custom(a: &Attributes) -> bool {
    a.is_resource_request
        && matches!(a.verb.as_str(), "create" | "update" | "patch")
        && matches!(a.subresource.as_str(), "" | "status")
        && !is_builtin(&a.api_group, &a.resource)
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
    let blind = |kind, connect| Plan {
        route: Route::Blind,
        effects: vec![Effect { kind, object: object_of(a), about: About::Connect(connect) }],
    };
    match (a.resource.as_str(), a.subresource.as_str()) {
        ("nodes", _) => blind(EffectKind::ProxyToNode, Connect::Kubelet),
        (_, "proxy") if is_api_server(a) => blind(EffectKind::ProxyToApiServer, Connect::ApiServer),
        (_, "proxy") => {
            let path = a.parts.iter().skip(3).cloned().collect::<Vec<_>>().join("/");
            let proxied = Proxied { method: a.method.clone(), path: format!("/{path}") };
            blind(EffectKind::RunCode, Connect::Proxied(proxied))
        }
        (_, "portforward") => blind(EffectKind::RunCode, Connect::PortForward),
        (_, subresource) => {
            // The command may hold a secret; it is shown redacted with the request's URI.
            let words = a.query.0.iter().filter(|(key, _)| key == "command").count();
            let command = Command { subresource: subresource.to_owned(), words };
            blind(EffectKind::RunCode, Connect::Command(command))
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

#[cfg(test)]
mod tests {
    use http::{HeaderMap, Method};

    use super::*;

    #[test]
    fn plans_what_the_api_server_stores_as_what_it_serves() {
        let things = "/apis/ex.io/v1/namespaces/d/things";
        let table = [
            ("POST", things.to_owned(), Some(Route::Preview)),
            ("PUT", format!("{things}/a"), Some(Route::Preview)),
            ("PATCH", format!("{things}/a/status"), Some(Route::Preview)),
            ("PATCH", format!("{things}/a/scale"), Some(Route::Preview)),
            ("DELETE", format!("{things}/a"), Some(Route::PreviewDelete)),
            ("DELETE", things.to_owned(), Some(Route::PreviewCollection)),
            ("GET", format!("{things}/a"), None),
            ("POST", format!("{things}/a/console"), None),
            ("POST", format!("{things}/a/exec"), None),
            ("POST", format!("{things}/a/proxy/x"), None),
            ("DELETE", format!("{things}/a/status"), None),
            ("POST", "/apis/apps/v1/namespaces/d/deployments".to_owned(), None),
            ("POST", "/apis/ex.io".to_owned(), None),
        ];
        for (method, target, want) in table {
            let method = method.parse::<Method>().expect("a method");
            let read = attributes::read(&method, &target, &HeaderMap::new()).expect("a request");
            let route = |is_dry_run| plan_stored(&read, is_dry_run).map(|it| it.route);
            assert_eq!(route(false), want, "{method} {target}");
            assert_eq!(route(true), want.map(|_| Route::DryRun), "{method} {target}");
            // Where nothing is known of who stores it, a dry run is a write.
            if want.is_some() {
                assert_eq!(plan(&read, true).route, Route::Blind, "{method} {target}");
            }
        }
    }
}
