//! What the proxy's own credential must be allowed, and what does not work without.

use crate::access::Access;

/// A right that the proxy uses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Right {
    /// `get`, `create`, …
    pub verb: &'static str,
    /// Empty for the core group.
    pub group: &'static str,
    /// Plural resource.
    pub resource: &'static str,
    /// Empty for the resource itself.
    pub subresource: &'static str,
    /// Empty at the cluster scope.
    pub namespace: &'static str,
    /// Empty for all names.
    pub name: &'static str,
    /// What does not work without it.
    pub without: &'static str,
}

const CLUSTER: Right = Right {
    verb: "",
    group: "",
    resource: "",
    subresource: "",
    namespace: "",
    name: "",
    without: "",
};

/// What tells whether code that runs as a service account may do what an agent would be held for.
const ACCOUNTS: Right = Right {
    group: "rbac.authorization.k8s.io",
    without: "every new or changed pod is held, since nobody knows what its account may do",
    ..CLUSTER
};

/// What tells where the API server itself is.
const API_SERVERS: Right = Right {
    without: "an agent's proxy to an address of the API server is held, not denied",
    namespace: "default",
    name: "kubernetes",
    ..CLUSTER
};

/// Every right that agent-shield uses in any case. Impersonation comes on top for agents with client
/// certificates, and only for the names that a deployment lists.
pub const RIGHTS: [Right; 17] = [
    Right {
        verb: "create",
        group: "authentication.k8s.io",
        resource: "tokenreviews",
        without: "no agent with a token can write, and no reviewer can use one",
        ..CLUSTER
    },
    Right {
        verb: "create",
        group: "authorization.k8s.io",
        resource: "subjectaccessreviews",
        without: "no reviewer can decide anything",
        ..CLUSTER
    },
    Right {
        verb: "get",
        resource: "namespaces",
        without: "every namespace counts as protected and as production, so every write is held",
        ..CLUSTER
    },
    Right {
        verb: "list",
        resource: "namespaces",
        without: "namespaces are looked up one by one, and reviewers see no list of them",
        ..CLUSTER
    },
    Right {
        verb: "watch",
        resource: "namespaces",
        without: "all namespaces are listed again and again instead of watched",
        ..CLUSTER
    },
    Right { verb: "list", resource: "rolebindings", ..ACCOUNTS },
    Right { verb: "list", resource: "clusterrolebindings", ..ACCOUNTS },
    Right { verb: "get", resource: "roles", ..ACCOUNTS },
    Right { verb: "get", resource: "clusterroles", ..ACCOUNTS },
    Right {
        verb: "list",
        resource: "nodes",
        without: "an agent's proxy to a pod is held, since nobody knows where it ends",
        ..CLUSTER
    },
    Right {
        verb: "list",
        group: "policy",
        resource: "poddisruptionbudgets",
        without: "no pod of production is replaced unasked by an agent that may not list budgets",
        ..CLUSTER
    },
    Right {
        verb: "list",
        group: "networking.k8s.io",
        resource: "networkpolicies",
        without: "every change of a namespace's labels is held, since nobody knows who is let in by them",
        ..CLUSTER
    },
    Right {
        verb: "get",
        group: "apiregistration.k8s.io",
        resource: "apiservices",
        without: "a watch or a log by WebSocket is held, and custom resources are not previewed, since nobody knows who would answer",
        ..CLUSTER
    },
    Right {
        verb: "get",
        group: "apiextensions.k8s.io",
        resource: "customresourcedefinitions",
        without: "custom resources are not previewed: their dry runs, diffs and changes that change nothing are held",
        ..CLUSTER
    },
    Right { verb: "get", group: "discovery.k8s.io", resource: "endpointslices", ..API_SERVERS },
    Right { verb: "get", resource: "services", ..API_SERVERS },
    Right {
        verb: "get",
        resource: "configmaps",
        namespace: "kube-system",
        name: "extension-apiserver-authentication",
        without: "client certificates are refused, of agents and of reviewers",
        ..CLUSTER
    },
];

/// Every write is sent with its agent's own credential: what the proxy's own could do besides is only a danger.
const TOO_MUCH: &str = "agents' writes are sent with their own credentials";

/// Rights that it never needs, and that would make it worth taking over; the first has all the others in it.
pub const NEVER_NEEDED: [Right; 6] = [
    Right { verb: "*", group: "*", resource: "*", without: TOO_MUCH, ..CLUSTER },
    Right { verb: "get", resource: "secrets", without: "it reads no Secrets", ..CLUSTER },
    Right { verb: "create", resource: "pods", without: TOO_MUCH, ..CLUSTER },
    Right { verb: "patch", group: "apps", resource: "deployments", without: TOO_MUCH, ..CLUSTER },
    Right {
        verb: "create",
        group: "rbac.authorization.k8s.io",
        resource: "clusterrolebindings",
        without: "it grants nothing",
        ..CLUSTER
    },
    Right {
        verb: "impersonate",
        resource: "users",
        without: "it acts only as the users that a deployment names (`rbac own --certificate-user`)",
        ..CLUSTER
    },
];

/// Of policies that are kept in the cluster.
const POLICIES: Right = Right {
    group: "agent-shield.io",
    without: "policies of the cluster (--policy-objects) cannot be followed",
    ..CLUSTER
};
const STATUS: Right = Right {
    verb: "patch",
    group: "agent-shield.io",
    without: "policies of the cluster do not tell whether they are in force",
    ..CLUSTER
};

/// Rights that come on top for `serve --policy-objects`.
pub const POLICY_RIGHTS: [Right; 9] = [
    Right { verb: "list", resource: "policies", ..POLICIES },
    Right { verb: "watch", resource: "policies", ..POLICIES },
    Right { resource: "policies", subresource: "status", ..STATUS },
    Right { verb: "list", resource: "policyexceptions", ..POLICIES },
    Right { verb: "watch", resource: "policyexceptions", ..POLICIES },
    Right { resource: "policyexceptions", subresource: "status", ..STATUS },
    Right { verb: "list", resource: "policysettings", ..POLICIES },
    Right { verb: "watch", resource: "policysettings", ..POLICIES },
    Right { resource: "policysettings", subresource: "status", ..STATUS },
];

impl Right {
    /// As RBAC writes it: `policies`, `policies/status`.
    pub fn path(&self) -> String {
        Access::from(self).path()
    }

    /// `create tokenreviews.authentication.k8s.io`.
    pub fn words(&self) -> String {
        let Self { verb, group, namespace, name, .. } = self;
        let resource = self.path();
        let dot = if group.is_empty() { "" } else { "." };
        let place = match (*namespace, *name) {
            ("", _) => String::new(),
            (namespace, name) => format!(" {name} in {namespace}"),
        };
        format!("{verb} {resource}{dot}{group}{place}")
    }
}

impl From<&Right> for Access {
    fn from(right: &Right) -> Self {
        Self {
            verb: right.verb.into(),
            group: right.group.into(),
            resource: right.resource.into(),
            subresource: right.subresource.into(),
            namespace: right.namespace.into(),
            name: right.name.into(),
        }
    }
}
