//! What would change: the object before and after -> differences and effects.
//!
//! An effect is one thing a request would do to the cluster, whatever route it takes. Static
//! effects come from the attributes ([`plan()`]); body effects come from comparing the live
//! object with the server's own dry-run answer ([`of_change`]), so the encoding and the patch type
//! make no difference. Pure.

mod applied;
mod builtin;
mod change;
mod custom;
mod diff;
mod namespace;
mod plan;
mod powers;
mod template;
mod triggers;

pub use builtin::Builtin;
pub use change::{of_change, of_delete, of_entered, of_said_scale, of_scaled_workload};
pub use diff::{diff, digest_input, normalised};
pub use namespace::{ClassConfig, NamespaceClass, Sign};
pub use plan::{
    Plan, Route, decides_access, is_builtin, is_builtin_group, object_of, of_refused, plan, unknown,
};

/// The object an effect is done to.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ObjectRef {
    /// Empty for the core group.
    pub api_group: String,
    /// Plural resource.
    pub resource: String,
    /// Empty for cluster-scoped objects.
    pub namespace: String,
    /// Empty where the request names none (`generateName`, a collection that could not be listed).
    pub name: String,
    /// Empty where it is not known.
    pub uid: String,
}

impl ObjectRef {
    /// `deployment prod/web`, `namespace payments`, `deployments in prod`.
    pub fn words(&self) -> String {
        match (self.namespace.as_str(), self.name.as_str()) {
            ("", "") => self.resource.clone(),
            ("", name) => format!("{} {name}", self.singular()),
            (namespace, "") => format!("{} in {namespace}", self.resource),
            (namespace, name) => format!("{} {namespace}/{name}", self.singular()),
        }
    }

    fn singular(&self) -> String {
        let plural = self.resource.as_str();
        match (plural.strip_suffix("ies"), plural.strip_suffix("sses")) {
            _ if plural == "endpoints" => plural.to_owned(),
            (Some(stem), _) => format!("{stem}y"),
            (_, Some(stem)) => format!("{stem}ss"),
            _ => plural.strip_suffix('s').unwrap_or(plural).to_owned(),
        }
    }
}

/// What kind of thing would happen. The names are part of the ledger format and of policy.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum EffectKind {
    /// The object goes, now or when its finalizers are done.
    Delete,
    /// Fewer replicas than before.
    ScaleDown,
    /// More replicas than before.
    ScaleUp,
    /// A container image differs.
    ChangeImage,
    /// Container or pod level requests or limits differ.
    ChangeResources,
    /// Another part of a pod template differs than image, resources or the restart annotation.
    ChangeTemplate,
    /// Only the restart annotation differs.
    Restart,
    /// Keys of a Secret or ConfigMap that were not there before.
    AddData,
    /// Keys of a Secret or ConfigMap overwritten or removed, a reclaim or retention policy loosened.
    LoseData,
    /// `metadata.ownerReferences` differ: garbage collection may delete the object.
    ChangeOwners,
    /// `metadata.finalizers` differ.
    ChangeFinalizers,
    /// Labels or annotations with no known side effect differ.
    ChangeLabels,
    /// Labels or annotations that some controller acts on differ.
    ChangeTrigger,
    /// A namespace gets less protected or less production.
    Unprotect,
    /// A namespace gets more protected or more production.
    Protect,
    /// A pod goes that its ReplicaSet replaces, while others are ready.
    ReplacePod,
    /// A pod is evicted.
    Evict,
    /// A node stops taking pods.
    Cordon,
    /// A node takes pods again.
    Uncordon,
    /// A node's taints differ.
    Taint,
    /// Code runs in a pod, or a pod or service is reached through the API server's proxy.
    RunCode,
    /// A kubelet is reached through the API server's proxy: code in every pod of a node.
    ProxyToNode,
    /// An API server is reached through the API server's proxy, past its own authorization.
    ProxyToApiServer,
    /// Rights are given: RBAC, CSR approval, bindings of pods to nodes, admission, API services.
    GrantAccess,
    /// A credential is made: token requests, token Secrets.
    MintCredential,
    /// A new object that neither runs nor selects traffic.
    CreateInert,
    /// A new object that runs or selects traffic.
    CreateActive,
    /// A new or changed object takes powers from outside its namespace: its node, another's volume
    /// or host name, a service account's rights, priority over other pods.
    Borrow,
    /// A custom resource is created or changed: what its operator makes of it is not known.
    WriteCustom,
    /// A custom resource is written that is known to act beyond itself: it runs code, cascades,
    /// restores, or moves traffic.
    WriteActing,
    /// Any other difference in a part of the object that controllers act on.
    ChangeSpec,
    /// What would happen could not be worked out; it counts as the worst that a rule asks about.
    Unknown,
}

impl EffectKind {
    /// Every kind.
    pub const ALL: [Self; 32] = [
        Self::Delete,
        Self::ScaleDown,
        Self::ScaleUp,
        Self::ChangeImage,
        Self::ChangeResources,
        Self::ChangeTemplate,
        Self::Restart,
        Self::AddData,
        Self::LoseData,
        Self::ChangeOwners,
        Self::ChangeFinalizers,
        Self::ChangeLabels,
        Self::ChangeTrigger,
        Self::Unprotect,
        Self::Protect,
        Self::ReplacePod,
        Self::Evict,
        Self::Cordon,
        Self::Uncordon,
        Self::Taint,
        Self::RunCode,
        Self::ProxyToNode,
        Self::ProxyToApiServer,
        Self::GrantAccess,
        Self::MintCredential,
        Self::CreateInert,
        Self::CreateActive,
        Self::Borrow,
        Self::WriteCustom,
        Self::WriteActing,
        Self::ChangeSpec,
        Self::Unknown,
    ];

    /// By its name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| format!("{it:?}") == name)
    }
}

/// One thing the request would do, to one object.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Effect {
    /// What happens.
    pub kind: EffectKind,
    /// To what.
    pub object: ObjectRef,
    /// In plain words, for people: `replicas 10 -> 0`. Never holds a secret value.
    pub detail: String,
    /// A count before and after where the kind has one (replicas).
    pub count: Option<(i64, i64)>,
}

/// One differing path of an object (absent: `None`).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Change {
    /// RFC 6901 pointer (`/spec/replicas`), with an item's `name` for the index of named items.
    pub path: String,
    /// Before.
    pub old: Option<serde_json::Value>,
    /// After.
    pub new: Option<serde_json::Value>,
}
